# SPDX-License-Identifier: GPL-3.0-or-later
"""Many at once: who asks for the same is served by one question, and who
waits for the network delays nobody who need not."""

import os
import subprocess
import time
from pathlib import Path

from imapfstest import *
from imapfstest.letters import letter, numbered

BODY = rb"UID FETCH .*BODY\.PEEK\[\]"
MB = 1 << 20


def sleeps_in_read(pid):
    """Is it blocked in read(2) or pread64(2), or in the fault of one?"""
    try:
        call = Path(f"/proc/{pid}/syscall").read_text().split(" ")[0]
    except OSError:
        return False
    return call in ("0", "17")


def reader(path, *extra):
    return popen(["dd", f"if={path}", "of=/dev/null", "bs=65536",
                  "status=none", *extra])


def wait_parked(processes, timeout=20):
    wait_for(lambda: all(sleeps_in_read(p.pid) for p in processes),
             timeout, "all readers wait")


def hang(session, tag, command):
    session.hang()
    return session.default(tag, command)


def test_sixteen_readers_cause_one_fetch(env):
    data = letter(1, size=200_000)
    server = env.script({b"INBOX": Box([Msg(1, data)])})
    server.on(BODY, hang)
    m = env.mount(server)
    path = numbered(m)[1]
    readers = [reader(path, f"skip={n % 3}") for n in range(16)]
    server.wait_for_command(BODY)
    wait_parked(readers)
    server.release()
    assert [r.wait(20) for r in readers] == [0] * 16
    assert path.read_bytes() == data
    assert server.count(BODY) == 1, server.commands


def test_readers_of_a_message_that_fails_all_fail(env):
    server = env.script({b"INBOX": Box([Msg(1, letter(1, size=200_000))])})
    server.on(BODY, b"%TAG% NO [SERVERBUG] cannot\r\n")
    m = env.mount(server)
    path = numbered(m)[1]
    readers = [popen(["cat", str(path)], stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL) for _ in range(8)]
    assert all(r.wait(20) != 0 for r in readers)


def test_fetch_goes_on_when_its_reader_leaves(env):
    data = letter(1, size=200_000)
    server = env.script({b"INBOX": Box([Msg(1, data)])})
    server.on(BODY, hang)
    m = env.mount(server)
    path = numbered(m)[1]
    one = reader(path)
    server.wait_for_command(BODY)
    wait_parked([one])
    one.kill()
    one.wait(5)
    server.release()
    assert path.read_bytes() == data
    assert server.count(BODY) == 1


def soon(what, function):
    """Who waits for the server that hangs would wait for 30 s."""
    start = time.monotonic()
    result = function()
    spent = time.monotonic() - start
    assert spent < 5 * slowdown(), f"{what} took {spent:.2f} s"
    return result


@deadline(90)
def test_parked_readers_delay_nobody(env):
    """64 readers behind a hung link, beside them what is cached."""
    boxes = {b"INBOX": Box([Msg(n, letter(n, size=MB))
                            for n in range(1, 66)]),
             b"Other": Box([Msg(n, letter(n, size=MB))
                            for n in range(1, 4)])}
    server = env.script(boxes)
    m = env.mount(server)
    paths = numbered(m)
    others = numbered(m, "Other")
    for path in (paths[1], others[1], others[2]):
        path.read_bytes()
    # A new mount: nothing of it is in the kernel's cache.
    m.unmount()
    m.start()
    numbered(m)
    numbered(m, "Other")
    server.on(BODY, hang)
    readers = [reader(paths[n]) for n in range(2, 66)]
    server.wait_for_command(BODY)
    wait_parked(readers)

    data = soon("a cached message of the same folder", paths[1].read_bytes)
    assert data == letter(1, size=MB)
    data = soon("a cached message", others[1].read_bytes)
    assert data == letter(1, size=MB)
    names = soon("ls of another folder",
                 lambda: os.listdir(m.path / "Other"))
    assert len(names) == 3
    soon("a lookup", lambda: os.path.exists(m.path / "Other/none.eml"))
    soon("a lookup beside the readers",
         lambda: os.path.exists(m.path / "INBOX/none.eml"))
    soon("stat", lambda: os.stat(others[3]))
    soon("status", lambda: m.control("status"))
    server.release()
    assert [r.wait(40) for r in readers] == [0] * 64


def test_listing_of_one_folder_does_not_stop_another(env):
    boxes = {b"INBOX": Box([Msg(n, letter(n)) for n in range(1, 4)]),
             b"Slow": Box([Msg(n, letter(n)) for n in range(1, 4)])}
    server = env.script(boxes)
    server.on(rb"EXAMINE \"?Slow", hang)
    m = env.mount(server)
    lister = popen(["ls", str(m.path / "Slow")], stdout=subprocess.PIPE,
                   stderr=subprocess.DEVNULL)
    server.wait_for_command(rb"EXAMINE \"?Slow")
    paths = soon("another folder", lambda: numbered(m))
    assert paths[1].read_bytes() == letter(1)
    soon("ls of the root", lambda: os.listdir(m.path))
    server.release()
    out, _ = lister.communicate(timeout=20)
    assert len(out.splitlines()) == 3


def test_waiting_reader_overtakes_a_walk(env):
    server = env.script({b"INBOX": Box([Msg(n, letter(n, size=100_000))
                                        for n in range(1, 101)])})
    link = env.proxy(server, rtt=20, rate=10)
    m = env.mount(server.url(port=link.port))
    paths = numbered(m)
    walk = popen(["grep", "-rc", "nothing", str(m.path / "INBOX")],
                 stdout=subprocess.DEVNULL)
    server.wait_for_command(BODY)
    newest, oldest = paths[100], paths[1]
    for path in (oldest, newest, paths[50]):
        path.read_bytes()
    assert m.status()["cache"]["bodies"] < 80, "they came in their turn"
    assert walk.wait(40) == 1


def test_many_readers_of_many_messages(env):
    server = env.script({b"INBOX": Box([Msg(n, letter(n, size=30_000))
                                        for n in range(1, 201)])})
    m = env.mount(server)
    paths = numbered(m)
    readers = [popen("cat INBOX/* | sha256sum", cwd=str(m.path),
                     stdout=subprocess.PIPE) for _ in range(4)]
    found = {r.communicate(timeout=50)[0] for r in readers}
    assert len(found) == 1
    for n, path in paths.items():
        assert path.read_bytes() == letter(n, size=30_000)
