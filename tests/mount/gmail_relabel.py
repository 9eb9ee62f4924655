# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels that are set: what the server gets, where the message is then, and
what becomes of it when the server refuses, is away, or does not answer."""

import errno
import os
import stat
from contextlib import contextmanager

from imapfstest import *
from imapfstest.changed import errno_of, sent, wait_sent
from imapfstest.client import utf7_encode
from imapfstest.gmail import APP_PASSWORD, faults, names, texts
from imapfstest.letters import letter, numbered

LABELS = "user.imap.gm.labels"
ALL, TRASH = "[Gmail]/All Mail", "[Gmail]/Trash"
STORE = rb"UID STORE .*X-GM-LABELS"
INBOX = b"\\Inbox"


def begin(env, *labels, count=1, options=(), **settings):
    """(server, mount, messages): letters from 1 on, with these labels."""
    server = env.gmail(**settings)
    for label in (b"work", b"home"):
        server.account.create(label)
    messages = [server.account.deliver(letter(n), labels or [INBOX])
                for n in range(1, count + 1)]
    m = env.mount(server, password=APP_PASSWORD, options=options)
    return server, m, messages


@contextmanager
def offline(server, m):
    """Without the server; behind this all is sent."""
    server.stop()
    m.wait_offline()
    yield
    server.start()
    m.wait_online()
    sent(m)


def get(path):
    return os.getxattr(path, LABELS).decode()


def put(path, text):
    os.setxattr(path, LABELS, text.encode())


def shown(path):
    return set(get(path).split())


def is_there(m, folder, n=1):
    return n in numbered(m, folder)


def stores(server):
    return [command for _, command in server.commands
            if b"X-GM-LABELS" in command and b"STORE" in command]


# What is set.

def test_labels_are_set_and_taken_off(env):
    server, m, (message,) = begin(env, INBOX, b"home")
    path = numbered(m)[1]
    m.run(["setfattr", "-n", LABELS, "-v", 'work,"Two words",\\Starred',
           str(path)])
    assert get(path) == '\\Starred work "Two words"', "at once"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    sent(m)
    assert message.labels == {INBOX, b"work", b"Two words"}
    assert message.flags == {b"\\Flagged"}
    m.unmount()
    m.start()
    path = numbered(m)[1]
    assert shown(path) == {"\\Starred", "work", '"Two', 'words"'}
    m.run(["setfattr", "-x", LABELS, str(path)])
    assert get(path) == ""
    sent(m)
    assert message.labels == {INBOX} and message.flags == set()
    assert is_there(m, "INBOX") and is_there(m, ALL)


def test_what_was_read_can_be_set(env):
    odd = [b"a,b", b'say "x"', b"back\\slash", b"100%", b"%20",
           utf7_encode("Größe 全部"), b"a&b", b"Two words", b"a]b", b"(x)",
           b"a/b", b"\\Important", b"\\Sent", b"\\Muted", b"-x", b"x*"]
    server, m, (message,) = begin(env, INBOX, *odd)
    for folder in "INBOX", ALL:
        path = numbered(m, folder)[1]
        text = get(path)
        assert "Größe 全部" in text
        put(path, text)
        m.run(["sh", "-c", 'getfattr --absolute-names -d -m gm.labels "$1" |'
               'setfattr --restore=-', "-", str(path)])
        assert get(path) == text
    sent(m)
    assert not stores(server) and message.labels == {INBOX, *odd}
    path = numbered(m)[1]
    put(path, "\\Inbox")
    sent(m)
    assert message.labels == {INBOX, b"\\Sent", b"\\Muted"}, "they stay"
    names_of_folders = [b"a,b", b'say "x"', b"back\\slash", b"100%", b"%20",
                        b"a&-b", utf7_encode("Größe 全部"), b"x*"]
    put(path, '"a,b" "say \\"x\\"",back\\slash , 100% %20 '
        'a&b "Größe 全部" x*')
    sent(m)
    assert message.labels == {INBOX, b"\\Sent", b"\\Muted",
                              *names_of_folders}


def test_what_is_no_list_of_labels_is_refused(env):
    server, m, (message,) = begin(env)
    path = numbered(m)[1]
    for bad in ('"open', 'a"b', '"a"b', '""', "a\nb", "a\x01", "\\Sent",
                "\\Draft", "\\Trash", "\\Foo", "\\", "x" * 5000):
        assert errno_of(lambda: put(path, bad)) == errno.EINVAL, bad
    for bad in (b"a\0b", b"\xff", b"\xc3\x28"):
        assert errno_of(lambda: os.setxattr(path, LABELS, bad)) == \
            errno.EINVAL, bad
    assert errno_of(lambda: put(path, "x" * 70000)) == errno.E2BIG
    assert errno_of(lambda: os.setxattr(
        path, LABELS, b"work", os.XATTR_CREATE)) == errno.EEXIST
    os.setxattr(path, LABELS, b"work", os.XATTR_REPLACE)
    assert errno_of(lambda: put(m.path / "INBOX", "work")) == \
        errno.EOPNOTSUPP
    sent(m)
    assert message.labels == {INBOX, b"work"} and len(stores(server)) == 1


def test_where_labels_cannot_be_set(env):
    server, m, (message,) = begin(env)
    numbered(m)[1].unlink()
    sent(m)
    path = numbered(m, TRASH)[1]
    assert errno_of(lambda: put(path, "work")) == errno.EPERM
    m.unmount()
    m.options = ["ro"]
    m.start()
    path = numbered(m, TRASH)[1]
    assert errno_of(lambda: put(path, "work")) == errno.EROFS
    assert errno_of(lambda: os.removexattr(path, LABELS)) == errno.EROFS
    other = env.script({b"INBOX": Box([Msg(1, letter(1))])})
    m = env.mount(other)
    path = numbered(m)[1]
    assert errno_of(lambda: put(path, "work")) == errno.EOPNOTSUPP
    assert errno_of(lambda: get(path)) == errno.ENODATA
    assert not stores(server)


def test_many_are_few_commands(env):
    server, m, messages = begin(env, INBOX, b"home", count=100)
    paths = numbered(m).values()
    with offline(server, m):
        for path in paths:
            put(path, "work")
    assert all(x.labels == {INBOX, b"work"} for x in messages)
    assert len(stores(server)) == 2, stores(server)


def test_only_what_differs_is_changed(env):
    server, m, (message,) = begin(env, INBOX, b"home")
    path = numbered(m)[1]
    assert shown(path) == {"home"}
    with offline(server, m):  # so it does not hear of the third
        server.web(lambda account: account.relabel(message, add=[b"trips"]))
        put(path, "home work")
    assert message.labels == {INBOX, b"home", b"trips", b"work"}


def test_letters_in_another_case_are_the_same_label(env):
    server, m, (message,) = begin(env, INBOX, b"home")
    put(numbered(m)[1], "HOME \\important")
    sent(m)
    assert message.labels == {INBOX, b"home", b"\\Important"}


# Where it is then.

def test_a_label_shows_the_message_in_its_folder(env):
    server, m, (message,) = begin(env)
    path = numbered(m)[1]
    assert m.messages("work") == m.messages("home") == []
    m.wait_watching()
    before = server.count(rb"LIST")
    watch = env.watch(m.path / "work")
    put(path, "work")
    watch.wait("CREATE", "_Letter-1_")
    assert numbered(m, "work")[1].read_bytes() == letter(1)
    assert not is_there(m, "home")
    put(path, "home")
    watch.wait("DELETE", "_Letter-1_")
    env.wait_for(lambda: is_there(m, "home"))
    assert server.count(rb"LIST") == before, "all of them are known"


def test_a_star_shows_the_message_among_the_starred(env):
    server, m, (message,) = begin(env)
    assert m.messages("[Gmail]/Starred") == []
    watch = env.watch(m.path / "[Gmail]/Starred")
    put(numbered(m)[1], "\\Starred")
    watch.wait("CREATE", "_Letter-1_")
    os.removexattr(numbered(m)[1], LABELS)
    watch.wait("DELETE", "_Letter-1_")
    assert message.flags == set()


def test_a_new_label_is_a_new_folder(env):
    server, m, (message,) = begin(env)
    path = numbered(m)[1]
    m.wait_watching()
    before = server.count(rb"LIST")
    put(path, "Städte/Köln")
    env.wait_for(lambda: (m.path / "Städte/Köln").is_dir())
    assert is_there(m, "Städte/Köln")
    assert server.count(rb"LIST") == before + 1


def test_archive_and_back(env):
    server, m, (message,) = begin(env, INBOX, b"work")
    assert is_there(m, "INBOX")
    path = numbered(m, "work")[1]
    os.removexattr(path, LABELS)
    env.wait_for(lambda: not is_there(m, "INBOX"))
    assert message.labels == {b"work"} and is_there(m, "work")
    put(path, "\\Inbox")
    env.wait_for(lambda: is_there(m, "INBOX"))
    assert message.labels == {INBOX, b"work"}


def test_without_the_label_of_its_folder_it_leaves_that(env):
    """Where the server names it. It is never deleted, whatever the account
    has set for the last label."""
    for last_label in "archive", "trash", "delete":
        server, m, messages = begin(env, count=2, last_label=last_label,
                                    hides_own_label=False)
        paths = numbered(m)
        assert get(paths[1]) == "\\Inbox"
        watch = env.watch(m.path / "INBOX")
        put(paths[1], "work")
        assert not is_there(m, "INBOX"), "at once"
        os.removexattr(paths[2], LABELS)
        assert m.messages() == []
        sent(m)
        assert messages[0].labels == {b"work"} and not messages[1].labels
        assert all(x.place == names.ALL for x in messages)
        assert set(numbered(m, ALL)) == {1, 2}
        assert is_there(m, "work")
        watch.wait("DELETE", times=2)
        assert watch.count("DELETE") == 2, watch.found
        m.unmount()


def test_the_label_of_its_folder_need_not_be_named(env):
    server, m, (message,) = begin(env, b"work", b"home")
    path = numbered(m, "work")[1]
    put(path, "work home")
    put(path, "Work")
    sent(m)
    assert message.labels == {b"work"} and get(path) == ""


# Watchers.

def test_watchers_see_changes_from_both_sides_once(env):
    server, m, messages = begin(env, count=2)
    paths = numbered(m)
    watch = env.watch(m.path / "INBOX")
    put(paths[1], "work")
    sent(m)
    server.web(lambda account: account.relabel(messages[1], add=[b"home"]))
    os.utime(m.path / "INBOX")
    watch.wait("ATTRIB", "_Letter-2_")
    assert get(paths[1]) == "work" and get(paths[2]) == "home"
    assert watch.count("ATTRIB", "_Letter-1_") == 1
    assert watch.count("ATTRIB", "_Letter-2_") == 1


# What goes wrong.

def test_a_refused_change_is_undone_and_listed(env):
    server, m, messages = begin(env, INBOX, b"home", count=3)
    server.on(STORE, texts.no(b"[CANNOT] Invalid label"))
    paths = numbered(m)
    put(paths[1], "work")
    env.wait_for(lambda: m.control("failed"))
    sent(m)
    line, = m.control("failed").splitlines()
    assert "to change its labels" in line and "Invalid label" in line
    assert get(paths[1]) == "home" and messages[0].labels == {INBOX, b"home"}
    m.unmount()
    m.options = ["sync"]
    m.start()
    paths = numbered(m)
    assert errno_of(lambda: put(paths[2], "work")) == errno.EPERM
    server.clear()
    put(paths[2], "work")
    assert messages[1].labels == {INBOX, b"work"}, "when it returns"


def test_a_name_that_google_does_not_take(env):
    server, m, (message,) = begin(env)
    path = numbered(m)[1]
    for bad in '"a  b"', "a^b", "Spam", '" a"':
        put(path, bad)
        sent(m)
        assert get(path) == ""
    assert len(m.control("failed").splitlines()) == 4
    assert message.labels == {INBOX}


def test_offline_they_wait(env):
    server, m, messages = begin(env, INBOX, b"home", count=4)
    paths = numbered(m)
    with offline(server, m):
        put(paths[1], 'work "Two words"')
        put(paths[2], "work")
        put(paths[2], "home")  # as it was
        os.removexattr(paths[3], LABELS)
        queue = m.control("queue")
        assert '+labels(work "Two words") -labels(home)' in queue, queue
        assert queue.count("labels  ") == 2 == len(queue.splitlines())
        m.unmount()
        m.start()
        paths = numbered(m)
        assert get(paths[1]) == 'work "Two words"' and get(paths[3]) == ""
        put(paths[4], "work")
    assert [x.labels for x in messages] == [
        {INBOX, b"work", b"Two words"}, {INBOX, b"home"}, {INBOX},
        {INBOX, b"work"}]


def test_killed_before_and_while_they_are_sent(env):
    for fault in None, faults.hang_before, faults.hang_after:
        server, m, (message,) = begin(env, INBOX, b"home")
        path = numbered(m)[1]
        if fault:
            server.on(STORE, fault)
        else:
            server.stop()
            m.wait_offline()
        put(path, "work")
        if fault:
            server.wait_for_command(STORE)
        m.kill9()
        m.wait_end()
        server.clear()
        if not fault:
            server.start()
        m.start()
        assert get(numbered(m)[1]) == "work"
        sent(m)
        assert message.labels == {INBOX, b"work"}, fault
        assert not m.control("failed")
        m.unmount()


def test_a_lost_answer_is_asked_for_again(env):
    for fault in faults.lost_before, faults.lost_after:
        server, m, (message,) = begin(env, INBOX, b"home")
        server.on(STORE, fault, times=1)
        path = numbered(m)[1]
        put(path, "work \\Starred")
        wait_sent(m)
        assert message.labels == {INBOX, b"work"}
        assert message.flags == {b"\\Flagged"}
        assert get(path) == "\\Starred work" and not m.control("failed")
        m.unmount()


def test_a_message_that_is_not_sent_yet_gets_its_labels_later(env):
    server, m, _ = begin(env)
    assert m.messages("work") == []
    with offline(server, m):
        path = m.path / "work" / "new.eml"
        path.write_bytes(letter(50))
        put(path, "home")
        assert get(path) == "home"
    new, = [x for x in server.account.messages.values()
            if x.data == letter(50)]
    assert new.labels == {b"work", b"home"}


def test_labels_are_set_before_it_is_moved_or_archived(env):
    server, m, messages = begin(env, INBOX, b"home", count=3)
    numbered(m, ALL), numbered(m, "work")
    paths = numbered(m)
    with offline(server, m):
        for n in 1, 2, 3:
            put(paths[n], '"Two words"')
        os.rename(paths[1], m.path / "work" / paths[1].name)
        os.rename(paths[2], m.path / ALL / paths[2].name)
        paths[3].unlink()
    assert messages[0].labels == {b"work", b"Two words"}
    assert messages[1].labels == {b"Two words"}
    assert messages[2].place == names.TRASH
    assert not m.control("failed")
