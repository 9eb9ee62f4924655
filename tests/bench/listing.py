#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: the first listing of a large folder.

listing.py --build DIR [--messages N] [--rounds N] [--rtt MS] [--mbit N]

In turns: a fresh mount with an empty cache, timed from opendir to the last
name; the raw reader, plain and compressed, which asks for the same items in
one command and throws them away. Beside them mbsync's initial pull, which
fetches bodies too: it has nothing less. Then memory for each message, between
a fifth of the messages and all of them (--memory N; memory.py has the whole
line).
"""

import os
import time

from kit import LISTING, Bench, Requests, alternate, line_counts, main, \
    median, options, parser, show, spent, table
import mail
import memory

BOX = "Listing"
PLAIN, DEFLATE = 1.3, 1.5


def walk(b, m, count):
    """{seconds, first, turns}: from opendir to the end, to the first name,
    and the round trips that had passed by then."""
    began = time.monotonic()
    with os.scandir(m.path / BOX) as entries:
        next(entries)
        first = time.monotonic() - began
        turns = b.link.stats()["turns"]
        n = 1 + sum(1 for _ in entries)
    seconds = time.monotonic() - began
    if n != count:
        raise AssertionError(f"{n} names, not {count}")
    return {"seconds": seconds, "first": first, "turns": turns}


def ours(b, count, report=False):
    m = b.mount(b.link.port)
    counter = Requests(b, m) if report else None
    before = b.commands() if report else None
    b.link.reset()
    result = {}

    def work():
        result.update(walk(b, m, count))
    asked = counter.of(work) if counter else work()
    stats = b.link.stats()
    result["down"] = stats["down"]
    if report:
        own, kernel = asked
        print(f"\none listing: {own} requests"
              f"{'' if kernel is None else f' (the kernel: {kernel})'}, "
              f"{line_counts(stats)}")
        print(f"commands: {spent(before, b.commands())}", flush=True)
        counter.end()
    b.unmount(m)
    return result


def compare(b, count):
    o, port = b.o, b.link.port
    command = f"FETCH 1:* {LISTING}"
    found = alternate(o.rounds, {
        "ours": lambda: ours(b, count),
        "plain": lambda: b.raw(port, BOX, command),
        "deflate": lambda: b.raw(port, BOX, command,
                                 compress=not o.plain)})

    def middle(name, key="seconds"):
        return median(x[key] for x in found[name])
    plain = found["plain"][0]["wire"]
    compressed = middle("ours", "down") < 0.7 * plain
    rows = [("listing", middle("ours"), "raw reader", middle("plain"),
             None if compressed else PLAIN),
            ("listing", middle("ours"), "raw reader, compressed",
             middle("deflate"), DEFLATE if compressed else None),
            ("first name", middle("ours", "first"),
             "raw reader's first byte", middle("plain", "first"), None)]
    if o.mbsync:
        pulls = [b.mbsync(port, BOX)[0] for _ in range(o.mbsync)]
        rows.append(("listing", middle("ours"), "mbsync, initial pull",
                     median(pulls), None))
    table(f"{count} messages, {o.rtt:g} ms, {o.mbit:g} Mbit/s, medians of "
          f"{o.rounds}; the mount "
          f"{'compresses' if compressed else 'does not compress'}", rows)
    print(f"  on the wire: raw {plain / 1e6:.2f} MB, compressed "
          f"{found['deflate'][0]['wire'] / 1e6:.2f} MB, mount "
          f"{middle('ours', 'down') / 1e6:.2f} MB; "
          f"{middle('ours', 'turns'):g} round trips to the first name, "
          f"after {show(middle('ours', 'first'))}")


def bench():
    p = parser(__doc__)
    p.add_argument("--messages", type=int, default=50_000)
    p.add_argument("--mbsync", type=int, default=1, metavar="N",
                   help="pulls by mbsync")
    p.add_argument("--memory", type=int, default=100_000, metavar="N",
                   help="messages of the measure of memory; 0: none")
    o = options(p)
    most = max(o.messages, o.memory)
    with Bench(o) as b:
        mails = list(mail.small(most))
        b.fill({BOX: mails[:o.messages]})
        compare(b, o.messages)
        ours(b, o.messages, report=True)
    if o.memory:
        with Bench(o) as b:
            memory.profile(b, mails, [o.memory // 5, o.memory])


if __name__ == "__main__":
    main(bench)
