# SPDX-License-Identifier: GPL-3.0-or-later
"""A seeded stream of changes by another client.

    churn = Churn(server, seed=7)
    churn.run(1000)
    churn.gone(path)        # may this path have been missing meanwhile?

It appends, flags, moves, copies and expunges messages, and makes, renames and
deletes folders with mail in them; from a small pool of names, so that a name
is soon used again by another folder. It keeps no model: it asks the server
what is there before each change, so the same seed makes the same changes. What
must come of it is in endstate.py.
"""

import contextlib
import imaplib
import random
import re
import time
from collections import Counter

from .client import Client, quote
from .letters import letter

POOL = ("A", "B", "C & D", "Büro", "A/Deep", "B/Deep", "Büro/Straße",
        "A/Deep/Deeper")
FLAGS = ("\\Seen", "\\Seen", "\\Flagged", "\\Answered", "\\Deleted",
         "\\Draft", "$Work", "urgent")
SIZES = (None, 700, 1500, 9000, 40_000)
WEIGHTS = {"append": 25, "flag": 20, "unflag": 12, "move": 10, "copy": 6,
           "expunge": 15, "create": 5, "rename": 3, "delete": 3}
FOLDERS = ("create", "rename", "delete")  # changes of folders
REFUSALS = 200  # one after the other are too many
SOME = (1, 1, 1, 1, 2, 5, 30)  # messages of one change
FULL = 300  # a box that gets no more of many at once
COUNTED = 10  # changes, from one count of all messages to the next
DATE = 1_600_000_000


def mail(n):
    """Message number n of every stream: known by its name."""
    return letter(n, size=SIZES[n % len(SIZES)])


class Refused(Exception):
    """The server did not do it: not a change."""


class Churn:
    def __init__(self, server, seed=1, without=(), pace=0.0, first=1,
                 user="alice", most=None):
        """`without`: kinds of changes that are not made. `pace`: seconds
        between two changes, on average. `first`: the number of the first
        message that is appended. `most`: with more messages than that none
        are added until there are fewer."""
        self.r = random.Random(seed)
        self.server, self.user = server, user
        self.client = Client(server, user)
        self.pace, self.serial = pace, first
        self.counts, self.done = Counter(), 0
        self.weights = {k: w for k, w in WEIGHTS.items()
                        if k not in without}
        self._gone_messages, self._gone_folders = set(), set()
        self.most, self._is_full = most, False

    def close(self):
        self.client.close()

    remove = close

    def reconnect(self):
        """The server was restarted."""
        self.close()
        self.client = Client(self.server, self.user)

    def run(self, n, stop=lambda: False):
        """Make n changes, or fewer if stop() says so."""
        until, refused = self.done + n, 0
        while self.done < until and not stop():
            kind = self.r.choices(list(self.weights),
                                  list(self.weights.values()))[0]
            if self.most and self.done % COUNTED == 0:
                self._is_full = self.total() > self.most
            if self._is_full and kind in ("append", "copy"):
                kind = "expunge"
            try:
                getattr(self, "do_" + kind)()
                self.counts[kind] += 1
                self.done += 1
                refused = 0
            except (Refused, AssertionError,  # not possible, or a NO
                    imaplib.IMAP4.abort) as error:
                self.counts["refused"] += 1
                refused += 1
                if refused > REFUSALS:
                    raise
                # Dovecot, when a mailbox is another one than it has in mind.
                if isinstance(error, imaplib.IMAP4.abort):
                    self.reconnect()
            if self.pace:
                time.sleep(self.r.random() * 2 * self.pace)
        return self

    def total(self):
        """How many messages there are, in all mailboxes."""
        found = 0
        for box in self.client.selectable():
            with contextlib.suppress(AssertionError):  # listed, but gone
                found += self.client.status(box)["MESSAGES"]
        return found

    # What may be missing.

    def gone(self, path):
        """Did this path of the mount leave its place at some time?"""
        parts = str(path).split("/")
        for n in range(1, len(parts) + 1):
            if "/".join(parts[:n]) in self._gone_folders:
                return True
        number = re.search(r"_Letter-(\d+)_", parts[-1])
        return bool(number) and \
            ("/".join(parts[:-1]), int(number[1])) in self._gone_messages

    def _leave(self, box, uids):
        """Note that these messages leave the box."""
        for item in self.client._uid("FETCH", uids,
                                     "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
            if isinstance(item, tuple):
                n = int(re.search(rb"Letter (\d+)", item[1])[1])
                self._gone_messages.add((box, n))

    def taken(self):
        """Numbers of the messages that were taken out of some box."""
        return {n for _, n in self._gone_messages}

    # Choosing.

    def _some(self, box=None, readonly=False):
        """(box, UIDs in it as a set of IMAP), the box selected."""
        box = box or self.r.choice(self.client.selectable())
        self.client.select(box, readonly)
        uids = self.client._uid("SEARCH", "ALL")[0].split()
        if not uids:
            raise Refused
        n = min(len(uids), self.r.choice(SOME))
        at = self.r.randrange(len(uids) - n + 1)
        return box, b",".join(uids[at:at + n]).decode()

    # Changes.

    def do_append(self):
        box = self.r.choice(self.client.selectable())
        n = self.r.choice(SOME)
        if n > 1 and self.client.status(box)["MESSAGES"] > FULL:
            raise Refused
        if n == 1:
            flags = self.r.sample(sorted(set(FLAGS)), self.r.randrange(3))
            self.client.append(box, mail(self.serial), flags,
                               DATE + self.serial)
        else:
            self.client.append_many(
                box, map(mail, range(self.serial, self.serial + n)),
                DATE + self.serial)
        self.serial += n

    def _store(self, sign):
        box, uids = self._some()
        self.client._uid("STORE", uids, sign + "FLAGS.SILENT",
                         f"({self.r.choice(FLAGS)})")

    def do_flag(self):
        self._store("+")

    def do_unflag(self):
        self._store("-")

    def do_move(self):
        box, uids = self._some()
        target = self.r.choice(self.client.selectable())
        self._leave(box, uids)
        self.client._uid("MOVE", uids, quote(target))

    def do_copy(self):
        box, uids = self._some(readonly=True)
        target = self.r.choice(self.client.selectable())
        self.client._uid("COPY", uids, quote(target))

    def do_expunge(self):
        box, uids = self._some()
        self._leave(box, uids)
        self.client._uid("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        self.client._uid("EXPUNGE", uids)

    def _pick(self, there):
        """A name of the pool that can (or cannot yet) be selected."""
        have = set(self.client.selectable())
        names = [n for n in POOL if (n in have) == there]
        if not names:
            raise Refused
        return self.r.choice(names)

    def do_create(self):
        self.client.create(self._pick(False))

    def _leave_folder(self, box):
        """It, and those above it that may be there for its sake only."""
        while box:
            self._gone_folders.add(box)
            box = box.rpartition("/")[0]

    def do_rename(self):
        old, new = self._pick(True), self._pick(False)
        if new.startswith(old + "/"):
            raise Refused
        self._leave_folder(old)
        self.client.select("INBOX")  # the server ends who stays in it
        self.client.rename_box(old, new)

    def do_delete(self):
        name = self._pick(True)
        self._leave_folder(name)
        self.client.select("INBOX")
        self.client.delete_box(name)
