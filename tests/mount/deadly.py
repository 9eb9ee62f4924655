# SPDX-License-Identifier: GPL-3.0-or-later
"""A message at which the server ends the session: it is left out, and
everything behind it is listed."""

import os

from imapfstest import *
from imapfstest.letters import letter, numbered

ROWS = rb"FETCH .*RFC822\.SIZE"


def lock_away(server, box, n):
    """Dovecot may not open this message's file any more, and has not kept
    what is in it."""
    folder = server.dir / "mail/alice/mail/mailboxes" / box / "dbox-Mails"
    (folder / f"u.{n}").chmod(0)
    (folder / "dovecot.index.cache").unlink(missing_ok=True)


def filled(env, n):
    server = env.dovecot()
    with Client(server) as c:
        c.create("Box")
        for i in range(n):
            c.append("Box", letter(i))
    return server


def shown(m, want):
    return wait_for(lambda: sorted(numbered(m, "Box")) == want, 30,
                    "what can be shown is")


def test_a_first_listing_goes_on_behind_it(env):
    server = filled(env, 12)
    lock_away(server, "Box", 6)
    m = env.mount(server)
    shown(m, [n for n in range(12) if n != 5])
    assert m.log().count("message 6 of 'Box' is left out") == 1


def test_two_of_them_in_a_long_listing(env):
    server = filled(env, 400)
    lock_away(server, "Box", 100)
    lock_away(server, "Box", 250)
    m = env.mount(server)
    shown(m, [n for n in range(400) if n not in (99, 249)])


def with_new_mail(env, count):
    """Three are known, others came while it was not mounted; 5 is deadly."""
    server = filled(env, 3)
    m = env.mount(server)
    shown(m, [0, 1, 2])
    m.unmount()
    with Client(server) as c:
        for i in range(3, count):
            c.append("Box", letter(i))
    lock_away(server, "Box", 6)
    m.start()
    return server, m


def test_new_mail_goes_on_behind_it(env):
    _, m = with_new_mail(env, 9)
    shown(m, [n for n in range(9) if n != 5])


def test_the_last_new_message_is_one(env):
    server, m = with_new_mail(env, 6)
    shown(m, [0, 1, 2, 3, 4])
    # The server is asked for what is new again: it must not be this one.
    with Client(server) as c:
        c.append("Box", letter(6))
    shown(m, [0, 1, 2, 3, 4, 6])


def test_a_server_that_ends_every_session_is_not_asked_for_ever(env):
    def end(session, tag, command):
        session.send(b"* BYE broken\r\n")
        session.close()

    server = env.script({b"INBOX": Box([Msg(n, letter(n))
                                        for n in range(1, 600)])})
    server.on(ROWS, end)
    m = env.mount(server)
    try:
        os.listdir(m.path / "INBOX")
    except OSError:
        pass
    assert server.count(ROWS) <= 20
