# SPDX-License-Identifier: GPL-3.0-or-later
"""The central promises once more, as an ordinary user: through fusermount3,
without any right of root's."""

import errno
import os
import stat

from imapfstest import *
from imapfstest.letters import letter


def filled(env, count=5):
    server = env.dovecot()
    with Client(server) as c:
        for n in range(count):
            c.append("INBOX", letter(n, size=30_000),
                     flags=["\\Seen"] if n % 2 else [])
        c.create("Work")
    return server


def errno_of(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return 0


@ordinary_user
def test_mounts_lists_reads_unmounts(env):
    assert os.geteuid() != 0
    server = filled(env)
    with Client(server) as c:
        truth, unseen = c.fetch("INBOX"), c.unseen_all()
    m = env.mount(server, background=True)
    paths = m.by_uid()
    assert {uid: p.read_bytes() for uid, p in paths.items()} == truth
    m.run("tar cf - . | tar df -")
    m.run("ls -lR . && grep -rc nothing . ; true")
    owner = os.stat(m.path / "INBOX")
    assert (owner.st_uid, owner.st_gid) == (os.geteuid(), os.getegid())
    with Client(server) as c:
        assert c.unseen_all() == unseen
    m.unmount()
    assert not m.pids() and not m.mounted()


@ordinary_user
def test_every_change_is_refused_with_ro(env):
    m = env.mount(filled(env), options=["ro"])
    inbox = m.path / "INBOX"
    path = inbox / m.messages()[0]
    for call in (lambda: os.unlink(path), lambda: os.mkdir(inbox / "x"),
                 lambda: open(inbox / "x.eml", "x"),
                 lambda: os.rename(path, inbox / "x.eml"),
                 lambda: os.chmod(path, 0o600), lambda: os.utime(path),
                 lambda: os.truncate(path, 1)):
        assert errno_of(call) == errno.EROFS


@ordinary_user
def test_offline(env):
    server = filled(env)
    m = env.mount(server, options=["timeout=5"])
    paths = list(m.by_uid().values())
    paths[0].read_bytes()
    m.unmount()
    server.stop()
    m.start()
    assert len(m.messages()) == 5
    assert len(paths[0].read_bytes()) == 30_000
    assert errno_of(paths[1].read_bytes) == errno.ENOTCONN
    server.start()
    env.wait_for(lambda: len(paths[1].read_bytes()) == 30_000, 40)


@ordinary_user
def test_kill_leaves_no_dead_mount(env):
    m = env.mount(filled(env), background=True)
    m.messages()
    pid = m.kill9()
    env.wait_for(lambda: not alive(pid) and not m.mounted(), 5)
    assert os.listdir(m.path) == []
    env.wait_for(lambda: not m.pids(), 10)
    m.start()
    assert len(m.messages()) == 5


@ordinary_user
def test_prompt(env):
    m = env.mount_object(filled(env), password=None, background=True)
    t = env.terminal(m.args(), env=m.env())
    t.expect("(?i)password")
    env.wait_for(lambda: not t.echo())
    t.type("wonder\n")
    assert t.wait(20) == 0, t.output
    assert len(m.messages()) == 5


@ordinary_user
def test_allow_other_needs_leave_of_the_system(env):
    if "\nuser_allow_other" in "\n" + open("/etc/fuse.conf").read():
        env.skip("/etc/fuse.conf allows it here")
    result = env.mount_fails(filled(env), options=["allow_other"])
    assert "allow_other" in result.errtext, result


@ordinary_user
def test_mount_point_of_somebody_else_is_refused(env):
    result = env.mount_fails(filled(env), path="/usr/share")
    assert result.code != 0 and result.errtext.strip()


@needs_root
def test_nobody_else_may_enter(env):
    """A mount of an ordinary user, looked at by root and by another one."""
    m = env.mount(filled(env), user=65534)
    assert m.run(["ls", str(m.path / "INBOX")], cwd="/").lines
    assert errno_of(lambda: os.listdir(m.path)) == errno.EACCES
    result = run(["ls", str(m.path)], user=65533, check=False)
    assert result.code != 0


@needs_root
def test_allow_other_lets_others_in_by_the_modes_of_folders(env):
    m = env.mount(filled(env), options=["allow_other", "umask=022",
                                        "uid=65534", "gid=65534"])
    assert stat.S_IMODE(os.stat(m.path).st_mode) == 0o755
    names = run(["ls", str(m.path / "INBOX")], user=65533).lines
    assert len(names) == 5
    for name in names:
        path = m.path / "INBOX" / name
        unread = not os.stat(path).st_mode & 0o044
        result = run(["cat", str(path)], user=65533, check=False)
        assert (result.code != 0) == unread, path
