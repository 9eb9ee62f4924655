# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes here and by another client at once: in the end both see the same,
and no message is lost or doubled."""

import errno
import os
import random
import re
import threading
from collections import Counter

from imapfstest import *
from imapfstest.changed import changing, sent
from imapfstest.churn import Churn, mail
from imapfstest.endstate import truth, wait_equal

BOXES = ("A", "B", "C & D")
MINE = ("INBOX", *BOXES)
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
        for _ in range(n):
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
    import hashlib
    return Counter(hashlib.sha256(mail(n)).hexdigest() for n in ns)


def both(env, seed, changes, server=None):
    server, m = changing(env, count=0, boxes=BOXES, server=server)
    churn = Churn(server, seed=seed, folders=False, pace=0.004)
    # Nothing that removes or doubles a message.
    for kind in ("expunge", "copy"):
        del churn.weights[kind]
    for _ in range(10):
        churn.do_append()
    hands = Hands(m, seed)
    stop = threading.Event()
    other = threading.Thread(target=churn.run, args=(10**9, stop.is_set))
    other.start()
    try:
        hands.run(changes)
    finally:
        stop.set()
        other.join()
    sent(m, 60)
    expected = truth(server)
    assert letters(expected) == digests(range(1, churn.serial)), \
        (hands.done, churn.counts)
    wait_equal(m, expected)
    assert not re.search(r"^Traceback", m.control("failed"))
    churn.close()
    return hands, m


@deadline(180)
def test_both_see_the_same_and_nothing_is_lost(env):
    for seed in (1, 2):
        hands, m = both(env, seed, 400)
        assert sum(hands.done.values()) > 200, hands.done
        m.unmount()


@slow
@deadline(180)
def test_both_see_the_same_without_move(env):
    server = env.dovecot(format="maildir", separator=".")
    tap = env.tap(server, mask=["MOVE", "QRESYNC", "NOTIFY"])
    server_url = tap
    del server_url
    hands, _ = both(env, 3, 200, server)
    assert sum(hands.done.values()) > 100, hands.done
