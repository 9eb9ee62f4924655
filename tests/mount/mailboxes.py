# SPDX-License-Identifier: GPL-3.0-or-later
"""mkdir, rmdir and mv of folders: what the server has then, what the kernel
and whoever watches see, and what is refused."""

import errno
import os
import re
import threading

from imapfstest import *
from imapfstest.letters import letter, numbered


def started(env, tree=None, path="", options=(), **kw):
    """A server with {mailbox: numbers of letters}, and a mount of it."""
    server = env.dovecot(**kw)
    with Client(server) as c:
        for box, letters in (tree or {}).items():
            if box not in c.list():
                c.create(box)
            for n in letters:
                c.append(box, letter(n))
    return server, env.mount(server.url() + path, options=options)


def boxes(server):
    with Client(server) as c:
        return sorted(set(c.list()) - {"INBOX", *server.special})


def subscribed(server):
    with Client(server) as c:
        lines = c._ok(c.imap.lsub('""', "*"))
        return {utf7_decode(line.rsplit(b' "/" ', 1)[1].strip(b'"'))
                for line in lines if line}


def refused(number, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"{call.__name__}{args} was allowed")


def test_made_folder_is_on_the_server(env):
    server, m = started(env)
    root = env.watch(m.path)
    for name in ("Work", "Büro & Co", "R&D", "日本", "100%", "a b[c]", "%"):
        os.mkdir(m.path / name)
        assert os.path.isdir(m.path / name)
        assert name in os.listdir(m.path)
        assert os.listdir(m.path / name) == []
        assert name in boxes(server) and name in subscribed(server)
        root.wait("CREATE", f"^{re.escape(name)}$")
    with Client(server) as c:
        c.append("Büro & Co", letter(1))
    os.utime(m.path / "Büro & Co")  # Dovecot's NOTIFY may forget new ones
    env.wait_for(lambda: sorted(numbered(m, "Büro & Co")) == [1], PUSHED)
    os.utime(m.path)
    assert root.count("CREATE") == 7, root.found


def test_mkdir_p_makes_all_above(env):
    server, m = started(env)
    m.run(["mkdir", "-p", "One/Two/Three"])
    assert boxes(server) == ["One", "One/Two", "One/Two/Three"]
    m.run(["mkdir", "-p", "One/Two/Three"])
    refused(errno.EEXIST, os.mkdir, m.path / "One/Two")


def test_names_that_no_mailbox_can_have_are_refused(env):
    server, m = started(env, {"Work": []}, separator=".")
    for name, number in ((".Trash-0", errno.EPERM), (".x", errno.EPERM),
                         ("a.b", errno.EINVAL), ("a\nb", errno.EINVAL),
                         ("x.eml", errno.EINVAL), ("%41", errno.EINVAL),
                         ("x" * 201, errno.ENAMETOOLONG)):
        refused(number, os.mkdir, m.path / name)
        refused(number, os.rename, m.path / "Work", m.path / name)
    refused(errno.EINVAL, os.mkdir, bytes(m.path) + b"/\xff")
    refused(errno.EEXIST, os.mkdir, m.path / "inbox")
    assert boxes(server) == ["Work"]


def test_what_no_file_can_be_called_is_written_with_escapes(env):
    mine = {b"INBOX": Box(delimiter=b".")}
    m = env.mount(env.script(mine))
    os.mkdir(m.path / "a%2Fb")
    assert set(mine) == {b"INBOX", b"a/b"}
    os.rename(m.path / "a%2Fb", m.path / "%252F")
    assert set(mine) == {b"INBOX", b"%2F"}
    assert "%252F" in os.listdir(m.path)


def test_one_of_many_makes_it(env):
    server, m = started(env)
    results = []

    def make():
        try:
            os.mkdir(m.path / "Work")
            results.append(0)
        except OSError as error:
            results.append(error.errno)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0] + 7 * [errno.EEXIST], results
    assert boxes(server) == ["Work"]


def test_a_mailbox_that_came_meanwhile_is_not_made_again(env):
    boxes_of = {b"INBOX": Box()}
    server = env.script(boxes_of)
    m = env.mount(server)
    os.listdir(m.path)
    server.on(rb"CREATE", b"%TAG% NO [ALREADYEXISTS] it is there\r\n")
    with server.lock:
        boxes_of[b"Work"] = Box([Msg(1, letter(1))])
    refused(errno.EEXIST, os.mkdir, m.path / "Work")
    env.wait_for(lambda: "Work" in os.listdir(m.path), PUSHED, "it is shown")


def test_empty_folder_is_removed(env):
    server, m = started(env, {"Work": [], "Work/Deep": [], "Other": []})
    work = env.watch(m.path / "Work")
    os.rmdir(m.path / "Work/Deep")
    assert boxes(server) == ["Other", "Work"]
    assert os.listdir(m.path / "Work") == []
    work.wait("DELETE", "^Deep$")
    os.rmdir(m.path / "Work")
    os.rmdir(m.path / "Other")
    assert boxes(server) == []
    assert not {"Work", "Work/Deep", "Other"} & subscribed(server)
    os.mkdir(m.path / "Work")
    assert boxes(server) == ["Work"]
    assert os.listdir(m.path / "Work") == []


def test_folder_with_something_in_it_stays(env):
    server, m = started(env, {"Full": [1], "Deep/Empty": []})
    for entered in (False, True):
        refused(errno.ENOTEMPTY, os.rmdir, m.path / "Full")
        refused(errno.ENOTEMPTY, os.rmdir, m.path / "Deep")
        assert boxes(server) == ["Deep", "Deep/Empty", "Full"]
        assert sorted(numbered(m, "Full")) == [1], entered
    with Client(server) as c:
        assert list(c.fetch("Full").values()) == [letter(1)]


def test_mail_that_arrives_in_the_last_moment_is_kept(env):
    mine = {b"INBOX": Box(), b"Work": Box()}
    server = env.script(mine)
    m = env.mount(server)
    assert os.listdir(m.path / "Work") == []

    def deliver(session, tag, command):
        mine[b"Work"].messages.append(Msg(1, letter(1)))
        mine[b"Work"].uidnext = 2
        return session.default(tag, command)

    server.on(rb'RENAME "?Work', deliver, times=1)
    refused(errno.ENOTEMPTY, os.rmdir, m.path / "Work")
    assert set(mine) == {b"INBOX", b"Work"}
    assert [m.data for m in mine[b"Work"].messages] == [letter(1)]
    assert not [c for _, c in server.commands if c.startswith(b"DELETE")]
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [1], 10)


def test_inbox_and_special_folders_stay(env):
    server, m = started(env, {"Work": []})
    for name in ("INBOX", "Trash", "Sent"):
        refused(errno.EPERM, os.rmdir, m.path / name)
        refused(errno.EPERM, os.rename, m.path / name, m.path / "Other")
        refused(errno.EPERM, os.rename, m.path / "Work", m.path / name)
    assert boxes(server) == ["Work"]


def test_renamed_folder_keeps_all_that_is_in_it(env):
    server, m = started(env, {"Work": [1, 2], "Work/Deep": [3],
                              "Work/Deep/Deeper": [4], "Workers": [5],
                              "Other": []})
    with Client(server) as c:
        c.subscribe("Work")
        c.subscribe("Work/Deep")
    old = {}
    for folder in ("Work", "Work/Deep", "Work/Deep/Deeper", "Workers"):
        for n, path in numbered(m, folder).items():
            assert path.read_bytes() == letter(n)
            old[n] = (path.name, path.stat().st_ino)
    inodes = [os.stat(m.path / p).st_ino for p in ("Work", "Work/Deep")]
    root, other = env.watch(m.path), env.watch(m.path / "Other")
    inside = os.open(m.path / "Work/Deep", os.O_RDONLY)
    try:
        m.run(["mv", "Work", "Other/Büro"])
        assert os.readlink(f"/proc/self/fd/{inside}") == \
            str(m.path / "Other/Büro/Deep")
    finally:
        os.close(inside)
    assert boxes(server) == ["Other", "Other/Büro", "Other/Büro/Deep",
                             "Other/Büro/Deep/Deeper", "Workers"]
    assert {"Other/Büro", "Other/Büro/Deep"} <= subscribed(server)
    assert not {"Work", "Work/Deep"} & subscribed(server)
    assert inodes == [os.stat(m.path / "Other" / p).st_ino
                      for p in ("Büro", "Büro/Deep")]
    new = {}
    for folder in ("Other/Büro", "Other/Büro/Deep", "Other/Büro/Deep/Deeper",
                   "Workers"):
        for n, path in numbered(m, folder).items():
            assert path.read_bytes() == letter(n)
            new[n] = (path.name, path.stat().st_ino)
    assert new == old
    root.wait("MOVED_FROM", "^Work$")
    other.wait("MOVED_TO", "^Büro$")
    # What the server says of it now is no news.
    os.utime(m.path)
    with Client(server) as c:
        c.append("Other/Büro/Deep", letter(6))
    os.utime(m.path / "Other/Büro/Deep")
    env.wait_for(lambda: sorted(numbered(m, "Other/Büro/Deep")) == [3, 6],
                 PUSHED)
    assert not root.events("CREATE") and not root.events("DELETE")
    assert len(other.events("MOVED_TO")) == 1 and not other.events("CREATE")
    m.unmount()
    m.start()
    assert inodes == [os.stat(m.path / "Other" / p).st_ino
                      for p in ("Büro", "Büro/Deep")]
    assert numbered(m, "Other/Büro/Deep")[3].stat().st_ino == old[3][1]


def test_renamed_folder_comes_back(env):
    server, m = started(env, {"Work": [1], "Work/Deep": [2]})
    numbered(m, "Work")
    for old, new in (("Work", "Done"), ("Done/Deep", "Done/Deeper"),
                     ("Done/Deeper", "Deep"), ("Deep", "Done/Deep"),
                     ("Done", "Work")):
        os.rename(m.path / old, m.path / new)
        assert not os.path.exists(m.path / old)
    assert boxes(server) == ["Work", "Work/Deep"]
    assert numbered(m, "Work")[1].read_bytes() == letter(1)
    assert numbered(m, "Work/Deep")[2].read_bytes() == letter(2)


def test_rename_onto_an_empty_folder_replaces_it(env):
    server, m = started(env, {"Work": [1], "Empty": [], "Full": [2],
                              "Parent/Child": []})
    refused(errno.ENOTEMPTY, os.rename, m.path / "Work", m.path / "Full")
    refused(errno.ENOTEMPTY, os.rename, m.path / "Work", m.path / "Parent")
    refused(errno.EINVAL, os.rename, m.path / "Parent",
            m.path / "Parent/Child")
    refused(errno.EINVAL, os.rename, m.path / "Parent",
            m.path / "Parent/Child/New")
    result = m.run(["mv", "-nT", "Work", "Empty"], check=False)
    assert os.path.isdir(m.path / "Work"), result
    os.rename(m.path / "Work", m.path / "Empty")
    assert boxes(server) == ["Empty", "Full", "Parent", "Parent/Child"]
    assert numbered(m, "Empty")[1].read_bytes() == letter(1)
    with Client(server) as c:
        assert list(c.fetch("Empty").values()) == [letter(1)]
        assert list(c.fetch("Full").values()) == [letter(2)]


def test_nothing_is_changed_where_that_is_asked(env):
    server, m = started(env, {"Work": []}, options=["ro"])
    refused(errno.EROFS, os.mkdir, m.path / "New")
    refused(errno.EROFS, os.rmdir, m.path / "Work")
    refused(errno.EROFS, os.rename, m.path / "Work", m.path / "New")
    assert boxes(server) == ["Work"]


def test_offline_is_said_at_once(env):
    server, m = started(env, {"Work": []})
    os.listdir(m.path / "Work")
    server.stop()
    m.wait_offline()
    refused(errno.ENOTCONN, os.mkdir, m.path / "New")
    refused(errno.ENOTCONN, os.rmdir, m.path / "Work")
    refused(errno.ENOTCONN, os.rename, m.path / "Work", m.path / "New")
    server.start()
    m.wait_online()
    os.rename(m.path / "Work", m.path / "New")
    assert boxes(server) == ["New"]


def test_room_is_what_the_server_says(env):
    server = env.dovecot(quota="10M")
    with Client(server) as c:
        c.append("INBOX", letter(1) + 1_000_000 * b"x" + b"\r\n")
    m = env.mount(server)

    def seen():
        v = os.statvfs(m.path)
        return (v.f_blocks * v.f_frsize == 10 << 20 and
                8_000_000 < v.f_bavail * v.f_frsize < 9_500_000)

    env.wait_for(seen, 10, "the quota is shown")


def test_without_quota_there_is_plenty(env):
    server, m = started(env)
    v = os.statvfs(m.path)
    assert v.f_bavail * v.f_frsize >= 1 << 40


def test_folder_without_a_mailbox_of_its_own_is_renamed(env):
    server, m = started(env, {"Way/To/One": [1], "Way/To/Two": [2],
                              "Way/Too": [3]})
    inode = numbered(m, "Way/To/One")[1].stat().st_ino
    os.rename(m.path / "Way", m.path / "Path")
    os.rename(m.path / "Path/To", m.path / "From")
    assert {"From/One", "From/Two", "Path/Too"} <= set(boxes(server))
    assert not [b for b in boxes(server) if b.startswith(("Way", "Path/To/"))]
    for path, n in (("From/One", 1), ("From/Two", 2), ("Path/Too", 3)):
        assert numbered(m, path)[n].read_bytes() == letter(n)
    assert numbered(m, "From/One")[1].stat().st_ino == inode
    os.utime(m.path)
    m.run(["rm", "-r", "From", "Path"])
    assert not os.path.exists(m.path / "From")
    assert boxes(server) == []
