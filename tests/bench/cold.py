#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: grep -r over messages of which nothing is here yet.

cold.py --build DIR [--messages N] [--rounds N] [--rtt MS] [--mbit N]

In turns: a fresh mount with an empty cache; the raw reader, plain and
compressed, which asks for all bodies in one command and throws them away;
and mbsync, which pulls everything into a Maildir in which grep then runs.
The same over loopback without the line, where the raw reader writes files.
The mount's time is that of grep alone, listing included, except beside
mbsync, which has to connect too: there it begins with the mount's start.
"""

from kit import LISTING, Bench, Requests, alternate, line_counts, main, \
    median, options, parser, spent, table, timed
import mail

BOX = "Cold"
BODIES = "FETCH 1:* BODY.PEEK[]"
GREP = f"grep -rl {mail.RARE} . | wc -l"
WIRE, MBSYNC, LOOPBACK = 1.15, 1.0, 3.0


def ours(b, port, want, count=False):
    """{seconds, start, down}; with `count`, print what else it cost."""
    m = b.mount(port)
    counter = Requests(b, m) if count else None
    before = b.commands() if count else None
    b.link.reset()
    result = []

    def grep():
        result.append(timed(GREP, m.path / BOX))
    requests = counter.of(grep) if counter else grep()
    seconds, out = result[0]
    if int(out) != want:
        raise AssertionError(f"grep found {out!r}, not {want}")
    stats = b.link.stats()
    if count:
        own, kernel = requests
        print(f"\none grep: {own} requests"
              f"{'' if kernel is None else f' (the kernel: {kernel})'}, "
              f"{line_counts(stats)}")
        print(f"commands: {spent(before, b.commands())}", flush=True)
        counter.end()
    b.unmount(m)
    return {"seconds": seconds, "start": m.start_seconds,
            "down": stats["down"]}


def middle(found, key="seconds"):
    return median(one[key] for one in found)


def over_the_line(b, want):
    o, port = b.o, b.link.port
    found = alternate(o.rounds, {
        "ours": lambda: ours(b, port, want),
        "plain": lambda: b.raw(port, BOX, BODIES),
        "deflate": lambda: b.raw(port, BOX, BODIES, compress=True),
        "mbsync": lambda: b.mbsync(port, BOX, GREP),
        "nofsync": lambda: b.mbsync(port, BOX, GREP, fsync=False)})
    mount = middle(found["ours"])
    # Who compresses needs far fewer bytes: that is the rival that counts.
    plain = found["plain"][0]["wire"]
    compressed = middle(found["ours"], "down") < 0.9 * plain
    names = {"plain": "raw reader", "deflate": "raw reader, compressed"}
    rows = [("grep -r", mount, names[key], middle(found[key]),
             WIRE if compressed == (key == "deflate") else None)
            for key in names]
    for key, name, target in (("mbsync", "mbsync and grep", MBSYNC),
                              ("nofsync", "the same without fsync", None)):
        rows.append(("mount and grep -r",
                     median(x["seconds"] + x["start"] for x in found["ours"]),
                     name, median(p + g for p, g in found[key]), target))
    table(f"{o.rtt:g} ms, {o.mbit:g} Mbit/s, medians of {o.rounds}; the "
          f"mount {'compresses' if compressed else 'does not compress'}",
          rows)
    print(f"  on the wire: raw {plain / 1e6:.1f} MB, compressed "
          f"{found['deflate'][0]['wire'] / 1e6:.1f} MB, mount "
          f"{middle(found['ours'], 'down') / 1e6:.1f} MB")


def on_loopback(b, want):
    o, port = b.o, b.server.tls_port
    found = alternate(o.rounds, {
        "ours": lambda: ours(b, port, want),
        "files": lambda: b.raw_files(port, BOX, BODIES),
        "both": lambda: b.raw_files(port, BOX, f"FETCH 1:* {LISTING}",
                                    BODIES)})
    table(f"loopback, medians of {o.rounds}", [
        ("grep -r", middle(found["ours"]), "raw reader, to files",
         middle(found["files"]), LOOPBACK),
        ("grep -r", middle(found["ours"]), "the same, and a listing",
         middle(found["both"]), None)])


def bench():
    p = parser(__doc__)
    p.add_argument("--messages", type=int, default=2000)
    o = options(p)
    want = (o.messages - 1) // mail.RARE_EVERY + 1
    with Bench(o) as b:
        b.fill({BOX: mail.real(o.messages)})
        b.raw(b.server.tls_port, BOX, BODIES)  # the disk's cache is warm
        over_the_line(b, want)
        on_loopback(b, want)
        ours(b, b.link.port, want, count=True)


if __name__ == "__main__":
    main(bench)
