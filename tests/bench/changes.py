#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: how soon what is changed here is on the server.

changes.py --build DIR [--moves N] [--waited N] [--rounds N] [--rtt MS]

Messages are moved with one `mv` from one folder to another: when the prompt is
back, and how much later all is on the server, in time and round trips, by how
many commands that move. Then fewer of them with the option sync, where each
rename waits for the server: against the round trip of the line, and against a
client that sends the same UID MOVE, one after the other.
"""

import os
import time

from kit import Bench, alternate, main, median, options, parser, settle, \
    show, timed
import mail
from imapfstest.client import Client

FROM, TO = "Inbound", "Sorted"
MOVING = ("UID_MOVE", "UID_COPY", "UID_STORE", "UID_EXPUNGE")
TARGET_PROMPT, TARGET_TURNS, TARGET_COMMANDS = 1.0, 5, 6
TARGET_WAITED = 1.0  # round trips for each
TARGET_RAW = 1.1  # of the time that the server and the line take for each


def met(good):
    return "met" if good else "MISSED"


class Side:
    """A mount with its own options, whose messages go back and forth."""

    def __init__(self, b, folders, *options):
        self.b, self.folders = b, list(folders)
        self.m = b.mount(b.link.port, options=options)
        for folder in self.folders:
            os.listdir(self.m.path / folder)

    def move(self):
        """(seconds until the prompt is back, and until all is sent; turns of
        the line behind the last rename; moving commands)."""
        source, target = self.folders
        settle(self.m)
        before = self.b.commands()
        seconds, out = timed(f"mv {source}/* {target}/", self.m.path)
        self.b.link.reset()
        begin = time.monotonic()
        self.wait_sent()
        sent = time.monotonic() - begin
        turns = self.b.link.stats()["turns"]
        after = self.b.commands()
        if out or os.listdir(self.m.path / source):
            raise AssertionError(f"not all were moved: {out[:200]}")
        self.folders.reverse()
        commands = sum(after.get(name, 0) - before.get(name, 0)
                       for name in MOVING)
        return seconds, sent, turns, commands

    def wait_sent(self):
        fd = os.open(self.m.path / ".imapfs" / "queue", os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


class Raw:
    """The same moves by a client that does nothing else."""

    def __init__(self, b, folders):
        self.b, self.folders = b, list(folders)

    def move(self):
        source, target = self.folders
        with Client(self.b.server, port=self.b.link.port) as c:
            uids = c.uids(source)
            c.select(source, readonly=False)
            begin = time.monotonic()
            for uid in uids:
                c._uid("MOVE", str(uid), target)
            seconds = time.monotonic() - begin
        self.folders.reverse()
        return seconds / len(uids)


def bench():
    p = parser(__doc__)
    p.add_argument("--moves", type=int, default=1000)
    p.add_argument("--waited", type=int, default=200)
    o = options(p)
    with Bench(o) as b:
        few, again, raw, back = "Few", "Fewer", "Raw", "Rawer"
        b.fill({FROM: mail.even(o.moves, 2000),
                few: mail.even(o.waited, 2000, seed=2),
                raw: mail.even(o.waited, 2000, seed=3)})
        with Client(b.server) as c:
            c.create(TO), c.create(again), c.create(back)
        many = Side(b, (FROM, TO))
        waited = Side(b, (few, again), "sync")
        found = alternate(o.rounds, {"many": many.move,
                                     "waited": waited.move,
                                     "raw": Raw(b, (raw, back)).move})
        rows = found["many"]
        prompt, sent, turns, commands = (
            median(row[i] for row in rows) for i in range(4))
        print(f"\n{o.moves} messages moved by one mv, {o.rtt:g} ms, medians "
              f"of {o.rounds}\n"
              f"  the prompt is back after {show(prompt)}, target "
              f"{TARGET_PROMPT:g} s: {met(prompt <= TARGET_PROMPT)}\n"
              f"  all is on the server {show(sent)} later, {turns:g} round "
              f"trips, target {TARGET_TURNS}: {met(turns <= TARGET_TURNS)}\n"
              f"  commands that move: {commands:g} (most "
              f"{max(row[3] for row in rows)}), target {TARGET_COMMANDS}: "
              f"{met(max(row[3] for row in rows) <= TARGET_COMMANDS)}")
        each = median(row[0] for row in found["waited"]) / o.waited
        ratio, floor = each * 1000 / o.rtt, median(found["raw"])
        print(f"\n{o.waited} moved with the option sync: {show(each)} each, "
              f"{ratio:.2f} round trips, target {TARGET_WAITED:g}: "
              f"{met(ratio <= TARGET_WAITED)}\n"
              f"  by a client that sends the same commands: {show(floor)} "
              f"each; ratio {each / floor:.2f}, target {TARGET_RAW:g}: "
              f"{met(each / floor <= TARGET_RAW)}", flush=True)


if __name__ == "__main__":
    main(bench)
