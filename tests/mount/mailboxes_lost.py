# SPDX-License-Identifier: GPL-3.0-or-later
"""mkdir, rmdir and mv of folders where the server hangs, answers are lost, or
the program dies in the middle: nothing is done twice, nothing is left over."""

import errno
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from imapfstest import *
from imapfstest.changed import errno_of
from imapfstest.letters import letter, numbered

CHANGES = rb'(CREATE|RENAME|DELETE|STATUS) "?(Work|New|imapfs-)'
SLOW = ["timeout=60"]  # longer than anybody waits


def served(env, messages=0, options=(), **more):
    """A scripted server with an empty, or full, Work; and a mount of it."""
    boxes = {b"INBOX": Box(), b"Work": Box(
        [Msg(n + 1, letter(n + 1)) for n in range(messages)])}
    boxes.update({name.encode(): box for name, box in more.items()})
    server = env.script(boxes)
    return server, env.mount(server, options=options)


def lose(done):
    """The connection ends; was it done before?"""
    def answer(session, tag, command):
        if done:
            session.default(tag, command)
        session.close(rst=True)
    return answer


def late(session, tag, command):
    """It is done, and told when the server is released."""
    found = session.default(tag, command)
    session.hang()
    return found


def names(server):
    with server.lock:
        return set(server.boxes)


def mkdir(m):
    os.mkdir(m.path / "New")


def rmdir(m):
    os.rmdir(m.path / "Work")


def rename(m):
    os.rename(m.path / "Work", m.path / "New")


# What is there in the end, and what may be sent how often.
ENDS = {mkdir: ({b"INBOX", b"Work", b"New"}, rb"CREATE"),
        rmdir: ({b"INBOX"}, rb"DELETE"),
        rename: ({b"INBOX", b"New"}, rb'RENAME "?Work"? "?New')}


def test_lost_answers_are_looked_up(env):
    for change, steps in ((mkdir, 1), (rename, 1), (rmdir, 4)):
        for step in range(steps):
            for done in (True, False):
                check_lost(env, change, step, done)


def check_lost(env, change, step, done):
    server, m = served(env)
    os.listdir(m.path / "Work")
    left = [step]

    def answer(session, tag, command):
        left[0] -= 1
        if left[0] == -1:
            return lose(done)(session, tag, command)
        return session.default(tag, command)

    server.on(CHANGES, answer)
    what = (change.__name__, step, done)
    assert left[0] == step, what
    change(m)
    assert left[0] < 0, what
    end, command = ENDS[change]
    assert names(server) == end, (what, names(server))
    repeated = server.count(command) > 1
    assert not (repeated and done), what
    shown = {os.fsencode(name) for name in m.folders()}
    assert shown == end, (what, shown)
    m.unmount()


@deadline(120)
def test_a_server_that_hangs_is_waited_for_ten_seconds(env):
    for change in (mkdir, rmdir, rename):
        server, m = served(env, options=SLOW)
        os.listdir(m.path / "Work")
        server.on(rb"CREATE|RENAME", late, times=1)
        before = time.monotonic()
        assert errno_of(change, m) == errno.ETIMEDOUT
        assert time.monotonic() - before > 9
        os.listdir(m.path / "INBOX")
        # What it does after all is seen, by everybody.
        root = env.watch(m.path)
        server.release()
        end = ENDS[change][0]
        env.wait_for(lambda: {os.fsencode(n) for n in os.listdir(m.path)} ==
                     end == names(server), 20, "the end shows")
        root.wait_any(("CREATE", "DELETE", "MOVED_TO"), "^(New|Work)$")
        m.unmount()


def test_what_waits_for_a_rename_does_not_use_the_old_names(env):
    def mkdir_in(m):
        os.mkdir(m.path / "Work/New")

    def rmdir_in(m):
        os.rmdir(m.path / "Work/Empty")

    def rename_in(m):
        os.rename(m.path / "Work/Empty", m.path / "Work/New")

    for change in (mkdir_in, rmdir_in, rename_in):
        server, m = served(env, options=SLOW, **{"Work/Empty": Box()})
        os.listdir(m.path / "Work/Empty")
        server.on(rb'RENAME "?Work"? ', late, times=1)
        with ThreadPoolExecutor() as threads:
            mover = threads.submit(errno_of, rename, m)
            server.wait_for_command(rb"RENAME")
            other = threads.submit(errno_of, change, m)
            m.wait_status(lambda s: s["parked"] == 2)
            server.release()
            assert mover.result(20) == 0
            assert other.result(20) == errno.ENOENT, change.__name__
        end = {b"INBOX", b"New", b"New/Empty"}
        assert names(server) == end, (change.__name__, names(server))
        os.utime(m.path)
        assert {os.fsencode(n) for n in m.folders()} == end
        m.unmount()


def test_other_folders_and_mount_are_usable_meanwhile(env):
    server, m = served(env, options=SLOW, Other=Box([Msg(1, letter(1))]))
    assert sorted(numbered(m, "Other")) == [1]
    server.on(rb"CREATE", late, times=1)
    maker = popen(["mkdir", str(m.path / "Work/New")],
                  stderr=subprocess.DEVNULL)
    server.wait_for_command(rb"CREATE")
    for _ in range(3):
        assert numbered(m, "Other")[1].read_bytes() == letter(1)
        assert m.status()["state"] == "online"
    os.mkdir(m.path / "Other/New")
    server.push(b"INBOX", b"* 0 EXISTS\r\n")
    maker.send_signal(signal.SIGINT)
    begin = time.monotonic()
    maker.wait(10)
    # Left alone, it would wait for ten seconds.
    assert time.monotonic() - begin < 5 * slowdown()


@slow
@deadline(180)
def test_killed_in_the_middle_of_rmdir_leaves_no_hidden_mailbox(env):
    for step in range(4):
        for done in (True, False):
            for mail in (0, 1):
                check_killed(env, step, done, mail)


def check_killed(env, step, done, mail):
    """Dies at this command; mail came while the mailbox was aside."""
    server, m = served(env)
    os.listdir(m.path / "Work")
    left = [step]

    def answer(session, tag, command):
        left[0] -= 1
        if left[0] != -1:
            return session.default(tag, command)
        if done:
            session.default(tag, command)
        session.hang()
        session.close()

    server.on(CHANGES, answer)
    remover = popen(["rmdir", str(m.path / "Work")],
                    stderr=subprocess.DEVNULL)
    env.wait_for(lambda: left[0] < 0, 10, "the command is there")
    m.kill9()
    remover.wait(20)
    m.wait_end()
    server.clear()
    with server.lock:
        for name, box in server.boxes.items():
            if mail and name != b"INBOX":
                box.messages.append(Msg(1, letter(1)))
                box.uidnext = 2
        had = set(server.boxes)
    what = (step, done, mail, had)
    m.start()

    def healed():
        return names(server) <= {b"INBOX", b"Work"} and \
            {os.fsencode(n) for n in m.folders()} == names(server)

    env.wait_for(healed, 20, f"{what}: no hidden mailbox is left")
    assert len(names(server)) == len(had), what
    if mail and len(had) == 2:
        assert sorted(numbered(m, "Work")) == [1], what
    m.unmount()


def test_what_came_in_its_place_stays_beside_it(env):
    server, m = served(env)
    os.listdir(m.path / "Work")
    server.on(rb'STATUS "?imapfs-', lambda s, t, c: s.hang(), times=1)
    remover = popen(["rmdir", str(m.path / "Work")],
                    stderr=subprocess.DEVNULL)
    env.wait_for(lambda: b"Work" not in names(server), 10)
    m.kill9()
    remover.wait(20)
    m.wait_end()
    server.clear()
    aside, = names(server) - {b"INBOX"}
    with server.lock:
        server.boxes[aside].messages.append(Msg(1, letter(1)))
        server.boxes[b"Work"] = Box([Msg(1, letter(2))])
    env.expect_error("is not empty, and another 'Work' has come")
    m.start()
    assert sorted(numbered(m, "Work")) == [2]
    assert sorted(numbered(m, os.fsdecode(aside))) == [1]


def test_an_old_list_takes_nothing_away(env):
    server, m = served(env)
    os.listdir(m.path)
    root = env.watch(m.path)
    answers = []

    def keep_back(session, tag, command):
        answer = session.default(tag, command).replace(b"%TAG%", tag)
        answers.append(lambda: session.send(answer))

    server.on(rb"LIST", keep_back, times=1)
    before = server.count(rb"LIST")
    os.utime(m.path)
    env.wait_for(lambda: answers, 10, "LIST is asked for")
    os.mkdir(m.path / "New")
    os.rmdir(m.path / "Work")
    answers[0]()
    server.wait_for_command(rb"LIST", times=before + 2)
    os.mkdir(m.path / "Newer")
    assert sorted(os.listdir(m.path)) == ["INBOX", "New", "Newer"]
    root.wait("CREATE", "^Newer$")
    assert [e.name for e in root.events("CREATE")] == ["New", "Newer"]
    assert [e.name for e in root.events("DELETE")] == ["Work"]


def test_a_listing_goes_on_under_the_new_name(env):
    server, m = served(env, messages=3, options=SLOW)
    server.on(rb"FETCH|UID FETCH", late, times=1)
    lister = popen(["ls", str(m.path / "Work")], stdout=subprocess.PIPE)
    server.wait_for_command(rb"FETCH|UID FETCH")
    os.rename(m.path / "Work", m.path / "New")
    server.release()
    out, _ = lister.communicate(timeout=20)
    assert lister.returncode == 0 and len(out.split()) == 3, out
    assert sorted(numbered(m, "New")) == [1, 2, 3]


def test_a_reader_goes_on_under_the_new_name(env):
    server, m = served(env, messages=2, options=SLOW)
    paths = numbered(m, "Work")
    held = []
    server.on(rb'EXAMINE "?Work', lambda s, t, c: held.append(s) or s.hang() or
              s.default(t, c), times=1)
    server.drop()  # whoever reads next has to open it
    reader = popen(["cat", str(paths[2])], stdout=subprocess.PIPE)
    env.wait_for(lambda: held, 20, "the mailbox is being opened")
    os.rename(m.path / "Work", m.path / "New")
    server.release()
    out, _ = reader.communicate(timeout=20)
    assert reader.returncode == 0 and out == letter(2), out


def test_parts_are_renamed_where_the_whole_cannot_be(env):
    boxes = {b"INBOX": Box(), b"Way/To/One": Box([Msg(1, letter(1))]),
             b"Way/To/One/Deep": Box(), b"Way/Two": Box([Msg(1, letter(2))])}
    server = env.script(boxes)
    m = env.mount(server)
    inode = numbered(m, "Way/To/One")[1].stat().st_ino
    os.rename(m.path / "Way", m.path / "Path")
    assert set(boxes) == {b"INBOX", b"Path/To/One", b"Path/To/One/Deep",
                          b"Path/Two"}
    assert m.folders() == ["INBOX", "Path", "Path/To", "Path/To/One",
                           "Path/To/One/Deep", "Path/Two"]
    assert numbered(m, "Path/To/One")[1].stat().st_ino == inode
    assert numbered(m, "Path/Two")[2].read_bytes() == letter(2)
    server.on(rb"RENAME .*Path/Two", lose(True), times=1)
    os.rename(m.path / "Path", m.path / "Way")
    assert b"Way/Two" in boxes and b"Way/To/One/Deep" in boxes
    server.on(rb"RENAME .*Way/Two", b"%TAG% NO [NOPERM] not that\r\n")
    assert errno_of(os.rename, m.path / "Way", m.path / "Path") == errno.EACCES
    env.wait_for(lambda: {os.fsencode(n) for n in m.folders()} >= set(boxes),
                 10, "how far it went")


def test_refusals_are_told(env):
    server, m = served(env)
    for code, number in ((b"[NOPERM]", errno.EACCES),
                         (b"[OVERQUOTA]", errno.EDQUOT),
                         (b"[CANNOT]", errno.EPERM),
                         (b"[UNAVAILABLE]", errno.EIO)):
        server.on(rb"CREATE|RENAME|DELETE", b"%TAG% NO " + code + b" no\r\n")
        for change in (mkdir, rmdir, rename):
            assert errno_of(change, m) == number, (change, code)
        server.clear()
    assert names(server) == {b"INBOX", b"Work"}
    # Refused behind the point where it has another name.
    server.on(rb"DELETE", b"%TAG% NO [NOPERM] no\r\n")
    assert errno_of(rmdir, m) == errno.EACCES
    assert names(server) == {b"INBOX", b"Work"}
    assert sorted(os.listdir(m.path)) == ["INBOX", "Work"]


def test_what_the_server_denies_is_not_asked_for(env):
    server = env.script({b"INBOX": Box(), b"Work": Box()},
                        capabilities=(b"IMAP4rev1", b"ACL"))
    server.on(rb"MYRIGHTS", b"* MYRIGHTS Work lrs\r\n%TAG% OK done\r\n")
    m = env.mount(server)
    os.listdir(m.path / "Work")
    server.wait_for_command(rb"MYRIGHTS")
    # Until the answer is heard, each is made.
    tries = iter(range(10_000))
    env.wait_for(lambda: errno_of(os.mkdir, m.path / f"Work/{next(tries)}")
                 == errno.EACCES, 10)
    assert errno_of(rmdir, m) == errno.EACCES
    assert errno_of(rename, m) == errno.EACCES
    assert server.count(rb"RENAME|DELETE") == 0
