# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving and renaming messages: mv does on the server what it does here."""

import errno
import os
import re
import sys

from imapfstest import *
from imapfstest.changed import (DATE, changing, errno_of, numbers, on_server,
                                sent, wait_sent)
from imapfstest.letters import letter, numbered
from imapfstest.script import CAPABILITIES

COPY = """
import os, sys
old = os.open(sys.argv[1], os.O_RDONLY)
new = os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY)
assert os.copy_file_range(old, new, 1 << 20) > 0
"""
MOVES = rb"UID (MOVE|COPY|STORE|EXPUNGE) "


def test_mv_to_another_folder_moves_on_the_server(env):
    server, m = changing(env, flags=["\\Flagged", "$Work"])
    path = numbered(m)[3]
    ino = os.stat(path).st_ino
    m.run(["mv", str(path), str(m.path / "Work")])
    moved = m.path / "Work" / path.name
    assert os.stat(moved).st_ino == ino and not path.exists()
    sent(m)
    there = on_server(server, "Work")[3]
    assert there.flags == {"\\Flagged", "$Work"}
    assert there.date == DATE + 180
    assert numbers(server, "INBOX") == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert os.getxattr(moved, "user.imap.uid") == str(there.uid).encode()
    assert os.stat(moved).st_ino == ino
    assert moved.read_bytes() == letter(3)


def test_moved_message_is_the_same_file_after_a_remount(env):
    _, m = changing(env)
    path = numbered(m)[3]
    ino = os.stat(path).st_ino
    os.rename(path, m.path / "Work" / "contract")
    sent(m)
    m.unmount()
    m.start()
    assert m.messages("Work") == ["contract"]
    assert os.stat(m.path / "Work" / "contract").st_ino == ino
    assert (m.path / "Work" / "contract").read_bytes() == letter(3)


def test_mv_n_onto_a_name_changes_nothing(env):
    server, m = changing(env)
    paths = numbered(m)
    m.run(["mv", "-n", str(paths[1]), str(paths[2])], check=False)
    assert numbered(m) == paths
    assert paths[2].read_bytes() == letter(2)
    sent(m)
    assert numbers(server, "INBOX", "Trash") == [list(range(10)), []]


def test_mv_onto_a_message_sends_that_one_to_the_trash(env):
    server, m = changing(env)
    paths = numbered(m)
    os.rename(paths[1], m.path / "Work" / "x.eml")
    os.listdir(m.path / "Trash")
    watch = env.watch(m.path / "Trash")
    old = os.stat(m.path / "Work" / "x.eml").st_ino
    m.run(["mv", str(paths[2]), "Work/x.eml"])
    assert watch.wait("CREATE") == "x.eml"
    assert (m.path / "Work" / "x.eml").read_bytes() == letter(2)
    gone = os.stat(m.path / "Trash" / "x.eml")
    assert (gone.st_ino, gone.st_nlink) == (old, 1)
    sent(m)
    assert numbers(server, "INBOX", "Work", "Trash") == \
        [[0, 3, 4, 5, 6, 7, 8, 9], [2], [1]]
    assert watch.count() == 1, watch.found


def test_rename_within_a_folder_is_kept_here_and_sends_nothing(env):
    server, m = changing(env)
    paths = numbered(m)
    server.forget_commands()
    os.rename(paths[4], m.path / "INBOX" / "contract.eml")
    assert not paths[4].exists()
    sent(m)
    with Client(server) as c:
        c.store("INBOX", on_server(server, "INBOX")[4].uid, "+FLAGS",
                "\\Seen")
    name = m.path / "INBOX" / "contract.eml"
    env.wait_for(lambda: os.stat(name).st_mode & 0o044, 30)
    assert name.read_bytes() == letter(4)
    assert server.count(rb"UID (MOVE|COPY|EXPUNGE)") == 0
    m.unmount()
    m.start()
    assert "contract.eml" in m.messages()
    assert len(m.messages()) == 10


def test_a_change_taken_back_in_time_is_never_sent(env):
    server, m = changing(env)
    m.messages("Work")
    path = numbered(m)[4]
    server.stop()
    m.wait_offline()
    os.rename(path, m.path / "Work" / path.name)
    os.rename(m.path / "Work" / path.name, path)
    assert m.status()["queue"]["queued"] == 0
    server.start()
    m.wait_online(40)
    sent(m)
    assert numbers(server, "INBOX", "Work") == [list(range(10)), []]
    assert server.count(MOVES) == 0


def test_mv_of_one_message_by_two_processes_succeeds_once(env):
    server, m = changing(env, count=20, boxes=("A", "B"))
    m.messages("A"), m.messages("B")
    script = ('cd INBOX && for f in *; do mv "$f" ../%s/ 2>&1 && echo won; '
              'done; exit 0')
    both = [popen(script % box, cwd=str(m.path), stdout=-1, user=m.user)
            for box in ("A", "B")]
    texts = [p.communicate(timeout=60)[0].decode()
             for p in both]
    assert sum(t.count("won\n") for t in texts) == 20, texts
    for text in texts:
        lost = [s for s in text.splitlines() if s != "won"]
        assert all("No such file" in s for s in lost), lost
    sent(m)
    a, b = numbers(server, "A", "B")
    assert sorted(a + b) == list(range(20))
    assert numbers(server, "INBOX") == []
    assert len(m.messages("A")) == len(a) and len(m.messages("B")) == len(b)


def test_watchers_see_a_move_once(env):
    server, m = changing(env)
    m.messages("Work")
    paths = numbered(m)
    inbox, work = env.watch(m.path / "INBOX"), env.watch(m.path / "Work")
    os.rename(paths[0], m.path / "Work" / paths[0].name)
    sent(m)
    # All that the server has to say of it was said before this one.
    with Client(server) as c:
        c.append("INBOX", letter(100))
        c.append("Work", letter(101))
    m.run(["touch", "Work", "INBOX"])
    inbox.wait("CREATE", "_Letter-100_")
    work.wait("CREATE", "_Letter-101_")
    assert [sorted(e.kinds) for e in inbox.events(pattern="_Letter-0_")] == \
        [["MOVED_FROM"]]
    assert [sorted(e.kinds) for e in work.events(pattern="_Letter-0_")] == \
        [["MOVED_TO"]]


def test_moved_message_is_read_before_the_server_knows(env):
    """Its bytes come from where it still is, or already is."""
    _, m = changing(env)
    m.messages("Work")
    for n, path in numbered(m).items():
        os.rename(path, m.path / "Work" / path.name)
        assert (m.path / "Work" / path.name).read_bytes() == letter(n)


def test_open_file_is_read_on_after_mv_and_rm(env):
    server, m = changing(env)
    paths = numbered(m)
    files = {n: open(paths[n], "rb") for n in range(4)}
    os.rename(paths[0], m.path / "Work" / paths[0].name)
    os.rename(paths[1], paths[2])
    os.unlink(paths[3])
    sent(m)
    for n, file in files.items():
        with file:
            assert file.read() == letter(n)


def test_message_that_somebody_else_removed_is_not_there(env):
    server, m = changing(env)
    path = numbered(m)[5]
    watch = env.watch(m.path / "INBOX")
    with Client(server) as c:
        c.expunge("INBOX", on_server(server, "INBOX")[5].uid)
    watch.wait("DELETE", "_Letter-5_")
    assert errno_of(lambda: os.rename(path, m.path / "Work" / "x")) == \
        errno.ENOENT


def test_what_was_moved_here_and_removed_elsewhere_goes(env):
    """Between the two nobody has asked for what is new in the folder."""
    for mask in (["NOTIFY"], ["NOTIFY", "QRESYNC"],
                 ["NOTIFY", "QRESYNC", "CONDSTORE", "ESEARCH"]):
        server = env.dovecot()
        line = env.tap(server, mask=mask)
        _, m = changing(env, server=server, url=server.url(port=line.port))
        m.messages("Work")
        paths = numbered(m)
        for n in (3, 4):
            os.rename(paths[n], m.path / "Work" / paths[n].name)
        sent(m)
        with Client(server) as c:
            c.expunge("Work", on_server(server, "Work")[3].uid)
        os.utime(m.path / "Work")
        env.wait_for(lambda: sorted(numbered(m, "Work")) == [4], 20)
        m.unmount()


def done_but_cut(session, tag, command):
    session.default(tag, command)
    session.close()


def test_lost_answers_about_messages_of_a_wrong_size(env):
    """The right one is known from reading; the server tells the wrong one."""
    without_move = [c for c in CAPABILITIES if c != b"MOVE"]
    for verb, capabilities, tool in (
            (rb"UID MOVE", CAPABILITIES, ["mv"]),
            (rb"UID COPY", without_move, ["mv"]),
            (rb"UID COPY", CAPABILITIES, [sys.executable, "-c", COPY])):
        server = env.script({b"INBOX": Box([Msg(1, letter(1), size=9000)]),
                             b"Work": Box()}, capabilities=capabilities)
        server.on(verb, done_but_cut, times=1)
        m = env.mount(server)
        path, there = numbered(m)[1], m.path / "Work" / "x.eml"
        assert path.read_bytes() == letter(1)
        m.messages("Work")
        m.run([*tool, str(path), str(there)])
        # A copy may be written to at first; this ends that.
        m.run(["sync", str(m.path / ".imapfs/queue")], check=False)
        wait_sent(m)
        assert server.count(verb) == 1, "made twice"
        assert len(server.boxes[b"Work"].messages) == 1
        assert m.messages("Work") == ["x.eml"]
        assert os.stat(there).st_size == len(letter(1))
        assert there.read_bytes() == letter(1)


def test_moves_that_make_no_sense_are_refused(env):
    _, m = changing(env, boxes=("Work", "Work/Sub"))
    path = numbered(m)[1]
    assert errno_of(lambda: os.rename(path, m.path / "x.eml")) == errno.EPERM
    assert errno_of(lambda: os.rename(path, m.path / ".imapfs" / "x")) in \
        (errno.EPERM, errno.EACCES)
    assert errno_of(lambda: os.rename(path, m.path / "Work" / "Sub")) == \
        errno.EISDIR
    assert errno_of(lambda: os.rename(path, m.path / "Work" / ("x" * 256))) \
        == errno.ENAMETOOLONG
    assert errno_of(lambda: os.link(path, m.path / "Work" / "x.eml")) == \
        errno.EPERM
    assert numbered(m)[1] == path


def test_mv_onto_the_same_message_takes_a_label_off(env):
    """Of Gmail: two names of one message; nothing goes to the Trash."""
    boxes = {b"INBOX": Box([Msg(1, letter(1), gm=77)]),
             b"Work": Box([Msg(5, letter(1), gm=77),
                           Msg(6, letter(2), gm=78)]),
             b"Trash": Box(attrs=[b"\\Trash"]),
             b"All": Box([Msg(9, letter(1), gm=77), Msg(10, letter(2), gm=78)],
                         attrs=[b"\\All"])}
    server = env.script(boxes)
    server.capabilities.append(b"X-GM-EXT-1")
    m = env.mount(server)
    path = numbered(m)[1]
    other = numbered(m, "Work")[1]
    ino = os.stat(other).st_ino
    os.rename(path, other)
    assert not path.exists()
    # The kernel is told behind the answer which of the two it is.
    wait_for(lambda: os.stat(other).st_ino == ino)
    assert other.read_bytes() == letter(1)
    sent(m)
    with server.lock:
        assert [b.uid for b in boxes[b"INBOX"].messages] == []
        assert [b.uid for b in boxes[b"Work"].messages] == [5, 6]
        assert boxes[b"Trash"].messages == []
    assert server.count(rb"UID MOVE 1 ") == 1
    assert server.count(rb"UID (MOVE|COPY|STORE|EXPUNGE)") == 1


@ordinary_user
def test_an_ordinary_user_is_asked_nothing(env):
    server, m = changing(env)
    os.listdir(m.path / "Work"), os.listdir(m.path / "Trash")
    paths = numbered(m)
    for words in (["mv", paths[0], m.path / "Work"],
                  ["mv", paths[1], paths[2]],
                  ["rm", paths[3], paths[4]],
                  ["chmod", "644", paths[5]]):
        t = env.terminal(list(map(str, words)))
        assert t.wait(20) == 0 and not t.output, (words, t.output)
    sent(m)
    assert numbers(server, "INBOX", "Work", "Trash") == \
        [[1, 5, 6, 7, 8, 9], [0], [2, 3, 4]]
    assert not re.search("error", m.log())
