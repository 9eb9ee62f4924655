# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's answer that leaves out what it has counted is not believed at
once, nor one by which most of a folder is gone; that keeps nothing else from
being seen."""

import os
import re

from imapfstest import *
from imapfstest.letters import letter, numbered
from imapfstest.qresync import folder, qresync_server, telling, touched
from imapfstest.script import CAPABILITIES

BODY = rb"UID FETCH .*BODY\.PEEK\[\]"

FLAGS = rb"UID FETCH 1:\d+ \(UID FLAGS\)"
MANY = 300


def wait_known(m):
    m.wait_status(lambda s: folder(s, "INBOX")["state"] == "known")


def forgetful_server(env):
    """Its answers leave message 3 out, though EXAMINE counts it."""
    box = Box([Msg(n, letter(n)) for n in range(1, 6)])
    server = env.script({b"INBOX": box})

    def forget(session, tag, command):
        answer = session.default(tag, command)
        return re.sub(rb"[*] 3 FETCH .*\r\n", b"", answer)

    m = env.mount(server)
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5]
    server.on(FLAGS, forget)
    os.utime(m.path / "INBOX")
    m.wait_status(lambda s: "not believed at first" in m.log())
    wait_known(m)
    return server, box, m


def deliver(server, box, n):
    with server.lock:
        box.messages.append(Msg(n, letter(n)))
        box.uidnext = n + 1
    server.push(b"INBOX", b"* %d EXISTS\r\n" % len(box.messages))


def test_new_mail_does_not_wait_for_a_doubt_that_is_over(env):
    server, box, m = forgetful_server(env)
    watch = env.watch(m.path / "INBOX")
    server.clear()
    asked = server.count(FLAGS)
    os.utime(m.path / "INBOX")
    server.wait_for_command(FLAGS, times=asked + 1)
    wait_known(m)
    deliver(server, box, 6)
    watch.wait("CREATE", "_Letter-6_")
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5, 6]


def test_new_mail_does_not_wait_for_a_second_opinion(env):
    server, box, m = forgetful_server(env)
    watch = env.watch(m.path / "INBOX")
    deliver(server, box, 6)
    watch.wait("CREATE", "_Letter-6_")
    # Nor is that one: so soon the server may forget the same once more.
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5, 6]
    server.clear()
    with server.lock:
        del box.messages[2]
    os.utime(m.path / "INBOX")
    watch.wait("DELETE", "_Letter-3_")
    assert sorted(numbered(m)) == [1, 2, 4, 5, 6]


def test_most_of_a_folder_that_is_said_to_be_gone_and_is_not(env):
    server, box = qresync_server(env, MANY)
    m = env.mount(server)
    paths = numbered(m)
    inodes = {n: os.stat(p).st_ino for n, p in paths.items()}
    assert paths[7].read_bytes() == letter(7)
    telling(server, b"1:%d" % MANY)
    touched(server, m)
    m.wait_status(lambda s: "it is not: from now on" in m.log())
    assert {n: os.stat(p).st_ino for n, p in numbered(m).items()} == inodes
    bodies = server.count(BODY)
    assert paths[7].read_bytes() == letter(7)
    assert server.count(BODY) == bodies
    # It is not asked like that again; and what is gone goes.
    asked = server.count(rb"EXAMINE .*QRESYNC")
    with server.lock:
        del box.messages[:5]
    touched(server, m)
    env.wait_for(lambda: sorted(numbered(m)) == list(range(6, MANY + 1)), 20)
    assert server.count(rb"EXAMINE .*QRESYNC") == asked


def test_most_of_a_folder_that_is_gone_is_asked_for_twice(env):
    server, box = qresync_server(env, MANY)
    m = env.mount(server)
    assert len(m.messages()) == MANY
    watch = env.watch(m.path / "INBOX")
    with server.lock:
        del box.messages[10:290]
    telling(server, b"11:290")
    touched(server, m)
    env.wait_for(lambda: len(m.messages()) == 20, 20)
    watch.wait("DELETE", times=280)
    assert server.count(FLAGS) == 1, (server.commands[-14:], m.log()[-1500:])
    assert "asking once more" in m.log()
    m.unmount()
    m.start()
    assert len(m.messages()) == 20


def test_few_that_are_named_as_gone_go_at_once(env):
    server, box = qresync_server(env, MANY)
    m = env.mount(server)
    assert len(m.messages()) == MANY
    with server.lock:
        del box.messages[:100]
    telling(server, b"1:100")
    touched(server, m)
    env.wait_for(lambda: len(m.messages()) == MANY - 100, 20)
    assert server.count(FLAGS) == 0


def test_folder_that_is_not_named_though_it_was_counted_stays(env):
    server = env.script({b"INBOX": Box([Msg(n, letter(n))
                                        for n in range(1, MANY + 1)])},
                        capabilities=[c for c in CAPABILITIES
                                      if c != b"IDLE"])
    m = env.mount(server)
    assert len(m.messages()) == MANY
    server.on(FLAGS, b"%TAG% OK nothing\r\n")
    for _ in range(3):
        before = server.count(FLAGS)
        os.utime(m.path / "INBOX")
        server.wait_for_command(FLAGS,
                                times=before + 2)
        wait_known(m)
    assert len(m.messages()) == MANY
    assert "not believed" in m.log()
    server.clear()
    os.utime(m.path / "INBOX")
    m.unmount()
    m.start()
    assert len(m.messages()) == MANY


def test_what_vanished_without_a_word_is_missed_in_the_count(env):
    """Since the server names it never again."""
    server, box = qresync_server(env, 6)
    m = env.mount(server)
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5, 6]
    watch = env.watch(m.path / "INBOX")
    with server.lock:
        del box.messages[1:3]
    telling(server, b"2")
    touched(server, m)
    watch.wait("DELETE", "_Letter-2_")
    watch.wait("DELETE", "_Letter-3_")
    assert sorted(numbered(m)) == [1, 4, 5, 6]
    assert server.count(FLAGS) == 1
    # What it says next is believed.
    with server.lock:
        del box.messages[3]
    telling(server, b"6")
    touched(server, m)
    watch.wait("DELETE", "_Letter-6_")
    assert sorted(numbered(m)) == [1, 4, 5]
    assert server.count(FLAGS) == 1


def test_server_that_counts_too_few_is_asked_plainly_once(env):
    server, _ = qresync_server(env, 6)
    m = env.mount(server)
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5, 6]
    telling(server, b"900", messages=5)
    for _ in range(3):
        touched(server, m)
        wait_known(m)
        assert sorted(numbered(m)) == [1, 2, 3, 4, 5, 6]
    assert server.count(FLAGS) == 1
    assert "counts 5 messages in 'INBOX' and names 6" in m.log()
