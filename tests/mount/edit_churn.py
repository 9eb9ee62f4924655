# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes here and by another client at once: in the end both see the same,
and no message is lost or doubled."""

import errno
import hashlib
import os
import random
import threading
from collections import Counter

from imapfstest import *
from imapfstest.changed import sent
from imapfstest.churn import FOLDERS, Churn, mail
from imapfstest.endstate import truth, wait_equal

BOXES = ("A", "B", "C & D")
MINE = ("INBOX", "Trash", *BOXES)
STOCK = 300  # letters that are there when it begins
MAY_COME = (errno.ENOENT, errno.EEXIST)


class Hands:
    """A user of the mount who does not look twice."""

    def __init__(self, m, seed):
        self.m, self.r = m, random.Random(seed)
        self.done, self.missed = Counter(), 0

    def _some(self):
        """A message of one of the folders, or None."""
        folder = self.m.path / self.r.choice(MINE)
        names = os.listdir(folder)
        return folder / self.r.choice(names) if names else None

    def mv(self, path):
        target = self.m.path / self.r.choice(MINE) / path.name
        if not target.exists():
            os.rename(path, target)

    def rename(self, path):
        os.rename(path, path.with_name(f"named-{self.r.randrange(10**6)}"))

    def rm(self, path):
        if path.parent.name != "Trash":
            os.unlink(path)

    def chmod(self, path):
        os.chmod(path, self.r.choice((0o600, 0o644, 0o700, 0o744)))

    def tag(self, path):
        os.setxattr(path, "user.xdg.tags",
                    self.r.choice((b"", b"one", b"one,two", b"two,three")))

    def read(self, path):
        path.read_bytes()

    def run(self, n):
        kinds = (self.mv, self.mv, self.mv, self.rename, self.rm, self.chmod,
                 self.tag, self.read)
        until = self.done.total() + n
        while self.done.total() < until:
            path = self._some()
            kind = self.r.choice(kinds)
            if not path:
                continue
            try:
                kind(path)
                self.done[kind.__name__] += 1
            except OSError as error:
                if error.errno not in MAY_COME:
                    raise
                self.missed += 1


def letters(expected):
    """How often each letter is on the server, and whether it is whole."""
    found = Counter()
    for rows in expected[0].values():
        for row in rows.values():
            found[row.digest] += 1
    return found


def digests(ns):
    return Counter(hashlib.sha256(mail(n)).hexdigest() for n in ns)


def check_letters(found, wanted, by_two):
    """All are there; twice are none but those that two may have moved."""
    assert not wanted - found, f"lost: {wanted - found}"
    assert set(found - wanted) <= set(by_two), f"doubled: {found - wanted}"
    assert set(found) == set(wanted) and max(found.values()) <= 2, found


def both(env, server, seed, changes, line=None, moves=False):
    """`line`: what the mount talks to, if it is not the server itself.

    `moves`: the other client moves, too. What two sessions move at the same
    moment is there twice then: a MOVE of Dovecot's copies and removes, and
    does not ask in between whether another one has done so."""
    with Client(server) as c:
        for box in BOXES:
            c.create(box)
        c.append_many("INBOX", map(mail, range(1, STOCK + 1)), 1_600_000_000)
    m = env.mount(server.url(port=line.port) if line else server)
    # Nothing that removes or doubles a message.
    without = (*FOLDERS, "expunge", "copy", *(() if moves else ("move",)))
    churn = Churn(server, seed=seed, without=without, pace=0.004,
                  first=STOCK + 1)
    hands = Hands(m, seed)
    stop = threading.Event()
    other = threading.Thread(target=churn.run, args=(10**9, stop.is_set))
    other.start()
    try:
        hands.run(changes)
    finally:
        stop.set()
        other.join()
    churn.close()
    sent(m, 60)
    expected = truth(server)
    check_letters(letters(expected), digests(range(1, churn.serial)),
                  digests(churn.taken()))
    wait_equal(m, expected)
    return m


@deadline(180)
def test_both_see_the_same_and_nothing_is_lost(env):
    for seed, moves in ((1, False), (2, True)):
        both(env, env.dovecot(), seed, 400, moves=moves).unmount()


@slow
@deadline(180)
def test_nothing_is_lost_or_doubled_without_move(env):
    """It is copied, looked for, and removed."""
    server = env.dovecot(format="maildir", separator=".")
    line = env.tap(server, mask=["MOVE", "QRESYNC", "NOTIFY"])
    both(env, server, 3, 200, line)
    assert line.count(rb"UID COPY") > 0 and line.count(rb"UID MOVE") == 0
