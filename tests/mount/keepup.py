# SPDX-License-Identifier: GPL-3.0-or-later
"""How a folder is kept in step: by which question, how often, and that what is
stored on the way is never more than what was heard."""

import os
import re
import threading
import time

from imapfstest import *
from imapfstest.endstate import truth, wait_equal
from imapfstest.letters import letter, numbered
from imapfstest.qresync import folder, qresync_server
from imapfstest.script import CAPABILITIES

BODY = rb"UID FETCH .*BODY\.PEEK\[\]"
# Commands that ask what is in a mailbox.
ASKS = rb"(UID )?(FETCH|SEARCH)|EXAMINE|SELECT"
MANY = 300


def change(server, first):
    with Client(server) as c:
        uids = c.uids("INBOX")
        c.expunge("INBOX", uids[1])
        c.store("INBOX", uids[2], "+FLAGS", "\\Flagged", "$Work")
        c.append("INBOX", letter(first), ["\\Seen"])
        c.append("INBOX", letter(first + 1))


def keeps_up_by(env, mask, method, kept_up):
    server = env.dovecot()
    with Client(server) as c:
        for n in range(20):
            c.append("INBOX", letter(n))
    tap = env.tap(server, mask=mask)
    m = env.mount(server.url(port=tap.port))
    assert len(m.messages()) == 20
    for first in (100, 200):
        change(server, first)
        os.utime(m.path / "INBOX")
        wait_equal(m, truth(server))
    m.unmount()
    change(server, 300)
    m.start()
    m.messages()
    wait_equal(m, truth(server))
    m.wait_status(lambda s: s["folders"] and
                  folder(s, "INBOX")["kept_up"] == kept_up)
    report = folder(m.status(), "INBOX")
    assert report["method"] == method, report
    assert abs(report["synced_at"] - time.time()) < 60 * slowdown(), report
    text = m.control("status")
    assert f"kept up to date by {kept_up}, last asked by {method}" in text, text
    return tap


def test_keeps_up_by_qresync_and_notify(env):
    tap = keeps_up_by(env, [], "qresync", "notify")
    assert tap.count(rb"UID SEARCH") == 0


def test_keeps_up_by_condstore_and_idle(env):
    tap = keeps_up_by(env, ["QRESYNC", "NOTIFY"], "condstore", "idle")
    assert tap.count(rb"UID SEARCH") > 0
    assert tap.count(rb"EXAMINE .*QRESYNC") == 0


def test_keeps_up_by_all_flags_and_touch(env):
    tap = keeps_up_by(env, ["QRESYNC", "CONDSTORE", "ESEARCH", "NOTIFY",
                            "IDLE"], "flags", "polling")
    assert tap.count(rb"UID FETCH 1:\d+ \(UID FLAGS\)") > 0
    assert tap.count(rb".*(CHANGEDSINCE|QRESYNC|IDLE)") == 0


def test_unchanged_folder_is_entered_without_a_command(env):
    server = env.dovecot()
    with Client(server) as c:
        for box in ("INBOX", "Work"):
            if box not in c.list():
                c.create(box)
            for n in range(5):
                c.append(box, letter(n))
    tap = env.tap(server)
    m = env.mount(server.url(port=tap.port))
    for box in ("INBOX", "Work"):
        assert len(m.messages(box)) == 5
    m.unmount()
    begin = time.monotonic()
    m.start()
    tap.wait_command(rb"IDLE", begin, 20)
    for _ in range(3):
        for box in ("INBOX", "Work"):
            assert len(m.messages(box)) == 5
            os.stat(m.path / box)
    m.run("ls -l INBOX Work; find INBOX Work; test -e Work/none.eml",
          check=False)
    asked = [line for _, _, line in tap.commands(begin)
             if re.match(rb"\S+ (%s)" % ASKS, line)]
    # The one is the watch.
    assert len(asked) == 1 and b"EXAMINE INBOX" in asked[0], asked


@slow
@deadline(200)
def test_watched_folder_is_entered_without_a_command_later_too(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append("INBOX", letter(1))
    tap = env.tap(server, mask=["NOTIFY"])
    m = env.mount(server.url(port=tap.port))
    m.messages()
    tap.wait_command(rb"IDLE", 0, 20)
    os.utime(m.path / "INBOX")
    m.wait_status(lambda s: folder(s, "INBOX")["method"])
    tap.wait_command(rb"EXAMINE INBOX", 0, 20)
    begin = time.monotonic()
    wait_for(lambda: time.monotonic() - begin > 65, 100, "a minute")
    later = time.monotonic()
    assert len(m.messages()) == 1
    asked = [line for _, _, line in tap.commands(later)
             if re.match(rb"\S+ (%s)" % ASKS, line)]
    assert not asked, asked


@deadline(150)
def test_killed_at_any_moment_it_goes_on_where_it_was(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append_many("INBOX", map(letter, range(MANY)))
    m = env.mount(server)
    assert len(m.messages()) == MANY
    for turn in range(8):
        with Client(server) as c:
            uids = c.uids("INBOX")
            gone, flagged = uids[10:50], uids[60:100]
            c.select("INBOX", readonly=False)
            for some, flag in ((gone, "\\Deleted"), (flagged, "\\Flagged")):
                c._uid("STORE", ",".join(map(str, some)),
                       "+FLAGS.SILENT" if turn % 2 or some is gone else
                       "-FLAGS.SILENT", f"({flag})")
            c._uid("EXPUNGE", ",".join(map(str, gone)))
            c.append_many("INBOX", map(letter, range(1000 + 50 * turn,
                                                     1040 + 50 * turn)))
        os.utime(m.path / "INBOX")
        begin = time.monotonic()
        wait_for(lambda t=turn: time.monotonic() - begin > 0.012 * t, 10)
        m.kill9()
        m.wait_end()
        m.start()
    m.messages()
    wait_equal(m, truth(server))


def test_mail_of_a_sync_that_was_cut_off_goes_if_it_went(env):
    """It is here, but what is stored does not say that it is known."""
    box = Box([Msg(n, letter(n)) for n in range(1, 6)])
    server = env.script({b"INBOX": box})
    m = env.mount(server)
    assert sorted(numbered(m)) == [1, 2, 3, 4, 5]
    watch = env.watch(m.path / "INBOX")
    server.on(rb"UID FETCH 1:\d+ \(UID FLAGS\)", lambda *_: None)
    with server.lock:
        box.messages.append(Msg(6, letter(6)))
        box.uidnext = 7
    os.utime(m.path / "INBOX")
    watch.wait("CREATE", "_Letter-6_")
    begin = time.monotonic()
    wait_for(lambda: time.monotonic() - begin > 0.3, 5, "it is on the disk")
    m.kill9()
    m.wait_end()
    server.clear()
    with server.lock:
        del box.messages[-1]
    m.start()
    env.wait_for(lambda: sorted(numbered(m)) == [1, 2, 3, 4, 5], 20)


@deadline(150)
def test_thousands_that_came_meanwhile_make_no_storm(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append_many("INBOX", map(letter, range(10)))
    link = env.proxy(server)
    m = env.mount(server.url(port=link.port), options=["timeout=5"])
    assert len(m.messages()) == 10
    watch = env.watch(m.path / "INBOX")
    link.refuse()
    link.cut()
    m.wait_offline()
    with Client(server) as c:
        c.append_many("INBOX", map(letter, range(10, 2510)))
        c.store("INBOX", "1:5", "+FLAGS.SILENT", "\\Deleted")
        c.imap.expunge()
    link.refuse(False)
    env.wait_for(lambda: len(m.messages()) == 2505, 60)
    assert sorted(numbered(m)) == list(range(5, 2510))
    assert watch.count("CREATE") <= 2000
    assert numbered(m)[2509].read_bytes() == letter(2509)


# A watcher.

def notifying(server, begun):
    """It has NOTIFY; `begun` is set when a watch has begun."""
    def notify(session, tag, command):
        with server.lock:
            told = [b"* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d "
                    b"HIGHESTMODSEQ %d)\r\n" %
                    (name, len(box.messages), box.uidnext, box.uidvalidity,
                     server.modseq) for name, box in server.boxes.items()]
        return b"".join(told) + tag + b" OK set\r\n"

    def idle(session, tag, command):
        begun.set()
        return session.default(tag, command)

    server.capabilities += [b"NOTIFY", b"IDLE"]
    server.on(rb"NOTIFY", notify)
    server.on(rb"IDLE", idle)


def test_what_is_watched_before_it_is_listed_is_watched(env):
    server, _ = qresync_server(env, 3)
    server.boxes[b"Work"] = Box([Msg(1, letter(1))])
    begun = threading.Event()
    notifying(server, begun)

    def late(session, tag, command):
        begun.wait(20)
        return session.default(tag, command)

    server.on(rb'LIST .*"?\*', late)
    m = env.mount(server)
    assert begun.is_set()
    assert sorted(numbered(m, "Work")) == [1]
    assert folder(m.status(), "Work")["kept_up"] == "notify"


def test_what_a_sync_brings_is_no_news_when_it_is_heard_meanwhile(env):
    """The watch begins while a folder is asked for, and tells how it stands:
    that is what the answer says, too."""
    server, _ = qresync_server(env, 3)
    work = Box([Msg(n, letter(n)) for n in range(1, 4)])
    server.boxes[b"Work"] = work
    m = env.mount(server)
    assert sorted(numbered(m, "Work")) == [1, 2, 3]
    m.unmount()
    with server.lock:
        work.messages.append(Msg(4, letter(4)))
        work.uidnext = 5
    server.modseq += 1
    begun = threading.Event()
    examine = b"* OK [HIGHESTMODSEQ %d] next\r\n" % server.modseq

    def slow(session, tag, command):
        begun.wait(20)
        return session.default(tag, command.split(b" (")[0]).replace(
            tag + b" OK", examine + tag + b" OK")

    notifying(server, begun)
    server.on(rb'EXAMINE "?Work', slow)
    before = server.count(rb'EXAMINE "?Work')
    m.start()
    assert sorted(numbered(m, "Work")) == [1, 2, 3, 4]
    assert begun.is_set()
    begin = time.monotonic()
    wait_for(lambda: time.monotonic() - begin > 1, 10, "a second")
    assert server.count(rb'EXAMINE "?Work') == before + 1


def test_mailbox_that_is_made_under_an_old_name_is_seen(env):
    server, _ = qresync_server(env, 3)
    work = server.boxes[b"Work"] = Box([Msg(1, letter(1))])
    notifying(server, threading.Event())
    m = env.mount(server)
    m.wait_watching()
    lists = server.count(rb"LIST")
    with server.lock:
        server.boxes[b"Done"] = server.boxes.pop(b"Work")
    server.push(b"INBOX", b'* LIST () "/" Done ("OLDNAME" (Work))\r\n')
    server.push(b"INBOX", b"* STATUS Done (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "
                b"%d HIGHESTMODSEQ 101)\r\n" % work.uidvalidity)
    server.wait_for_command(rb"LIST", times=lists + 2)
    m.wait_watching()
    with server.lock:
        server.boxes[b"Work"] = Box(uidvalidity=work.uidvalidity + 1)
    server.push(b"INBOX", b'* LIST () "/" Work\r\n')
    env.wait_for(lambda: (m.path / "Work").is_dir(), 20)


# A mailbox that LIST names, and that SELECT says is not there.

DENIED = rb'(SELECT|EXAMINE) "?Work'


def test_mailbox_that_is_named_and_denied_is_empty_until_it_opens(env):
    server = env.script({b"INBOX": Box(), b"Work": Box(
        [Msg(n, letter(n)) for n in range(1, 4)])})
    m = env.mount(server)
    paths = numbered(m, "Work")
    with open(paths[1], "rb", buffering=0) as held:
        assert held.read() == letter(1)
        watch = env.watch(m.path / "Work")
        server.on(DENIED, b"%TAG% NO [NONEXISTENT] no\r\n")
        os.utime(m.path / "Work")
        watch.wait("DELETE", times=3)
        held.seek(0)
        assert held.read() == letter(1), "what is open stays readable"
    env.wait_for(lambda: os.listdir(m.path / "Work") == [], 20)
    assert not any(path.exists() for path in paths.values())
    lists = server.count(rb"LIST")
    for _ in range(3):
        m.run("ls -lR . && find . -type f")
    assert server.count(rb"LIST") == lists
    m.unmount()
    m.start()
    m.run("ls -lR .")
    assert m.messages("Work") == []
    server.clear()
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [1, 2, 3], 20)
    assert numbered(m, "Work")[2].read_bytes() == letter(2)


def test_mailbox_that_is_denied_once_keeps_its_messages(env):
    server = env.script({b"INBOX": Box(), b"Work": Box(
        [Msg(n, letter(n)) for n in range(1, 4)])})
    m = env.mount(server)
    before = {n: os.stat(p).st_ino for n, p in numbered(m, "Work").items()}
    watch = env.watch(m.path / "Work")
    server.on(DENIED, b"%TAG% NO [NONEXISTENT] no\r\n", times=1)
    asked = server.count(rb'EXAMINE "?Work')
    os.utime(m.path / "Work")
    server.wait_for_command(rb'EXAMINE "?Work', times=asked + 2)
    m.wait_status(lambda s: folder(s, "Work")["state"] == "known")
    assert {n: os.stat(p).st_ino
            for n, p in numbered(m, "Work").items()} == before
    assert not watch.events("DELETE"), watch.found
