#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: programs over a folder that is cached, against ext4.

warm.py --build DIR [--files N] [--mean BYTES] [--rounds N] [--first N]

The same files under the same names are in a folder of a mount and in one of
the disk. Steady state: after two passes that are not timed, every program
goes over both in turns, with medians of --rounds. First pass: a new mount for
each repetition, bodies in the cache on disk, nothing else dropped. Both must
print the same. Then the requests of one pass more, as the program counts
them and as the kernel does.
"""

import shutil

from kit import Bench, Requests, alternate, main, median, options, parser, \
    table, timed
import mail

BOX = "Warm"
LS = "ls -l"
FIND = "find -newermt"
GREP = "grep -r"
CAT = "cat"
TAR = "tar c"
# Names are in two orders, and a sum of the bytes does not depend on it. A
# grep that writes to the null device would stop at the first match.
PROGRAMS = {
    LS: "ls -l . | wc -l",
    FIND: "find . -type f -newermt 2020-11-01 | wc -l",
    GREP: f"grep -rl {mail.RARE} . | wc -l",
    CAT: "find . -type f -exec cat {} + | wc -c",
    TAR: "tar cf - . | wc -c",
}
STEADY = {LS: 0.8, FIND: 0.85, GREP: 1.1, CAT: 1.1, TAR: 1.1}
FIRST = {LS: 1.8, GREP: 1.6, TAR: 2.2}


def fill_cache(b, files):
    """A mount that has read every message once; its cache folder stays."""
    cache = b.tmp / "cache"
    m = b.mount(cache=cache)
    timed("find . -type f -exec cat {} + | wc -c", m.path / BOX)
    bodies = m.wait_status(lambda s: s["cache"]["bodies"] >= files, 120,
                           "every body in the cache")["cache"]["bodies"]
    copy = b.tmp / "ext4" / BOX
    copy.parent.mkdir()
    shutil.copytree(m.path / BOX, copy, copy_function=shutil.copy2)
    b.unmount(m)
    timed("sync -f .", copy)
    print(f"{bodies} bodies cached, and copied to the disk", flush=True)
    return cache, copy


def same(name, ours, theirs):
    if ours[1] != theirs[1]:
        raise AssertionError(f"{name}: the mount says {ours[1]!r}, the disk "
                             f"{theirs[1]!r}")


def steady(b, cache, copy, rounds):
    m = b.mount(cache=cache)
    folder = m.path / BOX
    for _ in range(2):
        for name, command in PROGRAMS.items():
            same(name, timed(command, folder), timed(command, copy))
    rows = []
    for name, command in PROGRAMS.items():
        found = alternate(rounds, {
            "ours": lambda c=command: timed(c, folder)[0],
            "ext4": lambda c=command: timed(c, copy)[0]})
        rows.append((name, median(found["ours"]), "ext4",
                     median(found["ext4"]), STEADY[name]))
    table(f"steady state, medians of {rounds}", rows)

    counter = Requests(b, m)
    print("\nrequests of one such pass (1 directory)")
    for name, command in PROGRAMS.items():
        own, kernel = counter.of(lambda c=command: timed(c, folder))
        print(f"  {name:<34}{own:>9} by the program"
              f"{'' if kernel is None else f', {kernel} by the kernel'}")
    counter.end()
    b.unmount(m)


def first(b, cache, copy, rounds):
    def fresh(command):
        m = b.mount(cache=cache)
        try:
            return timed(command, m.path / BOX)[0]
        finally:
            b.unmount(m)

    rows = []
    for name, target in FIRST.items():
        command = PROGRAMS[name]
        found = alternate(rounds, {
            "ours": lambda c=command: fresh(c),
            "ext4": lambda c=command: timed(c, copy)[0]})
        rows.append((name, median(found["ours"]), "ext4",
                     median(found["ext4"]), target))
    table(f"first pass after a mount, medians of {rounds}", rows)

    print("\nrequests of a first pass (1 directory)")
    for name in FIRST:
        m = b.mount(cache=cache)
        counter = Requests(b, m)
        own, kernel = counter.of(
            lambda n=name: timed(PROGRAMS[n], m.path / BOX))
        print(f"  {name:<34}{own:>9} by the program"
              f"{'' if kernel is None else f', {kernel} by the kernel'}")
        counter.end()
        b.unmount(m)


def bench():
    p = parser(__doc__)
    p.add_argument("--files", type=int, default=20_000)
    p.add_argument("--mean", type=int, default=20_000, help="bytes of a file")
    p.add_argument("--first", type=int, default=5, metavar="N",
                   help="rounds of the first pass; 0: leave it out")
    o = options(p, rounds=7)
    with Bench(o) as b:
        b.fill({BOX: mail.even(o.files, o.mean)})
        cache, copy = fill_cache(b, o.files)
        steady(b, cache, copy, o.rounds)
        if o.first:
            first(b, cache, copy, o.first)


if __name__ == "__main__":
    main(bench)
