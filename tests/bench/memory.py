#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: memory of the program for each message that is listed.

memory.py --build DIR [--messages N] [--step N]

Folders of 0, one step, two steps ... messages; for each a fresh process that
lists it from the server, and one that lists it from the cache. RssAnon of
both after the listing, when nothing runs any more, and the slopes (least
squares). Names are 60 bytes; the mail is the same, by hard links.
"""

import os
import statistics

from kit import Bench, main, options, parser, settle
import mail

TARGET = 150


def box_of(n):
    return f"Box{n}"


def fill(b, mails, steps):
    """Each box has the first messages of the largest one."""
    most = max(steps)
    b._store(box_of(most), mails[:most])
    source = b.folder_of(box_of(most))
    names = sorted(os.listdir(source))
    for n in steps:
        if n != most:
            folder = b.folder_of(box_of(n))
            for name in names[:n]:
                os.link(source / name, folder / name)
    b.start_server([box_of(n) for n in steps if n])


def rss_after_listing(b, n, cache):
    """(RssAnon, mean length of a name) of a fresh process."""
    m = b.mount(b.server.tls_port, cache=cache)
    length = 0
    with os.scandir(m.path / box_of(n)) as entries:
        count = 0
        for entry in entries:
            count += 1
            length += len(entry.name.encode())
    if count != n:
        raise AssertionError(f"{count} names, not {n}")
    settle(m)
    rss = m.rss_anon()
    b.unmount(m)
    return rss, length / max(count, 1)


def slope(points):
    return statistics.linear_regression(*zip(*points)).slope


def profile(b, mails, steps):
    fill(b, mails, steps)
    print(f"\n{'messages':>10}{'name':>7}{'listed from the server':>25}"
          f"{'listed from the cache':>25}   (bytes; RssAnon)")
    first, again = [], []
    for n in steps:
        cache = b.tmp / f"cache{n}"
        rss, name = rss_after_listing(b, n, cache)
        first.append((n, rss))
        again.append((n, rss_after_listing(b, n, cache)[0]))
        print(f"{n:>10}{name:>7.1f}{rss:>25}{again[-1][1]:>25}", flush=True)
    for what, points in (("server", first), ("cache", again)):
        each = slope(points)
        print(f"  {each:.1f} bytes a message, listed from the {what}; target"
              f" {TARGET}: {'met' if each <= TARGET else 'MISSED'}")


def bench():
    p = parser(__doc__)
    p.add_argument("--messages", type=int, default=100_000)
    p.add_argument("--step", type=int, default=20_000)
    o = options(p, rounds=1)
    if not 0 < o.step <= o.messages:
        p.error("--step is at least 1 and at most --messages")
    steps = list(range(0, o.messages + 1, o.step))
    with Bench(o) as b:
        profile(b, list(mail.small(steps[-1])), steps)


if __name__ == "__main__":
    main(bench)
