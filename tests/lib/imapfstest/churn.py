# SPDX-License-Identifier: GPL-3.0-or-later
"""A seeded stream of changes by another client, and what must come of it.

    churn = Churn(server, seed=7)
    churn.run(1000)
    churn.gone(path)        # may this path have been missing meanwhile?
    wait_for(lambda: not differences(m, truth(server)))

The stream appends, flags, moves, copies and expunges messages, and makes,
renames and deletes folders with mail in them; from a small pool of names, so
that a name is soon used again by another folder. It keeps no model: it asks
the server what is there before each change. The end state is asked from the
server too, by truth(), with a client of its own.
"""

import hashlib
import os
import random
import re
import time
from collections import Counter

from .client import Client
from .letters import letter

FIXED = ("INBOX", "Archive", "Sent")
POOL = ("A", "B", "C & D", "Büro", "A/Deep", "B/Deep", "Büro/Straße",
        "A/Deep/Deeper")
FLAGS = ("\\Seen", "\\Seen", "\\Flagged", "\\Answered", "\\Deleted",
         "\\Draft", "$Work", "urgent")
SIZES = (None, 700, 1500, 9000, 40_000)
WEIGHTS = {"append": 25, "flag": 20, "unflag": 12, "move": 10, "copy": 6,
           "expunge": 15, "create": 5, "rename": 3, "delete": 3}
HIDDEN = {"\\Noselect", "\\NonExistent"}


def mail(n):
    """Message number n of every stream: known by its name."""
    return letter(n, size=SIZES[n % len(SIZES)])


class Refused(Exception):
    """The server did not do it: not a change."""


class Churn:
    def __init__(self, server, seed=1, folders=True, pace=0.0, first=1,
                 user="alice"):
        """`pace`: seconds between two changes, on average. `first`: the
        number of the first message that is appended."""
        self.r = random.Random(seed)
        self.client = Client(server, user)
        self.pace, self.serial = pace, first
        self.counts, self.done = Counter(), 0
        self.weights = {k: w for k, w in WEIGHTS.items() if folders or
                        k not in ("create", "rename", "delete")}
        self._gone_messages, self._gone_folders = set(), set()

    def close(self):
        self.client.close()

    remove = close

    def run(self, n, stop=lambda: False):
        """Make n changes, or fewer if stop() says so."""
        until = self.done + n
        while self.done < until and not stop():
            kind = self.r.choices(list(self.weights),
                                  list(self.weights.values()))[0]
            try:
                getattr(self, "do_" + kind)()
                self.counts[kind] += 1
                self.done += 1
            except Refused:
                self.counts["refused"] += 1
            if self.pace:
                time.sleep(self.r.random() * 2 * self.pace)
        return self

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

    # Choosing.

    def _boxes(self):
        """All that can be selected."""
        return sorted(name for name, attrs in self.client.list().items()
                      if not attrs & HIDDEN)

    def _some(self, box=None, readonly=False):
        """(box, UIDs in it as a set of IMAP), the box selected."""
        box = box or self.r.choice(self._boxes())
        self.client.select(box, readonly)
        uids = self.client._uid("SEARCH", "ALL")[0].split()
        if not uids:
            raise Refused
        n = min(len(uids), self.r.choice((1, 1, 1, 1, 2, 5, 30)))
        at = self.r.randrange(len(uids) - n + 1)
        return box, b",".join(uids[at:at + n]).decode()

    @staticmethod
    def _try(call, *args):
        try:
            return call(*args)
        except AssertionError as why:
            raise Refused from why

    # Changes.

    def do_append(self):
        box = self.r.choice(self._boxes())
        flags = self.r.sample(sorted(set(FLAGS)), self.r.choice((0, 0, 1, 2)))
        self.client.append(box, mail(self.serial), flags,
                           1_600_000_000 + self.serial)
        self.serial += 1

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
        target = self.r.choice(self._boxes())
        self._leave(box, uids)
        self._try(self.client._uid, "MOVE", uids, _quoted(target))

    def do_copy(self):
        box, uids = self._some(readonly=True)
        self._try(self.client._uid, "COPY", uids,
                  _quoted(self.r.choice(self._boxes())))

    def do_expunge(self):
        box, uids = self._some()
        self._leave(box, uids)
        self.client._uid("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        self.client._uid("EXPUNGE", uids)

    def _pick(self, there):
        """A name of the pool that can (or cannot yet) be selected."""
        have = set(self._boxes())
        names = [n for n in POOL if (n in have) == there]
        if not names:
            raise Refused
        return self.r.choice(names)

    def do_create(self):
        self._try(self.client.create, self._pick(False))

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
        self._try(self.client.rename_box, old, new)

    def do_delete(self):
        name = self._pick(True)
        self._leave_folder(name)
        self.client.select("INBOX")
        self._try(self.client.delete_box, name)


def _quoted(name):
    from .client import quote
    return quote(name)


# The end state.

class Message:
    """One message as somebody sees it; equal if all of it is."""

    FIELDS = ("flags", "size", "date", "digest")

    def __init__(self, flags, size, date, data):
        self.flags = frozenset(flags) - {"\\Recent"}
        self.size, self.date = size, date
        self.digest = hashlib.sha256(data).hexdigest()

    def unlike(self, other):
        return [f"{k}: {getattr(self, k)!r}, here {getattr(other, k)!r}"
                for k in self.FIELDS if getattr(self, k) !=
                getattr(other, k)]


def truth(server, user="alice"):
    """({mailbox: {uid: Message}}, names of all mailboxes) by the server."""
    found = {}
    with Client(server, user) as c:
        everything = c.list()
        for box, attrs in everything.items():
            if attrs & HIDDEN:
                continue
            rows, bodies = c.attributes(box), c.fetch(box)
            found[box] = {uid: Message(row["flags"], row["size"],
                                       row["date"], bodies[uid])
                          for uid, row in rows.items()}
    return found, set(everything)


class Shown:
    """What a mount shows: paths, and what the kernel says of each."""

    def __init__(self, m):
        self.folders, self.messages, self.files = {""}, {}, {}
        self.problems = []
        self._walk(m.path, "")

    def _walk(self, top, folder):
        with os.scandir(top / folder) as entries:
            names = [(e.name, e.is_dir(follow_symlinks=False))
                     for e in entries]
        for name, is_folder in names:
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                self.folders.add(path)
                self._walk(top, path)
            else:
                self._look(top, folder, path)

    def _look(self, top, folder, path):
        s = os.stat(top / path)
        data = (top / path).read_bytes()
        uid = int(os.getxattr(top / path, "user.imap.uid"))
        flags = os.getxattr(top / path, "user.imap.flags").decode().split()
        mode = 0o600 | (0o044 if "\\Seen" in flags else 0) | \
            (0o100 if "\\Flagged" in flags else 0)
        if s.st_mode & 0o777 != mode:
            self.problems.append(f"{path}: mode {s.st_mode & 0o777:o}, "
                                 f"flags {flags}")
        here = self.messages.setdefault(folder, {})
        if uid in here:
            self.problems.append(f"{path}: UID {uid} twice")
        here[uid] = Message(flags, s.st_size, int(s.st_mtime), data)
        self.files[path] = (s.st_ino, uid)


def differences(m, expected):
    """Lines that say how a mount differs from truth(); none: it does not."""
    boxes, names = expected
    try:
        shown = Shown(m)
    except OSError as error:
        return [f"walking the mount: {error}"]
    found = list(shown.problems)
    parents = {"/".join(n.split("/")[:i]) for n in names
               for i in range(n.count("/") + 1)}
    found += [f"folder {n!r} is missing"
              for n in (names | parents) - shown.folders]
    found += [f"folder {n!r} is too much"
              for n in shown.folders - names - parents]
    for box, rows in boxes.items():
        here = shown.messages.get(box, {})
        found += [f"{box}: UID {u} is missing" for u in rows.keys() - here]
        found += [f"{box}: UID {u} is too much" for u in here.keys() - rows]
        found += [f"{box}: UID {u}: {line}" for u in rows.keys() & here
                  for line in rows[u].unlike(here[u])]
    return found


def plain_names(files):
    """Names without the number of a twin, which a new cache may change."""
    return Counter(re.sub(r"\.\d+\.eml$", ".eml", path) for path in files)
