# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing messages: to the Trash, or for good, and never another's."""

import errno
import os
import signal
from pathlib import Path

from imapfstest import *
from imapfstest.changed import changing, errno_of, numbers, on_server, sent
from imapfstest.letters import letter, numbered


def marked_by_others(server, box, ns):
    """Another client has marked these, and not removed them."""
    there = on_server(server, box)
    with Client(server) as c:
        for n in ns:
            c.store(box, there[n].uid, "+FLAGS.SILENT", "\\Deleted")


def test_rm_moves_to_the_trash(env):
    server, m = changing(env, flags=["\\Seen"])
    marked_by_others(server, "INBOX", (7, 8))
    paths = numbered(m)
    m.run(["rm", str(paths[1]), str(paths[2])])
    assert not paths[1].exists() and len(m.messages()) == 8
    sent(m)
    assert numbers(server, "INBOX", "Trash") == \
        [[0, 3, 4, 5, 6, 7, 8, 9], [1, 2]]
    assert on_server(server, "Trash")[1].flags == {"\\Seen"}
    assert (m.path / "Trash" / paths[1].name).read_bytes() == letter(1)


def test_watchers_see_it_leave_and_arrive_once(env):
    server, m = changing(env)
    m.messages("Trash")
    paths = numbered(m)
    # The kernel was told that there is no such name, and keeps that.
    assert not (m.path / "Trash" / paths[1].name).exists()
    inbox, trash = env.watch(m.path / "INBOX"), env.watch(m.path / "Trash")
    os.unlink(paths[1])
    assert trash.wait("CREATE") == paths[1].name
    assert (m.path / "Trash" / paths[1].name).read_bytes() == letter(1)
    sent(m)
    with Client(server) as c:
        c.append("INBOX", letter(100))
        c.append("Trash", letter(101))
    m.run(["touch", "INBOX", "Trash"])
    inbox.wait("CREATE", "_Letter-100_")
    trash.wait("CREATE", "_Letter-101_")
    assert [sorted(e.kinds) for e in inbox.events(pattern="_Letter-1_")] == \
        [["DELETE"]]
    assert trash.count(pattern="_Letter-1_") == 1


def test_it_keeps_its_inode_and_is_there_again(env):
    _, m = changing(env)
    m.messages("Trash")
    path = numbered(m)[1]
    with open(path, "rb") as file:
        ino = os.fstat(file.fileno()).st_ino
        os.unlink(path)
        back = m.path / "Trash" / path.name
        env.wait_for(back.exists, 20)
        env.wait_for(lambda: os.fstat(file.fileno()).st_nlink == 1, 20)
        assert os.stat(back).st_ino == ino and os.stat(back).st_nlink == 1
        os.rename(back, path)
        assert file.read() == letter(1)
    assert os.stat(path).st_ino == ino


def test_who_knows_its_name_finds_it_in_the_trash_at_once(env):
    """Before it is announced there, which the helper does. Here it is late."""
    server, m = changing(env)
    m.messages("Trash")
    helper, = [pid for pid in m.pids() if
               Path(f"/proc/{pid}/comm").read_text() == "imapfs-helper\n"]
    watch = env.watch(m.path / "Trash")
    env.cleanup(lambda: alive(helper) and os.kill(helper, signal.SIGCONT))
    stand_still(helper)
    paths = numbered(m)
    for n in (1, 2, 3):
        ino = os.stat(paths[n]).st_ino
        os.unlink(paths[n])
        there = m.path / "Trash" / paths[n].name
        assert (os.stat(there).st_ino, os.stat(there).st_nlink) == (ino, 1)
        assert there.read_bytes() == letter(n)
    os.unlink(m.path / "Trash" / paths[2].name)
    os.rename(m.path / "Trash" / paths[3].name, paths[3])
    os.kill(helper, signal.SIGCONT)
    assert watch.wait("CREATE") == paths[1].name
    sent(m)
    assert numbers(server, "INBOX", "Trash") == \
        [[0, 3, 4, 5, 6, 7, 8, 9], [1]]
    assert sorted(numbered(m, "Trash")) == [1]
    assert watch.count("CREATE") == 1, watch.found


def test_rm_in_the_trash_is_for_good_and_only_what_was_named(env):
    server, m = changing(env)
    with Client(server) as c:
        for n in range(20, 26):
            c.append("Trash", letter(n))
    marked_by_others(server, "Trash", (24, 25))
    paths = numbered(m, "Trash")
    m.run(["rm", str(paths[20]), str(paths[21])])
    sent(m)
    assert numbers(server, "Trash") == [22, 23, 24, 25]
    assert "\\Deleted" in on_server(server, "Trash")[24].flags
    assert sorted(numbered(m, "Trash")) == [22, 23, 24, 25]


def test_rm_in_junk_is_for_good(env):
    server, m = changing(env)
    with Client(server) as c:
        c.append("Junk", letter(20))
    os.unlink(numbered(m, "Junk")[20])
    sent(m)
    assert numbers(server, "Junk", "Trash") == [[], []]


def test_delete_expunge_is_for_good_everywhere(env):
    server, m = changing(env, options=["delete=expunge"])
    marked_by_others(server, "INBOX", (7, 8))
    paths = numbered(m)
    m.run(["rm", str(paths[1]), str(paths[2])])
    # A replaced one, too.
    os.rename(paths[3], paths[4])
    sent(m)
    assert numbers(server, "INBOX", "Trash") == [[0, 3, 5, 6, 7, 8, 9], []]
    assert "\\Deleted" in on_server(server, "INBOX")[7].flags


def test_what_is_removed_for_good_can_be_read_while_it_is_open(env):
    server, m = changing(env, options=["delete=expunge"])
    path = numbered(m)[1]
    with open(path, "rb") as file:
        assert file.read(10) == letter(1)[:10]
        os.unlink(path)
        sent(m)
        assert os.fstat(file.fileno()).st_nlink == 0
        assert file.read() == letter(1)[10:]
    assert 1 not in on_server(server, "INBOX")


def test_rm_r_and_find_delete_empty_a_folder(env):
    server, m = changing(env, count=200)
    m.run("mv INBOX/* Work/", timeout=40)
    m.run("find Work -type f -delete", timeout=40)
    sent(m)
    assert m.messages("Work") == [] and m.messages() == []
    assert numbers(server, "INBOX", "Work") == [[], []]
    assert numbers(server, "Trash") == list(range(200))
    assert sorted(numbered(m, "Trash")) == list(range(200))


def test_without_a_trash_nothing_is_removed(env):
    server = env.dovecot(special=())
    _, m = changing(env, server=server)
    path = numbered(m)[1]
    assert errno_of(lambda: os.unlink(path)) == errno.EPERM
    os.rename(path, m.path / "Work" / "x.eml")
    assert errno_of(lambda: os.rename(numbered(m)[2],
                                      m.path / "Work" / "x.eml")) == \
        errno.EPERM
    assert "delete=expunge" in m.control("log")
    sent(m)
    assert numbers(server, "INBOX", "Work") == \
        [[0, 2, 3, 4, 5, 6, 7, 8, 9], [1]]


def test_usual_name_is_the_trash_where_no_attribute_is(env):
    server = env.dovecot(special=())
    _, m = changing(env, server=server, boxes=("Work", "Deleted Items"))
    os.unlink(numbered(m)[1])
    sent(m)
    assert numbers(server, "Deleted Items") == [1]
    os.unlink(numbered(m, "Deleted Items")[1])
    sent(m)
    assert numbers(server, "Deleted Items") == []


def test_two_of_one_name_meet_in_the_trash(env):
    server, m = changing(env)
    paths = numbered(m)
    os.rename(paths[1], m.path / "Work" / "x.eml")
    os.rename(paths[2], m.path / "INBOX" / "x.eml")
    m.run(["rm", "Work/x.eml", "INBOX/x.eml"])
    env.wait_for(lambda: m.messages("Trash") == ["x.2.eml", "x.eml"], 20)
    bodies = {(m.path / "Trash" / n).read_bytes() for n in
              m.messages("Trash")}
    assert bodies == {letter(1), letter(2)}
    sent(m)
    assert numbers(server, "Trash") == [1, 2]
