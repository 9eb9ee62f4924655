# SPDX-License-Identifier: GPL-3.0-or-later
"""New messages as programs make them: what the server has in the end."""

import errno
import os
import shutil
import tarfile

from imapfstest import *
from imapfstest.letters import letter
from imapfstest.script import CAPABILITIES

DATE = 1_500_000_000


def lf(data):
    return data.replace(b"\r\n", b"\n")


def mounted(env, n=0, **kw):
    server = env.dovecot()
    with Client(server) as c:
        c.create("Work")
        c.create("Drafts")
        for i in range(n):
            c.append("INBOX", letter(i))
    m = env.mount(server, **kw)
    os.listdir(m.path / "Work")
    return server, m


def source(env, n, mode=0o600, data=None):
    """A letter as a local file, as other programs keep it: with LF."""
    path = env.tmp / f"letter-{n}.eml"
    path.write_bytes(lf(letter(n)) if data is None else data)
    os.chmod(path, mode)
    os.utime(path, (DATE, DATE + n))
    return path


def sync(m):
    env = m.run(["sync", str(m.path / ".imapfs" / "queue")], timeout=30)
    assert env.code == 0


def on_server(server, box="Work"):
    """[(bytes, flags, date)] in the order of UIDs."""
    with Client(server) as c:
        bodies, attrs = c.fetch(box), c.attributes(box)
    return [(bodies[u], attrs[u]["flags"] - {"\\Recent"}, attrs[u]["date"])
            for u in sorted(bodies)]


def check(server, want, box="Work"):
    got = on_server(server, box)
    assert len(got) == len(want), [g[0][:200] for g in got]
    for (body, flags, date), (n, wflags, wdate) in zip(
            sorted(got), sorted(want, key=lambda w: letter(w[0]))):
        assert body == letter(n), body
        assert flags == set(wflags), flags
        if wdate is not None:
            assert date == wdate, (date, wdate)


def test_cp(env):
    server, m = mounted(env)
    one, two = source(env, 1), source(env, 2, 0o744)
    m.run(["cp", str(one), str(two), str(m.path / "Work")])
    sync(m)
    check(server, [(1, (), None), (2, ("\\Seen", "\\Flagged"), None)])
    assert (m.path / "Work" / one.name).read_bytes() == letter(1)


def test_cp_p(env):
    server, m = mounted(env)
    one, two = source(env, 1), source(env, 2, 0o644)
    m.run(["cp", "-p", str(one), str(two), str(m.path / "Work")])
    sync(m)
    check(server, [(1, (), DATE + 1), (2, ("\\Seen",), DATE + 2)])
    assert os.stat(m.path / "Work" / two.name).st_mtime == DATE + 2


def test_install(env):
    server, m = mounted(env)
    m.run(["install", "-p", "-m", "644", str(source(env, 1)),
           str(m.path / "Work" / "x.eml")])
    sync(m)
    check(server, [(1, ("\\Seen",), DATE + 1)])


def test_copy2_sets_times_after_the_close(env):
    server, m = mounted(env)
    shutil.copy2(source(env, 1, 0o644), m.path / "Work" / "x.eml")
    sync(m)
    check(server, [(1, ("\\Seen",), DATE + 1)])


def test_tar(env):
    server, m = mounted(env)
    archive = env.tmp / "x.tar"
    with tarfile.open(archive, "w") as t:
        for n in range(5):
            t.add(source(env, n, 0o644), f"{n}.eml")
    m.run(["tar", "xf", str(archive), "-C", str(m.path / "Work")])
    sync(m)
    check(server, [(n, ("\\Seen",), DATE + n) for n in range(5)])


def test_rsync(env):
    server, m = mounted(env)
    folder = env.tmp / "from"
    folder.mkdir()
    for n in range(5):
        shutil.copy2(source(env, n, 0o644), folder / f"{n}.eml")
    m.run(["rsync", "-a", f"{folder}/", str(m.path / "Work")])
    sync(m)
    check(server, [(n, ("\\Seen",), DATE + n) for n in range(5)])
    names = m.messages("Work")
    assert names == [f"{n}.eml" for n in range(5)]


def test_mv_into_the_mount(env):
    server, m = mounted(env)
    path = source(env, 1, 0o644)
    m.run(["mv", str(path), str(m.path / "Work")])
    assert not path.exists()
    sync(m)
    check(server, [(1, ("\\Seen",), DATE + 1)])


def test_shell_redirection_and_append(env):
    server, m = mounted(env)
    head, body = lf(letter(1)).split(b"\n\n")
    path = m.path / "Work" / "x.eml"
    (env.tmp / "head").write_bytes(head + b"\n\n")
    (env.tmp / "body").write_bytes(body)
    m.run(["sh", "-c", f"cat {env.tmp}/head > {path}; "
           f"cat {env.tmp}/body >> {path}"])
    sync(m)
    check(server, [(1, ("\\Seen",), None)])


def test_dd_with_fsync_waits_for_no_server(env):
    server, m = mounted(env)
    path = m.path / "Work" / "x.eml"
    m.run(["dd", f"if={source(env, 1)}", f"of={path}", "conv=fsync",
           "bs=10", "status=none"])
    sync(m)
    check(server, [(1, ("\\Seen",), None)])


def test_fsync_of_a_closed_file_waits_for_the_server(env):
    server, m = mounted(env)
    path = m.path / "Work" / "x.eml"
    path.write_bytes(letter(1))
    m.run(["sync", str(path)])
    check(server, [(1, ("\\Seen",), None)])


def test_it_is_sent_by_itself(env):
    server, m = mounted(env)
    (m.path / "Work" / "x.eml").write_bytes(lf(letter(1)))
    wait_for(lambda: len(on_server(server)) == 1, 20, "sent")
    check(server, [(1, ("\\Seen",), None)])
    # It came back without a second name.
    os.utime(m.path / "Work")
    assert m.messages("Work") == ["x.eml"]


def test_the_mount_sends_what_is_left_when_it_goes(env):
    server, m = mounted(env)
    (m.path / "Work" / "x.eml").write_bytes(lf(letter(1)))
    m.unmount()
    check(server, [(1, ("\\Seen",), None)])


def test_cp_within_the_mount_is_a_copy_on_the_server(env):
    server, m = mounted(env, n=3)
    names = m.messages("INBOX")
    before = m.status()["requests"]["write"]
    m.run(["cp", "-p", *[str(m.path / "INBOX" / n) for n in names],
           str(m.path / "Work")])
    sync(m)
    assert m.status()["requests"]["write"] == before, "bytes were written"
    got = on_server(server)
    assert sorted(g[0] for g in got) == [letter(n) for n in range(3)]
    assert m.messages("Work") == names
    for n in names:
        assert (m.path / "Work" / n).read_bytes() == \
            (m.path / "INBOX" / n).read_bytes()


def test_cp_of_what_was_not_sent(env):
    server, m = mounted(env)
    work = m.path / "Work"
    (work / "a.eml").write_bytes(lf(letter(1)))
    m.run(["cp", str(work / "a.eml"), str(work / "b.eml")])
    sync(m)
    got = on_server(server)
    assert [g[0] for g in got] == [letter(1)] * 2


def test_a_file_renamed_while_it_is_open(env):
    """As GLib saves: written, synced, renamed, and closed only then."""
    server, m = mounted(env)
    text = lf(letter(1))
    f = open(m.path / "Work" / ".goutputstream-X1", "xb", buffering=0)
    f.write(text[:50])
    os.rename(f.name, m.path / "INBOX" / "x.eml")
    other = m.path / "Work" / "y.eml"
    other.write_bytes(lf(letter(2)))
    sync(m)
    check(server, [(2, ("\\Seen",), None)])
    assert on_server(server, "INBOX") == []
    f.write(text[50:])
    f.close()
    wait_for(lambda: on_server(server, "INBOX"), 20, "sent")
    check(server, [(1, ("\\Seen",), None)], "INBOX")


def test_a_scratch_file_that_is_no_message_is_not_renamed(env):
    server, m = mounted(env)
    work = m.path / "Work"
    (work / ".x").write_bytes(b"no message\n")
    try:
        os.rename(work / ".x", work / "x.eml")
    except OSError as error:
        assert error.errno == errno.EINVAL
    else:
        raise AssertionError("renamed")
    assert (work / ".x").read_bytes() == b"no message\n"
    assert not (work / "x.eml").exists()


def test_a_message_renamed_to_a_scratch_name_stays_one(env):
    server, m = mounted(env)
    work = m.path / "Work"
    (work / "x.eml").write_bytes(lf(letter(1)))
    os.rename(work / "x.eml", work / "x.eml~")
    sync(m)
    check(server, [(1, ("\\Seen",), None)])
    assert (work / "x.eml~").read_bytes() == letter(1)


def test_what_is_removed_before_it_is_sent_never_is(env):
    server, m = mounted(env)
    path = m.path / "Work" / "x.eml"
    with open(path, "x+b", buffering=0) as f:
        f.write(b"Subject: x\n")
        os.unlink(path)
        f.write(b"\nmore\n")
        f.seek(0)
        assert f.read() == b"Subject: x\n\nmore\n"
        assert os.fstat(f.fileno()).st_nlink == 0
        assert not path.exists()
    with open(m.path / "Work" / ".swp", "x+b", buffering=0) as f:
        os.unlink(f.name)
        f.write(b"\0scratch")
        f.seek(0)
        assert f.read() == b"\0scratch"
    sync(m)
    assert on_server(server) == []
    m.unmount()
    m.start()
    assert m.messages("Work") == []


def test_many_new_messages(env):
    server, m = mounted(env)
    folder = env.tmp / "from"
    folder.mkdir()
    for n in range(300):
        (folder / f"{n}.eml").write_bytes(lf(letter(n)))
    m.run(["cp", "-r", f"{folder}/.", str(m.path / "Work")])
    sync(m)
    got = on_server(server)
    assert sorted(g[0] for g in got) == sorted(letter(n) for n in range(300))
    assert len(m.messages("Work")) == 300
    if os.geteuid() == 0:
        wait_for(lambda: len(os.listdir(f"/proc/{m.pid}/fd")) < 60, 20,
                 "files that nobody has open any more are closed")


def refused(number, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"not refused with {errno.errorcode[number]}")


def small_disk(env, size):
    path = env.tmp / "small"
    path.mkdir()
    env.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path])
    env.cleanup(lambda: env.run(["umount", "-l", path], check=False))
    return path


@needs_root
def test_a_full_disk_is_told_and_loses_nothing(env):
    small = small_disk(env, "6M")
    server, m = mounted(env, cache=small)
    path = m.path / "Work" / "large.eml"
    text = lf(letter(1, size=20_000_000))
    done = 0
    with open(path, "xb", buffering=0) as f:
        try:
            while done < len(text):
                done += f.write(text[done:done + 100_000])
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
        assert 0 < done < len(text)
        assert os.fstat(f.fileno()).st_size == done
        assert path.read_bytes() == text[:done]
        refused(errno.ENOSPC, f.write, text[done:done + 1_000_000])
        assert path.read_bytes()[:done] == text[:done]
    path.unlink()
    # There is room again.
    def written():
        try:
            (m.path / "Work" / "x.eml").write_bytes(lf(letter(2)))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return False
        return True
    wait_for(written, 20, "the room is there again")
    sync(m)
    check(server, [(2, ("\\Seen",), None)])


@needs_root
def test_no_file_is_made_on_a_full_disk(env):
    small = small_disk(env, "6M")
    server, m = mounted(env, cache=small)
    work = m.path / "Work"
    (work / "before.eml").write_bytes(lf(letter(1)))
    sync(m)
    assert (work / "before.eml").read_bytes() == letter(1)
    with open(small / "ballast", "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
    serial = iter(range(10_000))

    def make():
        """Acknowledged, or refused for want of room; and safe then."""
        path = work / f"{next(serial)}.eml"
        try:
            with open(path, "xb", buffering=0) as f:
                f.write(lf(letter(2)))
                os.fsync(f.fileno())
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return False
        return True

    assert not make() and not make()
    assert (work / "before.eml").read_bytes() == letter(1)
    env.expect_error("writing the index failed")
    wait_for(lambda: "writing the index failed" in m.log() or make(), 20,
             "the index is full, too")
    (small / "ballast").unlink()
    wait_for(make, 20, "the room is there again")
    sync(m)
    assert sorted(g[0] for g in on_server(server)) == \
        sorted([letter(1), letter(2)])


def test_gio_copy(env):
    """File managers set the times after the close."""
    if not shutil.which("gio"):
        env.skip("no gio")
    server, m = mounted(env)
    m.run(["gio", "copy", "-p", str(source(env, 1, 0o644)),
           str(m.path / "Work" / "x.eml")])
    sync(m)
    check(server, [(1, ("\\Seen",), DATE + 1)])


def test_what_is_larger_than_the_server_takes_is_refused_and_kept(env):
    server = env.script({b"INBOX": Box()}, capabilities=(
        *CAPABILITIES, b"APPENDLIMIT=1000"))
    m = env.mount(server)
    path = m.path / "INBOX" / "large.eml"
    os.listdir(path.parent)
    text = letter(1, size=900)
    with open(path, "xb", buffering=0) as f:
        f.write(text)
        refused(errno.EFBIG, f.write, bytes(101))
        refused(errno.EFBIG, os.truncate, path, 1001)
    wait_for(lambda: not path.exists(), 20, "it is gone")
    wait_for(lambda: [p.read_bytes() for p in m.cache.rglob("rejected/*")] ==
             [text], 20, "what was written is kept")
    # With CR at every line end it would be too large, too.
    path.write_bytes(lf(letter(2, size=1002)))
    wait_for(lambda: not path.exists(), 20, "it is gone")
