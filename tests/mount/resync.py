# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that came, went or was flagged elsewhere shows when its folder is
entered: at once after a mount, and after a minute while mounted."""

import os
import re
import subprocess

from imapfstest import *
from imapfstest.changed import sent
from imapfstest.letters import letter, numbered


def filled(env, count=5):
    server = env.dovecot()
    with Client(server) as c:
        uids = {n: c.append("INBOX", letter(n)) for n in range(count)}
    return server, uids


def change(server, uids):
    """One comes, one goes, one is flagged, one is marked as read."""
    with Client(server) as c:
        c.append("INBOX", letter(100))
        c.expunge("INBOX", uids[0])
        c.store("INBOX", uids[1], "+FLAGS", "\\Flagged")
        c.store("INBOX", uids[2], "+FLAGS", "\\Seen")


def check_changed(m):
    paths = numbered(m)
    assert sorted(paths) == [1, 2, 3, 4, 100]
    assert os.stat(paths[1]).st_mode & 0o777 == 0o700
    assert os.stat(paths[2]).st_mode & 0o777 == 0o644
    assert os.stat(paths[3]).st_mode & 0o777 == 0o600
    assert paths[100].read_bytes() == letter(100)
    return paths


def test_changes_while_unmounted(env):
    server, uids = filled(env)
    m = env.mount(server)
    before = {n: os.stat(p) for n, p in numbered(m).items()}
    folder_time = os.stat(m.path / "INBOX").st_mtime_ns
    m.unmount()
    change(server, uids)
    m.start()
    paths = check_changed(m)
    after = {n: os.stat(p) for n, p in paths.items()}
    for n in (1, 2, 3, 4):
        assert after[n].st_ino == before[n].st_ino
        assert after[n].st_mtime == before[n].st_mtime
    assert after[100].st_ino > max(s.st_ino for s in before.values())
    assert after[1].st_ctime >= before[1].st_ctime
    assert os.stat(m.path / "INBOX").st_mtime_ns > folder_time


def test_a_stat_alone_enters_too(env):
    """Nobody lists: a lookup of what is known, by a program that knows."""
    server, uids = filled(env)
    m = env.mount(server)
    paths = numbered(m)
    m.unmount()
    m.start()
    assert paths[3].read_bytes() == letter(3)
    assert not os.path.exists(m.path / "INBOX/none.eml")


def test_everything_gone_while_unmounted(env):
    server, uids = filled(env, 3)
    m = env.mount(server)
    m.messages()
    m.unmount()
    with Client(server) as c:
        for uid in uids.values():
            c.expunge("INBOX", uid)
    m.start()
    assert m.messages() == []


def test_new_uidvalidity_while_unmounted(env):
    server = env.script({b"INBOX": Box([Msg(n, letter(n))
                                        for n in range(1, 6)])})
    m = env.mount(server)
    first = {n: os.stat(p).st_ino for n, p in numbered(m).items()}
    m.run("cat INBOX/*")
    m.unmount()
    server.boxes[b"INBOX"] = Box([Msg(n + 10, letter(n))
                                  for n in range(4, 9)], uidvalidity=7777)
    m.start()
    env.wait_for(lambda: sorted(numbered(m)) == [4, 5, 6, 7, 8])
    second = {n: os.stat(p).st_ino for n, p in numbered(m).items()}
    for n, ino in second.items():
        owner = [k for k, v in first.items() if v == ino]
        assert owner in ([], [n]), "an inode number was given again"
    for n, path in numbered(m).items():
        assert path.read_bytes() == letter(n)
        assert os.getxattr(path, "user.imap.uidvalidity") == b"7777"


def check_watched(env, server, uids, show):
    """Changes made elsewhere; show(m) makes them known to the mount."""
    m = env.mount(server)
    old = numbered(m)
    inodes = {n: os.stat(p).st_ino for n, p in old.items()}
    watch = env.watch(m.path / "INBOX")
    held = open(old[0], "rb", buffering=0)
    assert held.read() == letter(0)
    change(server, uids)
    show(m)
    env.wait_for(lambda: not os.path.exists(old[0]), 10)
    paths = check_changed(m)

    for kind, path in [("CREATE", paths[100]), ("DELETE", old[0]),
                       ("ATTRIB", paths[1]), ("ATTRIB", paths[2])]:
        assert watch.wait(kind, re.escape(path.name)) == path.name
    assert watch.count("CREATE") == 1

    # The one that is gone is still open; its number is nobody else's.
    assert os.fstat(held.fileno()).st_ino == inodes[0]
    assert os.stat(paths[100]).st_ino not in inodes.values()
    held.seek(0)
    assert held.read() == letter(0)
    held.close()


def has_come(m):
    return len(os.listdir(m.path / "INBOX")) == 5 and \
        any("_Letter-100_" in name for name in m.messages())


@deadline(150)
@slow
def test_entering_after_a_minute_shows_changes_to_inotify(env):
    server, uids = filled(env)
    check_watched(env, server, uids, lambda m: env.wait_for(
        lambda: has_come(m), 100, "the changes show", step=1.0))


def test_touch_of_a_folder_shows_changes_to_inotify(env):
    server, uids = filled(env)

    def touch(m):
        os.utime(m.path / "INBOX")
        env.wait_for(lambda: has_come(m), 10)
    check_watched(env, server, uids, touch)


def test_a_thousand_come_and_go_under_a_watch(env):
    box = Box([Msg(n, letter(n)) for n in range(1, 1001)])
    server = env.script({b"INBOX": box})
    m = env.mount(server)
    assert len(m.messages()) == 1000
    watch = env.watch(m.path / "INBOX")
    with server.lock:
        server.boxes[b"INBOX"] = Box([Msg(n, letter(n))
                                      for n in range(501, 1501)])
    server.drop()
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: sorted(numbered(m)) == list(range(501, 1501)), 20)

    watch.wait("CREATE", times=500)
    watch.wait("DELETE", times=500)
    assert watch.count("CREATE") == watch.count("DELETE") == 500


@deadline(150)
@slow
def test_entering_asks_at_most_once_a_minute(env):
    server = env.script({b"INBOX": Box([Msg(n, letter(n))
                                        for n in range(1, 6)])})
    m = env.mount(server)
    numbered(m)
    m.wait_watching()
    asked = server.count(rb"UID FETCH|UID SEARCH|EXAMINE|NOOP|STATUS|FETCH")
    for _ in range(50):
        os.listdir(m.path / "INBOX")
    again = server.count(rb"UID FETCH|UID SEARCH|EXAMINE|NOOP|STATUS|FETCH")
    assert again - asked <= 3, server.commands[-10:]


def cut_in_the_middle(env, times):
    """The line of a sync is cut so often, behind its first rows; the one that
    watches stays."""
    box = Box([Msg(n, letter(n)) for n in range(1, 6)])
    server = env.script({b"INBOX": box})
    m = env.mount(server)
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5]
    m.wait_watching()
    watch = env.watch(m.path / "INBOX")
    server.on(rb"UID FETCH 6:", cut_after(60), times=times)
    with server.lock:
        del box.messages[1]
        box.messages.append(Msg(6, letter(6)))
        box.uidnext = 7
    server.push(b"INBOX", b"* 2 EXPUNGE\r\n* 5 EXISTS\r\n")
    return m, watch


def test_sync_that_is_cut_in_the_middle_is_made_again(env):
    m, watch = cut_in_the_middle(env, times=1)
    watch.wait("CREATE", "_Letter-6_")
    watch.wait("DELETE", "_Letter-2_")
    assert sorted(numbered(m)) == [1, 3, 4, 5, 6]


@deadline(150)
@slow
def test_sync_that_is_cut_once_more_is_made_again_later(env):
    _, watch = cut_in_the_middle(env, times=2)
    watch.wait("CREATE", "_Letter-6_", timeout=100)


def test_moved_here_and_removed_elsewhere_without_a_uidnext(env):
    """SELECT and EXAMINE do not have to say UIDNEXT (Courier)."""
    work = Box()
    server = env.script({b"INBOX": Box([Msg(n, letter(n)) for n in (1, 2, 3)]),
                         b"Work": work})

    def opened(session, tag, command):
        answer = session.default(tag, command)
        return re.sub(rb"[*] OK \[UIDNEXT .*\r\n", b"", answer)

    server.on(rb"(SELECT|EXAMINE) ", opened)
    m = env.mount(server)
    assert m.messages("Work") == []
    for n, path in numbered(m).items():
        os.rename(path, m.path / "Work" / path.name)
    sent(m)
    with server.lock:
        assert len(work.messages) == 3
        del work.messages[:2]
    os.utime(m.path / "Work")
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [3], 20)
    with server.lock:
        work.messages.clear()
    os.utime(m.path / "Work")
    env.wait_for(lambda: m.messages("Work") == [], 20)


def test_mail_that_comes_during_the_first_listing(env):
    """Windows go by sequence numbers, which shift under an EXPUNGE."""
    box = Box([Msg(n, letter(n)) for n in range(1, 2001)])
    server = env.script({b"INBOX": box})
    windows = []

    def shift(session, tag, command):
        windows.append(command)
        answer = session.default(tag, command)
        if len(windows) in (1, 2):
            with server.lock:
                gone = box.messages.pop(5 * len(windows))
                box.messages.append(Msg(box.uidnext, letter(box.uidnext)))
                box.uidnext += 1
                lost.append(gone.uid)
            session.send(session.news())
        return answer

    lost = []
    server.on(rb"(UID )?FETCH .*HEADER", shift)
    m = env.mount(server)
    env.wait_for(lambda: len(m.messages()) >= 1998, 20)
    m.unmount()
    server.clear()
    m.start()
    env.wait_for(lambda: sorted(numbered(m)) ==
                 [x.uid for x in box.messages], 20)


def test_mail_that_came_before_a_broken_listing_went_on(env):
    """What it finds above and beside where it goes on is news, too."""
    box = Box([Msg(n, letter(n)) for n in range(1, 2001)])
    server = env.script({b"INBOX": Box(), b"Work": box})
    server.on(rb"(UID )?FETCH 1:.*HEADER", lambda s, tag, command: s.hang() or
              s.default(tag, command))
    m = env.mount(server)
    lister = popen(["ls", "-U", str(m.path / "Work")],
                   stdout=subprocess.DEVNULL)
    m.wait_status(lambda s: next(f for f in s["folders"] if f["path"] ==
                                 "Work")["messages"] > 200)
    m.kill9()
    m.wait_end()
    lister.wait(10)
    server.clear()
    server.release()
    with server.lock:
        box.messages.append(Msg(2001, letter(2001)))
        box.uidnext = 2002
        del box.messages[1990]
        box.messages[1980].flags.add(b"\\Flagged")
        flagged = box.messages[1980].uid
    m.start()
    env.wait_for(lambda: sorted(numbered(m, "Work")) ==
                 [x.uid for x in box.messages], 20)
    assert os.stat(numbered(m, "Work")[flagged]).st_mode & 0o100
