# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits and what was refused: `.imapfs/queue`, `failed`, the option
sync, and no network."""

import errno
import os
import re
import signal
from pathlib import Path

from imapfstest import *
from imapfstest.changed import changing, errno_of, numbers, on_server, sent
from imapfstest.letters import letter, numbered


def scripted(env, **options):
    boxes = {b"INBOX": Box([Msg(n, letter(n)) for n in range(1, 6)]),
             b"Work": Box([Msg(9, letter(9))]),
             b"Trash": Box(attrs=[b"\\Trash"])}
    server = env.script(boxes)
    return server, boxes, env.mount(server, **options)


def failed(m):
    return m.control("failed").splitlines()


def test_offline_changes_wait_and_go_out(env):
    server, m = changing(env)
    m.messages("Work"), m.messages("Trash")
    paths = numbered(m)
    for path in paths.values():
        path.read_bytes()
    server.stop()
    m.wait_offline()
    os.rename(paths[1], m.path / "Work" / paths[1].name)
    os.unlink(paths[2])
    os.chmod(paths[3], 0o744)
    os.rename(paths[4], paths[5])
    queue = m.control("queue")
    assert len(queue.splitlines()) == 4, queue
    assert re.search(r"waiting +move +INBOX/\S*Letter-1_\S* .* to Work", queue)
    assert re.search(r"waiting +flags .*Letter-3_.*\+\(\\Seen \\Flagged\)",
                     queue)
    assert m.status()["queue"]["queued"] == 4
    assert re.search(r"^queue: +4 waiting", m.control("status"), re.M)
    assert m.run(["sync", ".imapfs/queue"], check=False).code != 0
    # Of a file it succeeds: it is queued, which is all there can be.
    fd = os.open(m.path / "Work" / paths[1].name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    for _ in range(2):
        m.unmount()
        m.start()
        assert sorted(numbered(m)) == [0, 3, 4, 6, 7, 8, 9] or \
            len(m.messages()) == 7
        assert paths[5].read_bytes() == letter(4)
        assert os.stat(paths[3]).st_mode & 0o144 == 0o144
        assert sorted(numbered(m, "Work")) == [1]
        assert m.status()["queue"]["queued"] == 4
    server.start()
    m.wait_online(40)
    sent(m)
    assert m.control("queue") == ""
    assert numbers(server, "INBOX", "Work") == [[0, 3, 4, 6, 7, 8, 9], [1]]
    assert numbers(server, "Trash") == [2, 5]
    assert on_server(server, "INBOX")[3].flags == {"\\Seen", "\\Flagged"}


def test_what_was_sent_to_a_folder_that_is_not_shown_is_not_doubled(env):
    """Killed before the answer came; the next mount leaves the folder out."""
    def done_and_silent(session, tag, command):
        session.default(tag, command)
        session.hang()

    server, boxes, m = scripted(env)
    server.on(rb"APPEND ", done_and_silent, times=1)
    (m.path / "Work" / "x.eml").write_bytes(letter(7))
    env.wait_for(lambda: len(boxes[b"Work"].messages) == 2, 20)
    m.kill9()
    server.drop()
    m.wait_end()
    m.options = ["folders=INBOX"]
    m.start()
    assert m.folders() == ["INBOX"]
    m.unmount()
    m.options = []
    m.start()
    sent(m)
    assert (m.path / "Work" / "x.eml").read_bytes() == letter(7)
    assert len(m.messages("Work")) == 2
    with server.lock:
        assert len(boxes[b"Work"].messages) == 2


def test_a_refused_move_is_undone_and_listed(env):
    server, boxes, m = scripted(env)
    server.on(rb"UID (MOVE|COPY) ", b"%TAG% NO [OVERQUOTA] It is full.\r\n")
    m.messages("Work")
    path = numbered(m)[2]
    inbox, work = env.watch(m.path / "INBOX"), env.watch(m.path / "Work")
    os.rename(path, m.path / "Work" / path.name)
    inbox.wait("CREATE", "_Letter-2_")
    work.wait("DELETE", "_Letter-2_")
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5]
    assert sorted(numbered(m, "Work")) == [9]
    assert path.read_bytes() == letter(2)
    line, = env.wait_for(lambda: failed(m), 10)
    assert "It is full." in line and "Letter-2_" in line, line
    sent(m)
    with server.lock:
        assert len(boxes[b"INBOX"].messages) == 5


def test_what_comes_to_nothing_replaces_nothing(env):
    """It was renamed onto a message offline; another client has removed it."""
    server, boxes, m = scripted(env, options=["delete=expunge"])
    path, other = numbered(m)[2], numbered(m, "Work")[9]
    ino = os.stat(other).st_ino
    server.stop()
    m.wait_offline()
    os.rename(path, other)
    with server.lock:
        del boxes[b"INBOX"].messages[1]
    server.start()
    m.wait_online(40)
    env.wait_for(lambda: failed(m), 20)
    sent(m)
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [9], 20)
    assert os.stat(other).st_ino == ino
    assert other.read_bytes() == letter(9)
    with server.lock:
        assert [x.uid for x in boxes[b"Work"].messages] == [9]


def test_refused_flags_go_back(env):
    server, _, m = scripted(env)
    server.on(rb"UID STORE ", b"%TAG% NO [NOPERM] You may not.\r\n")
    path = numbered(m)[2]
    os.chmod(path, 0o644)
    env.wait_for(lambda: not os.stat(path).st_mode & 0o044, 20)
    line, = env.wait_for(lambda: failed(m), 10)
    assert "You may not." in line


def test_keywords_that_are_too_many_are_refused(env):
    server, _, m = scripted(env)
    server.on(rb"UID STORE .*red", b"%TAG% NO [LIMIT] At most 32 flags in one "
              b"mailbox supported\r\n")
    paths = numbered(m)
    os.setxattr(paths[2], "user.xdg.tags", b"red")
    line, = env.wait_for(lambda: failed(m), 10)
    assert "At most 32 flags" in line
    assert "user.xdg.tags" not in os.listxattr(paths[2])
    os.chmod(paths[3], 0o644)
    sent(m)


def test_what_a_mailbox_does_not_keep_is_taken_off_and_listed(env):
    server, _, m = scripted(env)

    def select(session, tag, command):
        return session.default(tag, command).replace(b" \\Draft \\*)", b")")

    server.on(rb"SELECT ", select)
    paths = numbered(m)
    wanted = {1: b"work", 2: b"\\Draft", 3: b"\\Seen work",
              4: b"\\Seen \\Draft", 5: b"\\Seen"}
    for n, value in wanted.items():
        os.setxattr(paths[n], "user.imap.flags", value)
    sent(m)
    for n, value in wanted.items():
        kept = b"\\Seen" if b"Seen" in value else b""
        assert os.getxattr(paths[n], "user.imap.flags") == kept, n
    lines = failed(m)
    assert len(lines) == 4 and all("does not keep" in v for v in lines), lines
    for n in range(1, 5):
        assert sum(paths[n].name in v for v in lines) == 1, lines
    # What it has all the same it has on.
    with server.lock:
        server.boxes[b"INBOX"].messages[4].flags.add(b"theirs")
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: os.getxattr(paths[5], "user.imap.flags") ==
                 b"\\Seen theirs", 20)
    os.setxattr(paths[5], "user.imap.flags", b"\\Flagged")
    sent(m)
    assert os.getxattr(paths[5], "user.imap.flags") == b"\\Flagged theirs"
    assert paths[5].name in failed(m)[4]


def test_with_sync_the_refusal_is_the_error(env):
    refusals = {b"[OVERQUOTA] full": errno.EDQUOT,
                b"[NOPERM] no": errno.EACCES,
                b"[CANNOT] never": errno.EPERM}
    server, boxes, m = scripted(env, options=["sync"])
    m.messages("Work")
    for text, expected in refusals.items():
        server.clear()
        server.on(rb"UID (MOVE|COPY|STORE) ", b"%TAG% NO " + text + b"\r\n")
        path = numbered(m)[2]
        for call in (lambda: os.rename(path, m.path / "Work" / "x.eml"),
                     lambda: os.unlink(path),
                     lambda: os.chmod(path, 0o744),
                     lambda: os.setxattr(path, "user.xdg.tags", b"x")):
            assert errno_of(call) == expected, text
        env.wait_for(lambda: sorted(numbered(m)) == [1, 2, 3, 4, 5], 20)
        assert "x.eml" not in m.messages("Work")
        assert os.stat(path).st_mode & 0o777 == 0o600
    server.clear()
    path = numbered(m)[2]
    os.rename(path, m.path / "Work" / path.name)
    with server.lock:
        assert [x.uid for x in boxes[b"INBOX"].messages] == [1, 3, 4, 5]
    os.chmod(numbered(m)[3], 0o644)
    with server.lock:
        assert b"\\Seen" in boxes[b"INBOX"].messages[1].flags


def test_mailbox_that_is_only_read_refuses(env):
    server, boxes, m = scripted(env, options=["sync"])
    with server.lock:
        boxes[b"INBOX"].readonly = True
    path = numbered(m)[2]
    for call in (lambda: os.chmod(path, 0o644),
                 lambda: os.rename(path, m.path / "Work" / "x.eml"),
                 lambda: os.unlink(path)):
        assert errno_of(call) == errno.EROFS
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5]
    assert sorted(numbered(m, "Work")) == [9]


def test_mailbox_that_turned_out_to_be_read_only_refuses_at_once(env):
    server, boxes, m = scripted(env)
    with server.lock:
        boxes[b"INBOX"].readonly = True
    path = numbered(m)[2]
    os.chmod(path, 0o644)
    env.wait_for(lambda: failed(m), 20)
    for call in (lambda: os.chmod(path, 0o644),
                 lambda: os.rename(path, m.path / "Work" / "x.eml"),
                 lambda: os.unlink(path)):
        assert errno_of(call) == errno.EROFS
    # A name is only here, and a copy of another folder is not concerned.
    os.rename(path, m.path / "INBOX" / "y.eml")
    os.chmod(numbered(m, "Work")[9], 0o644)
    sent(m)
    assert len(failed(m)) == 1


def test_destination_that_is_read_only_leaves_the_source_writable(env):
    server, boxes, m = scripted(env)
    paths = numbered(m)
    for n, words in ((2, b"[READ-ONLY] no"), (3, b"Work is read-only")):
        server.on(rb"UID MOVE ", b"%TAG% NO " + words + b"\r\n", times=1)
        os.rename(paths[n], m.path / "Work" / "x.eml")
        env.wait_for(lambda n=n: len(failed(m)) == n - 1, 20)
        os.chmod(paths[n + 1], 0o644)
        sent(m)
    assert len(failed(m)) == 2
    with server.lock:
        assert [x.uid for x in boxes[b"INBOX"].messages
                if b"\\Seen" in x.flags] == [3, 4]


def test_what_the_rights_do_not_allow_is_refused_at_once(env):
    boxes = {b"INBOX": Box([Msg(n, letter(n)) for n in range(1, 6)]),
             b"Theirs": Box([Msg(9, letter(9))]),
             b"Trash": Box(attrs=[b"\\Trash"])}
    server = env.script(boxes)
    server.capabilities.append(b"ACL")
    server.on(rb"MYRIGHTS", lambda session, tag, command:
              b"* " + command + (b" lrs\r\n" if b"Theirs" in command else
                                 b" lrswipkxtea\r\n") + tag +
              b" OK done\r\n")
    m = env.mount(server)
    theirs, mine = numbered(m, "Theirs")[9], numbered(m)[2]
    server.wait_for_command(rb"MYRIGHTS", times=2)
    m.wait_status(lambda s: not any(s["jobs"].values()))
    scratch = m.path / "Theirs" / ".x.eml.part"
    scratch.write_bytes(letter(7))
    for call in (lambda: os.rename(theirs, m.path / "INBOX" / "x.eml"),
                 lambda: os.rename(mine, m.path / "Theirs" / "x.eml"),
                 lambda: os.rename(scratch, m.path / "Theirs" / "x.eml"),
                 lambda: os.unlink(theirs),
                 lambda: os.chmod(theirs, 0o744),
                 lambda: os.setxattr(theirs, "user.xdg.tags", b"x")):
        assert errno_of(call) == errno.EACCES
    os.rename(scratch, m.path / "Theirs" / ".y.eml")
    os.chmod(theirs, 0o644)
    sent(m)
    with server.lock:
        assert boxes[b"Theirs"].messages[0].flags == {b"\\Seen"}
    assert not failed(m)


def test_sync_says_that_there_is_no_network(env):
    server, m = changing(env, options=["sync"])
    m.messages("Work")
    path = numbered(m)[2]
    server.stop()
    m.wait_offline()
    moved = m.path / "Work" / path.name
    assert errno_of(lambda: os.chmod(path, 0o644)) == errno.ENOTCONN
    server.start()
    m.wait_online(40)
    os.rename(path, moved)
    assert numbers(server, "Work") == [2]


def test_what_was_rejected_is_read_and_removed(env):
    _, m = changing(env)
    place, = m.cache.rglob("rejected")
    (place / "letter.eml").write_bytes(b"no message at all\n")
    (place / "link").symlink_to("/etc/passwd")
    folder = m.path / ".imapfs" / "rejected"
    assert os.listdir(folder) == ["letter.eml"]
    assert (folder / "letter.eml").read_bytes() == b"no message at all\n"
    assert errno_of(lambda: open(folder / "link").read()) == errno.ENOENT
    for call in (lambda: open(folder / "new", "x"),
                 lambda: os.rename(folder / "letter.eml",
                                   m.path / "INBOX" / "x.eml"),
                 lambda: os.chmod(folder / "letter.eml", 0o777)):
        assert errno_of(call) in (errno.EROFS, errno.EPERM)
    m.run(["rm", ".imapfs/rejected/letter.eml"])
    assert os.listdir(folder) == [] and not (place / "letter.eml").exists()
    assert "rejected" in os.listdir(m.path / ".imapfs")
    assert errno_of(lambda: os.unlink(folder / "letter.eml")) == errno.ENOENT


def test_what_was_rejected_is_never_seen_empty(env):
    _, m = changing(env)
    folder = m.path / ".imapfs" / "rejected"
    text = b"no message at all\n"
    for name in (f"bad-{i}.eml" for i in range(8)):
        with open(m.path / "Work" / name, "xb", buffering=0) as f:
            assert errno_of(lambda: f.write(text)) == errno.EINVAL
        env.wait_for(lambda: name in m.control("failed"), 15, "it is listed")
        assert name in os.listdir(folder)
        assert os.stat(folder / name).st_size == len(text), name
        assert (folder / name).read_bytes() == text


def test_what_was_rejected_is_moved_out_by_mv(env):
    _, m = changing(env)
    place, = m.cache.rglob("rejected")
    for name in ("one.eml", "two.eml"):
        (place / name).write_text(name)
    out = env.tmp / "out"
    out.mkdir()
    m.run(["mv", ".imapfs/rejected/one.eml", ".imapfs/rejected/two.eml",
           str(out)])
    assert [(out / n).read_text() for n in ("one.eml", "two.eml")] == \
        ["one.eml", "two.eml"]
    assert os.listdir(m.path / ".imapfs" / "rejected") == []


def test_who_waits_for_all_waits_until_a_new_message_is_complete(env):
    """The helper, which is asked who writes to it, takes its time."""
    server, m = changing(env, 0, options=["timeout=3"])
    helper, = [pid for pid in m.pids() if
               Path(f"/proc/{pid}/comm").read_text() == "imapfs-helper\n"]
    (m.path / "Work" / "x.eml").write_bytes(letter(1))
    env.cleanup(lambda: alive(helper) and os.kill(helper, signal.SIGCONT))
    stand_still(helper)
    queue = ["sync", str(m.path / ".imapfs" / "queue")]
    late = m.run(queue, timeout=30, check=False)
    assert late.code != 0 and "timed out" in late.errtext
    assert numbers(server, "Work") == []
    waiting = popen(queue, cwd="/")
    m.wait_status(lambda s: s["parked"] > 0)
    os.kill(helper, signal.SIGCONT)
    assert waiting.wait(20) == 0
    assert numbers(server, "Work") == [1]
