#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: how long a reader of one uncached message waits.

latency.py --build DIR [--samples N] [--rounds N] [--rtt MS] [--mbit N]

`cat` of single messages, far from each other so that read-ahead has none of
them, against a raw UID FETCH of the same message on a connection that has
the mailbox open. Idle, and while `grep -r` walks another folder of the same
mount; for each round a fresh mount with an empty cache. At most one round
trip more is the target.
"""

import random
import subprocess

from kit import Bench, main, median, options, parser, popen, show, timed
import mail

BOX, OTHER = "Single", "Walk"
TARGET_TRIPS = 1.0


def sample(b, m, uid, path):
    """(cat, raw) in seconds for one message."""
    seconds, out = timed(f"cat '{path.name}' | wc -c", path.parent)
    raw = b.raw(b.link.port, BOX, f"UID FETCH {uid} BODY.PEEK[]")
    if int(out) != path.stat().st_size:
        raise AssertionError(f"{path.name}: {out!r} bytes")
    return seconds, raw["seconds"]


def one_round(b, r, walking):
    m = b.mount(b.link.port)
    paths = m.by_uid(BOX)
    timed("ls | wc -l", m.path / OTHER)
    chosen = r.sample(sorted(paths), b.o.samples)
    grep = None
    if walking:
        grep = popen(["grep", "--line-buffered", "-rc", "no-such-words", "."],
                     cwd=m.path / OTHER, stdout=subprocess.PIPE)
        grep.stdout.readline()  # it is under way
    found = []
    try:
        for uid in chosen:
            pair = sample(b, m, uid, paths[uid])
            if grep and grep.poll() is not None:
                break  # what was measured last, was not beside it
            found.append(pair)
    finally:
        if grep:
            grep.kill()
            grep.communicate()
    b.unmount(m)
    return found


def report(b, what, found):
    if not found:
        print(f"  {what:<16}no sample: the walk ended too early; give it "
              "more messages")
        return
    ours, raw = (median(x[i] for x in found) for i in (0, 1))
    more = median((a - c) for a, c in found) * 1000 / b.o.rtt \
        if b.o.rtt else float("nan")
    worst = max((a - c) for a, c in found)
    verdict = "met" if more <= TARGET_TRIPS else "MISSED"
    print(f"  {what:<16}{len(found):>8}{show(ours):>11}{show(raw):>11}"
          f"{more:>9.2f}{show(worst):>11}   target {TARGET_TRIPS:.2f}: "
          f"{verdict}", flush=True)


def bench():
    p = parser(__doc__)
    p.add_argument("--messages", type=int, default=500)
    p.add_argument("--walk", type=int, default=2000,
                   help="messages of the folder that grep walks")
    p.add_argument("--samples", type=int, default=6,
                   help="messages for each mount")
    o = options(p)
    if not 0 < o.samples <= o.messages:
        p.error("--samples is at least 1 and at most --messages")
    r = random.Random(7)
    with Bench(o) as b:
        b.fill({BOX: mail.even(o.messages, 8000),
                OTHER: mail.real(o.walk)})
        print(f"\none uncached message, {o.rtt:g} ms, {o.mbit:g} Mbit/s, "
              f"medians\n  {'':<16}{'samples':>8}{'cat':>11}{'raw':>11}"
              f"{'RTT more':>9}{'worst':>11}")
        for what, walking in (("idle", False), ("beside grep -r", True)):
            found = []
            for _ in range(o.rounds):
                found += one_round(b, r, walking)
            report(b, what, found)


if __name__ == "__main__":
    main(bench)
