# SPDX-License-Identifier: GPL-3.0-or-later
"""What shell commands do to a message of Gmail, row by row, whatever the
account has set for \\Deleted and for the last label; and that the mount shows
what came of it."""

import os

from imapfstest import *
from imapfstest.changed import sent, wait_sent
from imapfstest.gmail import APP_PASSWORD, names
from imapfstest.gmail.shown import wait_same, where
from imapfstest.letters import letter

ALL, SPAM, TRASH = "[Gmail]/All Mail", "[Gmail]/Spam", "[Gmail]/Trash"
STARRED, IMPORTANT = "[Gmail]/Starred", "[Gmail]/Important"
MARK = "setfattr -n user.imap.flags -v"

# Labels, place, where it is seen, the command, what is then. In the command
# $f is the file and $o a file of the same bytes outside of the mount; what
# begins with `!` has to be refused.
ROWS = [
    # To Trash and Spam, out of all labels; from there for good.
    ("\\Inbox work", names.ALL, "INBOX", "rm $f", "trash"),
    ("work", names.ALL, "work", "rm $f", "trash"),
    ("work", names.ALL, ALL, "rm $f", "trash"),
    ("", names.ALL, ALL, "rm $f", "trash"),
    ("\\Starred work", names.ALL, STARRED, "rm $f", "trash"),
    ("\\Important", names.ALL, IMPORTANT, "rm $f", "trash"),
    ("", names.TRASH, TRASH, "rm $f", "gone"),
    ("", names.SPAM, SPAM, "rm $f", "gone"),
    ("work home", names.ALL, "work", f"mv $f {TRASH}/", "trash"),
    ("work home", names.ALL, "work", f"mv $f {SPAM}/", "spam"),
    ("work", names.ALL, ALL, f"mv $f {TRASH}/", "trash"),
    ("work", names.ALL, ALL, f"mv $f {SPAM}/", "spam"),
    ("work home", names.ALL, "work", f"cp $f {TRASH}/", "trash"),
    ("work home", names.ALL, "work", f"cp $f {SPAM}/", "spam"),
    ("", names.SPAM, SPAM, f"mv $f {TRASH}/", "trash"),
    ("", names.TRASH, TRASH, f"mv $f {SPAM}/", "spam"),
    # And back.
    ("", names.TRASH, TRASH, "mv $f INBOX/", "all: \\Inbox"),
    ("", names.TRASH, TRASH, f"mv $f '{ALL}/'", "all"),
    ("", names.TRASH, TRASH, "cp $f work/", "all: work"),
    ("", names.SPAM, SPAM, "mv $f INBOX/", "all: \\Inbox"),
    # From label to label.
    ("\\Inbox", names.ALL, "INBOX", "mv $f work/", "all: work"),
    ("work", names.ALL, "work", "mv $f INBOX/", "all: \\Inbox"),
    ("\\Inbox work", names.ALL, "INBOX", "mv $f home/",
     "all: home work"),
    ("\\Inbox", names.ALL, "INBOX", "mv $f work/named_Letter-$n_.eml",
     "all: work"),
    ("work", names.ALL, "work", f"mv $f {STARRED}/", "all"),
    ("\\Starred", names.ALL, STARRED, "mv $f work/", "all: work"),
    # A label more.
    ("\\Inbox", names.ALL, "INBOX", "cp $f work/", "all: \\Inbox work"),
    ("", names.ALL, ALL, "cp $f work/", "all: work"),
    ("work", names.ALL, "work", f"cp $f {STARRED}/", "all: work"),
    ("", names.ALL, ALL, "mv $f work/", "all: work"),
    ("\\Inbox", names.ALL, ALL, "mv $f work/", "all: \\Inbox work"),
    ("", names.ALL, ALL, "mv $f INBOX/", "all: \\Inbox"),
    ("work", names.ALL, "work", "chmod 744 $f", "all: work"),
    # The same message is there already: only the label goes, or nothing.
    ("\\Inbox", names.ALL, "INBOX", f"mv $f '{ALL}/'", "all"),
    ("\\Inbox work", names.ALL, "INBOX", f"mv $f '{ALL}/'", "all: work"),
    ("\\Starred", names.ALL, STARRED, f"mv $f '{ALL}/'", "all"),
    ("\\Inbox work", names.ALL, "INBOX", "mv $f work/", "all: work"),
    ("\\Inbox work", names.ALL, "INBOX",
     "mv $f work/twin_Letter-$n_.eml", "all: work"),
    ("\\Inbox work", names.ALL, "INBOX",
     "cp $f work/twin_Letter-$n_.eml", "all: \\Inbox work"),
    ("work", names.ALL, ALL, "mv $f work/", "all: work"),
    ("\\Inbox work", names.ALL, "INBOX", "! cp $f work/",
     "all: \\Inbox work"),
    ("work", names.ALL, "work", f"! cp $f '{ALL}/'", "all: work"),
    # The same bytes once more are the same message.
    ("work", names.ALL, "work", "cp $o INBOX/again_Letter-$n_.eml",
     "all: \\Inbox work"),
    ("work", names.ALL, "work", "cp $o work/again_Letter-$n_.eml",
     "all: work"),
    ("", names.TRASH, TRASH, "cp $o work/again_Letter-$n_.eml", "all: work"),
    ("work", names.ALL, "work", "cp $o work/again_Letter-$n_.eml && "
     "cp $o work/more_Letter-$n_.eml", "all: work"),
    # No mark that takes a label away, and no link.
    ("\\Inbox", names.ALL, "INBOX", f"! {MARK} '\\Deleted' $f",
     "all: \\Inbox"),
    ("work", names.ALL, ALL, f"! {MARK} '\\Deleted' $f", "all: work"),
    ("work", names.ALL, "work", "! ln $f INBOX/", "all: work"),
    # Labels as such.
    ("old", names.ALL, "old", "mv old new", "all: new"),
    ("full", names.ALL, "full", "! rmdir full", "all: full"),
]


# In Trash and Spam here, and on its way there: it has to arrive first, or it
# would only lose its label. What rm(1) puts into a directory that the kernel
# knows shows there a moment later, by a replay.
THERE = f"{TRASH}/${{f##*/}}"
RM_THERE = f"until test -e {THERE}; do :; done; rm {THERE}"
ON_ITS_WAY = [
    ("work home", names.ALL, "work", f"rm $f; {RM_THERE}", "gone"),
    ("\\Inbox", names.ALL, "INBOX", f"mv $f {SPAM}/; rm {SPAM}/${{f##*/}}",
     "gone"),
    ("", names.ALL, ALL, f"rm $f; {RM_THERE}", "gone"),
]


def command_of(n, folder, command, outside):
    """As a shell has to see it."""
    if "$o" in command:
        outside.write_bytes(letter(n))
    for word, value in (("$f", '"$f"'), ("$o", f'"{outside}"'),
                        ("$n_", f"{n}_")):
        command = command.replace(word, value)
    return ["sh", "-c", f'f=$(echo "{folder}"/*Letter-{n}_*); {command}']


def check_rows(env, rows=ROWS, **settings):
    """Each row with a message of its own, all in one mount."""
    server = env.gmail(**settings)
    for label in (b"work", b"home"):
        server.account.create(label)
    messages = [server.account.deliver(
        letter(n), [label.encode() for label in row[0].split()],
        place=row[1]) for n, row in enumerate(rows, 100)]
    m = env.mount(server, password=APP_PASSWORD)
    for n, (_, _, folder, command, _) in enumerate(rows, 100):
        m.run(command_of(n, folder, command, env.tmp / f"{n}.eml"))

    def wrong():
        return [f"{row} is {where(message, server)}"
                for message, row in zip(messages, rows)
                if where(message, server) != row[4]]

    wait_sent(m)
    wait_same(m, server, wrong)
    assert len(server.account.messages) == sum(r[4] != "gone" for r in rows)
    m.unmount()
    m.start()
    wait_same(m, server, wrong)
    return server


def check_setting(env, last_label):
    for auto_expunge in (True, False):
        server = check_rows(env, last_label=last_label,
                            auto_expunge=auto_expunge)
        marks = [command for _, command in server.commands
                 if b"\\Deleted" in command]
        assert len(marks) == 2, ("only in Trash and Spam", marks)


@deadline(120)
def test_every_command_where_the_last_label_archives(env):
    check_setting(env, "archive")


@deadline(120)
def test_every_command_where_the_last_label_trashes(env):
    check_setting(env, "trash")


@deadline(120)
def test_every_command_where_the_last_label_deletes(env):
    check_setting(env, "delete")


@deadline(120)
def test_what_is_on_its_way_to_the_trash_is_removed_there(env):
    check_rows(env, ON_ITS_WAY)


def test_the_old_text_of_a_draft_goes_to_the_trash(env):
    server = env.gmail()
    old = server.account.deliver(letter(1), [b"\\Draft"], place=names.ALL)
    old.flags.add(b"\\Draft")
    m = env.mount(server, password=APP_PASSWORD)
    path, = (m.path / "[Gmail]" / "Drafts").glob("*Letter-1_*")
    os.listdir(m.path / TRASH)
    text = letter(1) + b"more\r\n"
    path.write_bytes(text)
    sent(m)
    assert where(old, server) == "trash"
    new, = [x for x in server.account.messages.values() if x is not old]
    assert where(new, server) == "all: \\Draft" and new.data == text
    assert path.read_bytes() == text
    assert (m.path / TRASH / path.name).read_bytes() == letter(1)
    wait_same(m, server)


def test_what_is_written_behind_a_copy_does_not_touch_the_original(env):
    server = env.gmail()
    server.account.create(b"work")
    old = server.account.deliver(letter(1), [b"\\Inbox"], place=names.ALL)
    m = env.mount(server, password=APP_PASSWORD)
    for between in ("", f"sync {m.path}/.imapfs/queue;"):
        m.run(["sh", "-c", f"(cat INBOX/*Letter-1_*; {between} "
               "printf 'more\\r\\n') > work/new.eml"])
        sent(m)
        assert where(old, server) == "all: \\Inbox"
        new, = [x for x in server.account.messages.values()
                if where(x, server) == "all: work"]
        assert new.data == letter(1) + b"more\r\n"
        (m.path / "work" / "new.eml").unlink()
        sent(m)


def test_what_is_written_behind_a_copy_where_the_original_is(env):
    """There a label cannot be added, nor the copy be removed without it."""
    server = env.gmail(last_label="delete")
    old = server.account.deliver(letter(1), [b"\\Inbox"], place=names.ALL)
    m = env.mount(server, password=APP_PASSWORD)
    text = letter(1) + b"more\r\n"
    for n, (source, target) in enumerate((
            ("INBOX", "INBOX"), (ALL, "INBOX"), ("INBOX", TRASH))):
        path, = (m.path / source).glob("*Letter-1_*")
        new = m.path / target / f"new{n}.eml"
        m.run(["sh", "-c", f"(cat '{path}'; sync {m.path}/.imapfs/queue; "
               f"printf 'more\\r\\n') > '{new}'"])
        sent(m)
        assert where(old, server) == "all: \\Inbox", (source, target)
        assert path.exists() and new.read_bytes() == text
        new.unlink()
        sent(m)


def test_what_is_removed_before_the_first_login_goes_to_the_trash(env):
    """With delete=expunge, too, which would only take the label off."""
    server = env.gmail()
    old = server.account.deliver(letter(1), [b"\\Inbox"], place=names.ALL)
    m = env.mount(server, password=APP_PASSWORD, options=["delete=expunge"])
    path, = (m.path / "INBOX").glob("*Letter-1_*")
    m.unmount()
    server.stop()
    m.start()
    m.wait_offline()
    path.unlink()
    server.start()
    wait_sent(m)
    assert where(old, server) == "trash"
