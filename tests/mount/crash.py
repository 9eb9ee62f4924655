# SPDX-License-Identifier: GPL-3.0-or-later
"""Sudden ends and damaged disks: the mount goes cleanly, the next one works,
and wrong bytes are never served."""

import errno
import os
import random
import re
import sqlite3
import subprocess
import time

from imapfstest import *
from imapfstest.letters import letter, numbered


def mail(count, size=None):
    return Box([Msg(n, letter(n, size=size)) for n in range(1, count + 1)])


def check_gone(m, pid, seconds=2):
    """The process ends, the mount point is clean: nobody meets ENOTCONN."""
    wait_for(lambda: not alive(pid), seconds, "the killed process is gone")
    wait_for(lambda: not m.mounted(), seconds, "the helper has unmounted")
    assert os.listdir(m.path) == []


def check_all(m, count, size=None):
    paths = numbered(m)
    assert sorted(paths) == list(range(1, count + 1))
    for n, path in paths.items():
        assert path.read_bytes() == letter(n, size=size), path


def after_the_end(m):
    m.process = None
    wait_for(lambda: not m.pids(), 10, "no process is left")


def test_kill_with_a_parked_readdir(env):
    server = env.script({b"INBOX": mail(3000)})
    windows = []

    def only_one(session, tag, command):
        windows.append(command)
        if len(windows) > 1:
            session.hang()
        return session.default(tag, command)

    server.on(rb"(UID )?FETCH .*HEADER", only_one)
    m = env.mount(server, background=True)
    lister = popen(["ls", "-U", str(m.path / "INBOX")],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    env.wait_for(lambda: len(windows) > 1, 10, "the second window hangs")
    pid = m.kill9()
    check_gone(m, pid)
    lister.wait(5)
    server.clear()
    after_the_end(m)
    m.start()
    env.wait_for(lambda: len(numbered(m)) == 3000, 20)


def test_kill_with_parked_readers(env):
    server = env.script({b"INBOX": mail(8, size=200_000)})
    server.on(rb"UID FETCH .*BODY\.PEEK\[\]",
              lambda session, tag, command: session.hang())
    m = env.mount(server, background=True)
    readers = [popen(["cat", str(path)], stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL)
               for path in numbered(m).values()]
    server.wait_for_command(rb"UID FETCH .*BODY\.PEEK\[\]")
    pid = m.kill9()
    assert all(r.wait(5) != 0 for r in readers)
    check_gone(m, pid)
    server.clear()
    after_the_end(m)
    m.start()
    check_all(m, 8, 200_000)


def test_terminate_unmounts(env):
    m = env.mount(env.script({b"INBOX": mail(2)}), background=True)
    m.messages()
    pid = m.pid
    os.kill(pid, 15)
    check_gone(m, pid, 5)


@deadline(120)
@slow
def test_kill_at_any_moment_is_harmless(env):
    count, size = 300, 6000
    server = env.dovecot()
    with Client(server) as c:
        c.append_many("INBOX", (letter(n, size=size)
                                for n in range(1, count + 1)))
    chance = random.Random(7)
    m = env.mount_object(server, background=True)
    for _ in range(8):
        m.start()
        pid = m.pid
        jobs = [popen(words, cwd=str(m.path), stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
                for words in (["grep", "-r", "nothing", "."],
                              ["ls", "-lR", "."], ["find", "."])]
        # The moment is the point here, not a way to wait for something.
        time.sleep(chance.uniform(0, 0.6))
        os.kill(pid, 9)
        for job in jobs:
            job.wait(10)
        check_gone(m, pid, 5)
        after_the_end(m)
    m.start()
    check_all(m, count, size)
    with Client(server) as c:
        assert c.unseen("INBOX") == count
    m.unmount()
    server.stop()
    m.start()
    check_all(m, count, size)


# Damage.

def files_holding(folder, text):
    """Files of the cache, the database apart, that hold these bytes."""
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if not name.startswith("index.db"):
                with open(path, "rb") as f:
                    if text in f.read():
                        found.append(path)
    return found


def flip(path, text):
    with open(path, "r+b") as f:
        data = f.read()
        at = data.index(text) + 3
        f.seek(at)
        f.write(bytes([data[at] ^ 4]))


def read_and_damage(env, m, server, n=2, size=50_000):
    """Everything is read, then one bit of letter `n` is wrong on disk."""
    paths = numbered(m)
    for path in paths.values():
        path.read_bytes()
    m.unmount()
    text = b"%08x line %08d" % (n, 400)
    found = files_holding(m.cache, text)
    assert len(found) == 1, found
    flip(found[0], text)
    return paths[n]


def test_flipped_bit_is_fetched_again(env):
    server = env.script({b"INBOX": mail(3, size=50_000)})
    m = env.mount(server)
    path = read_and_damage(env, m, server)
    before = server.count(rb"UID FETCH .*BODY\.PEEK\[\]")
    m.start()
    assert path.read_bytes() == letter(2, size=50_000)
    assert server.count(rb"UID FETCH .*BODY\.PEEK\[\]") == before + 1
    m.unmount()
    server.stop()
    m.start()
    check_all(m, 3, 50_000)


def test_flipped_bit_without_a_server_is_ebadmsg(env):
    server = env.script({b"INBOX": mail(3, size=50_000)})
    m = env.mount(server)
    path = read_and_damage(env, m, server)
    server.stop()
    m.start()
    m.wait_offline()
    first = None
    for _ in range(2):
        try:
            path.read_bytes()
        except OSError as error:
            assert error.errno in (errno.EBADMSG, errno.ENOTCONN), error
            first = first or error.errno
        else:
            raise AssertionError("wrong bytes, or bytes from nowhere")
    assert first == errno.EBADMSG
    assert numbered(m)[1].read_bytes() == letter(1, size=50_000)


def test_flipped_bit_in_a_large_message(env):
    size = 5_000_000
    server = env.script({b"INBOX": mail(1, size=size)})
    m = env.mount(server)
    path = numbered(m)[1]
    path.read_bytes()
    m.unmount()
    text = b"%08x line %08d" % (1, 40_000)
    found = files_holding(m.cache, text)
    assert len(found) == 1
    flip(found[0], text)
    m.start()
    assert path.read_bytes() == letter(1, size=size)


def test_truncated_and_missing_blobs(env):
    server = env.script({b"INBOX": mail(3, size=50_000)})
    m = env.mount(server)
    for path in numbered(m).values():
        path.read_bytes()
    m.unmount()
    for n, harm in ((1, lambda p: os.truncate(p, 1000)), (2, os.unlink)):
        found = files_holding(m.cache, b"%08x line %08d" % (n, 400))
        harm(found[0])
    m.start()
    check_all(m, 3, 50_000)


@ordinary_user
def test_blobs_that_cannot_be_read(env):
    server = env.script({b"INBOX": mail(3, size=50_000)})
    m = env.mount(server)
    for path in numbered(m).values():
        path.read_bytes()
    m.unmount()
    for blob in [path for n in (1, 2) for path in files_holding(
            m.cache, b"%08x line %08d" % (n, 400))]:
        os.chmod(blob, 0)
    m.start()
    check_all(m, 3, 50_000)
    m.unmount()
    server.stop()
    m.start()
    check_all(m, 3, 50_000)


def test_bodies_wiped_while_mounted(env):
    server = env.script({b"INBOX": mail(20, size=50_000)})
    m = env.mount(server)
    paths = numbered(m)
    for n in range(1, 11):
        paths[n].read_bytes()
    m.unmount()
    m.start()
    for top, _, names in os.walk(m.cache):
        for name in names:
            with open(os.path.join(top, name), "rb") as f:
                if b" line 0000" in f.read() and "index.db" not in name:
                    os.unlink(os.path.join(top, name))
    check_all(m, 20, 50_000)


def test_damaged_database_is_set_aside(env):
    server = env.script({b"INBOX": mail(50)})
    m = env.mount(server)
    paths = numbered(m)
    names = {n: p.name for n, p in paths.items()}
    inodes = {os.stat(p).st_ino for p in paths.values()}
    m.unmount()
    path = str(m.database())
    for extra in ("-wal", "-shm"):
        if os.path.exists(path + extra):
            os.unlink(path + extra)
    with open(path, "r+b") as f:
        f.write(b"this was a database " * 400)
    m.start()
    check_all(m, 50)
    assert {n: p.name for n, p in numbered(m).items()} == names
    aside = [name for name in os.listdir(os.path.dirname(path))
             if name.startswith("index.db") and
             name not in ("index.db", "index.db-wal", "index.db-shm")]
    assert len(aside) >= 1, "the damaged one was not kept"
    assert aside[0] in m.log(), "nobody was told where"
    fresh = {os.stat(p).st_ino for p in numbered(m).values()}
    assert not fresh & inodes, "inode numbers were given a second time"


def test_newer_schema_is_refused(env):
    server = env.script({b"INBOX": mail(2)})
    m = env.mount(server, background=True)
    m.messages()
    m.unmount()
    with sqlite3.connect(m.database()) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        assert version > 0
        db.execute(f"PRAGMA user_version = {version + 1000}")
    db.close()
    result = m.run_to_the_end()
    assert result.code != 0 and not m.mounted()
    assert re.search("newer", result.errtext, re.I), result
    with sqlite3.connect(m.database()) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    m.start()
    check_all(m, 2)


# Numbers of messages that are gone.

def test_inode_numbers_are_never_used_twice(env):
    server = env.dovecot()
    with Client(server) as c:
        uids = [c.append("INBOX", letter(n)) for n in range(1, 6)]
    m = env.mount(server)
    used = {}
    for round_number in range(4):
        for n, path in numbered(m).items():
            ino = os.stat(path).st_ino
            assert used.setdefault(ino, n) == n, "a number was given again"
        m.unmount()
        with Client(server) as c:
            for uid in uids[-2:]:
                c.expunge("INBOX", uid)
            base = 10 * (round_number + 1)
            uids = uids[:-2] + [c.append("INBOX", letter(base + i))
                                for i in range(2)]
        m.start()
    assert len(used) == 5 + 2 * 3
