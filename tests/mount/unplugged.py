# SPDX-License-Identifier: GPL-3.0-or-later
"""The link dies, the machine sleeps, the server restarts: it is noticed,
nobody hangs beyond `timeout`, and what came meanwhile is told to whoever
watches, by itself."""

import errno
import os
import signal
import subprocess
import time

from imapfstest import *
from imapfstest.letters import letter, numbered

BACK = 40
BIG = 30_000
ASLEEP = 11  # seconds; twice five are what it may take to be noticed


def started(env, options, count=8, through=None):
    """(server, what stands before it, mount, {n: path}, watch)."""
    server = env.dovecot()
    with Client(server) as c:
        for n in range(count):
            c.append("INBOX", letter(n, size=BIG))
    link = (through or env.proxy)(server)
    m = env.mount(server.url(port=link.port), options=options)
    paths = numbered(m)
    assert paths[0].read_bytes() == letter(0, size=BIG)
    return server, link, m, paths, env.watch(m.path / "INBOX")


def deliver(server, n):
    with Client(server) as c:
        c.append("INBOX", letter(n))


def fails_within(path, limit):
    """A read of what is not here ends by itself, with the right error."""
    begin = time.monotonic()
    try:
        data = path.read_bytes()
        raise AssertionError(f"read {len(data)} bytes over a dead link")
    except OSError as error:
        spent = time.monotonic() - begin
        assert error.errno in (errno.ETIMEDOUT, errno.ENOTCONN), error
    assert spent < limit * 1.2 * slowdown() + 1, f"{spent:.1f} s"


def sees(watch, m, n):
    name = watch.wait("CREATE", f"_Letter-{n}_", timeout=BACK)
    assert (m.path / "INBOX" / name).read_bytes() == letter(n)


@deadline(100)
def test_mail_that_came_while_the_link_was_silent(env):
    limit = 3
    server, link, m, paths, watch = started(env, [f"timeout={limit}"])
    link.hole()
    fails_within(paths[5], limit)
    deliver(server, 100)
    fails_within(paths[6], limit)
    assert paths[0].read_bytes() == letter(0, size=BIG)
    assert len(m.run(["ls", "-l", "INBOX"]).lines) == 9
    m.wait_offline()
    link.hole(False)
    sees(watch, m, 100)
    assert paths[5].read_bytes() == letter(5, size=BIG)
    m.wait_online()


@deadline(100)
def test_readers_beside_each_other_over_a_silent_link(env):
    """Each is told in time, however many wait."""
    limit = 3
    server, link, m, paths, watch = started(env, [f"timeout={limit}"], 40)
    link.hole()
    begin = time.monotonic()
    readers = [popen(["cat", str(paths[n])], stdout=subprocess.DEVNULL,
                     stderr=subprocess.PIPE) for n in range(5, 40)]
    said = [r.communicate(timeout=limit * 5 + 10)[1]
            for r in readers]
    spent = time.monotonic() - begin
    assert all(r.returncode == 1 for r in readers), said
    assert spent < limit * 1.5 * slowdown() + 2, f"{spent:.1f} s"
    link.hole(False)
    deliver(server, 100)
    sees(watch, m, 100)


@deadline(100)
def test_connections_that_died_without_a_word(env):
    """As after a change of address: the old ones never answer again, and
    only who asks over them can find out."""
    limit = 3
    server, link, m, paths, watch = started(
        env, [f"timeout={limit}"], through=env.tap)
    link.lose()
    deliver(server, 100)
    # One reader may pay for it; the next one has a new connection.
    try:
        assert paths[5].read_bytes() == letter(5, size=BIG)
    except OSError as error:
        assert error.errno in (errno.ETIMEDOUT, errno.ENOTCONN), error
    env.wait_for(lambda: paths[6].read_bytes() == letter(6, size=BIG), BACK)
    sees(watch, m, 100)


@deadline(100)
def test_cut_link_is_made_again_and_caught_up(env):
    server, link, m, paths, watch = started(env, ["timeout=5"])
    for n, how in ((100, "rst"), (101, "fin")):
        link.refuse()
        link.cut(how)
        deliver(server, n)
        link.refuse(False)
        sees(watch, m, n)
    assert paths[5].read_bytes() == letter(5, size=BIG)


@deadline(100)
def test_network_that_lets_one_connection_through(env):
    """It drops what is sent over others. Nobody waits until these are given
    up, which takes as long as a reader may wait."""
    folders = ("INBOX", "Work")
    server = env.dovecot()
    with Client(server) as c:
        c.create("Work")
        for folder in folders:
            c.append_many(folder, [letter(n, size=BIG) for n in range(4)])
    link = env.proxy(server)
    link.most(1)
    m = env.mount(server.url(port=link.port), options=["timeout=10"])
    watch = env.watch(m.path / "INBOX")

    def watches():
        return any(c["state"] in ("idle", "notify")
                   for c in m.status()["connections"])

    for n in range(4):
        for folder in folders:
            wait_for(watches, 30, "the only connection waits for news")
            assert (numbered(m, folder)[n].read_bytes() ==
                    letter(n, size=BIG))
    deliver(server, 100)
    sees(watch, m, 100)
    assert link.stats()["live"] == 1


@deadline(100)
def test_server_that_restarts_is_caught_up(env):
    server, link, m, paths, watch = started(env, ["timeout=5"])
    server.stop()
    m.wait_offline()
    assert paths[0].read_bytes() == letter(0, size=BIG)
    server.start()
    deliver(server, 100)
    sees(watch, m, 100)
    m.wait_online()
    server.kill_sessions()
    deliver(server, 101)
    sees(watch, m, 101)


@deadline(100)
def test_removals_and_flags_of_that_time_are_seen_too(env):
    server, link, m, paths, watch = started(env, ["timeout=5"])
    uids = {n: int(os.getxattr(p, "user.imap.uid"))
            for n, p in paths.items()}
    link.refuse()
    link.cut()
    m.wait_offline()
    with Client(server) as c:
        c.expunge("INBOX", uids[1])
        c.store("INBOX", uids[2], "+FLAGS", "\\Flagged")
        c.create("Meanwhile")
    root = env.watch(m.path)
    link.refuse(False)
    watch.wait("DELETE", "_Letter-1_", timeout=BACK)
    watch.wait("ATTRIB", "_Letter-2_", timeout=BACK)
    root.wait("CREATE", "^Meanwhile$", timeout=BACK)
    assert not paths[1].exists()
    assert os.stat(paths[2]).st_mode & 0o777 == 0o700


@deadline(100)
def test_sleeping_machine_wakes_up_to_new_mail(env):
    """All its processes stand still, and its connections die meanwhile
    without a word. Awake, it finds out by itself: nobody reads here."""
    limit = 3
    server, link, m, paths, watch = started(
        env, [f"timeout={limit}"], through=env.tap)
    stopped = m.pids()
    for pid in stopped:
        stand_still(pid)
    link.lose()
    deliver(server, 100)
    begin = time.monotonic()
    wait_for(lambda: time.monotonic() - begin > ASLEEP, 60,
             "a short night")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    sees(watch, m, 100)


@deadline(100)
def test_reader_that_waits_while_the_machine_sleeps(env):
    """`timeout` counts from its begin: after the sleep it ends soon."""
    limit = 4
    server, link, m, paths, watch = started(env, [f"timeout={limit}"])
    link.hole()
    reader = popen(["cat", str(paths[5])], stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)
    stopped = m.pids()
    for pid in stopped:
        stand_still(pid)
    begin = time.monotonic()
    wait_for(lambda: time.monotonic() - begin > limit + 1, 60, "a nap")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    begin = time.monotonic()
    reader.communicate(timeout=limit * 5)
    assert reader.returncode == 1
    assert time.monotonic() - begin < limit * 1.2 * slowdown() + 1
    link.hole(False)
    deliver(server, 100)
    sees(watch, m, 100)


@deadline(100)
def test_server_that_ends_idle_by_itself(env):
    """BYE after half an hour of silence is no error, and costs nothing."""
    box = Box([Msg(n, letter(n)) for n in range(1, 4)])
    server = env.script({b"INBOX": box})

    def bye(session, tag, command):
        session.send(b"+ idling\r\n* BYE Disconnected for inactivity.\r\n")
        session.close()

    server.on(rb"IDLE", bye, times=2)
    m = env.mount(server, options=["timeout=5"])
    assert len(m.messages()) == 3
    watch = env.watch(m.path / "INBOX")
    server.wait_for_command(rb"IDLE", timeout=BACK, times=3)
    with server.lock:
        box.messages.append(Msg(4, letter(4)))
        box.uidnext = 5
    server.push(b"INBOX", b"* 4 EXISTS\r\n")
    watch.wait("CREATE", "_Letter-4_", timeout=BACK)
    assert sorted(numbered(m)) == [1, 2, 3, 4]
