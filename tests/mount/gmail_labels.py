# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of a message as an attribute."""

import os
import sqlite3

from imapfstest import *
from imapfstest.gmail import APP_PASSWORD, names
from imapfstest.letters import letter, numbered

ALL = "[Gmail]/All Mail"


def deliver(server, n, labels, place):
    return server.account.deliver(
        letter(n), [label.encode() for label in labels.split()], place=place)


def labels(m, folder, n=1):
    """The attribute, of letter `n` as that folder shows it."""
    path = numbered(m, folder)[n]
    return set(os.getxattr(path, "user.imap.gm.labels").decode().split())


def check_labels(m, wanted):
    """`wanted`: {folder: what letter 1 has beside, seen from there}."""
    for folder, beside in wanted.items():
        assert labels(m, folder) == beside, folder
    for folder in {"INBOX", "work", "home", "trips"} - set(wanted):
        assert m.messages(folder) == [], folder


def test_labels_changed_elsewhere_are_found_by_the_next_mount(env):
    server = env.gmail()
    server.account.create(b"trips")
    message = deliver(server, 1, "\\Inbox work home", names.ALL)
    m = env.mount(server, password=APP_PASSWORD)
    check_labels(m, {"INBOX": {"work", "home"},
                     "work": {"\\Inbox", "home"},
                     "home": {"\\Inbox", "work"},
                     ALL: {"\\Inbox", "work", "home"}})
    m.unmount()
    server.web(lambda account: account.relabel(
        message, add=[b"trips"], remove=[b"work", b"\\Inbox"]))
    m.start()
    check_labels(m, {"home": {"trips"}, "trips": {"home"},
                     ALL: {"home", "trips"}})
    server.web(lambda account: account.relabel(message, add=[b"work"]))
    os.utime(m.path / ALL)  # as touch(1) does
    env.wait_for(lambda: labels(m, ALL) == {"home", "trips", "work"})


def test_a_change_that_comes_behind_its_count_is_found(env):
    """HIGHESTMODSEQ counts it before the end of one mount, and the message
    has it before the next one."""
    server = env.gmail()
    message = deliver(server, 1, "work", names.ALL)
    m = env.mount(server, password=APP_PASSWORD)
    assert labels(m, ALL) == {"work"} and labels(m, "work") == set()
    modseq = server.account.bump()
    m.unmount()
    settle(m, modseq)
    server.web(lambda account: account.set_flags(
        message, {b"\\Seen"}, modseq=modseq))
    m.start()
    for folder in ALL, "work":
        path = numbered(m, folder)[1]
        assert path.stat().st_mode & 0o777 == 0o644, folder


def settle(m, modseq):
    """As if the account had rested for minutes at this HIGHESTMODSEQ."""
    with sqlite3.connect(m.database()) as db:
        changed = db.execute("UPDATE folders SET highestmodseq = ?"
                             " WHERE highestmodseq > 0", (modseq,))
        assert changed.rowcount == 2
    db.close()
