#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: how soon, and for how much, what changed elsewhere is known here.

keepup.py --build DIR [--messages N] [--samples N] [--rounds N] [--rtt MS]

Remounts of one account whose folder is in the cache: with nothing changed
(round trips and bytes after the login, until `ls` is done), and after some
new, flagged and removed messages, by each of the three ways to ask (from the
SELECT to the moment at which they show). Then push: another client delivers,
flags and removes; how long until the kernel has told a watcher. A tap next to
the mount counts and reads; the delay is behind it.
"""

import os
import re
import time

from kit import Bench, main, median, options, parser, settle, show, timed, \
    wait_for
import mail
from imapfstest.client import Client
from imapfstest.tap import Tap, Traffic
from imapfstest.watch import Watch

BOX, PUSHED, MARK = "Kept", "INBOX", "mark"
CHANGES = 10
METHODS = (("QRESYNC", ()), ("CONDSTORE", ("QRESYNC",)),
           ("FLAGS", ("QRESYNC", "CONDSTORE")))
TARGET_TURNS, TARGET_BYTES = 4, 10_000
TARGET_SHOWN, TARGET_SYNC = 0.35, 5000
QUIET_S = 1.5  # longer than a server, or we, put changes together
# What a tap can read is not compressed.
READABLE = ("COMPRESS=DEFLATE",)


def met(good):
    return "met" if good else "MISSED"


class Remount:
    """One mount of an account that was mounted before."""

    def __init__(self, b, tap, mask=()):
        self.b, self.tap = b, tap
        tap.hide(mask)
        self.began = time.monotonic()
        self.m = b.mount(tap.port, cache=b.tmp / "cache", wait=False)

    def end(self):
        settle(self.m)
        self.b.unmount(self.m)


def warm_up(b, tap, count):
    """A cache that has listed everything."""
    r = Remount(b, tap)
    for box, n in ((BOX, count), (PUSHED, None)):
        found = len(os.listdir(r.m.path / box))
        if n is not None and found != n:
            raise AssertionError(f"{found} names, not {n}")
    r.end()


def unchanged(b, tap):
    """(seconds to mount, of ls, Traffic after login)."""
    r = Remount(b, tap)
    seconds, out = timed(f"ls -U {BOX} | wc -l", r.m.path)
    traffic = r.tap.after_login(r.began)
    result = r.m.start_seconds, seconds, traffic
    r.end()
    return result


def change(b, serial):
    """Some come, some are flagged, some go; UIDs that must go or stay. Others
    are flagged each time, or their rows would be longer each time."""
    with Client(b.server) as c:
        uids = c.uids(BOX, f"UNKEYWORD {MARK}")
        step = len(uids) // (2 * CHANGES + 2)
        flagged = uids[step:step * (CHANGES + 1):step]
        gone = uids[step * (CHANGES + 1):step * (2 * CHANGES + 1):step]
        for n in range(CHANGES):
            c.append(BOX, next(iter(mail.even(1, 1000, seed=serial + n)))[0])
        for uid in flagged:
            c.store(BOX, uid, "+FLAGS.SILENT", MARK)
        for uid in gone:
            c.expunge(BOX, uid)
        # The server's own work on what changed shall be over: it looks at
        # the folder again as long as that is younger than this.
        time.sleep(QUIET_S)
        return set(c.uids(BOX)), flagged


def check(m, there, flagged):
    paths = m.by_uid(BOX)
    marks = [u for u in flagged if MARK in os.getxattr(
        paths[u], "user.imap.flags").decode()]
    if set(paths) != there or len(marks) != len(flagged):
        raise AssertionError(f"{len(marks)} marked, not shown or not there: "
                             f"{sorted(set(paths) ^ there)[:20]}")


def changed(b, tap, mask, serial):
    """(seconds from SELECT to shown, Traffic of that time)."""
    there, flagged = change(b, serial)
    r = Remount(b, tap, READABLE + mask)
    os.close(os.open(r.m.path / BOX, os.O_RDONLY | os.O_DIRECTORY))
    shown = time.monotonic()
    asked = r.tap.commands(r.began)
    start, number = next(
        (t, n) for t, n, line in asked
        if re.match(rb'\S+ (SELECT|EXAMINE) "?%s' % BOX.encode(), line))
    traffic = Traffic([p for p in r.tap.passed(start - 1e-6, shown).pieces
                       if p.number == number])
    check(r.m, there, flagged)
    r.end()
    return shown - start, traffic


def report_unchanged(b, tap, count):
    rounds = [unchanged(b, tap) for _ in range(b.o.rounds)]
    turns = median(t.turns for _, _, t in rounds)
    total = median(t.bytes for _, _, t in rounds)
    print(f"\nremount of {count} messages, nothing changed, {b.o.rtt:g} ms, "
          f"medians of {b.o.rounds}: mounted after "
          f"{show(median(r[0] for r in rounds))}, ls after another "
          f"{show(median(r[1] for r in rounds))}")
    print(f"  after the login until ls is done: {turns:g} round trips, "
          f"target {TARGET_TURNS}: {met(turns <= TARGET_TURNS)}; "
          f"{total:.0f} bytes, target {TARGET_BYTES}: "
          f"{met(total <= TARGET_BYTES)}", flush=True)


def report_changed(b, tap, count):
    print(f"\nremount of {count} messages, {CHANGES} new, {CHANGES} flagged,"
          f" {CHANGES} removed, {b.o.rtt:g} ms, medians of {b.o.rounds}\n"
          f"  {'asked by':<12}{'shown after':>12}{'target':>9}"
          f"{'round trips':>13}{'received':>9}{'target':>8}")
    serial = 0
    for name, mask in METHODS:
        found = []
        for _ in range(b.o.rounds):
            serial += 100
            found.append(changed(b, tap, mask, serial))
        seconds = median(s for s, _ in found)
        total = median(t.down for _, t in found)
        goal, verdict = "-", ""
        if mask != METHODS[-1][1]:
            goal = str(TARGET_SYNC)
            verdict = met(total <= TARGET_SYNC and seconds <= TARGET_SHOWN)
        else:
            verdict = met(seconds <= TARGET_SHOWN)
        print(f"  {name:<12}{show(seconds):>12}{TARGET_SHOWN:>7} s"
              f"{median(t.turns for _, t in found):>13g}{total:>9.0f}"
              f"{goal:>8}  {verdict}", flush=True)


def report_floor(b, tap):
    """What the wire needs for the longest of these questions: all flags."""
    ask = "UID FETCH 1:* (UID FLAGS)"

    def seconds(port, compress):
        found = [b.raw(port, BOX, ask, compress=compress)
                 for _ in range(b.o.rounds)]
        return show(median(f["open"] + f["seconds"] for f in found))

    tap.hide(READABLE)
    print(f"  a raw reader needs for all flags, from the SELECT: "
          f"{seconds(tap.port, False)} through the tap, "
          f"{seconds(b.link.port, False)} without it, "
          f"{seconds(b.link.port, True)} compressed", flush=True)


class Pushes:
    """One change after the other by another client, each timed."""

    def __init__(self, b, tap):
        self.r = Remount(b, tap, READABLE)
        settle(self.r.m)
        os.listdir(self.r.m.path / PUSHED)
        self.watch = Watch(self.r.m.path / PUSHED)
        self.client = Client(b.server)
        self.found = {"CREATE": [], "ATTRIB": [], "DELETE": []}

    def quiet(self):
        """Nothing of the change before is on its way any more."""
        wait_for(lambda: time.monotonic() - self.r.tap.passed()
                 .pieces[-1].time > QUIET_S, 60, "silence", step=0.1)

    def once(self, kind, work):
        """(from the change, from the server's word) in seconds."""
        self.quiet()
        seen = self.watch.count(kind)
        line = {"CREATE": rb"EXISTS|STATUS", "ATTRIB": rb"FETCH|STATUS",
                "DELETE": rb"EXPUNGE|VANISHED|STATUS"}[kind]
        begin = time.monotonic()
        result = work()
        done = time.monotonic()
        self.watch.wait(kind, times=seen + 1, timeout=120)
        event = self.watch.events(kind)[seen].time
        word = self.r.tap.first(line, since=begin)
        self.found[kind].append((event - done, event - (word or done)))
        return result

    def run(self, samples):
        c = self.client
        for n in range(samples):
            data = next(iter(mail.even(1, 1000, seed=5000 + n)))[0]
            uid = self.once("CREATE", lambda d=data: c.append(PUSHED, d))
            self.once("ATTRIB", lambda u=uid: c.store(
                PUSHED, u, "+FLAGS.SILENT", "\\Seen"))
            self.once("DELETE", lambda u=uid: c.expunge(PUSHED, u))

    def end(self):
        self.client.close()
        self.watch.remove()
        self.r.end()


def report_push(b, tap):
    pushes = Pushes(b, tap)
    try:
        pushes.run(b.o.samples)
    finally:
        pushes.end()
    print(f"\npush, {b.o.rtt:g} ms, medians of {b.o.samples} (worst)\n"
          f"  {'event':<10}{'after the change':>26}"
          f"{'after the word of the server':>30}")
    for kind, rows in pushes.found.items():
        cells = []
        for i in (0, 1):
            values = [row[i] for row in rows]
            cells.append(f"{show(median(values))} ({show(max(values))})")
        print(f"  IN_{kind:<7}{cells[0]:>26}{cells[1]:>30}", flush=True)


def bench():
    p = parser(__doc__)
    p.add_argument("--messages", type=int, default=50_000)
    p.add_argument("--samples", type=int, default=15,
                   help="changes that are pushed, of each kind")
    p.add_argument("--only", choices=("unchanged", "changed", "push"))
    o = options(p, rounds=3)
    if o.messages < 100 or o.samples < 1:
        p.error("--messages is at least 100, --samples at least 1")
    with Bench(o) as b:
        b.fill({BOX: mail.small(o.messages)})
        with Client(b.server) as c:
            c.append_many(PUSHED, (m for m, _ in mail.even(50, 2000)))
        # An account is known by its port too: one tap for all mounts.
        tap = Tap(b.link, b.certs.valid)
        try:
            warm_up(b, tap, o.messages)
            if o.only in (None, "unchanged"):
                report_unchanged(b, tap, o.messages)
            if o.only in (None, "changed"):
                report_changed(b, tap, o.messages)
                report_floor(b, tap)
            if o.only in (None, "push"):
                report_push(b, tap)
        finally:
            tap.remove()


if __name__ == "__main__":
    main(bench)
