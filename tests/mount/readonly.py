# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mount looks like, and what one that is read-only refuses."""

import ctypes
import errno
import json
import os
import stat

from imapfstest import *
from imapfstest.letters import letter

FLAGS = [((), 0o600), (("\\Seen",), 0o644), (("\\Flagged",), 0o700),
         (("\\Seen", "\\Flagged"), 0o744), (("\\Deleted",), 0o600),
         (("\\Seen", "\\Answered", "$Work"), 0o644)]


def filled(env, **kw):
    server = env.dovecot()
    with Client(server) as c:
        for n, (flags, _) in enumerate(FLAGS):
            c.append("INBOX", letter(n), flags=flags)
        c.create("Work")
    return server, env.mount(server, **kw)


def refusals(folder, file):
    """Every system call that would change something, as (name, function)."""
    new = folder / "new.eml"
    libc = ctypes.CDLL(None, use_errno=True)

    def mknod_fifo():
        os.mkfifo(new)

    def write():
        with open(file, "r+b", buffering=0) as f:
            f.write(b"x")

    def append():
        with open(file, "ab", buffering=0) as f:
            f.write(b"x")

    def fallocate():
        with open(file, "r+b", buffering=0) as f:
            if libc.fallocate(f.fileno(), 0, 0, 100_000) < 0:
                raise OSError(ctypes.get_errno(), "fallocate")

    return {
        "create": lambda: open(new, "xb"),
        "open truncating": lambda: open(file, "wb"),
        "write": write, "append": append, "fallocate": fallocate,
        "truncate": lambda: os.truncate(file, 3),
        "mkdir": lambda: os.mkdir(folder / "new"),
        "mkfifo": mknod_fifo,
        "symlink": lambda: os.symlink("x", new),
        "link": lambda: os.link(file, new),
        "unlink": lambda: os.unlink(file),
        "rename": lambda: os.rename(file, new),
        "rename over": lambda: os.rename(file, folder / sorted(
            set(os.listdir(folder)) - {file.name})[0]),
        "rmdir": lambda: os.rmdir(folder),
        "rename of a folder": lambda: os.rename(
            folder, folder.with_name("renamed")),
        "chmod": lambda: os.chmod(file, 0o644),
        "chmod of a folder": lambda: os.chmod(folder, 0o755),
        "chown": lambda: os.chown(file, os.geteuid(), os.getegid()),
        "utime": lambda: os.utime(file, (1, 1)),
        "setxattr": lambda: os.setxattr(file, "user.imap.flags", b"\\Seen"),
        "setxattr of a folder": lambda: os.setxattr(folder, "user.x", b"1"),
        "removexattr": lambda: os.removexattr(file, "user.imap.flags"),
    }


def check_refused(calls, allowed=(errno.EROFS,)):
    for name, call in calls.items():
        try:
            call()
        except OSError as error:
            assert error.errno in allowed, f"{name}: {error}"
        else:
            raise AssertionError(f"{name} was allowed")


def test_every_change_is_refused(env):
    server, m = filled(env, options=["ro"])
    with Client(server) as c:
        before = c.attributes("INBOX"), sorted(c.list())
    inbox = m.path / "INBOX"
    check_refused(refusals(inbox, inbox / m.messages()[0]))
    check_refused({"mkdir": lambda: os.mkdir(m.path / "new"),
                   "create": lambda: open(m.path / "new.eml", "x"),
                   "rmdir": lambda: os.rmdir(m.path / "Work"),
                   "rename": lambda: os.rename(m.path / "Work",
                                               m.path / "Play")})
    with Client(server) as c:
        assert (c.attributes("INBOX"), sorted(c.list())) == before
    assert len(m.messages()) == len(FLAGS)
    assert m.status()["read_only"]


def test_changes_of_control_files_are_refused(env):
    _, m = filled(env)
    folder = m.path / ".imapfs"
    assert not m.status()["read_only"]
    check_refused({
        "create": lambda: open(folder / "new", "x"),
        "unlink": lambda: os.unlink(folder / "status"),
        "truncate": lambda: os.truncate(folder / "log", 0),
        "mkdir": lambda: os.mkdir(folder / "new"),
        "chmod": lambda: os.chmod(folder / "status", 0o777)},
        # Nobody may write there by its mode, which the kernel sees first.
        (errno.EROFS, errno.EACCES, errno.EPERM))


def mount_line(m):
    for line in open("/proc/mounts"):
        fields = line.split(" ")
        if fields[1] == str(m.path):
            return fields
    raise AssertionError("not in /proc/mounts")


def test_mount_flags(env):
    for options in ([], ["ro"]):
        _, m = filled(env, options=options)
        _, _, kind, words = mount_line(m)[:4]
        words = words.split(",")
        assert kind.startswith("fuse") and "imapfs" in kind, kind
        assert {"nosuid", "nodev", "noexec"} <= set(words), words
        assert "rw" in words, "the program refuses changes, not the kernel"
        m.unmount()


def test_a_starred_message_cannot_be_run(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append("INBOX", b"#!/bin/sh\r\necho: run\r\n\r\n",
                 flags=["\\Flagged"])
    m = env.mount(server)
    path = m.path / "INBOX" / m.messages()[0]
    assert os.stat(path).st_mode & 0o100
    try:
        os.execve(path, [str(path)], {})
    except PermissionError:
        return
    raise AssertionError("a message was run")


def test_modes_follow_the_flags(env):
    server, m = filled(env)
    paths = m.by_uid()
    for uid, (_, mode) in zip(sorted(paths), FLAGS):
        found = os.stat(paths[uid])
        assert stat.S_ISREG(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode, (paths[uid], found)
        assert found.st_nlink == 1
        assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
        assert found.st_blocks == (found.st_size + 511) // 512


@needs_root
def test_option_uid_and_gid(env):
    _, m = filled(env, options=["uid=12345", "gid=54321"])
    path = m.path / "INBOX" / m.messages()[0]
    for one in (path, m.path / "INBOX", m.path):
        found = os.stat(one)
        assert (found.st_uid, found.st_gid) == (12345, 54321), one


def test_root_is_for_its_owner_only(env):
    _, m = filled(env)
    assert stat.S_IMODE(os.stat(m.path).st_mode) == 0o700


@needs_root
def test_allow_other_opens_the_folders_less_umask(env):
    _, m = filled(env, options=["allow_other", "umask=027"])
    for path in (m.path, m.path / "INBOX"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o750
    paths = m.by_uid()
    modes = {stat.S_IMODE(os.stat(p).st_mode) for p in paths.values()}
    assert modes == {mode for _, mode in FLAGS}


def test_extended_attributes(env):
    server, m = filled(env)
    with Client(server) as c:
        validity = c.uidvalidity("INBOX")
    paths = m.by_uid()
    uid = max(paths)
    path = paths[uid]

    def value(name):
        return os.getxattr(path, name).decode()

    assert value("user.imap.uidvalidity") == str(validity)
    assert set(value("user.imap.flags").split()) - {"\\Recent"} == \
        {"\\Seen", "\\Answered", "$Work"}
    assert value("user.imap.message-id") == "<letter-5@example.com>"
    assert value("user.imap.from") == "Test Sender <sender@example.com>"
    assert value("user.imap.to") == "Alice <alice@example.com>"
    assert value("user.imap.subject") == "Letter 5"
    assert "GMT" in value("user.imap.date") or "00" in \
        value("user.imap.date")
    assert value("user.imap.internaldate")
    assert value("user.mime_type") == "message/rfc822"
    assert value("user.imap.cached") == "0"
    path.read_bytes()
    # Its last byte is read before all of it is put away.
    env.wait_for(lambda: value("user.imap.cached") == "1")
    names = set(os.listxattr(path))
    assert {"user.imap.uid", "user.imap.flags", "user.imap.subject",
            "user.mime_type"} <= names
    for name in names:
        os.getxattr(path, name)


def errno_of(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return 0


def test_attributes_that_are_not_there(env):
    _, m = filled(env)
    path = m.path / "INBOX" / m.messages()[0]
    assert errno_of(lambda: os.getxattr(path, "user.nothing")) == \
        errno.ENODATA
    assert errno_of(lambda: os.getxattr(path, "user.imap.nothing")) == \
        errno.ENODATA
    for name in ("security.selinux", "system.posix_acl_access",
                 "security.capability"):
        assert errno_of(lambda n=name: os.getxattr(path, n)) == \
            errno.EOPNOTSUPP, name
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(2)
    assert libc.getxattr(os.fsencode(path), b"user.imap.subject", buffer,
                         2) == -1
    assert ctypes.get_errno() == errno.ERANGE


def test_encoded_headers_are_decoded_in_attributes(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append("INBOX", b"Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n\r\nx\r\n")
    m = env.mount(server)
    path = m.path / "INBOX" / m.messages()[0]
    assert os.getxattr(path, "user.imap.subject").decode() == "Grüße"
    assert "Grüße" in path.name


def test_statfs(env):
    _, m = filled(env)
    found = os.statvfs(m.path)
    assert found.f_bavail > 0 and found.f_bsize > 0
    assert found.f_namemax >= 255
    m.run(["df", "."])


# .imapfs

def test_control_files_are_there_but_not_listed(env):
    _, m = filled(env)
    assert ".imapfs" not in os.listdir(m.path)
    assert {"status", "status.json", "log"} <= \
        set(os.listdir(m.path / ".imapfs"))
    assert "imapfs" not in m.run(["find", "."]).text
    assert "alice" in m.control("status")
    assert m.status()["pid"] in m.pids()
    assert m.control("log").strip()


def test_hidden_names_that_do_not_exist(env):
    _, m = filled(env)
    for name in (".hidden", ".Trash", ".Trash-0", ".imapfs/none",
                 "INBOX/.directory", "INBOX/none.eml", "INBOX/none",
                 ".text", ".search", "INBOX/.maildir"):
        assert errno_of(lambda n=name: os.stat(m.path / n)) == \
            errno.ENOENT, name


def test_status_is_a_snapshot_of_its_moment(env):
    server, m = filled(env)
    assert m.status()["state"] == "online"
    with open(m.path / ".imapfs/status.json") as old:
        first = old.read()
        (m.path / "INBOX" / m.messages()[0]).read_bytes()
        server.stop()
        second = m.wait_offline()
        old.seek(0)
        assert old.read() == first, "an open snapshot has changed"
    assert second != json.loads(first)
    size = os.stat(m.path / ".imapfs/log").st_size
    assert len(m.control("log")) >= size > 0


def test_what_imapfs_tells_can_be_copied(env):
    """cp refuses a file that is another one when it opens it."""
    _, m = filled(env)
    for name in ("status", "status.json", "log"):
        m.run(["cp", ".imapfs/" + name, str(env.tmp / name)])
        assert (env.tmp / name).read_bytes(), name
    listed = {e.name: e.inode() for e in os.scandir(m.path / ".imapfs")}
    for name, number in listed.items():
        assert os.stat(m.path / ".imapfs" / name).st_ino == number, name


def test_cat_change_cat_shows_the_change(env):
    server, m = filled(env)
    texts = [m.control("status")]
    for name in m.messages()[:3]:
        (m.path / "INBOX" / name).read_bytes()
        texts.append(m.control("status"))
    assert len(set(texts)) > 1, texts[0]
    for text in texts:
        assert text.endswith("\n") and "\0" not in text


def test_passwords_are_in_no_log(env):
    server = env.script({b"INBOX": Box([Msg(1, letter(1))])})
    m = env.mount(server, wire=True)
    m.run("cat INBOX/*")
    text = m.log() + m.control("log") + m.control("status")
    assert "EXAMINE" in text, "the protocol is not in the log"
    for secret in ("wonder", "AGFsaWNlAHdvbmRlcg", "This is letter 1"):
        assert secret not in text, secret
