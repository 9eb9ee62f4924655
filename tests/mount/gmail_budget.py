# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a day: counted over remounts, and what stops at which part of
the limit, with limits of a few MiB."""

import errno
import os
import re
import sqlite3
import time

from imapfstest import *
from imapfstest.changed import errno_of
from imapfstest.gmail import APP_PASSWORD, faults, texts
from imapfstest.letters import letter, numbered

INBOX = b"\\Inbox"
MIB = 1 << 20
NO_READS = "what is not in the cache cannot be read until"
NO_UPLOADS = "new messages wait until"
DAY = 24 * 3600
BODIES = rb"UID FETCH .*BODY.PEEK\[\]"


def mounted(env, server, limit=None):
    options = [f"daily_limit={limit}"] if limit else []
    return env.mount(server, password=APP_PASSWORD, options=options)


def again(m, limit):
    m.unmount()
    m.options = [f"daily_limit={limit}"]
    m.start()


def filled(env, n, size, labels=(INBOX,)):
    server = env.gmail()
    for i in range(1, n + 1):
        server.account.deliver(letter(i, size), list(labels))
    return server


def new_file(m, n):
    return m.path / f"INBOX/new_Letter-{n}_.eml"


def budget(m):
    return m.status()["budget"]


def quiet(m):
    """The status when nothing is on its way."""
    return m.wait_status(lambda s: s["jobs"]["running"] == 0 and
                         s["jobs"]["queued"] == 0, what="nothing is fetched")


def read(path):
    """The bytes, or the error number."""
    try:
        return path.read_bytes()
    except OSError as error:
        return error.errno


# Counting.

def test_bytes_are_counted_as_google_counts_and_over_remounts(env):
    server = filled(env, 20, 20_000)
    m = mounted(env, server)
    for turn in range(2):
        for n in range(1, 21):
            assert numbered(m)[n].read_bytes() == letter(n, 20_000)
        new_file(m, 30 + turn).write_bytes(letter(30 + turn, 30_000))
        m.run(["sync", ".imapfs/queue"])
        b = quiet(m)["budget"]
        down, up = server.traffic.down, server.traffic.up
        # Of what goes to and fro at this moment one of us knows before.
        assert 0.98 * down <= b["down"] <= down, (b, down)
        assert 0.98 * up <= b["up"] <= 1.02 * up, (b, up)
        assert b["counted"] and b["until"] == 0, b
        assert (b["down_limit"], b["up_limit"]) == (2500_000_000, 500_000_000)
        assert time.time() - DAY < b["begun_at"] <= time.time()
        assert re.search(rf"^today: +{b['down']}\d* bytes down of at most "
                         r"2500000000, \d+ bytes up of at most 500000000, "
                         r"since \d{4}-", m.control("status"), re.M) or \
            budget(m)["down"] != b["down"]
        begun_at = b["begun_at"]
        m.unmount()
        m.start()
        assert budget(m)["begun_at"] == begun_at
    b = budget(m)
    assert b["down"] > 20 * 20_000 and b["up"] > 2 * 30_000, b


def stored(m):
    """The bytes down, as they would be known after a kill."""
    path, = m.cache.glob("*/index.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        row = db.execute("SELECT value FROM vals WHERE key = "
                         "'x-bytes-today'").fetchone()
    return int(row[0].split()[1]) if row else 0


def test_counts_outlive_a_kill(env):
    server = filled(env, 10, 50_000)
    m = mounted(env, server)
    for path in numbered(m).values():
        path.read_bytes()
    env.wait_for(lambda: stored(m) > 500_000, 30)
    m.kill9()
    m.wait_end()
    m.start()
    assert budget(m)["down"] > 500_000


def test_other_servers_have_no_budget_unless_it_is_asked_for(env):
    boxes = {b"INBOX": Box([Msg(n, letter(n, 30_000)) for n in range(1, 9)])}
    server = env.script(boxes)
    m = env.mount(server)
    for path in numbered(m).values():
        path.read_bytes()
    b = budget(m)
    assert not b["counted"] and b["down"] == b["down_limit"] == 0, b
    assert "today:" not in m.control("status")
    m.unmount()
    m.options = ["daily_limit=1M"]
    m.start()
    b = budget(m)
    assert b["counted"] and 0 < b["down"] < 30_000, b
    assert (b["down_limit"], b["up_limit"]) == (MIB, MIB // 5)


# Bytes that come.

def test_read_ahead_stops_at_60_percent_and_reads_at_98(env):
    server = filled(env, 60, 40_000)
    m = mounted(env, server, "1M")
    paths = numbered(m)
    seen, fetched = [], []
    for n in sorted(paths, reverse=True):
        before = quiet(m)
        got = read(paths[n])
        seen.append((before["budget"]["down"], got))
        after = quiet(m)
        fetched.append((before["budget"]["down"], after["budget"]["down"],
                        after["ahead"]["fetched"] -
                        before["ahead"]["fetched"]))
    assert any(count > 1 for _, _, count in fetched), fetched
    for down, then, count in fetched:
        # One that a reader waited for may have been the last of a set.
        if down >= 0.6 * MIB:
            assert count == 0, fetched
        elif count > 0:
            assert then <= 0.6 * MIB + 50_000, fetched
    good = [n for n, (_, got) in zip(sorted(paths, reverse=True), seen)
            if got == letter(n, 40_000)]
    refused = [down for down, got in seen if got == errno.EDQUOT]
    assert len(good) + len(refused) == len(paths), seen
    assert good and refused
    assert min(refused) >= 0.98 * MIB - 1, refused
    assert all(down < 0.98 * MIB for down, got in seen
               if got != errno.EDQUOT)
    b = budget(m)
    assert b["ahead_stops"] and b["reads_stop"] and not b["sends_stop"]
    assert b["until"] == b["begun_at"] + DAY
    assert "cannot be read" in m.control("status")
    assert m.log().count(NO_READS) == 1
    still_goes_on(env, server, m, good)
    # There is room: all of it comes, by read-ahead, too.
    again(m, "0")
    for n, path in numbered(m).items():
        if n <= 60:
            assert path.read_bytes() == letter(n, 40_000)
    assert m.status()["ahead"]["fetched"] > 0


def test_what_is_on_its_way_counts_for_the_read_ahead(env):
    server = filled(env, 120, 10_000)
    link = env.proxy(server, rate=400_000)
    m = mounted(env, f"imaps://alice@localhost:{link.port}/", "1M")
    paths = numbered(m)
    for n in sorted(paths, reverse=True)[:45]:
        assert paths[n].read_bytes() == letter(n, 10_000)
    b = quiet(m)["budget"]
    assert m.status()["ahead"]["fetched"] > 30
    assert b["down"] <= 0.6 * MIB + 30_000, b


def still_goes_on(env, server, m, good):
    """What is in the cache is read, what comes is listed, what is changed is
    sent; also after a remount."""
    for _ in range(2):
        for n in good:
            assert numbered(m)[n].read_bytes() == letter(n, 40_000)
        m.unmount()
        m.start()
    server.web(lambda account: account.deliver(letter(100), [INBOX, b"new"]))
    env.wait_for(lambda: 100 in numbered(m))
    assert errno_of(numbered(m)[100].read_bytes) == errno.EDQUOT
    os.chmod(numbered(m)[good[0]], 0o744)
    m.run(["sync", ".imapfs/queue"])
    assert any(b"\\Flagged" in message.flags
               for message in server.account.messages.values())


def test_offline_folders_stop_at_60_percent_and_go_on_another_day(env):
    server = filled(env, 80, 50_000, [b"work"])
    big = server.account.deliver(letter(90, 3 * MIB), [b"big"])
    m = mounted(env, server, "3M")
    m.messages("work")
    os.setxattr(m.path / "work", "user.imap.offline", b"1")

    def report(name="work"):
        return next(f for f in m.status()["folders"]
                    if f["path"] == name)["offline"]

    env.wait_for(lambda: report()["state"] == "waiting", 30)
    assert report()["why"] == "a limit of the account is reached"
    # Two sets of 256 KiB may have been on their way.
    bodies = sum(server.traffic.bodies.values())
    assert 0.5 * 3 * MIB < bodies < 0.6 * 3 * MIB + MIB // 2, bodies
    assert 0 < report()["missing"] < 80
    m.messages("big")
    os.setxattr(m.path / "big", "user.imap.offline", b"1")
    env.wait_for(lambda: report("big")["state"] == "waiting", 30)
    assert server.traffic.bodies[big.msgid] == 0
    again(m, "100M")
    for name in ("work", "big"):
        env.wait_for(lambda: report(name)["state"] == "complete", 30)


def test_large_bodies_stop_between_their_pieces(env):
    server = filled(env, 1, 20_000, [b"work"])
    big = server.account.deliver(letter(90, 8 * MIB), [b"work"])
    m = mounted(env, server, "4M")
    m.messages("work")
    os.setxattr(m.path / "work", "user.imap.offline", b"1")
    env.wait_for(lambda: budget(m)["ahead_stops"], 30)
    quiet(m)
    came = server.traffic.bodies[big.msgid]
    assert 2 * MIB <= came <= 4 * MIB, came
    again(m, "100M")
    env.wait_for(lambda: server.traffic.bodies[big.msgid] >= 8 * MIB, 30)
    quiet(m)
    assert numbered(m, "work")[90].read_bytes() == letter(90, 8 * MIB)
    # Nothing twice, but for the chunk that was not whole.
    assert server.traffic.bodies[big.msgid] <= 9.1 * MIB


# Bytes that go.

def test_new_messages_wait_for_the_next_day_and_are_not_lost(env):
    server = filled(env, 2, 2000)
    m = mounted(env, server, "0:1M")
    m.messages()
    new = {n: letter(n, 400_000) for n in range(10, 14)}
    for n, data in new.items():
        new_file(m, n).write_bytes(data)
        if n < 12:
            m.run(["sync", ".imapfs/queue"])
    env.wait_for(lambda: NO_UPLOADS in m.log(), 20)
    # Nobody waits for tomorrow.
    assert m.run(["sync", ".imapfs/queue"], check=False).code != 0
    fd = os.open(new_file(m, 13), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    # Other changes go out.
    os.chmod(numbered(m)[1], 0o744)
    env.wait_for(lambda: any(b"\\Flagged" in message.flags for message in
                             server.account.messages.values()))
    b = budget(m)
    assert b["sends_stop"] and not b["ahead_stops"], b
    assert b["until"] == b["begun_at"] + DAY
    assert "new messages wait" in m.control("status")
    assert len(server.account.messages) == 4
    assert m.log().count(NO_UPLOADS) == 1
    assert m.control("failed") == ""
    for _ in range(2):
        assert m.status()["queue"]["queued"] == 2
        for n, data in new.items():
            assert new_file(m, n).read_bytes() == data
        m.unmount()
        m.start()
    assert len(server.account.messages) == 4
    again(m, "0:8M")
    m.run(["sync", ".imapfs/queue"])
    assert len(server.account.messages) == 6
    assert not budget(m)["sends_stop"]
    for n, data in new.items():
        assert new_file(m, n).read_bytes() == data


# What the server says by itself.

def test_a_refusal_is_not_asked_for_again_and_again(env):
    server = filled(env, 30, 20_000)
    m = mounted(env, server)
    paths = numbered(m)
    assert paths[1].read_bytes() == letter(1, 20_000)
    server.on(BODIES, texts.OVER_LIMITS)
    assert read(paths[20]) == errno.EDQUOT
    quiet(m)
    asked = server.count(BODIES)
    for n in range(2, 31):
        assert read(paths[n]) == errno.EDQUOT
    assert server.count(BODIES) == asked
    assert paths[1].read_bytes() == letter(1, 20_000)
    b = budget(m)
    assert b["ahead_stops"] and b["reads_stop"] and not b["sends_stop"]
    assert time.time() < b["until"] <= time.time() + 61
    assert m.log().count("the server says that a limit is reached") == 1
    server.clear()
    server.web(lambda account: account.deliver(letter(40), [INBOX]))
    env.wait_for(lambda: 40 in numbered(m))
    again(m, "0")
    assert numbered(m)[20].read_bytes() == letter(20, 20_000)


def test_what_is_refused_in_the_background_is_a_pause_too(env):
    for size in 20_000, 3 * MIB:
        server = filled(env, 5, size, [b"work"])
        server.on(BODIES, texts.OVER_LIMITS)
        m = mounted(env, server)
        path = numbered(m, "work")[1]
        os.setxattr(m.path / "work", "user.imap.offline", b"1")
        env.wait_for(lambda: budget(m)["reads_stop"])
        quiet(m)
        asked = server.count(BODIES)
        assert read(path) == errno.EDQUOT
        assert server.count(BODIES) == asked <= 2
        m.unmount()


def test_near_its_limits_what_is_read_comes_and_nothing_else(env):
    server = filled(env, 40, 20_000)
    other = server.account.deliver(letter(90, 20_000), [b"work"])
    m = mounted(env, server)
    paths = numbered(m)
    m.messages("work")
    server.on(rb"UID FETCH", faults.throttled)
    assert paths[20].read_bytes() == letter(20, 20_000)
    env.wait_for(lambda: budget(m)["near_limits"])
    before = quiet(m)["ahead"]["fetched"]
    for n in 5, 12, 19, 26, 33:
        assert paths[n].read_bytes() == letter(n, 20_000)
    os.setxattr(m.path / "work", "user.imap.offline", b"1")
    env.wait_for(lambda: next(
        f for f in m.status()["folders"] if f["path"] == "work"
    )["offline"]["state"] == "waiting", 30)
    assert quiet(m)["ahead"]["fetched"] == before
    assert server.traffic.bodies[other.msgid] == 0
    b = budget(m)
    assert b["ahead_stops"] and not b["reads_stop"] and not b["sends_stop"]
    assert time.time() < b["until"] <= time.time() + 61
    assert "its limits are near" in m.control("status")
    assert m.log().count("the account is near its limits") == 1
    assert m.control("failed") == ""
