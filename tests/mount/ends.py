# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of the program while changes are on their way to the kernel, and
many changes at once."""

import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

from imapfstest import *
from imapfstest.letters import letter
from imapfstest.mount import detach


def mail(first, last, uidvalidity=1_000):
    return Box([Msg(n, letter(n)) for n in range(first, last + 1)],
               uidvalidity=uidvalidity)


def numbers(m, folder="INBOX"):
    return sorted(int(re.search(r"_Letter-(\d+)_", name).group(1))
                  for name in m.messages(folder))


def helper_of(m):
    for pid in m.pids():
        if Path(f"/proc/{pid}/comm").read_text() == "imapfs-helper\n":
            return pid
    raise AssertionError("there is no helper process")


def stop_helper(env, m):
    """It stops; it goes on at the latest when the test ends."""
    pid = helper_of(m)

    def go_on():
        if alive(pid):
            os.kill(pid, signal.SIGCONT)
    env.cleanup(go_on)
    stand_still(pid)
    return pid


class Ends:
    """Processes that are ended before the mount is."""

    def __init__(self, processes):
        self.processes = processes

    def __enter__(self):
        return self.processes

    def __exit__(self, *exc):
        for process in self.processes:
            process.kill()
            process.wait(10)


def replace(server, box):
    with server.lock:
        server.boxes[b"INBOX"] = box
    server.drop()


def resync(env, m, server, question=rb"UID FETCH"):
    """A change is known to the program when this comes back."""
    before = server.count(question)
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: server.count(question) > before, 20)
    m.wait_status(lambda s: all(
        f["state"] == "known" for f in s["folders"] if f["path"] == "INBOX"))


def is_unmounted(m):
    """One try, without a look at the mount, which may not answer."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.umount2(os.fsencode(m.path), 0) == 0
    return m.umount(check=False).code == 0


def check_gone(m, pid, seconds):
    wait_for(lambda: not alive(pid), seconds, "the process is gone")
    wait_for(lambda: not m.mounted(), seconds, "the mount is gone")


def lookups(env, m):
    """A process that asks for one new name after the other."""
    process = popen(["sh", "-c", "i=0; while :; do i=$((i+1)); "
                     '[ -e "INBOX/$$.$i.eml" ]; done'], cwd=str(m.path),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end():
        process.kill()
        process.wait(10)
    env.cleanup(end)
    return process


def test_terminate_with_replays_on_their_way(env):
    """What was not replayed is told to the kernel at the end, which must not
    wait for lookups that nobody answers any more."""
    server = env.script({b"INBOX": mail(1, 20)})
    m = env.mount(server, background=True)
    assert numbers(m) == list(range(1, 21))
    pid = m.pid
    stop_helper(env, m)
    replace(server, mail(1, 520))
    resync(env, m, server)
    for _ in range(3):
        lookups(env, m)
    before = m.status()["requests"]["lookup"]
    m.wait_status(lambda s: s["requests"]["lookup"] > before + 500)
    os.kill(pid, signal.SIGTERM)
    check_gone(m, pid, 10)


def may_have_an_entrance():
    """Root, and who may make namespaces (nobody in a chroot)."""
    return os.geteuid() == 0 or \
        run(["unshare", "-Um", "true"], check=False).code == 0


def stop_in_a_replay(env, m, server, waiting):
    """The program stands still, and a replay of new mail waits for its
    answer. Only one of the two runs at a time, and they take turns until the
    program has given the order."""
    helper, pid = stop_helper(env, m), m.pid
    replace(server, mail(1, 40))
    resync(env, m, server)
    env.cleanup(lambda: alive(pid) and os.kill(pid, signal.SIGCONT))

    def is_waiting():
        stand_still(pid)
        os.kill(helper, signal.SIGCONT)
        try:
            return wait_for(lambda: int(waiting.read_text()) > 0, 1)
        except Timeout:
            stand_still(helper)
            os.kill(pid, signal.SIGCONT)
            m.status()
            return False

    env.wait_for(is_waiting, 20, "a replay waits for its answer")


def unmounted_with_a_replay_in_the_middle(env):
    """Without an entrance of its own the helper makes the mount busy, but not
    for longer than that."""
    server = env.script({b"INBOX": mail(1, 20)})
    m = env.mount(server, background=True)
    waiting = Path("/sys/fs/fuse/connections",
                   str(os.minor(os.stat(m.path).st_dev)), "waiting")
    if not waiting.exists():
        skip("fusectl is not mounted")
    watch = env.watch(m.path / "INBOX")
    assert numbers(m) == list(range(1, 21))
    replace(server, mail(1, 30))
    resync(env, m, server)
    for n in range(21, 31):
        watch.wait("CREATE", f"_Letter-{n}_")
    watch.remove()

    pid = m.pid
    stop_in_a_replay(env, m, server, waiting)
    if may_have_an_entrance():
        assert is_unmounted(m), "the mount is busy"
        assert not m.mounted()
        os.kill(pid, signal.SIGCONT)
    else:
        os.kill(pid, signal.SIGCONT)
        env.wait_for(lambda: is_unmounted(m), 10, "it is busy no more")
    check_gone(m, pid, 10)
    env.wait_for(lambda: not m.pids(), 10, "no process is left")
    assert not os.listdir(m.path), "a replay met what was below the mount"


def test_unmounts_with_a_replay_in_the_middle(env):
    unmounted_with_a_replay_in_the_middle(env)


@ordinary_user
def test_a_user_unmounts_with_a_replay_in_the_middle(env):
    unmounted_with_a_replay_in_the_middle(env)


def test_nothing_is_made_below_a_mount_that_was_detached(env):
    """It is there for who is inside, and hears of the server."""
    server = env.script({b"INBOX": mail(1, 2)})
    m = env.mount(server, background=True)
    pid, inside = m.pid, os.open(m.path, os.O_RDONLY)
    try:
        os.listdir(m.path)
        detach(m.path)
        with server.lock:
            server.boxes[b"New"] = mail(3, 3)
        os.utime(inside)
        env.wait_for(lambda: "New" in os.listdir(inside), 20)
        assert os.listdir(m.path) == []
        assert alive(pid)
    finally:
        os.close(inside)
    check_gone(m, pid, 10)


def blocked(pid):
    """A thread of the process waits in the kernel and cannot be stopped."""
    for entry in Path(f"/proc/{pid}/task").iterdir():
        fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        if fields[0] == "D":
            return True
    return False


def test_kill_with_a_parked_readdir_and_a_replay_behind_it(env):
    server = env.script({b"INBOX": mail(1, 20)})
    m = env.mount(server, background=True)
    assert numbers(m) == list(range(1, 21))
    helper = stop_helper(env, m)
    replace(server, mail(1, 40))
    resync(env, m, server)

    # The replays wait; now the mailbox is made anew, with so much in it that
    # it is listed when it is entered; and that listing hangs.
    replace(server, mail(1001, 4000, uidvalidity=7_777))
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: "0 messages of 'INBOX' were found again" in
                 m.control("log"), 20, "nothing of it is found again")
    windows = []

    def only_one(session, tag, command):
        windows.append(command)
        if len(windows) > 1:
            session.hang()
        return session.default(tag, command)

    server.on(rb"(UID )?FETCH .*HEADER", only_one)
    lister = popen(["ls", "-U", str(m.path / "INBOX")],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    env.wait_for(lambda: len(windows) > 1, 20, "the second window hangs")
    m.wait_status(lambda s: s["parked"] > 0)
    os.kill(helper, signal.SIGCONT)
    env.wait_for(lambda: blocked(helper), 4, "a replay waits for the lock")

    pid = m.kill9()
    check_gone(m, pid, 2)
    lister.wait(5)
    server.clear()
    m.process = None
    wait_for(lambda: not m.pids(), 10, "no process is left")
    m.start()
    env.wait_for(lambda: numbers(m) == list(range(1001, 4001)), 20)


@deadline(120)
def test_two_thousand_arrivals_under_four_readers(env):
    server = env.script({b"INBOX": mail(1, 200)})
    m = env.mount(server)
    assert len(numbers(m)) == 200
    out = env.tmp / "events"
    watch = popen(["inotifywait", "-m", "-e", "create", "--format", "%f",
                   str(m.path / "INBOX")], stdout=out.open("wb"),
                  stderr=(env.tmp / "inotify").open("wb"))
    env.wait_for(lambda: "established" in
                 (env.tmp / "inotify").read_text(), 10)
    errors = env.tmp / "errors"
    walkers = [popen(["sh", "-c", f"while {words} >/dev/null; do :; done; "
                      "echo ended >&2"], cwd=str(m.path),
                     stdout=subprocess.DEVNULL, stderr=errors.open("ab"))
               for words in ("ls -l INBOX", "find INBOX -newermt 2020-01-01",
                             "ls -U INBOX | sort | uniq -d | { ! grep .; }",
                             "stat INBOX/*_Letter-7_*.eml")]

    with Ends([watch] + walkers):
        replace(server, mail(1, 2200))
        os.utime(m.path / "INBOX")
        env.wait_for(lambda: numbers(m) == list(range(1, 2201)),
                     60)
        env.wait_for(lambda: len(out.read_text().splitlines()) == 2000, 20)
        assert all(w.poll() is None for w in walkers)
        assert errors.read_text() == ""


@measure
def test_replays_that_wait_cost_little_memory(env):
    server = env.script({b"INBOX": mail(1, 20)})
    m = env.mount(server, background=True)
    numbers(m)
    helper = stop_helper(env, m)
    replace(server, mail(1, 10_020))
    before = m.rss_anon()
    resync(env, m, server)
    env.wait_for(lambda: server.count(rb"UID FETCH .*HEADER") > 0, 10)
    m.wait_status(lambda s: s["jobs"]["running"] == 0)
    grown = m.rss_anon() - before
    os.kill(helper, signal.SIGCONT)
    # The allocator of a sanitizer keeps what was freed.
    limit = 24 if slowdown() == 1 else 192
    assert grown < limit << 20, grown


def come_and_go(env, m, server, lot):
    """50 folders are there, are listed, and are not there any more."""
    new = {b"Gone-%d-%d" % (lot, n): mail(1, 20, uidvalidity=1_000 + n)
           for n in range(50)}
    names = {name.decode() for name in new}
    with server.lock:
        server.boxes.update(new)
    os.utime(m.path)  # which folders are there?
    env.wait_for(lambda: names <= set(os.listdir(m.path)), 20)
    for name in names:
        assert len(m.messages(name)) == 20
    with server.lock:
        for name in new:
            del server.boxes[name]
    os.utime(m.path)
    env.wait_for(lambda: not names & set(os.listdir(m.path)), 20)


@measure
def test_folders_that_come_and_go_cost_little_memory(env):
    """Some 700 bytes each: 600 of the folder itself, and 4 for each number
    that it and its messages had. One that stays open has 17 KiB."""
    server = env.script({b"INBOX": mail(1, 1)})
    m = env.mount(server, background=True)
    for lot in range(4):
        come_and_go(env, m, server, lot)
    before = m.rss_anon()
    for lot in range(4, 24):
        come_and_go(env, m, server, lot)
    grown = m.rss_anon() - before
    # The allocator of a sanitizer keeps what was freed.
    limit = 4 if slowdown() == 1 else 128
    assert grown < limit << 20, grown


def test_new_uidvalidity_while_replays_wait(env):
    """What was not yet shown of the old mailbox is never shown."""
    server = env.script({b"INBOX": mail(1, 20)})
    m = env.mount(server, background=True)
    assert numbers(m) == list(range(1, 21))
    helper = stop_helper(env, m)
    replace(server, mail(1, 40))
    resync(env, m, server)
    anew = Box([Msg(n, letter(n + 1000)) for n in range(1, 31)],
               uidvalidity=7_777)
    replace(server, anew)
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: server.count(rb"(UID )?FETCH .*HEADER") > 1, 10)
    os.kill(helper, signal.SIGCONT)
    env.wait_for(lambda: numbers(m) == list(range(1001, 1031)), 10)
    for name in m.messages():
        n = int(re.search(r"_Letter-(\d+)_", name).group(1))
        assert (m.path / "INBOX" / name).read_bytes() == letter(n)


def test_a_name_that_was_missing_comes_with_a_new_uidvalidity(env):
    server = env.script({b"INBOX": mail(1, 5)})
    other = env.mount(env.script({b"INBOX": mail(6, 6)}))
    wanted = other.messages()[0]
    m = env.mount(server)
    assert numbers(m) == [1, 2, 3, 4, 5]
    assert not os.path.exists(m.path / "INBOX" / wanted)
    replace(server, mail(4, 6, uidvalidity=7_777))
    os.utime(m.path / "INBOX")
    m.wait_status(lambda s: any(
        f["path"] == "INBOX" and f["listed"] and f["messages"] == 3
        for f in s["folders"]))
    # No listing, which would tell the kernel by the way.
    env.wait_for(lambda: os.path.exists(m.path / "INBOX" / wanted), 5)
    assert numbers(m) == [4, 5, 6]


def test_a_mailbox_made_again_while_a_file_of_it_is_open(env):
    server = env.script({b"INBOX": mail(1, 2), b"Work": mail(3, 5)})
    m = env.mount(server)
    name = m.messages("Work")[0]
    with open(m.path / "Work" / name, "rb") as f:
        assert f.read() == letter(3)
        with server.lock:
            work = server.boxes.pop(b"Work")
        server.drop()
        os.utime(m.path)  # which folders are there?
        env.wait_for(lambda: "Work" not in os.listdir(m.path), 20)
        work.uidvalidity += 1
        with server.lock:
            server.boxes[b"Work"] = work
        server.drop()
        os.utime(m.path)  # which folders are there?
        env.wait_for(lambda: "Work" in os.listdir(m.path), 20)
        assert numbers(m, "Work") == [3, 4, 5]
    m.unmount()
    server.stop()
    m.start()
    assert numbers(m, "Work") == [3, 4, 5]


def test_an_answer_with_a_row_missing_removes_nothing(env):
    """EXAMINE counts more than came: what is missing is asked for again."""
    server = env.script({b"INBOX": mail(1, 9)})
    m = env.mount(server)
    assert len(numbers(m)) == 9

    def without_one(session, tag, command):
        answer = session.default(tag, command)
        return re.sub(rb"\* \d+ FETCH \([^\r]*UID 4 [^\r]*\r\n", b"", answer)

    server.on(rb"UID FETCH 1:\S+ \(?(UID )?FLAGS", without_one, times=1)
    server.drop()
    resync(env, m, server, rb"UID FETCH 1:\S+ \(UID FLAGS")
    assert numbers(m) == list(range(1, 10))
    resync(env, m, server, rb"UID FETCH 1:\S+ \(UID FLAGS")
    assert numbers(m) == list(range(1, 10))
