# SPDX-License-Identifier: GPL-3.0-or-later
"""New messages and scratch files, until they are sent."""

import errno
import json
import mmap
import os
import random
import socket
import subprocess
import time

from imapfstest import *
from imapfstest.changed import sent
from imapfstest.letters import letter

TEXT = b"Subject: new\n\nHello\nworld\n"
CRLF = TEXT.replace(b"\n", b"\r\n")


def mounted(env, **kw):
    server = env.dovecot()
    with Client(server) as c:
        c.append("INBOX", letter(0))
        c.create("Work")
    m = env.mount(server, **kw)
    os.listdir(m.path / "INBOX")
    return server, m


def fails(number, call, *args, **kw):
    try:
        call(*args, **kw)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"not refused with {errno.errorcode[number]}")


def complete(path, text=CRLF):
    """Until it is as it will be sent."""
    wait_for(lambda: os.stat(path).st_size == len(text), 20,
             f"{path.name} is complete")
    assert path.read_bytes() == text


def rejected(m):
    return {p.name: p.read_bytes()
            for p in m.cache.rglob("rejected/*")}


def test_what_was_written_is_read_at_once(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "new.eml"
    with open(path, "xb", buffering=0) as f:
        for n in range(0, len(TEXT), 5):
            f.write(TEXT[n:n + 5])
            assert path.read_bytes() == TEXT[:n + 5]
            assert os.stat(path).st_size == len(TEXT[:n + 5])
    assert path.read_bytes() == TEXT
    assert path.name in os.listdir(path.parent)


def test_line_ends_become_crlf_in_another_inode(env):
    """Whoever has the old one open goes on reading that."""
    _, m = mounted(env)
    path = m.path / "INBOX" / "new.eml"
    path.write_bytes(TEXT)
    before = os.stat(path)
    with open(path, "rb", buffering=0) as f:
        complete(path)
        assert os.stat(path).st_ino != before.st_ino
        assert f.read() == TEXT
        assert os.fstat(f.fileno()).st_size == len(TEXT)
    m.unmount()
    m.start()
    assert path.read_bytes() == CRLF


def test_what_has_crlf_stays_as_it_is(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "new.eml"
    path.write_bytes(CRLF)
    before = os.stat(path)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    assert os.stat(path).st_ino == before.st_ino
    assert path.read_bytes() == CRLF


def test_a_name_that_is_taken(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / m.messages()[0]
    fails(errno.EEXIST, open, path, "xb")
    fails(errno.EEXIST, os.mknod, path)


def test_what_is_no_message_is_refused_and_kept(env):
    _, m = mounted(env)
    inbox = m.path / "INBOX"
    cases = {"zip.eml": b"PK\x03\x04abc", "nul.eml": b"Subject: \0\r\n",
             "blank.eml": b"\r\nbody\r\n", "text.txt": b"some text\n"}
    for name, data in cases.items():
        with open(inbox / name, "xb", buffering=0) as f:
            fails(errno.EINVAL, f.write, data)
            fails(errno.EINVAL, f.write, b"more")
            fails(errno.EINVAL, os.fsync, f.fileno())
    for name in cases:
        wait_for(lambda n=name: not os.path.exists(inbox / n), 20,
                 f"{name} is gone")
    wait_for(lambda: rejected(m) == cases, 20, "what there was is kept")
    assert len(m.messages()) == 1


def test_what_is_no_message_replaces_none(env):
    """A file took a message's name, and what is written to it then shows that
    it is none: the message is back; with the Trash and without."""
    for delete in ("trash", "expunge"):
        server, m = mounted(env, options=["delete=" + delete])
        (name,) = m.messages()
        path = m.path / "INBOX" / name
        scratch = m.path / "INBOX" / ".x.tmp"
        with open(scratch, "xb", buffering=0) as f:
            f.write(CRLF)
            os.rename(scratch, path)
            fails(errno.EINVAL, f.write, b"\0")
        wait_for(lambda: list(rejected(m).values()) == [CRLF + b"\0"], 20,
                 "it is kept")
        wait_for(lambda: path.exists() and path.read_bytes() == letter(0), 20,
                 "the message is back")
        assert m.messages() == [name] and not m.messages("Trash")
        m.unmount()
        m.start()
        assert m.messages() == [name] and not m.messages("Trash")
        assert path.read_bytes() == letter(0)
        assert m.control("queue") == ""
        with Client(server) as c:
            assert list(c.fetch("INBOX").values()) == [letter(0)]


def test_a_hole_is_refused_at_the_latest_by_fsync(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "hole.eml"
    with open(path, "xb", buffering=0) as f:
        f.write(b"Subject: x\r\n\r\n")
        f.truncate(100)
        fails(errno.EINVAL, os.fsync, f.fileno())
        f.truncate(14)
        os.fsync(f.fileno())
    assert path.read_bytes() == b"Subject: x\r\n\r\n"


def test_a_beginning_may_come_last(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "late.eml"
    with open(path, "xb", buffering=0) as f:
        os.pwrite(f.fileno(), CRLF[9:], 9)
        os.pwrite(f.fileno(), CRLF[:9], 0)
        os.fsync(f.fileno())
        fails(errno.EINVAL, os.pwrite, f.fileno(), b" ", 0)
        f.truncate(0)
        os.pwrite(f.fileno(), CRLF, 0)
        os.fsync(f.fileno())
    assert path.read_bytes() == CRLF


def test_empty_files_stay_and_are_not_sent(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "empty.eml"
    path.touch()
    m.unmount()
    m.start()
    assert os.stat(path).st_size == 0
    path.write_bytes(TEXT)
    complete(path)


def test_empty_files_take_the_place_of_no_message(env):
    _, m = mounted(env)
    inbox = m.path / "INBOX"
    message, = inbox.iterdir()
    for name in (".empty", "empty.eml"):
        (inbox / name).touch()
        fails(errno.EINVAL, os.rename, inbox / name, message)
        os.rename(inbox / name, inbox / "y.eml")
        os.unlink(inbox / "y.eml")
    m.run(["sync", ".imapfs/queue"])
    assert message.read_bytes() == letter(0)


def test_scratch_files_have_any_content_and_stay(env):
    _, m = mounted(env)
    inbox = m.path / "INBOX"
    for name in (".new.eml.Ab3dEf", "new.eml~", ".swp"):
        data = name.encode() + b"\0\n" * 100
        (inbox / name).write_bytes(data)
        os.utime(inbox / name, (1, 1_600_000_000))
        assert os.stat(inbox / name).st_mtime == 1_600_000_000
    m.unmount()
    m.start()
    for name in (".new.eml.Ab3dEf", "new.eml~", ".swp"):
        assert (inbox / name).read_bytes() == name.encode() + b"\0\n" * 100
        assert os.stat(inbox / name).st_mtime == 1_600_000_000
        with open(inbox / name, "ab") as f:
            f.write(b"more")
        assert (inbox / name).read_bytes().endswith(b"\0\nmore")


def test_names_of_our_own_cannot_be_made(env):
    _, m = mounted(env)
    for name in (".imapfs", ".text", ".search", ".imapfs-draft-17"):
        fails(errno.EPERM, (m.path / "INBOX" / name).touch)
    fails(errno.EPERM, (m.path / "here.eml").touch)


def test_what_imap_cannot_express(env):
    _, m = mounted(env)
    inbox = m.path / "INBOX"
    fails(errno.EPERM, os.symlink, "x", inbox / "link")
    fails(errno.EPERM, os.mkfifo, inbox / "fifo")
    fails(errno.EOPNOTSUPP, os.open, inbox, os.O_TMPFILE | os.O_RDWR)


def test_a_message_of_the_server_is_not_written_to(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / m.messages()[0]
    before = path.read_bytes()
    with open(path, "r+b", buffering=0) as f:
        fails(errno.EPERM, f.write, b"x")
        fails(errno.EPERM, f.truncate, 3)
    fails(errno.EPERM, os.truncate, path, 0)
    assert path.read_bytes() == before


def test_cat_of_a_message_and_more_makes_one_message(env):
    """The first of them is copied by the server (copy_file_range)."""
    server, m = mounted(env)
    first, = (m.path / "INBOX").glob("*.eml")
    (m.path / "Work" / ".more").write_bytes(b"more\r\n")
    new = m.path / "Work" / "new.eml"
    text = letter(0) + b"more\r\n"
    for between in ("", f"sync {m.path}/.imapfs/queue;"):
        m.run(["sh", "-c", f"(cat '{first}'; {between} cat Work/.more) "
               "> Work/new.eml"])
        assert new.read_bytes() == text
        sent(m)
        with Client(server) as c:
            assert list(c.fetch("Work").values()) == [text], between
            assert list(c.fetch("INBOX").values()) == [letter(0)]
        complete(new, text)
        new.unlink()
        sent(m)


def test_a_read_only_mount_refuses_all_of_it(env):
    _, m = mounted(env, options=["ro"])
    inbox = m.path / "INBOX"
    fails(errno.EROFS, (inbox / "new.eml").touch)
    fails(errno.EROFS, (inbox / ".new").touch)
    fails(errno.EROFS, os.mknod, inbox / "node.eml")
    fails(errno.EROFS, os.truncate, inbox / m.messages()[0], 0)


def test_it_waits_for_the_last_of_two_writers(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "two.eml"
    one = open(path, "xb", buffering=0)
    two = open(path, "ab", buffering=0)
    one.write(TEXT)
    one.close()
    # Another one is complete long before, which shows that time went by.
    (path.parent / "other.eml").write_bytes(TEXT)
    complete(path.parent / "other.eml")
    assert path.read_bytes() == TEXT
    two.write(b"more\n")
    two.close()
    complete(path, CRLF + b"more\r\n")


def test_a_mapping_is_a_writer(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "map.eml"
    with open(path, "x+b", buffering=0) as f:
        f.write(TEXT)
        shared = mmap.mmap(f.fileno(), len(TEXT))
    (path.parent / "other.eml").write_bytes(TEXT)
    complete(path.parent / "other.eml")
    shared[9:12] = b"old"
    shared.flush()
    assert path.read_bytes() == TEXT.replace(b"new", b"old")
    shared[9:12] = b"own"
    shared.close()
    complete(path, CRLF.replace(b"new", b"own"))


def test_its_time_may_be_set_after_the_close(env):
    _, m = mounted(env)
    path = m.path / "INBOX" / "time.eml"
    path.write_bytes(TEXT)
    os.utime(path, (1, 1_500_000_000))
    assert os.stat(path).st_mtime == 1_500_000_000
    complete(path)
    assert os.stat(path).st_mtime == 1_500_000_000


def test_fsync_of_a_closed_file_says_that_the_server_refuses_it(env):
    """Also of one with bare LF, as which another message is sent."""
    server = env.dovecot(quota="20K")
    with Client(server) as c:
        c.create("Work")
    m = env.mount(server)
    os.listdir(m.path / "Work")
    big = letter(1, 40000)
    for name, data in (("crlf.eml", big),
                       ("lf.eml", big.replace(b"\r\n", b"\n"))):
        with open(m.path / "Work" / name, "xb") as f:
            f.write(data)
            fd = os.open(m.path / "Work" / name, os.O_RDONLY)
        fails(errno.EDQUOT, os.fsync, fd)
        os.close(fd)
    assert m.messages("Work") == []


def test_what_fsync_said_is_safe_survives_a_kill(env):
    _, m = mounted(env, background=True)
    inbox = m.path / "INBOX"
    new, scratch = inbox / "new.eml", inbox / ".scratch"
    files = [open(p, "xb", buffering=0) for p in (new, scratch)]
    for f in files:
        f.write(TEXT)
        os.fsync(f.fileno())
    m.kill9()
    for f in files:
        f.close()
    wait_for(lambda: not m.mounted(), 10, "the helper has unmounted")
    m.wait_end()
    m.start()
    assert scratch.read_bytes() == TEXT
    # It was complete before anybody could see it.
    assert new.read_bytes() == CRLF
    assert sorted(os.listdir(inbox)) == sorted(
        [".scratch", "new.eml"] + [n for n in m.messages()
                                   if n.endswith("Letter-0_lj5fhw.eml")
                                   or "Letter-0" in n])


def test_writes_anywhere_against_a_model(env):
    """As fsx does it: each read is what was written, also through the page
    cache, a mapping, and after the program has let go of the file."""
    _, m = mounted(env)
    path = m.path / "INBOX" / ".model"
    rng = random.Random(7)
    model = bytearray()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    for step in range(2000):
        what = rng.randrange(6)
        at = rng.randrange(200_000)
        n = rng.randrange(1, 20_000)
        if what < 2:
            data = rng.randbytes(n)
            os.pwrite(fd, data, at)
            if at > len(model):
                model.extend(bytes(at - len(model)))
            model[at:at + n] = data
        elif what == 2:
            os.ftruncate(fd, at)
            del model[at:]
            model.extend(bytes(at - len(model)))
        elif what == 3 and at + n <= len(model):
            with mmap.mmap(fd, len(model)) as shared:
                shared[at:at + n] = data = rng.randbytes(n)
            model[at:at + n] = data
        elif what == 4:
            os.close(fd)
            fd = os.open(path, os.O_RDWR)
        assert os.pread(fd, n, at) == bytes(model[at:at + n]), step
        assert os.fstat(fd).st_size == len(model), step
    os.close(fd)
    m.unmount()
    m.start()
    assert path.read_bytes() == bytes(model)
