# SPDX-License-Identifier: GPL-3.0-or-later
"""Without a server, and with one that hangs: what is here is read, what is
not fails soon and with the right error, and everything resumes by itself."""

import errno
import os
import re
import signal
import subprocess
import sys
import time

from imapfstest import *
from imapfstest.gmail import texts
from imapfstest.letters import letter, numbered

BODY = rb"UID FETCH .*BODY\.PEEK\[\]"
# A program that Ctrl-C does not end waits for `timeout`: 30 s.
SOON = 5


def late(limit):
    """Later than that `timeout` has been waited for more than once."""
    return limit * 1.4 * slowdown() + 1


def errno_of(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return 0


def read_fails(path, *codes):
    code = errno_of(path.read_bytes)
    assert code in codes, f"{path}: {errno.errorcode.get(code, code)}"


def mail(count, size=None):
    return Box([Msg(n, letter(n, size=size)) for n in range(1, count + 1)])


def test_remount_without_a_server(env):
    server = env.dovecot()
    with Client(server) as c:
        for n in range(60):
            c.append("INBOX", letter(n, size=20_000))
        c.create("Never entered")
        c.append("Never entered", letter(99))
    m = env.mount(server, options=["timeout=5"])
    paths = numbered(m)
    listed = m.run(["ls", "-l", "INBOX"]).text
    read, unread = range(0, 60, 12), range(6, 60, 12)  # not in a row
    for n in read:
        paths[n].read_bytes()
    m.unmount()
    server.stop()

    m.start()
    m.wait_offline()
    assert m.run(["ls", "-l", "INBOX"]).text == listed
    for n in read:
        assert paths[n].read_bytes() == letter(n, size=20_000)
    for n in unread:
        read_fails(paths[n], errno.ENOTCONN)
    assert "Never entered" in os.listdir(m.path)
    assert errno_of(lambda: os.listdir(m.path / "Never entered")) == \
        errno.ENOTCONN
    assert os.getxattr(paths[7], "user.imap.subject") == b"Letter 7"

    server.start()
    env.wait_for(lambda: paths[6].read_bytes() == letter(6, size=20_000), 40)
    assert len(m.messages("Never entered")) == 1


def test_server_stops_and_comes_back_under_the_mount(env):
    server = env.dovecot()
    with Client(server) as c:
        for n in range(3):
            c.append("INBOX", letter(n))
    m = env.mount(server, options=["timeout=5"])
    paths = numbered(m)
    paths[0].read_bytes()
    server.stop()
    m.wait_offline()
    read_fails(paths[1], errno.ENOTCONN)
    assert paths[0].read_bytes() == letter(0)
    server.start()
    env.wait_for(lambda: paths[1].read_bytes() == letter(1), 40)
    m.wait_online()


def test_cut_connection_costs_nothing(env):
    link_to = env.dovecot()
    with Client(link_to) as c:
        for n in range(3):
            c.append("INBOX", letter(n))
    link = env.proxy(link_to)
    m = env.mount(link_to.url(port=link.port))
    paths = numbered(m)
    for n, how in enumerate(("rst", "fin")):
        link.cut(how)
        assert paths[n].read_bytes() == letter(n), how


def test_connection_cut_in_mid_body(env):
    """Over another connection, and nobody notices: neither who reads what was
    asked for once more, nor who reads on behind it."""
    sizes = {1: 300_000, 2: 400_000, 3: 3_000_000}
    server = env.script({b"INBOX": Box([
        Msg(n, letter(n, size=size)) for n, size in sizes.items()])})
    m = env.mount(server)
    for n, path in sorted(numbered(m).items()):
        server.on(BODY, cut_after(50_000), times=1)
        assert path.read_bytes() == letter(n, size=sizes[n]), n


def test_listing_that_is_cut_goes_on(env):
    """Over another connection, and nobody notices."""
    server = env.script({b"INBOX": mail(3000)})
    cuts = []

    def cut_the_second(session, tag, command):
        cuts.append(command)
        if len(cuts) == 2:
            session.send(session.default(tag, command)[:5000])
            session.close(rst=True)
        return session.default(tag, command)

    server.on(rb"(UID )?FETCH .*HEADER", cut_the_second)
    m = env.mount(server)
    assert sorted(numbered(m)) == list(range(1, 3001))
    assert len(cuts) > 2


def test_listed_in_part_ends_in_enotconn_and_goes_on_later(env):
    server = env.script({b"INBOX": mail(3000)})
    windows = []

    def only_one(session, tag, command):
        windows.append(command)
        if len(windows) > 1:
            session.hang()
        return session.default(tag, command)

    server.on(rb"(UID )?FETCH .*HEADER", only_one)
    m = env.mount(server, options=["timeout=3"])
    found = []

    def list_all():
        with os.scandir(m.path / "INBOX") as entries:
            for entry in entries:
                found.append(entry.name)

    code = errno_of(list_all)
    assert code in (errno.ETIMEDOUT, errno.ENOTCONN), errno.errorcode[code]
    assert found and "_Letter-3000_" in found[0], "newest first"
    m.unmount()
    server.stop()
    m.start()
    m.wait_offline()
    part = len(found)
    found.clear()
    assert errno_of(list_all) == errno.ENOTCONN
    assert len(found) >= part
    server.clear()
    server.start()
    env.wait_for(lambda: len(m.messages()) == 3000, 40)


def test_hang_in_a_literal_ends_with_ctrl_c(env):
    server = env.script({b"INBOX": mail(2, size=200_000)})
    server.on(BODY, hang_in_literal(50_000))
    m = env.mount(server)
    path = numbered(m)[1]
    reader = popen(["cat", str(path)], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    server.wait_for_command(BODY)
    start = time.monotonic()
    os.kill(reader.pid, signal.SIGINT)
    assert reader.wait(10) == -signal.SIGINT
    assert time.monotonic() - start < SOON * slowdown()


def asked_over(server, skip=0):
    """Over which connections bodies were asked for."""
    return [number for number, line in server.commands
            if re.match(BODY, line, re.I)][skip:]


def test_hang_in_a_literal_times_out_and_reconnects(env):
    limit = 5
    server = env.script({b"INBOX": mail(2, size=200_000)})
    server.on(BODY, hang_in_literal(50_000))
    m = env.mount(server, options=[f"timeout={limit}"])
    path = numbered(m)[1]
    start = time.monotonic()
    read_fails(path, errno.ETIMEDOUT)
    seconds = time.monotonic() - start
    assert limit * 0.8 < seconds < late(limit), seconds
    hung = asked_over(server)
    server.clear()
    env.wait_for(lambda: path.read_bytes() == letter(1, size=200_000), 15)
    again = asked_over(server, len(hung))
    assert again and not set(again) & set(hung), (hung, again)


def test_hang_before_any_answer_times_out(env):
    limit = 4
    server = env.script({b"INBOX": mail(2)})
    m = env.mount(server, options=[f"timeout={limit}"])
    path = numbered(m)[1]
    server.on(BODY, lambda session, tag, command: session.hang())
    start = time.monotonic()
    read_fails(path, errno.ETIMEDOUT)
    assert time.monotonic() - start < late(limit)


def test_slow_but_steady_is_no_timeout(env):
    """`timeout` counts from the last byte, not from the question."""
    data = letter(1, size=100_000)
    server = env.script({b"INBOX": Box([Msg(1, data)])})

    def drip(session, tag, command):
        answer = session.default(tag, command)
        for at in range(0, len(answer), len(answer) // 8 + 1):
            session.send(answer[at:at + len(answer) // 8 + 1])
            session.server._released.wait(0.7)

    m = env.mount(server, options=["timeout=3"])
    path = numbered(m)[1]
    server.on(BODY, drip)
    start = time.monotonic()
    assert path.read_bytes() == data
    assert time.monotonic() - start > 3


def test_hanging_listing_ends_with_ctrl_c(env):
    server = env.script({b"INBOX": mail(5)})
    server.on(rb"EXAMINE|SELECT", lambda session, tag, command:
              session.hang())
    m = env.mount(server)
    lister = popen(["ls", str(m.path / "INBOX")], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    server.wait_for_command(rb"EXAMINE|SELECT")
    start = time.monotonic()
    os.kill(lister.pid, signal.SIGINT)
    lister.wait(10)
    assert time.monotonic() - start < SOON * slowdown()


def test_status_says_the_same_to_programs(env):
    server = env.script({b"INBOX": mail(5)})
    server.on(rb"(UID )?FETCH", lambda session, tag, command: session.hang())
    m = env.mount(server)
    lister = popen(["ls", str(m.path / "INBOX")], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    box, = m.wait_status(lambda s: s["folders"][0]["state"] == "listing" and
                         s["folders"][0]["expected"] == 5)["folders"]
    assert box["messages"] == 0
    assert "listing   0 of 5 messages  INBOX" in m.control("status")
    assert m.status()["retry_in_ms"] == -1
    server.stop()
    m.wait_status(lambda s: s["retry_in_ms"] >= 0)
    assert "next try:" in m.control("status")
    lister.kill()
    lister.wait(10)


WAITER = """
import os, signal, sys
signal.signal(signal.SIGCHLD, lambda *a: None)
signal.signal(signal.SIGALRM, lambda *a: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.signal(signal.SIGTERM, lambda *a: sys.exit(3))
print("ready", flush=True)
print(len(os.listdir(sys.argv[1])), flush=True)
"""


def hanging_waiter(env):
    """A program with signal handlers that waits for a listing."""
    server = env.script({b"INBOX": mail(5)})
    server.on(rb"EXAMINE|SELECT", lambda session, tag, command:
              session.hang() or session.default(tag, command))
    m = env.mount(server)
    waiter = popen([sys.executable, "-c", WAITER, str(m.path / "INBOX")],
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert waiter.stdout.readline() == b"ready\n"
    server.wait_for_command(rb"EXAMINE|SELECT")
    wait_for(lambda: sleeps_in_listdir(waiter), 10)
    return server, waiter


def sleeps_in_listdir(process):
    """Is it blocked in openat(2) or getdents64(2)?"""
    with open(f"/proc/{process.pid}/syscall") as f:
        return f.read().split(" ")[0] in ("257", "217")


def pending(process):
    """Signals that wait for this process, as the kernel counts them."""
    text = open(f"/proc/{process.pid}/status").read()
    return {s + 1 for s in range(64)
            for line in re.findall(r"(?:Sig|Shd)Pnd:\s+(\w+)", text)
            if int(line, 16) >> s & 1}


def test_a_harmless_signal_interrupts_nothing(env):
    server, waiter = hanging_waiter(env)
    for signo in (signal.SIGCHLD, signal.SIGALRM):
        os.kill(waiter.pid, signo)
        wait_for(lambda s=signo: s in pending(waiter), 10)
    server.release()
    out, _ = waiter.communicate(timeout=20)
    assert out == b"5\n" and waiter.returncode == 0, out


def test_a_deadly_signal_ends_the_wait_behind_a_harmless_one(env):
    """The kernel tells of the first signal only."""
    _, waiter = hanging_waiter(env)
    os.kill(waiter.pid, signal.SIGCHLD)
    wait_for(lambda: signal.SIGCHLD in pending(waiter), 10)
    os.kill(waiter.pid, signal.SIGTERM)
    assert waiter.wait(10) == 3, "its handler did not run"


def test_black_hole_under_the_mount(env):
    server = env.script({b"INBOX": mail(3)})
    link = env.proxy(server)
    m = env.mount(server.url(port=link.port), options=["timeout=4"])
    paths = numbered(m)
    paths[1].read_bytes()
    link.hole()
    start = time.monotonic()
    read_fails(paths[2], errno.ETIMEDOUT, errno.ENOTCONN)
    assert time.monotonic() - start < late(4)
    assert paths[1].read_bytes() == letter(1)
    link.hole(False)
    env.wait_for(lambda: paths[2].read_bytes() == letter(2), 40)


def test_mailbox_gone_under_the_mount(env):
    server = env.script({b"INBOX": mail(1), b"Work": mail(2)})
    m = env.mount(server)
    paths = numbered(m, "Work")
    with server.lock:
        del server.boxes[b"Work"]
    server.drop()
    read_fails(paths[1], errno.ENOENT, errno.EIO, errno.ESTALE)
    assert m.messages()


def test_message_gone_under_the_mount(env):
    server = env.script({b"INBOX": mail(3)})
    m = env.mount(server)
    paths = numbered(m)
    with server.lock:
        del server.boxes[b"INBOX"].messages[0]
    read_fails(paths[1], errno.ENOENT)
    assert paths[2].read_bytes() == letter(2)


def test_the_log_says_why_it_is_an_input_output_error(env):
    """As a user sees it: without -d."""
    server = env.script({b"INBOX": mail(1), b"Work": mail(1)})
    server.on(BODY, b"%TAG% NO The drive of the body is on fire.\r\n")
    server.on(rb"(SELECT|EXAMINE) \"?Work",
              b"%TAG% NO The drive of the box is on fire.\r\n")
    m = env.mount(server, background=True)
    read_fails(numbered(m)[1], errno.EIO)
    assert "The drive of the body is on fire." in m.control("log")
    assert errno_of(lambda: os.listdir(m.path / "Work")) == errno.EIO
    assert "The drive of the box is on fire." in m.control("log")


def test_new_uidvalidity_under_the_mount(env):
    """Never bytes of one message under the name of another."""
    server = env.script({b"INBOX": mail(3)})
    m = env.mount(server)
    paths = numbered(m)
    with server.lock:
        server.boxes[b"INBOX"] = Box(
            [Msg(n, letter(n + 100)) for n in range(1, 4)], uidvalidity=2000)
    server.drop()
    code = errno_of(paths[1].read_bytes)
    assert code != 0, "a message of another UIDVALIDITY was served"
    m.unmount()
    m.start()
    env.wait_for(lambda: sorted(numbered(m)) == [101, 102, 103])
    for n, path in numbered(m).items():
        assert path.read_bytes() == letter(n)


def test_many_connections_refused_still_works(env):
    """The server takes one connection and answers others with NO."""
    server = env.script({b"INBOX": mail(20)})

    def only_the_first(session, tag, command):
        if session.number > 1:
            return texts.TOO_MANY
        return session.default(tag, command)

    server.on(rb"LOGIN|AUTHENTICATE", only_the_first)
    m = env.mount(server)
    readers = [popen(["cat", str(path)], stdout=subprocess.DEVNULL)
               for path in numbered(m).values()]
    assert [r.wait(30) for r in readers] == [0] * 20
