# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that are made, deleted and renamed elsewhere: whoever watches the
folder above is told, and the kernel keeps nothing of what is gone."""

import errno
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor

from imapfstest import *
from imapfstest.letters import letter, numbered

CAME, WENT = ("CREATE", "MOVED_TO"), ("DELETE", "MOVED_FROM")


def started(env, tree=None, options=(), path=""):
    """A server with {mailbox: numbers of letters}, and a mount of it."""
    server = env.dovecot()
    fill(server, tree or {})
    return server, env.mount(server.url() + path, options=options)


def fill(server, tree):
    with Client(server) as c:
        for box, letters in tree.items():
            if box not in c.list():
                c.create(box)
            for n in letters:
                c.append(box, letter(n))


def rename(client, old, new):
    """Of a rename by itself Dovecot's NOTIFY says nothing, only with the next
    event: after NOTIFY SET and IDLE, `RENAME Work Done` in another session
    brings not a line, then `APPEND INBOX` there
        * 1 EXISTS
        * LIST (\\HasNoChildren) "/" Done ("OLDNAME" (Work))
    """
    client.rename_box(old, new)
    client.append("INBOX", letter(99))


def gone(path):
    try:
        os.stat(path)
    except OSError as error:
        assert error.errno == errno.ENOENT, error
        return True
    return False


def test_new_folder_is_seen_and_entered_with_its_mail(env):
    server, m = started(env, {"Work": []})
    root = env.watch(m.path)
    os.listdir(m.path)
    with Client(server) as c:
        c.create("Büro")
        c.append("Büro", letter(1))
    event = root.wait_any(CAME, "^Büro$")
    assert "ISDIR" in event.kinds
    env.wait_for(lambda: sorted(numbered(m, "Büro")) == [1], PUSHED)
    assert numbered(m, "Büro")[1].read_bytes() == letter(1)
    assert "Büro" in os.listdir(m.path)
    assert root.count("CREATE", "Büro") <= 1


def notifying(env, boxes, change):
    """A server that lists `boxes`; they change just before it notifies."""
    server = env.script(boxes)
    server.capabilities.append(b"NOTIFY")

    def begin(session, tag, command):
        if b"SET" not in command:
            return tag + b" OK none\r\n"
        with server.lock:
            change()
            told = [b"* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)\r\n"
                    % (name, len(box.messages), box.uidnext, box.uidvalidity)
                    for name, box in boxes.items()]
        return b"".join(told) + tag + b" OK set\r\n"

    server.on(rb"NOTIFY", begin)
    return server


def test_folder_that_goes_before_the_watch_begins_is_gone(env):
    boxes = {b"INBOX": Box(), b"Work": Box()}
    m = env.mount(notifying(env, boxes, lambda: boxes.pop(b"Work", None)))
    env.wait_for(lambda: gone(m.path / "Work"), PUSHED, "Work is gone")


def test_folder_that_can_be_opened_before_the_watch_begins_is_filled(env):
    boxes = {b"INBOX": Box(),
             b"Junk": Box([Msg(1, letter(1))], attrs=[b"\\Noselect"])}

    def change():
        boxes[b"Junk"].attrs = []

    m = env.mount(notifying(env, boxes, change))
    env.wait_for(lambda: m.messages("Junk"), PUSHED, "Junk is filled")


def test_folder_that_comes_before_the_watch_begins_is_there(env):
    boxes = {b"INBOX": Box(), b"Work": Box()}

    def change():
        boxes[b"New"] = Box([Msg(1, letter(1))])

    m = env.mount(notifying(env, boxes, change))
    env.wait_for(lambda: os.path.isdir(m.path / "New"), PUSHED)
    assert sorted(numbered(m, "New")) == [1]


def test_mail_that_comes_before_the_watch_begins_is_there(env):
    box = Box([Msg(1, letter(1))])
    server = env.script({b"INBOX": box})
    server.capabilities += [b"LIST-EXTENDED", b"LIST-STATUS"]
    looked_at = threading.Event()

    def examine(session, tag, command):
        looked_at.wait(30)
        with server.lock:
            box.messages.append(Msg(2, letter(2)))
            box.uidnext = 3
        return session.default(tag, command)

    server.on(rb"EXAMINE INBOX", examine, times=1)
    m = env.mount(server)
    watch = env.watch(m.path / "INBOX")
    looked_at.set()
    watch.wait("CREATE", "_Letter-2_")
    assert sorted(numbered(m)) == [1, 2]


def test_folder_that_notify_never_names_is_asked_for_once(env):
    """A server may not let us see how it stands; it is there all the same."""
    boxes = {b"INBOX": Box(), b"Work": Box([Msg(1, letter(1))])}
    server = notifying(env, boxes, lambda: None)

    def begin(session, tag, command):
        said = (b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1000)\r\n"
                if b"SET" in command else b"")
        return said + tag + b" OK done\r\n"

    server.on(rb"NOTIFY", begin)
    m = env.mount(server, options=["connections=1"])
    for times in range(1, 4):
        server.wait_for_command(rb"NOTIFY SET", times=times)
        server.wait_for_command(rb"IDLE", times=times)
        os.utime(m.path / "Work")
        assert sorted(numbered(m, "Work")) == [1]
    assert server.count(rb"LIST") == 2, server.commands


def test_new_folder_is_seen_in_the_folder_above_it(env):
    server, m = started(env, {"Work": [1], "Work/Old": []})
    work = env.watch(m.path / "Work")
    assert sorted(numbered(m, "Work")) == [1]
    with Client(server) as c:
        c.create("Work/New")
    work.wait_any(CAME, "^New$")
    assert os.path.isdir(m.path / "Work/New")
    assert not work.events(pattern="^Old$"), work.found


def test_folders_above_a_new_one_are_made_with_it(env):
    server, m = started(env)
    root = env.watch(m.path)
    with Client(server) as c:
        c.create("One/Two/Three")
        c.append("One/Two/Three", letter(1))
    root.wait_any(CAME, "^One$")
    env.wait_for(lambda: sorted(numbered(m, "One/Two/Three")) == [1], PUSHED)


def test_deleted_folder_is_gone_with_all_in_it(env):
    server, m = started(env, {"Work": [1, 2], "Work/Deep": [3]})
    paths = [*numbered(m, "Work/Deep").values(), m.path / "Work/Deep"]
    assert paths[0].read_bytes() == letter(3)
    work = env.watch(m.path / "Work")
    with Client(server) as c:
        c.delete_box("Work/Deep")
    work.wait_any(WENT, "^Deep$")
    for path in paths:
        env.wait_for(lambda p=path: gone(p), 10, f"{path} is gone")
    assert sorted(os.listdir(m.path / "Work")) == m.messages("Work")


def test_folder_that_goes_under_somebody_inside_hangs_nobody(env):
    server, m = started(env, {"Work": [1]})
    path = numbered(m, "Work")[1]
    root = env.watch(m.path)
    inside = os.open(m.path / "Work", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open(path, "rb", buffering=0) as held:
            assert held.read() == letter(1)
            with Client(server) as c:
                c.delete_box("Work")
            root.wait_any(WENT, "^Work$")
            held.seek(0)
            assert held.read() == letter(1)
            try:
                assert os.listdir(inside) == []
            except OSError as error:
                assert error.errno == errno.ENOENT, error
    finally:
        os.close(inside)
    assert gone(m.path / "Work")
    m.messages()


def test_renamed_folder_is_there_under_its_new_name_only(env):
    server, m = started(env, {"Work": [1, 2], "Work/Deep": [3]})
    old = [*numbered(m, "Work").values(), *numbered(m, "Work/Deep").values()]
    for path in old:
        path.read_bytes()
    root = env.watch(m.path)
    with Client(server) as c:
        rename(c, "Work", "Done")
    root.wait_any(CAME, "^Done$")
    root.wait_any(WENT, "^Work$")
    for path in old:
        env.wait_for(lambda p=path: gone(p), 10, f"{path} is gone")
    for folder, numbers in (("Done", [1, 2]), ("Done/Deep", [3])):
        env.wait_for(lambda f=folder, n=numbers:
                     sorted(numbered(m, f)) == n, PUSHED)
        for n, path in numbered(m, folder).items():
            assert path.read_bytes() == letter(n)
    assert gone(m.path / "Work")


def test_folder_renamed_into_another_is_seen_in_both(env):
    server, m = started(env, {"One": [1], "Two": []})
    numbered(m, "One")
    root, two = env.watch(m.path), env.watch(m.path / "Two")
    with Client(server) as c:
        rename(c, "One", "Two/One")
    root.wait_any(WENT, "^One$")
    two.wait_any(CAME, "^One$")
    env.wait_for(lambda: sorted(numbered(m, "Two/One")) == [1], PUSHED)


def test_folder_deleted_and_made_again_has_only_its_new_mail(env):
    server, m = started(env, {"Work": [1, 2, 3]})
    old = numbered(m, "Work")
    for path in old.values():
        path.read_bytes()
    with Client(server) as c:
        c.delete_box("Work")
        c.create("Work")
        c.append("Work", letter(3))
        c.append("Work", letter(4))
    env.wait_for(lambda: gone(old[1]), PUSHED, "old mail is gone")
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [3, 4], PUSHED)
    for n, path in numbered(m, "Work").items():
        assert path.read_bytes() == letter(n)
    for n in (1, 2):
        assert gone(old[n])
    # And it is pushed again.
    watch = env.watch(m.path / "Work")
    with Client(server) as c:
        c.append("Work", letter(5))
    watch.wait("CREATE", "_Letter-5_")


def test_folders_that_swap_their_names_swap_their_mail(env):
    """The server may tell nothing true of this at first: it is asked."""
    server, m = started(env, {"One": [1], "Two": [2]})
    assert list(numbered(m, "One")) == [1]
    assert list(numbered(m, "Two")) == [2]
    with Client(server) as c:
        c.rename_box("One", "Three")
        c.rename_box("Two", "One")
        c.rename_box("Three", "Two")

    def swapped():
        for folder in ("One", "Two"):
            os.utime(m.path / folder)
        return list(numbered(m, "One")) == [2] and \
            list(numbered(m, "Two")) == [1]

    env.wait_for(swapped, PUSHED, step=0.5)
    assert numbered(m, "One")[2].read_bytes() == letter(2)
    assert numbered(m, "Two")[1].read_bytes() == letter(1)


def test_folders_outside_of_the_mounted_mailbox_make_no_events(env):
    server, m = started(env, {"Work": [], "Other": []}, path="Work")
    root = env.watch(m.path)
    with Client(server) as c:
        c.create("Another")
        c.create("Other/Sub")
        c.create("Work/Sub")
    root.wait_any(CAME, "^Sub$")
    assert os.path.isdir(m.path / "Sub")
    assert {e.name for e in root.events() if e.name} == {"Sub"}


def test_folders_that_are_not_shown_make_no_events(env):
    server, m = started(env, options=["folders=INBOX:Work*"])
    root = env.watch(m.path)
    with Client(server) as c:
        c.create("Other")
        c.create("Work")
    root.wait_any(CAME, "^Work$")
    assert {e.name for e in root.events() if e.name} == {"Work"}
    assert gone(m.path / "Other")


def test_touch_of_the_root_asks_for_folders_without_notify(env):
    server = env.dovecot()
    fill(server, {"Work": [1]})
    tap = env.tap(server, mask=["NOTIFY"])
    m = env.mount(server.url(port=tap.port))
    root = env.watch(m.path)
    numbered(m, "Work")
    with Client(server) as c:
        c.create("New")
        c.delete_box("Work")
    os.utime(m.path)
    root.wait_any(CAME, "^New$")
    root.wait_any(WENT, "^Work$")
    assert os.path.isdir(m.path / "New")
    assert gone(m.path / "Work")


def test_folders_made_while_unmounted_are_there_and_make_no_events(env):
    server, m = started(env, {"Work": [1]})
    numbered(m, "Work")
    m.unmount()
    with Client(server) as c:
        c.rename_box("Work", "Done")
        c.create("New")
    m.start()
    root = env.watch(m.path)
    assert {"Done", "New"} <= set(os.listdir(m.path))
    assert gone(m.path / "Work")
    with Client(server) as c:
        c.create("Later")
    root.wait_any(CAME, "^Later$")
    assert {e.name for e in root.events() if e.name} == {"Later"}, root.found


def test_folder_that_was_missing_opens_once_it_is_there(env):
    """The kernel was told that there is no such name, and keeps that."""
    server, m = started(env)
    root = env.watch(m.path)
    assert gone(m.path / "New")
    with Client(server) as c:
        c.create("New")
        c.append("New", letter(1))
    root.wait_any(CAME, "^New$")
    env.wait_for(lambda: sorted(numbered(m, "New")) == [1], PUSHED)


def test_folders_that_come_and_go(env):
    """Of a burst of both Dovecot's NOTIFY tells nothing, nor of what follows:
    after NOTIFY SET and IDLE, these CREATEs and DELETEs of another session
    bring not a line, and then `APPEND Work` neither. So it is asked here."""
    server, m = started(env)
    root = env.watch(m.path)
    os.listdir(m.path)
    names = [f"Folder-{n:03}" for n in range(100)]
    with Client(server) as c:
        for name in names:
            c.create(name)
        for name in names[::2]:
            c.delete_box(name)
    left = set(names[1::2])
    os.utime(m.path)

    def shown():
        return {n for n in os.listdir(m.path) if re.match("Folder-", n)}

    env.wait_for(lambda: shown() == left, PUSHED)
    for name in names[::2]:
        env.wait_for(lambda p=m.path / name: gone(p), 10, f"{name} is gone")
    for name in left:
        root.wait_any(CAME, f"^{name}$")


def set_attributes(m, server, box, *attributes):
    with server.lock:
        box.attrs = list(attributes)
    os.utime(m.path)


def test_folder_that_is_a_mailbox_again_can_be_listed_at_once(env):
    """What was being asked for when it went is not a reason to fail."""
    work = Box([Msg(1, letter(1))])
    server = env.script({b"INBOX": Box(), b"Work": work})
    server.on(rb"FETCH .*HEADER", lambda *_: None, times=1)
    m = env.mount(server)
    codes = []

    def names():
        try:
            return os.listdir(m.path / "Work")
        except OSError as error:
            codes.append(errno.errorcode[error.errno])
            return None

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(names)
        server.wait_for_command(rb"FETCH .*HEADER")
        set_attributes(m, server, work, b"\\Noselect")
        assert reader.result(30) == []
    set_attributes(m, server, work)
    env.wait_for(names, PUSHED)
    assert not codes, codes


def test_list_that_names_no_mailbox_at_all_is_not_believed(env):
    server = env.script({b"INBOX": Box(), b"Work": Box([Msg(1, letter(1))])})
    m = env.mount(server)
    path = numbered(m, "Work")[1]
    os.rename(path, m.path / "Work/mine.eml")
    inode = os.stat(m.path / "Work/mine.eml").st_ino
    root = env.watch(m.path)
    server.on(rb"LIST", b"%TAG% OK nothing\r\n")
    os.utime(m.path)
    m.wait_status(lambda s: "folders did not come" in m.log())
    server.clear()
    with server.lock:
        server.boxes[b"New"] = Box()
    os.utime(m.path)
    root.wait_any(CAME, "^New$")
    assert not root.events("DELETE"), root.found
    assert os.stat(m.path / "Work/mine.eml").st_ino == inode
    assert (m.path / "Work/mine.eml").read_bytes() == letter(1)


@deadline(150)
@slow
def test_list_that_is_refused_for_a_while_is_asked_for_once_more(env):
    boxes = {b"INBOX": Box()}
    server = notifying(env, boxes, lambda: None)
    m = env.mount(server)
    m.wait_watching()
    os.listdir(m.path / "INBOX")
    server.on(rb"LIST", b"%TAG% NO [UNAVAILABLE] not now\r\n", times=2)
    with server.lock:
        boxes[b"New"] = Box()
    server.push(b"INBOX", b'* LIST () "/" New\r\n')
    env.wait_for(lambda: os.path.isdir(m.path / "New"), 100)
