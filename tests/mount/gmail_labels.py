# SPDX-License-Identifier: GPL-3.0-or-later
"""What shell commands do to the labels of a message, row by row, whatever
the account has set for \\Deleted and for the last label."""

import os
import sqlite3

from imapfstest import *
from imapfstest.gmail import APP_PASSWORD, names
from imapfstest.letters import letter, numbered

ALL, SPAM, TRASH = "[Gmail]/All Mail", "[Gmail]/Spam", "[Gmail]/Trash"

# Labels, place, where it is seen, the command on $f (the file), what is then.
ROWS = [
    ("\\Inbox work", names.ALL, "INBOX", "rm $f", "trash"),
    ("work", names.ALL, "work", "rm $f", "trash"),
    ("work", names.ALL, ALL, "rm $f", "trash"),
    ("", names.ALL, ALL, "rm $f", "trash"),
    ("", names.TRASH, TRASH, "rm $f", "gone"),
    ("", names.SPAM, SPAM, "rm $f", "gone"),
    ("\\Inbox", names.ALL, "INBOX", "mv $f work/", "all: work"),
    ("work", names.ALL, "work", "mv $f INBOX/", "all: \\Inbox"),
    ("", names.ALL, ALL, "mv $f work/", "all: work"),
    ("\\Inbox", names.ALL, ALL, "mv $f work/", "all: \\Inbox work"),
    ("work", names.ALL, "work", f"mv $f {TRASH}/", "trash"),
    ("work", names.ALL, "work", f"mv $f {SPAM}/", "spam"),
    ("", names.TRASH, TRASH, "mv $f INBOX/", "all: \\Inbox"),
    ("", names.SPAM, SPAM, "mv $f INBOX/", "all: \\Inbox"),
    ("\\Inbox", names.ALL, "INBOX", "cp $f work/", "all: \\Inbox work"),
    # The same message is there already: only the label goes.
    ("\\Inbox", names.ALL, "INBOX", f"mv $f '{ALL}/'", "all"),
    ("\\Inbox work", names.ALL, "INBOX", f"mv $f '{ALL}/'", "all: work"),
    ("\\Inbox work", names.ALL, "INBOX", "mv $f work/", "all: work"),
]


def where(message, server):
    if message.msgid not in server.account.messages:
        return "gone"
    labels = " ".join(sorted(label.decode() for label in message.labels))
    return f"{message.place}: {labels}".rstrip(": ")


def deliver(server, n, labels, place):
    return server.account.deliver(
        letter(n), [label.encode() for label in labels.split()], place=place)


def check_rows(env, **settings):
    """Each row with a message of its own, all in one mount."""
    server = env.gmail(**settings)
    for label in (b"work", b"home"):
        server.account.create(label)
    messages = [deliver(server, n, row[0], row[1])
                for n, row in enumerate(ROWS, 100)]
    m = env.mount(server, password=APP_PASSWORD)
    for n, (_, _, folder, command, _) in enumerate(ROWS, 100):
        m.run(["sh", "-c", f'f=$(echo "{folder}"/*Letter-{n}_*); ' +
               command.replace("$f", '"$f"')])

    def wrong():
        return [(row, where(message, server))
                for message, row in zip(messages, ROWS)
                if where(message, server) != row[4]]

    try:
        env.wait_for(lambda: not wrong(), 15)
    except Timeout:
        raise AssertionError(f"{settings}: {wrong()}") from None
    env.wait_for(lambda: not any(
        m.status()["queue"][key] for key in ("queued", "sent", "writing")))
    assert wrong() == []
    assert len(server.account.messages) == sum(r[4] != "gone" for r in ROWS)
    return server


@deadline(120)
def test_every_command_for_every_setting(env):
    for last_label in ("archive", "trash", "delete"):
        for auto_expunge in (True, False):
            server = check_rows(env, last_label=last_label,
                                auto_expunge=auto_expunge)
            marks = [command for _, command in server.commands
                     if b"\\Deleted" in command]
            assert len(marks) == 2, ("only in Trash and Spam", marks)


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
