# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a mailbox elsewhere is told to whoever watches its folder:
nobody enters, lists or touches anything here, and no poll would come in time.
"""

import errno
import os
import re
import stat

from imapfstest import *
from imapfstest.changed import errno_of
from imapfstest.letters import letter, numbered

NAME = r"^2023-\d\d-\d\dT\d{4}Z_Test-Sender_Letter-%d_[a-z2-7]{6}\.eml$"
# Commands that ask what is in a mailbox.
ASKS = rb"(UID )?(FETCH|SEARCH)|EXAMINE|SELECT|STATUS"


def filled(env, count=5, boxes=("INBOX",), **kw):
    """A server with letters 0, 1, ... in each box; {n: uid} of the first."""
    server = env.dovecot(**kw)
    uids = {}
    with Client(server) as c:
        for box in boxes:
            if box not in c.list():
                c.create(box)
            for n in range(count):
                uid = c.append(box, letter(n))
                if box == boxes[0]:
                    uids[n] = uid
    return server, uids


def watched(env, m, folder="INBOX"):
    """{n: path} of a folder that was listed once, and a watch on it."""
    return numbered(m, folder), env.watch(m.path / folder)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def shows_new_mail(env, m, server, folder="INBOX", n=100):
    """A letter that comes now wakes a watch, and can be read at once."""
    watch = env.watch(m.path / folder)
    with Client(server) as c:
        c.append(folder, letter(n))
    name = watch.wait("CREATE", f"_Letter-{n}_")
    assert (m.path / folder / name).read_bytes() == letter(n)
    assert re.match(NAME % n, name), name
    assert watch.count("CREATE") == 1, watch.found
    return m.path / folder / name


def test_new_mail_is_seen_and_read_at_once(env):
    server, _ = filled(env)
    m = env.mount(server)
    assert len(m.messages()) == 5
    before = os.stat(m.path / "INBOX")
    path = shows_new_mail(env, m, server)
    assert mode(path) == 0o600
    assert os.getxattr(path, "user.imap.subject") == b"Letter 100"
    assert os.stat(m.path / "INBOX").st_mtime_ns > before.st_mtime_ns
    assert sorted(numbered(m)) == [0, 1, 2, 3, 4, 100]


def test_new_mail_has_the_name_that_a_fresh_mount_gives(env):
    server, _ = filled(env)
    m = env.mount(server)
    m.messages()
    path = shows_new_mail(env, m, server)
    assert path.name in env.mount(server).messages()


def test_new_mail_is_seen_in_a_mount_that_was_asked_for_ro(env):
    server, _ = filled(env)
    m = env.mount(server, options=["ro"])
    m.messages()
    shows_new_mail(env, m, server)


@ordinary_user
def test_new_mail_is_seen_by_an_ordinary_user(env):
    server, _ = filled(env)
    m = env.mount(server)
    m.messages()
    shows_new_mail(env, m, server)


def test_new_mail_is_seen_over_a_single_connection(env):
    """It watches only while nobody else needs it, and then again."""
    server, _ = filled(env)
    m = env.mount(server, options=["connections=1"])
    paths = numbered(m)
    shows_new_mail(env, m, server)
    assert paths[2].read_bytes() == letter(2)
    shows_new_mail(env, m, server, n=101)


def test_new_mail_is_seen_after_a_remount_that_nobody_listed(env):
    server, _ = filled(env)
    m = env.mount(server)
    assert len(m.messages()) == 5
    m.unmount()
    m.start()
    shows_new_mail(env, m, server)
    assert len(m.messages()) == 6


def test_new_mail_is_seen_in_a_folder_that_was_never_listed(env):
    server, _ = filled(env)
    m = env.mount(server)
    shows_new_mail(env, m, server)
    assert sorted(numbered(m)) == [0, 1, 2, 3, 4, 100]


def test_removal_is_seen_and_the_name_is_gone(env):
    server, uids = filled(env)
    m = env.mount(server)
    paths, watch = watched(env, m)
    with open(paths[3], "rb", buffering=0) as held:
        assert held.read() == letter(3)
        with Client(server) as c:
            c.expunge("INBOX", uids[3])
        assert watch.wait("DELETE", "_Letter-3_") == paths[3].name
        assert not os.path.exists(paths[3])
        held.seek(0)
        assert held.read() == letter(3), "what is open stays readable"
    assert sorted(numbered(m)) == [0, 1, 2, 4]
    assert watch.count("DELETE") == 1, watch.found


def test_flags_are_seen_both_ways(env):
    server, uids = filled(env)
    m = env.mount(server)
    paths, watch = watched(env, m)
    before = os.stat(paths[1])
    expected = 0o600
    with Client(server) as c:
        for times, (how, flag, expected) in enumerate([
                ("+FLAGS", "\\Flagged", 0o700), ("+FLAGS", "\\Seen", 0o744),
                ("-FLAGS", "\\Flagged", 0o644),
                ("-FLAGS", "\\Seen", 0o600)], 1):
            c.store("INBOX", uids[1], how, flag)
            watch.wait("ATTRIB", "_Letter-1_", times=times)
            env.wait_for(lambda e=expected: mode(paths[1]) == e, 10,
                         f"{how} {flag} shows in the mode")
    after = os.stat(paths[1])
    assert after.st_ctime_ns > before.st_ctime_ns
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == \
        (before.st_ino, before.st_mtime_ns, before.st_size)
    assert not watch.events(pattern="_Letter-[^1]_"), watch.found


def test_flags_are_seen_after_a_remount_that_nobody_listed(env):
    """The kernel knows the folder, and nothing of what is in it."""
    server, uids = filled(env)
    m = env.mount(server)
    assert len(m.messages()) == 5
    m.unmount()
    m.start()
    watch = env.watch(m.path / "INBOX")
    with Client(server) as c:
        c.store("INBOX", uids[1], "+FLAGS", "\\Flagged")
    watch.wait("ATTRIB", "_Letter-1_")
    assert mode(numbered(m)[1]) == 0o700


def test_keywords_and_other_flags_are_seen(env):
    server, uids = filled(env)
    m = env.mount(server)
    paths, watch = watched(env, m)

    def flags():
        return set(os.getxattr(paths[2], "user.imap.flags").split())

    assert flags() == set()
    with Client(server) as c:
        c.store("INBOX", uids[2], "+FLAGS", "$Work", "\\Answered")
        watch.wait("ATTRIB", "_Letter-2_")
        env.wait_for(lambda: flags() == {b"$Work", b"\\Answered"}, 10)
        c.store("INBOX", uids[2], "-FLAGS", "$Work")
        env.wait_for(lambda: flags() == {b"\\Answered"}, PUSHED)
        c.store("INBOX", uids[2], "+FLAGS", "\\Deleted")
        env.wait_for(lambda: b"\\Deleted" in flags(), PUSHED)
    assert paths[2].exists(), "marked as deleted is not yet gone"


def test_mail_moved_between_two_folders_is_seen_in_both(env):
    server, uids = filled(env, boxes=("INBOX", "Work"))
    m = env.mount(server)
    paths, inbox = watched(env, m)
    _, work = watched(env, m, "Work")
    with Client(server) as c:
        uid = c.append("INBOX", letter(100))
        name = inbox.wait("CREATE", "_Letter-100_")
        c.move("INBOX", uid, "Work")
    assert inbox.wait("DELETE", "_Letter-100_") == name
    assert work.wait("CREATE", "_Letter-100_") == name
    assert (m.path / "Work" / name).read_bytes() == letter(100)
    assert not (m.path / "INBOX" / name).exists()


def test_second_folder_is_pushed_where_the_server_has_notify(env):
    server, _ = filled(env, boxes=("INBOX", "Work", "Work/Deep"))
    m = env.mount(server)
    for folder in ("Work", "Work/Deep"):
        paths, watch = watched(env, m, folder)
        uid = int(os.getxattr(paths[1], "user.imap.uid"))
        shows_new_mail(env, m, server, folder)
        with Client(server) as c:
            c.store(folder, uid, "+FLAGS", "\\Seen")
            watch.wait("ATTRIB", "_Letter-1_")
            c.expunge(folder, uid)
            watch.wait("DELETE", "_Letter-1_")


@deadline(150)
@slow
def test_second_folder_without_notify_shows_when_entered(env):
    """At most once a minute it is asked; the one in IDLE is pushed."""
    server, _ = filled(env, boxes=("INBOX", "Work"))
    tap = env.tap(server, mask=["NOTIFY"])
    m = env.mount(server.url(port=tap.port))
    _, watch = watched(env, m, "Work")
    with Client(server) as c:
        c.append("Work", letter(100))
    env.wait_for(lambda: 100 in numbered(m, "Work"), 100, step=1.0)
    watch.wait("CREATE", "_Letter-100_")
    m.messages()
    shows_new_mail(env, m, server)
    assert tap.count(rb"NOTIFY") == 0


def test_reader_who_finds_a_message_gone_has_its_folder_looked_at(env):
    """Nobody has told, and the folder was asked a moment ago."""
    server, uids = filled(env, boxes=("Work",))
    tap = env.tap(server, mask=["NOTIFY"])
    m = env.mount(server.url(port=tap.port))
    paths, watch = watched(env, m, "Work")
    with Client(server) as c:
        c.expunge("Work", uids[1])
        c.expunge("Work", uids[3])
    assert errno_of(paths[3].read_bytes) == errno.ENOENT
    watch.wait("DELETE", "_Letter-3_")
    watch.wait("DELETE", "_Letter-1_")
    assert sorted(numbered(m, "Work")) == [0, 2, 4]


def test_server_that_refuses_notify_is_watched_by_idle(env):
    box = Box([Msg(n, letter(n)) for n in range(1, 4)])
    server = env.script({b"INBOX": box, b"Work": Box()})
    server.capabilities.append(b"NOTIFY")
    server.on(rb"NOTIFY", b"%TAG% NO [CANNOT] not today\r\n")
    m = env.mount(server)
    _, watch = watched(env, m)
    server.wait_for_command(rb"IDLE", timeout=20)
    with server.lock:
        box.messages.append(Msg(4, letter(4)))
        box.uidnext = 5
    server.push(b"INBOX", b"* 4 EXISTS\r\n")
    watch.wait("CREATE", "_Letter-4_")


def test_server_without_idle_is_asked_by_touch(env):
    server, _ = filled(env)
    tap = env.tap(server, mask=["IDLE", "NOTIFY"])
    m = env.mount(server.url(port=tap.port))
    _, watch = watched(env, m)
    with Client(server) as c:
        c.append("INBOX", letter(100))
    os.utime(m.path / "INBOX")
    watch.wait("CREATE", "_Letter-100_")
    assert tap.count(rb"IDLE|NOTIFY") == 0


def test_first_listing_makes_no_events(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append_many("INBOX", map(letter, range(1000)))
    m = env.mount(server)
    watch = env.watch(m.path / "INBOX")
    assert len(m.messages()) == 1000
    with Client(server) as c:
        c.append("INBOX", letter(1000))
    watch.wait("CREATE", "_Letter-1000_")
    assert watch.count() == 1, watch.found[:5]
    # From the cache neither.
    m.unmount()
    m.start()
    watch = env.watch(m.path / "INBOX")
    assert len(m.messages()) == 1001
    with Client(server) as c:
        c.append("INBOX", letter(1001))
    watch.wait("CREATE", "_Letter-1001_")
    assert watch.count() == 1, watch.found[:5]


def test_our_own_reading_makes_no_events(env):
    server, _ = filled(env, 50)
    m = env.mount(server)
    watch = env.watch(m.path / "INBOX")
    m.run("ls -l INBOX; cat INBOX/*; getfattr -d INBOX/*; stat INBOX/*;"
          "grep -r nothing INBOX; find INBOX; tar cf - INBOX | wc -c",
          check=False)
    m.run(["ls", "INBOX"])
    with Client(server) as c:
        c.append("INBOX", letter(100))
    watch.wait("CREATE", "_Letter-100_")
    assert watch.count() == 1, watch.found[:5]


def test_folder_that_nobody_has_costs_no_command(env):
    """Neither does the watched mailbox, while nobody has it here."""
    boxes = {name: Box([Msg(n, letter(n)) for n in range(1, 4)])
             for name in (b"INBOX", b"Work", b"Other", b"Third")}
    server = env.script(boxes)
    m = env.mount(server)
    server.wait_for_command(rb"IDLE", timeout=20)
    before = server.count(ASKS)

    def deliver(name):
        with server.lock:
            box = boxes[name]
            box.messages.append(Msg(box.uidnext, letter(box.uidnext)))
            box.uidnext += 1
            count = len(box.messages)
        server.push(name, b"* %d EXISTS\r\n" % count)

    for name in boxes:
        deliver(name)
    # All that would have been asked is asked by the time this is here.
    assert len(m.messages("Other")) == 4
    named = [line for _, line in server.commands
             if b"Work" in line or b"Third" in line]
    assert not named, named
    asked = [line for _, line in server.commands
             if re.match(ASKS, line) and b"Other" not in line][before:]
    selected = [line for line in asked if b"INBOX" in line]
    assert not selected, selected


def test_folder_that_nobody_has_costs_no_command_under_notify(env):
    server, _ = filled(env, boxes=("INBOX", "Work"))
    m = env.mount(server)
    m.messages()
    with Client(server) as c:
        for n in range(100, 110):
            c.append("Work", letter(n))
    shows_new_mail(env, m, server)
    asked = [line for line in server.commands()
             if b"Work" in line and re.search(ASKS, line)
             and b"Letter" not in line and b"LIST" not in line]
    ours = [line for line in asked if b"EXAMINE" in line]
    assert not ours, ours


def test_hundreds_that_come_and_go_make_one_event_each(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append_many("INBOX", map(letter, range(300)))
    m = env.mount(server)
    _, watch = watched(env, m)
    with Client(server) as c:
        c.append_many("INBOX", map(letter, range(300, 800)))
        c.store("INBOX", "1:300", "+FLAGS.SILENT", "\\Deleted")
        c.imap.expunge()
    watch.wait("CREATE", times=500)
    watch.wait("DELETE", times=300)
    assert sorted(numbered(m)) == list(range(300, 800))
    assert watch.count("CREATE") == 500
    assert watch.count("DELETE") == 300


def test_second_copy_gets_a_name_and_an_event_of_its_own(env):
    server, uids = filled(env)
    m = env.mount(server)
    paths, watch = watched(env, m)
    with Client(server) as c:
        twin = c.append("INBOX", letter(2), ["\\Seen"])
        name = watch.wait("CREATE", "_Letter-2_")
        assert name == paths[2].name.replace(".eml", ".2.eml")
        c.expunge("INBOX", uids[2])
        assert watch.wait("DELETE", "_Letter-2_") == paths[2].name
    assert not paths[2].exists()
    path = m.path / "INBOX" / name
    assert path.read_bytes() == letter(2)
    assert os.getxattr(path, "user.imap.uid") == str(twin).encode()


def test_name_that_was_missing_opens_once_it_is_there(env):
    """The kernel was told that there is no such name, and keeps that."""
    server, _ = filled(env)
    with Client(server) as c:
        uid = c.append("INBOX", letter(100))
    name = numbered(env.mount(server))[100].name
    with Client(server) as c:
        c.expunge("INBOX", uid)
    m = env.mount(server)
    _, watch = watched(env, m)
    assert not (m.path / "INBOX" / name).exists()
    with Client(server) as c:
        c.append("INBOX", letter(100))
    assert watch.wait("CREATE", "_Letter-100_") == name
    assert (m.path / "INBOX" / name).read_bytes() == letter(100)


def test_mail_that_came_and_went_at_once_leaves_no_name(env):
    server, _ = filled(env)
    m = env.mount(server)
    _, watch = watched(env, m)
    with Client(server) as c:
        for n in range(100, 120):
            c.expunge("INBOX", c.append("INBOX", letter(n)))
        c.append("INBOX", letter(200))
    watch.wait("CREATE", "_Letter-200_")
    for name in {e.name for e in watch.events("CREATE", "_Letter-1")}:
        watch.wait("DELETE", re.escape(name))
        assert not (m.path / "INBOX" / name).exists()
    assert sorted(numbered(m)) == [0, 1, 2, 3, 4, 200]
