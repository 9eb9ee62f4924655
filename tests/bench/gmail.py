#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: what a walk over all folders of a Gmail account costs.

gmail.py --build DIR [--messages N] [--rounds N] [--rtt MS] [--mbit N]

The Gmail double holds N messages under three labels each on average. Fresh
mounts with empty caches: one is searched by grep -r, folder by folder; one is
listed by ls -lR before. The bytes of bodies that the double sends are compared
with those of the distinct messages, and the header fields it sends with their
number. Time is the double's as much as ours; its share is shown by what a
plain client needs for the bodies alone.
"""

import random
import time
from collections import Counter

from kit import Bench, main, options, parser, settle, timed
import mail
from imapfstest.client import Client, utf7_encode
from imapfstest.gmail import APP_PASSWORD, GmailServer, names

BODIES, FIELDS = 1.02, 1.05
LABELS = 3  # of a message, on average; All Mail not counted
TRASHED = 50  # one in so many is in the Trash, without a label
OWN = [utf7_encode(f"{top}/{name}" if name else top)
       for top in ("Work", "Größe", "旅行", "Lists")
       for name in ("", "2024", "2025", "Clients A-M", "ü")]
SYSTEM = [b"\\Inbox", b"\\Sent", b"\\Important", b"\\Starred"]


class GmailBench(Bench):
    password = APP_PASSWORD

    def new_server(self):
        return GmailServer(self.certs.valid)


def labels_of(r):
    """One to five, three on average; those of the system more often."""
    wanted, found = r.choice((1, 2, 3, 3, 3, 4, 5)), set()
    while len(found) < wanted:
        found.add(r.choice(SYSTEM if r.random() < 0.4 else OWN))
    return found


def fill(b, mails):
    """Deliver them; {folder: number} as the mount has to show it."""
    began, r = time.monotonic(), random.Random(4)
    account = b.server.account
    for n, (data, flags) in enumerate(mails):
        trashed = n % TRASHED == 7
        account.deliver(data, () if trashed else labels_of(r),
                        [b"\\Seen"] if "S" in flags else [],
                        mail.EPOCH + 3600 * n,
                        names.TRASH if trashed else names.ALL)
    sizes = sorted(len(m.data) for m in account.messages.values())
    held = Counter({box.name: len(box.messages)
                    for box in account.mailboxes.values()})
    kept = [m for m in account.messages.values() if m.place == names.ALL]
    given = sum(held.values()) - len(sizes)
    print(f"{len(sizes)} messages, {sum(sizes) / 1e6:.1f} MB, median "
          f"{sizes[len(sizes) // 2]}; {given / len(kept):.2f} labels each, "
          f"{sum(map(bool, held.values()))} folders with messages, "
          f"{sum(held.values())} files")
    print(f"filled in {time.monotonic() - began:.1f} s", flush=True)
    return held


def plain_client(b):
    """Seconds of a client that reads all of All Mail and the Trash."""
    began = time.monotonic()
    for kind in names.ALL, names.TRASH:
        with Client(port=b.link.port, user="alice",
                    password=APP_PASSWORD) as client:
            client.select(b.server.account.special(kind).name)
            client._uid("FETCH", "1:*", "(BODY.PEEK[])")
    return time.monotonic() - began


def verdict(what, got, wanted, target):
    ratio = got / wanted
    print(f"  {what:<34}{got:>13}{wanted:>13}{ratio:>9.4f}{target:>8.2f}  "
          f"{'met' if ratio <= target else 'MISSED'}")


def walk(b, title, commands, held):
    """Both ratios after `commands` in a fresh mount; each gives a count."""
    traffic, account = b.server.traffic, b.server.account
    m = b.mount(b.link.port)
    traffic.clear()
    b.link.reset()
    seconds = []
    for command, wanted in commands:
        took, out = timed(command, m.path, 1500)
        if int(out) != wanted:
            raise AssertionError(f"{command}: {out.strip()}, not {wanted}")
        seconds.append(took)
    stats = b.link.stats()
    settle(m)
    distinct = sum(len(x.data) for x in account.messages.values())
    print(f"\n{title}: {' + '.join(f'{s:.1f} s' for s in seconds)}, "
          f"{stats['down'] / 1e6:.1f} MB down, {stats['turns']} round trips,"
          f" RssAnon {m.rss_anon() / 1e6:.1f} MB for {sum(held.values())} "
          "files")
    print(f"  {'sent by the server':<34}{'sent':>13}{'needed':>13}"
          f"{'ratio':>9}{'target':>8}")
    verdict("bytes of bodies", sum(traffic.bodies.values()), distinct,
            BODIES)
    verdict("messages' header fields", sum(traffic.header_times.values()),
            len(account.messages), FIELDS)
    twice = Counter(traffic.header_times.values())
    print(f"  header fields sent so often: {dict(sorted(twice.items()))}; "
          f"{traffic.headers.total() / 1e6:.1f} MB; {traffic.commands} "
          "commands", flush=True)
    b.unmount(m)


def profile(b, mails):
    held = fill(b, mails)
    b.start_line()
    print(f"a plain client reads the bodies in {plain_client(b):.1f} s")
    files = sum(held.values())
    grep = ("grep -r '^Message-ID: ' . | wc -l", files)
    for _ in range(b.o.rounds):
        walk(b, "grep -r", [grep], held)
        walk(b, "ls -lR, then grep -r",
             [("ls -lR | grep -c '^-'", files), grep], held)


def bench():
    p = parser(__doc__)
    p.add_argument("--messages", type=int, default=20_000)
    o = options(p, rounds=1)
    with GmailBench(o) as b:
        profile(b, mail.real(o.messages))


if __name__ == "__main__":
    main(bench)
