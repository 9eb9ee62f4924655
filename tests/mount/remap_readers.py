# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reads from a mailbox that is made anew meanwhile: its message is found
again, or gone, or it cannot be known; each is told in time."""

import os
import subprocess

from imapfstest import *
from imapfstest.letters import letter, numbered

BODY = rb"UID FETCH .*BODY\.PEEK\[\](?!\S*HEADER)"
LISTING = rb"(UID )?FETCH .*HEADER"


def box(numbers, first_uid=1, uidvalidity=1000):
    return Box([Msg(first_uid + i, letter(n))
                for i, n in enumerate(numbers)], uidvalidity=uidvalidity)


def test_reader_whose_mailbox_was_opened_when_all_was_found_again(env):
    """Its body was asked for by the old UID: it is asked for once more, or
    it is gone."""
    server = env.script({b"INBOX": Box(), b"Other": Box(),
                         b"Work": box(range(1, 6))})
    m = env.mount(server)
    paths = numbered(m, "Work")
    m.messages("Other")
    server.on(rb"EXAMINE \"?Work", lambda s, tag, command: s.hang() or
              s.default(tag, command), times=1)
    opened = server.count(rb"EXAMINE \"?Work")
    readers = [popen(["cat", str(paths[n])], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE) for n in (4, 2)]
    server.wait_for_command(rb"EXAMINE \"?Work", times=opened + 1)
    m.wait_status(lambda s: s["parked"] == 2)
    with server.lock:
        server.boxes[b"Work"] = box(range(4, 9), 11, 7777)
    os.utime(m.path / "Work")
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [4, 5, 6, 7, 8], 20)
    server.release()
    assert readers[0].communicate(timeout=20)[0] == letter(4)
    assert b"No such file" in readers[1].communicate(timeout=20)[1]


def read_while_made_anew(env, n):
    """The line is cut in the middle of letter n, of 1 to 5; over the next one
    it is a mailbox with 4 to 8."""
    server = env.script({b"INBOX": Box(), b"Work": box(range(1, 6))})
    m = env.mount(server)
    paths = numbered(m, "Work")

    def cut(session, tag, command):
        answer = session.default(tag, command)
        with server.lock:
            server.boxes[b"Work"] = box(range(4, 9), 11, 7777)
        session.send(answer[:len(answer) // 2])
        session.close()

    server.on(BODY, cut, times=1)
    return m.run(["cat", str(paths[n])], check=False)


def test_reader_whose_mailbox_is_made_anew_in_the_middle_of_a_body(env):
    assert read_while_made_anew(env, 4).out == letter(4)
    assert b"No such file" in read_while_made_anew(env, 2).err


def read_while(env, *rules):
    """(pattern, answer)s of a mailbox that was made anew since it was listed:
    what does a reader of it get, before its time is up?"""
    server = env.script({b"INBOX": Box(), b"Work": box(range(1, 6))})
    m = env.mount(server)
    path = numbered(m, "Work")[2]
    m.messages("INBOX")
    with server.lock:
        server.boxes[b"Work"] = box(range(4, 9), 11, 7777)
    for pattern, answer in rules:
        server.on(pattern, answer)
    return m.run(["cat", str(path)], check=False).err


def test_reader_of_a_mailbox_made_anew_that_is_not_listed(env):
    refused = b"%TAG% NO [SERVERBUG] Not now.\r\n"
    assert b"Input/output error" in read_while(env, (LISTING, refused))


def test_reader_of_a_mailbox_made_anew_that_is_gone_when_it_is_asked_for(env):
    def last(session, tag, command):
        answer = session.default(tag, command)
        with session.server.lock:
            session.server.boxes.pop(b"Work", None)
        return answer

    assert b"No such file" in read_while(env, (rb"EXAMINE \"?Work", last))
