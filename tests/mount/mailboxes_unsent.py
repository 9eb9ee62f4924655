# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that go or get another name while changes of what was in them are
still on their way to the server."""

import errno
import os
import subprocess

from imapfstest import *
from imapfstest.changed import errno_of, sent
from imapfstest.letters import letter, numbered


def started(env, tree):
    """A server with {mailbox: numbers of letters}, and a mount of it."""
    server = env.dovecot()
    with Client(server) as c:
        for box, letters in tree.items():
            if box not in c.list():
                c.create(box)
            for n in letters:
                c.append(box, letter(n))
    return server, env.mount(server)


def there(server, box):
    """The letters that the server has in it, sorted."""
    with Client(server) as c:
        return sorted(c.fetch(box).values())


def letters(*numbers):
    return sorted(letter(n) for n in numbers)


def boxes(server):
    with Client(server) as c:
        return sorted(set(c.list()) - {"INBOX", *server.special})


def test_emptied_folder_can_be_removed_at_once(env):
    server, m = started(env, {"Work": range(1, 41), "Other": []})
    numbered(m, "Work")
    m.run(["sh", "-c", "mv Work/* Other/ && rmdir Work"])
    assert boxes(server) == ["Other"]
    assert there(server, "Other") == letters(*range(1, 41))
    assert sorted(numbered(m, "Other")) == list(range(1, 41))


def test_rm_r_takes_all_to_the_trash(env):
    server, m = started(env, {"Work": [1, 2], "Work/Deep": [3],
                              "Work/Deep/Deeper": [4, 5]})
    m.run(["rm", "-r", "Work"])
    assert boxes(server) == []
    sent(m)
    assert there(server, "Trash") == letters(1, 2, 3, 4, 5)
    assert not os.path.exists(m.path / "Work")


def test_folder_that_a_message_just_moved_to_is_not_empty(env):
    server, m = started(env, {"Work": [1], "Empty": []})
    os.listdir(m.path / "Empty")
    path = numbered(m, "Work")[1]
    os.rename(path, m.path / "Empty" / path.name)
    assert errno_of(os.rmdir, m.path / "Empty") == errno.ENOTEMPTY
    os.rmdir(m.path / "Work")
    sent(m)
    assert there(server, "Empty") == letters(1)


def test_changes_go_out_under_the_new_name(env):
    server, m = started(env, {"Work": [1, 2], "Work/Deep": [3], "Other": [4]})
    paths = {**numbered(m, "Work"), **numbered(m, "Work/Deep"),
             **numbered(m, "Other")}
    os.chmod(paths[1], 0o744)
    os.rename(paths[4], m.path / "Work/Deep" / paths[4].name)
    os.rename(paths[2], m.path / "Other" / paths[2].name)
    os.rename(m.path / "Work", m.path / "Other/Done")
    os.chmod(m.path / "Other/Done/Deep" / paths[3].name, 0o744)
    os.rename(m.path / "Other/Done/Deep", m.path / "Deep")
    sent(m)
    assert boxes(server) == ["Deep", "Other", "Other/Done"]
    assert there(server, "Other/Done") == letters(1)
    assert there(server, "Deep") == letters(3, 4)
    assert there(server, "Other") == letters(2)
    with Client(server) as c:
        for box in ("Other/Done", "Deep"):
            flags = c.attributes(box)[1]["flags"]
            assert {"\\Seen", "\\Flagged"} <= flags, (box, flags)
    assert m.control("failed") == ""


def test_what_is_on_its_way_is_waited_for(env):
    mine = {b"INBOX": Box([Msg(1, letter(1))]), b"Work": Box()}
    server = env.script(mine)
    m = env.mount(server, options=["timeout=60"])
    os.listdir(m.path / "Work")
    path = numbered(m)[1]

    def late(session, tag, command):
        found = session.default(tag, command)
        session.hang()
        return found

    server.on(rb"UID MOVE", late, times=1)
    os.rename(path, m.path / "Work" / path.name)
    server.wait_for_command(rb"UID MOVE")
    mover = popen(["mv", str(m.path / "Work"), str(m.path / "New")],
                  stderr=subprocess.PIPE)
    os.listdir(m.path / "INBOX")
    assert server.count(rb'RENAME "?Work') == 0
    server.release()
    assert mover.wait(20) == 0, mover.stderr.read()
    sent(m)
    assert set(mine) == {b"INBOX", b"New"}
    assert [x.data for x in mine[b"New"].messages] == [letter(1)]
    assert sorted(numbered(m, "New")) == [1]


def test_what_cannot_leave_keeps_its_folder(env):
    mine = {b"INBOX": Box(), b"Work": Box([Msg(1, letter(1))])}
    server = env.script(mine)
    m = env.mount(server)
    path = numbered(m, "Work")[1]
    server.on(rb"UID (MOVE|COPY)", b"%TAG% NO [OVERQUOTA] full\r\n")
    os.rename(path, m.path / "INBOX" / path.name)
    assert errno_of(os.rmdir, m.path / "Work") == errno.ENOTEMPTY
    assert set(mine) == {b"INBOX", b"Work"}
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [1], 10)


def test_folder_that_goes_elsewhere_gives_back_what_was_to_go_there(env):
    server, m = started(env, {"Work": [1], "Other": []})
    path = numbered(m, "Work")[1]
    os.listdir(m.path / "Other")
    with Client(server) as c:
        c.delete_box("Other")
    os.rename(path, m.path / "Other" / path.name)
    os.utime(m.path)
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [1] and
                 not os.path.exists(m.path / "Other"), 20)
    assert there(server, "Work") == letters(1)
    env.wait_for(lambda: m.control("failed") != "", 10)
