# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags: by chmod, by user.imap.flags, as tags; and what cannot be set."""

import errno
import os
import stat

from imapfstest import *
from imapfstest.changed import changing, errno_of, on_server, sent
from imapfstest.letters import letter, numbered

MODES = [(0o600, set()), (0o644, {"\\Seen"}), (0o700, {"\\Flagged"}),
         (0o744, {"\\Seen", "\\Flagged"}), (0o755, {"\\Seen", "\\Flagged"}),
         (0o640, {"\\Seen"}), (0o400, set()), (0o777, {"\\Seen",
                                                        "\\Flagged"})]


def flags(server, n, box="INBOX"):
    return set(on_server(server, box)[n].flags)


def test_chmod_sets_and_takes_off_read_and_star(env):
    for first in ((), ("\\Seen", "\\Flagged", "\\Answered", "$Work")):
        server, m = changing(env, flags=first)
        paths = numbered(m)
        other = set(first) - {"\\Seen", "\\Flagged"}
        for n, (mode, _) in enumerate(MODES):
            os.chmod(paths[n], mode)
        for n, (_, expected) in enumerate(MODES):
            shown = 0o600 | (0o044 if "\\Seen" in expected else 0) | \
                (0o100 if "\\Flagged" in expected else 0)
            assert stat.S_IMODE(os.stat(paths[n]).st_mode) == shown
        sent(m)
        for n, (_, expected) in enumerate(MODES):
            assert flags(server, n) == expected | other, n
        m.unmount()


def test_chmod_by_hand_and_over_many(env):
    server, m = changing(env)
    paths = numbered(m)
    m.run("chmod u+x,go+r INBOX/*")
    m.run(["chmod", "go-r", str(paths[3])])
    sent(m)
    assert all(flags(server, n) == ({"\\Flagged"} if n == 3 else
                                    {"\\Seen", "\\Flagged"})
               for n in range(10))
    assert server.count(rb"UID STORE .*\+FLAGS") <= 4


def test_watchers_see_chmod_once(env):
    server, m = changing(env)
    paths = numbered(m)
    watch = env.watch(m.path / "INBOX")
    os.chmod(paths[1], 0o644)
    sent(m)
    with Client(server) as c:
        c.append("INBOX", letter(100))
    watch.wait("CREATE", "_Letter-100_")
    assert watch.count("ATTRIB", "_Letter-1_") == 1
    assert watch.count() == 2, watch.found


def test_flags_and_keywords_are_set_as_a_text(env):
    server, m = changing(env, flags=["\\Seen", "old"])
    path = numbered(m)[2]
    m.run(["setfattr", "-n", "user.imap.flags", "-v",
           "\\Answered $Work new", str(path)])
    assert set(os.getxattr(path, "user.imap.flags").decode().split()) == \
        {"\\Answered", "$Work", "new"}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    sent(m)
    assert flags(server, 2) == {"\\Answered", "$Work", "new"}
    m.run(["setfattr", "-x", "user.imap.flags", str(path)])
    sent(m)
    assert flags(server, 2) == set()
    os.setxattr(path, "user.imap.flags", b"\\Seen")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644


def test_tags_of_file_managers_are_keywords(env):
    server, m = changing(env, flags=["$Forwarded", "\\Seen"])
    path = numbered(m)[2]
    assert errno_of(lambda: os.getxattr(path, "user.xdg.tags")) == \
        errno.ENODATA
    os.setxattr(path, "user.xdg.tags", "work,To Do,Büro".encode())
    assert set(os.getxattr(path, "user.xdg.tags").decode().split(",")) == \
        {"work", "To Do", "Büro"}
    sent(m)
    assert flags(server, 2) == {"\\Seen", "$Forwarded", "work", "To_Do",
                                "B&APw-ro"}
    os.setxattr(path, "user.xdg.tags", b"work")
    sent(m)
    assert flags(server, 2) == {"\\Seen", "$Forwarded", "work"}
    os.removexattr(path, "user.xdg.tags")
    assert errno_of(lambda: os.removexattr(path, "user.xdg.tags")) == \
        errno.ENODATA
    sent(m)
    assert flags(server, 2) == {"\\Seen", "$Forwarded"}
    with Client(server) as c:
        c.store("INBOX", on_server(server, "INBOX")[3].uid, "+FLAGS",
                "theirs")
    env.wait_for(lambda: os.getxattr(numbered(m)[3], "user.xdg.tags") ==
                 b"theirs", 30)


def test_wrong_attributes_are_refused(env):
    _, m = changing(env)
    path = numbered(m)[2]

    def set_to(name, value, how=0):
        return errno_of(lambda: os.setxattr(path, name, value, how))

    for value in (b"\\Nothing", b"a(b", b"\xff", b"x" * 5000, b"a\0b"):
        assert set_to("user.imap.flags", value) == errno.EINVAL, value
    for value in (b"$Junk", b"a*", b"\xff", b'"'):
        assert set_to("user.xdg.tags", value) == errno.EINVAL, value
    assert set_to("user.imap.flags", b"x", os.XATTR_CREATE) == errno.EEXIST
    assert set_to("user.xdg.tags", b"x", os.XATTR_REPLACE) == errno.ENODATA
    for name in ("user.imap.uid", "user.other", "user.mime_type"):
        assert set_to(name, b"1") == errno.EOPNOTSUPP, name
    assert set_to("user.xdg.tags", b"x", os.XATTR_CREATE) == 0
    assert errno_of(lambda: os.setxattr(m.path / "Work", "user.imap.flags",
                                        b"x")) == errno.EOPNOTSUPP


def test_flags_of_others_are_not_lost(env):
    """Here one is set, there another one, at the same time."""
    server, m = changing(env)
    path = numbered(m)[2]
    server.stop()
    m.wait_offline()
    os.chmod(path, 0o700)
    os.setxattr(path, "user.xdg.tags", b"ours")
    server.start()
    with Client(server) as c:
        c.store("INBOX", on_server(server, "INBOX")[2].uid, "+FLAGS",
                "\\Answered", "theirs")
    m.wait_online(40)
    sent(m)
    assert flags(server, 2) == {"\\Flagged", "\\Answered", "ours", "theirs"}
    env.wait_for(lambda: set(os.getxattr(path, "user.imap.flags").decode()
                             .split()) == flags(server, 2), 30)


def test_times_owner_and_size_of_what_is_sent(env):
    server, m = changing(env)
    path = numbered(m)[2]
    was = os.stat(path)
    # What is so already can be set, as programs that copy files do.
    os.utime(path, ns=(1, was.st_mtime_ns))
    os.chown(path, os.geteuid(), os.getegid())
    os.chown(path, -1, os.getegid())
    m.run(["touch", "-a", str(path)])
    for call in (lambda: os.utime(path), lambda: os.utime(path, (1, 1)),
                 lambda: os.truncate(path, 3)):
        assert errno_of(call) == errno.EPERM
    if os.geteuid() == 0:
        assert errno_of(lambda: os.chown(path, 12345, -1)) == errno.EPERM
        assert errno_of(lambda: os.chown(path, -1, 12345)) == errno.EPERM
    now = os.stat(path)
    assert (now.st_mtime_ns, now.st_size, now.st_uid) == \
        (was.st_mtime_ns, was.st_size, was.st_uid)
    # A folder takes a mode and does not have it.
    os.chmod(m.path / "Work", 0o755)
    assert stat.S_IMODE(os.stat(m.path / "Work").st_mode) == 0o700
    sent(m)
    assert flags(server, 2) == set()
