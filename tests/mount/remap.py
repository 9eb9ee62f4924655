# SPDX-License-Identifier: GPL-3.0-or-later
"""A mailbox whose UIDs are others now, or whose name is: what certainly is
the same message keeps its name, its inode number and its body."""

import os
import re
import subprocess

from imapfstest import *
from imapfstest.changed import sent, wait_sent
from imapfstest.letters import letter, numbered
from imapfstest.script import CAPABILITIES

BODY = rb"UID FETCH .*BODY\.PEEK\[\](?!\S*HEADER)"
LISTING = rb"(UID )?FETCH .*HEADER"
LISTS = (*CAPABILITIES, b"LIST-EXTENDED", b"LIST-STATUS")


def box(numbers, first_uid=1, uidvalidity=1000, **kw):
    return Box([Msg(first_uid + i, letter(n), **kw)
                for i, n in enumerate(numbers)], uidvalidity=uidvalidity)


def started(env, numbers=range(1, 6), **kw):
    """A script server, a mount that has read all, {n: inode}."""
    server = env.script({b"INBOX": box(numbers, **kw)})
    m = env.mount(server)
    assert sorted(numbered(m)) == list(numbers)
    m.run("cat INBOX/*")
    return server, m, inodes(m)


def inodes(m, folder="INBOX"):
    return {n: os.stat(p).st_ino for n, p in numbered(m, folder).items()}


def renew(server, new):
    """INBOX is another one from now on, and the clients find out."""
    with server.lock:
        server.boxes[b"INBOX"] = new
    server.drop()


def check(server, m, before, numbers, bodies_before, same):
    """All are there; those in `same` are as they were, and nothing of them
    is asked for."""
    paths = numbered(m)
    assert sorted(paths) == sorted(numbers)
    now = inodes(m)
    assert {n: now[n] for n in same} == {n: before[n] for n in same}
    assert not {now[n] for n in numbers if n not in same} & \
        set(before.values()), "an inode number was given again"
    for n in same:
        assert paths[n].read_bytes() == letter(n)
    assert server.count(BODY) == bodies_before
    for n, path in paths.items():
        assert path.read_bytes() == letter(n)
        assert not path.name.endswith(".2.eml"), path
    fetched = {int(u) for _, line in server.commands
               if re.match(BODY, line) for u in
               re.findall(rb"\d+", line.split(b" ")[2])}
    return paths, fetched


def test_messages_keep_inodes_and_bodies_under_a_new_uidvalidity(env):
    server, m, before = started(env)
    watch = env.watch(m.path / "INBOX")
    bodies = server.count(BODY)
    renew(server, box(range(4, 9), 11, 7777))
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: sorted(numbered(m)) == [4, 5, 6, 7, 8], 20)
    paths, _ = check(server, m, before, range(4, 9), bodies, [4, 5])
    for n, path in paths.items():
        assert os.getxattr(path, "user.imap.uidvalidity") == b"7777"
        assert os.getxattr(path, "user.imap.uid") == b"%d" % (n + 7)
    for n in (6, 7, 8):
        watch.wait("CREATE", f"_Letter-{n}_")
    for n in (1, 2, 3):
        watch.wait("DELETE", f"_Letter-{n}_")
    assert not watch.events("CREATE", "_Letter-[45]_"), watch.found
    assert not watch.events("DELETE", "_Letter-[45]_"), watch.found


def test_the_same_while_unmounted(env):
    server, m, before = started(env)
    m.unmount()
    bodies = server.count(BODY)
    renew(server, box(range(4, 9), 11, 7777))
    m.start()
    env.wait_for(lambda: sorted(numbered(m)) == [4, 5, 6, 7, 8], 20)
    check(server, m, before, range(4, 9), bodies, [4, 5])


def test_sizes_that_are_wrong_before_and_after(env):
    """They were corrected when the messages were read."""
    server, m, before = started(env, size=9000)
    bodies = server.count(BODY)
    renew(server, box(range(4, 9), 11, 7777, size=9000))
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: sorted(numbered(m)) == [4, 5, 6, 7, 8], 20)
    paths, _ = check(server, m, before, range(4, 9), bodies, [4, 5])
    assert os.stat(paths[4]).st_size == len(letter(4))


def test_old_mail_is_shown_and_read_until_the_new_is_listed(env):
    server, m, before = started(env)
    paths = numbered(m)
    server.on(LISTING, lambda s, tag, command: s.hang() or
              s.default(tag, command))
    renew(server, box(range(4, 9), 11, 7777))
    os.utime(m.path / "INBOX")
    server.wait_for_command(rb"(UID )?FETCH .*HEADER", times=3)
    assert sorted(os.listdir(m.path / "INBOX")) == \
        sorted(p.name for p in paths.values())
    for n, path in paths.items():
        assert path.read_bytes() == letter(n)
    server.release()
    env.wait_for(lambda: sorted(numbered(m)) == [4, 5, 6, 7, 8], 20)
    check(server, m, before, range(4, 9), server.count(BODY), [4, 5])


def test_killed_while_the_new_is_listed(env):
    server, m, before = started(env)
    bodies = server.count(BODY)
    server.on(LISTING, lambda s, tag, command: s.hang(), times=1)
    listed = server.count(LISTING)
    renew(server, box(range(4, 9), 11, 7777))
    os.utime(m.path / "INBOX")
    server.wait_for_command(LISTING, times=listed + 1)
    m.kill9()
    m.wait_end()
    server.clear()
    server.release()
    m.start()
    env.wait_for(lambda: sorted(numbered(m)) == [4, 5, 6, 7, 8], 20)
    check(server, m, before, range(4, 9), bodies, [4, 5])


def test_reader_waits_until_its_message_is_found_again(env):
    """Its body is not here, and nobody knows its UID for a while."""
    server = env.script({b"INBOX": box(range(1, 6))})
    m = env.mount(server)
    paths = numbered(m)
    server.on(LISTING, lambda s, tag, command: s.hang() or
              s.default(tag, command))
    listed = server.count(LISTING)
    renew(server, box(range(4, 9), 11, 7777))
    os.utime(m.path / "INBOX")
    server.wait_for_command(LISTING, times=listed + 1)
    readers = {n: popen(["cat", str(paths[n])], stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE) for n in (2, 4)}
    m.wait_status(lambda s: s["parked"] >= 2)
    server.release()
    out, _ = readers[4].communicate(timeout=20)
    assert out == letter(4)
    _, error = readers[2].communicate(timeout=20)
    assert readers[2].returncode == 1 and b"No such file" in error, error


def test_flags_of_what_is_found_again_are_the_new_ones(env):
    server, m, before = started(env)
    new = box(range(1, 6), 11, 7777)
    new.messages[0].flags = {b"\\Flagged"}
    new.messages[1].flags = {b"\\Seen", b"$Work"}
    renew(server, new)
    os.utime(m.path / "INBOX")

    def mode(n):
        return os.stat(numbered(m)[n]).st_mode & 0o777

    env.wait_for(lambda: mode(1) == 0o700 and mode(2) == 0o644, 20)
    assert inodes(m) == before
    assert b"$Work" in os.getxattr(numbered(m)[2], "user.imap.flags")


def test_twins_are_not_taken_for_each_other(env):
    """Two with one key on one side: neither is kept, both are right."""
    server = env.script({b"INBOX": Box(
        [Msg(1, letter(1)), Msg(2, letter(2)), Msg(3, letter(2))])})
    m = env.mount(server)
    m.run("cat INBOX/*")
    before = inodes(m)
    renew(server, Box([Msg(11, letter(1)), Msg(12, letter(2)),
                       Msg(13, letter(2))], uidvalidity=7777))
    os.utime(m.path / "INBOX")

    def uids():
        return sorted(m.by_uid()) == [11, 12, 13]

    env.wait_for(uids, 20)
    assert os.stat(numbered(m)[1]).st_ino == before[1]
    names = [n for n in m.messages() if "_Letter-2_" in n]
    assert len(names) == 2 and sum(".2.eml" in n for n in names) == 1, names
    for name in names:
        path = m.path / "INBOX" / name
        assert path.read_bytes() == letter(2)
        assert os.stat(path).st_ino not in before.values()


def test_what_only_looks_alike_comes_as_new_under_the_same_name(env):
    """As after a move to another server that set all dates anew."""
    server, m, before = started(env)
    names = m.messages()
    watch = env.watch(m.path / "INBOX")
    renew(server, box(range(1, 6), 11, 7777, date=1_600_000_000))
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: sorted(m.by_uid()) == list(range(11, 16)), 20)
    env.wait_for(lambda: m.messages() == names, 20)
    assert not set(inodes(m).values()) & set(before.values())
    for n, path in numbered(m).items():
        assert path.read_bytes() == letter(n)
        watch.wait("DELETE", f"_Letter-{n}_")
        watch.wait("CREATE", f"_Letter-{n}_")


def test_thousands_of_others_are_listed_without_an_event_each(env):
    server, m, before = started(env)
    watch = env.watch(m.path / "INBOX")
    renew(server, box(range(3, 3003), 11, 7777))
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: len(m.messages()) == 3000, 40)
    now = inodes(m)
    assert {n: now[n] for n in (3, 4, 5)} == {n: before[n] for n in (3, 4, 5)}
    assert watch.count("CREATE") <= 2000, watch.count("CREATE")
    assert numbered(m)[3000].read_bytes() == letter(3000)


def test_uidvalidity_that_flaps_or_falls_is_warned_about(env):
    server, m, before = started(env)
    for i, validity in enumerate((2000, 1500, 2500, 3000)):
        renew(server, box(range(1, 6), 10 * (i + 2), validity))
        os.utime(m.path / "INBOX")

        def settled(v=validity):
            return {os.getxattr(p, "user.imap.uidvalidity")
                    for p in numbered(m).values()} == {b"%d" % v}
        env.wait_for(settled, 20)
    assert inodes(m) == before
    assert "went down, from 2000 to 1500" in m.log()
    assert "has changed 4 times" in m.log()


def test_mail_that_is_sent_before_the_new_uids_are_known(env):
    """Its own UID says that all of them are others now: of each other letter
    it is another's."""
    boxes = {b"INBOX": Box(), b"Work": box(range(1, 6))}
    server = env.script(boxes)
    m = env.mount(server, options=["delete=expunge"])
    before, paths = inodes(m, "Work"), numbered(m, "Work")
    assert paths[2].read_bytes() == letter(2)
    (m.path / "Work/new.eml").write_bytes(letter(6))
    with server.lock:
        boxes[b"Work"] = box(range(5, 0, -1), uidvalidity=2000)
    server.drop()
    wait_sent(m)
    env.wait_for(lambda: "were found again" in m.log(), 20)
    m.wait_watching()
    for n in (1, 4):
        assert paths[n].read_bytes() == letter(n)
        os.unlink(paths[n])
    sent(m)
    assert sorted(x.data for x in boxes[b"Work"].messages) == \
        [letter(n) for n in (2, 3, 5, 6)]
    assert {n: os.stat(paths[n]).st_ino for n in (2, 3, 5)} == \
        {n: before[n] for n in (2, 3, 5)}


# The same mailbox under another name.

def mail(env):
    server = env.dovecot()
    with Client(server) as c:
        for n, folder in enumerate(("Work", "Work/Deep", "Other")):
            c.create(folder)
            for i in range(3):
                c.append(folder, letter(10 * n + i))
    return server


def read_all(m, *folders):
    for folder in folders:
        for n, path in numbered(m, folder).items():
            assert path.read_bytes() == letter(n)


def check_renamed(m, tap, before, bodies, names):
    for old, new in names.items():
        assert inodes(m, new) == before[old], (old, new)
        read_all(m, new)
    assert tap.count(BODY) == bodies


RENAMED = {"Work": "Done", "Work/Deep": "Done/Deep"}


def test_renamed_mailbox_keeps_inodes_and_bodies(env):
    server = mail(env)
    tap = env.tap(server)
    m = env.mount(server.url(port=tap.port))
    read_all(m, *RENAMED)
    before = {f: inodes(m, f) for f in RENAMED}
    folder = os.stat(m.path / "Work").st_ino
    inside = os.open(m.path / "Work/Deep", os.O_RDONLY | os.O_DIRECTORY)
    bodies = tap.count(BODY)
    root = env.watch(m.path)
    with Client(server) as c:
        c.rename_box("Work", "Done")
    os.utime(m.path)
    root.wait("MOVED_FROM", "^Work$")
    root.wait("MOVED_TO", "^Done$")
    env.wait_for(lambda: sorted(numbered(m, "Done/Deep")) == [10, 11, 12], 20)
    check_renamed(m, tap, before, bodies, RENAMED)
    assert os.stat(m.path / "Done").st_ino == folder
    # Who stands in it goes with it.
    assert len(os.listdir(inside)) == 3
    os.close(inside)
    with Client(server) as c:
        c.append("Done", letter(100))
    os.utime(m.path / "Done")
    env.wait_for(lambda: 100 in numbered(m, "Done"), 20)


def test_renamed_mailbox_keeps_them_over_an_unmount(env):
    server = mail(env)
    tap = env.tap(server, mask=["NOTIFY"])
    m = env.mount(server.url(port=tap.port))
    read_all(m, *RENAMED)
    before = {f: inodes(m, f) for f in RENAMED}
    bodies = tap.count(BODY)
    m.unmount()
    with Client(server) as c:
        c.rename_box("Work", "Done")
    m.start()
    assert not (m.path / "Work").exists()
    check_renamed(m, tap, before, bodies, RENAMED)
    m.unmount()
    m.start()
    check_renamed(m, tap, before, bodies, RENAMED)


def test_renamed_into_another_folder_by_an_ordinary_touch(env):
    server = mail(env)
    tap = env.tap(server, mask=["NOTIFY"])
    m = env.mount(server.url(port=tap.port))
    read_all(m, *RENAMED)
    before = {f: inodes(m, f) for f in RENAMED}
    bodies = tap.count(BODY)
    other = env.watch(m.path / "Other")
    with Client(server) as c:
        c.rename_box("Work", "Other/Work")
    os.utime(m.path)
    other.wait("MOVED_TO", "^Work$")
    check_renamed(m, tap, before, bodies,
                  {f: "Other/" + f for f in RENAMED})


def test_two_that_could_be_meant_are_both_new(env):
    """Same numbers, other mail: nothing of one may show in the other."""
    boxes = {b"INBOX": Box(), b"A": box([1, 2]), b"B": box([3, 4])}
    server = env.script(boxes, capabilities=LISTS)
    m = env.mount(server)
    read_all(m, "A", "B")
    before = [*inodes(m, "A").values(), *inodes(m, "B").values()]
    with server.lock:
        boxes[b"C"], boxes[b"D"] = boxes.pop(b"B"), boxes.pop(b"A")
    os.utime(m.path)
    env.wait_for(lambda: {"C", "D"} <= set(os.listdir(m.path)), 20)
    env.wait_for(lambda: not (m.path / "A").exists(), 20)
    assert sorted(numbered(m, "C")) == [3, 4]
    assert sorted(numbered(m, "D")) == [1, 2]
    read_all(m, "C", "D")
    assert not set(before) & {*inodes(m, "C").values(),
                              *inodes(m, "D").values()}


def test_numbers_that_are_equal_by_chance_show_no_wrong_mail(env):
    boxes = {b"INBOX": Box(), b"A": box([1, 2, 3])}
    server = env.script(boxes, capabilities=LISTS)
    m = env.mount(server)
    read_all(m, "A")
    before = inodes(m, "A")
    with server.lock:
        del boxes[b"A"]
        boxes[b"B"] = box([3, 8, 9])
    os.utime(m.path)
    env.wait_for(lambda: (m.path / "B").exists(), 20)
    env.wait_for(lambda: sorted(numbered(m, "B")) == [3, 8, 9], 20)
    read_all(m, "B")
    after = inodes(m, "B")
    assert after[3] == before[3]
    assert after[8] not in before.values()


def test_mailbox_that_is_missing_has_the_folders_asked_for(env):
    boxes = {b"INBOX": Box(), b"A": box([1, 2]), b"B": box([3])}
    server = env.script(boxes)
    m = env.mount(server)
    read_all(m, "A", "B")
    root = env.watch(m.path)
    with server.lock:
        del boxes[b"A"]
        boxes[b"New"] = box([5])
    os.utime(m.path / "A")
    root.wait("DELETE", "^A$")
    root.wait("CREATE", "^New$")
    assert sorted(numbered(m, "New")) == [5]


def test_the_greatest_uid_there_can_be_is_found_again(env):
    server, m, before = started(env)
    new = box(range(1, 6), (1 << 32) - 5, 7777)
    new.uidnext = (1 << 32) - 1
    renew(server, new)
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: max(m.by_uid(), default=0) == (1 << 32) - 1, 20)
    with server.lock:
        new.messages[4].flags.add(b"\\Flagged")
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: os.stat(numbered(m)[5]).st_mode & 0o100, 20)
    assert inodes(m) == before
