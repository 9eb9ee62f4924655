# SPDX-License-Identifier: GPL-3.0-or-later
"""A server without MOVE: a move is a copy and a removal. An answer is lost in
the middle, and another client takes the copy elsewhere: the message is not
lost, and if it is known that it was there the user is told."""

import os

from imapfstest import *
from imapfstest.changed import wait_sent
from imapfstest.letters import letter, numbered
from imapfstest.script import CAPABILITIES


def served(env):
    server = env.script(
        {b"INBOX": Box([Msg(1, letter(1))]), b"Other": Box(),
         b"Work": Box([Msg(1, letter(7))])},
        capabilities=[c for c in CAPABILITIES if c != b"MOVE"])
    m = env.mount(server)
    for box in ("INBOX", "Other", "Work"):
        m.messages(box)
    return server, m


def move(m):
    path, = numbered(m).values()
    os.rename(path, m.path / "Work" / "moved.eml")


def take_copy(server):
    """Another client moves it; True if it was there."""
    with server.lock:
        work, other = server.boxes[b"Work"], server.boxes[b"Other"]
        found = [msg for msg in work.messages if msg.uid > 1]
        for msg in found:
            work.messages.remove(msg)
            other.messages.append(Msg(other.uidnext, msg.data))
            other.uidnext += 1
        return len(found)


def where(server):
    """{mailbox: [(message, flags)]}, without what was there before."""
    with server.lock:
        return {name.decode(): [(msg.data == letter(1), sorted(msg.flags))
                                for msg in box.messages
                                if msg.data != letter(7)]
                for name, box in server.boxes.items()}


def failed(m):
    return (m.path / ".imapfs/failed").read_text()


def done_taken_and_lost(session, tag, command):
    """The command is done; then the copy is taken, and the line cut."""
    session.default(tag, command)
    assert take_copy(session.server) == 1
    session.close(rst=True)


def test_a_copy_that_was_taken_before_it_was_known_is_made_again(env):
    server, m = served(env)
    server.on(rb"UID COPY", done_taken_and_lost, times=1)
    move(m)
    wait_sent(m)
    assert where(server) == {"INBOX": [], "Work": [(True, [])],
                             "Other": [(True, [])]}


def test_a_copy_that_was_known_and_taken_is_not_made_again(env):
    for command in (rb"UID STORE", rb"UID EXPUNGE"):
        server, m = served(env)
        server.on(command, done_taken_and_lost, times=1)
        move(m)
        wait_sent(m)
        assert where(server) == {"INBOX": [], "Work": [],
                                 "Other": [(True, [])]}
        m.unmount()


def test_what_we_have_marked_for_removal_is_not_copied_so(env):
    """The program dies when the mark is set."""
    server, m = served(env)

    def dies(session, tag, command):
        session.default(tag, command)
        assert take_copy(server) == 1
        session.hang()

    server.on(rb"UID STORE .*Deleted", dies, times=1)
    move(m)
    env.wait_for(lambda: where(server)["Other"], 20, "the copy is taken")
    m.kill9()
    m.wait_end()
    server.clear()
    assert where(server)["INBOX"] == [(True, [b"\\Deleted"])]
    m.start()
    wait_sent(m)
    assert where(server) == {"INBOX": [], "Work": [(True, [])],
                             "Other": [(True, [])]}
    assert "gone again, maybe elsewhere" in failed(m)
