# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's answer that leaves out what it has counted is not believed at
once; that keeps nothing else from being seen."""

import os
import re

from imapfstest import *
from imapfstest.letters import letter, numbered

FLAGS = rb"UID FETCH 1:\d+ \(UID FLAGS\)"


def wait_known(m):
    m.wait_status(lambda s: next(f for f in s["folders"] if f["path"] ==
                                 "INBOX")["state"] == "known")


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
