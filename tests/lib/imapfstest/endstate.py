# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a mount what its server is? Asked when all changes are over.

    expected = truth(server)        # by a client of its own
    wait_equal(m, expected)         # names, counts, flags, sizes, bytes
    expected = wait_settled(m, server)  # both, where folders come and go
    shown = check_names(m, seen)    # of all names ever seen, none is stale
    check_mounts(env, m, url, expected, shown)
"""

import hashlib
import os
import re
from collections import Counter

from .client import Client
from .util import Timeout, wait_for

# Less than the minute after which a folder that is entered is asked anyway.
QUIET = 40


class Message:
    """One message as somebody sees it; equal if all of it is."""

    FIELDS = ("flags", "size", "date", "digest")

    def __init__(self, flags, size, date, data):
        self.flags = frozenset(flags) - {"\\Recent"}
        self.size, self.date = size, date
        self.digest = hashlib.sha256(data).hexdigest()

    def __eq__(self, other):
        return not self.unlike(other)

    def unlike(self, other):
        return [f"{k}: {getattr(self, k)!r}, here {getattr(other, k)!r}"
                for k in self.FIELDS if getattr(self, k) !=
                getattr(other, k)]


def truth(server, user="alice"):
    """({mailbox: {uid: Message}}, names of all mailboxes) by the server."""
    found = {}
    with Client(server, user) as c:
        for box in c.selectable():
            try:
                rows, bodies = c.attributes(box), c.fetch(box)
            except AssertionError:
                continue  # it is listed, and yet there is none
            found[box] = {uid: Message(row["flags"], row["size"],
                                       row["date"], bodies[uid])
                          for uid, row in rows.items()}
        return found, set(c.list())


class Shown:
    """What a mount shows: paths, and what the kernel says of each."""

    def __init__(self, m):
        self.folders, self.messages, self.files = {""}, {}, {}
        self.inodes, self.problems = {}, []
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
        self.inodes[s.st_ino] = here[uid].digest


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
    for box in boxes.keys() | shown.messages.keys():
        rows, here = boxes.get(box, {}), shown.messages.get(box, {})
        found += [f"{box}: UID {u} is missing" for u in rows.keys() - here]
        found += [f"{box}: UID {u} is too much" for u in here.keys() - rows]
        found += [f"{box}: UID {u}: {line}" for u in rows.keys() & here
                  for line in rows[u].unlike(here[u])]
    return found


def plain_names(files):
    """Names without the number of a twin, which a new cache may change."""
    return Counter(re.sub(r"\.\d+\.eml$", ".eml", path) for path in files)


def touch_all(m):
    """Ask for the list of folders, and then for each folder."""
    for top, _, _ in os.walk(m.path):
        os.utime(top)


def wait_pushed(m, expected, box="INBOX"):
    """Until one folder is what the server has, without asking for it."""
    wait_for(lambda: not [line for line in differences(m, expected)
                          if line.startswith((box + ":", "walking"))],
             QUIET, f"{box} is what the server has", step=0.5)


def wait_equal(m, expected, nudge=touch_all):
    """Until the tree is what the server has. `nudge` is called after each
    look that finds a difference: what a server forgot to tell is asked."""
    found = []

    def equal():
        if nudge and found:
            nudge(m)
        found[:] = differences(m, expected)
        return not found

    try:
        wait_for(equal, QUIET, "equal", step=0.5)
    except Timeout:
        raise AssertionError("the tree is not what the server has:\n  " +
                             "\n  ".join(found[:30])) from None


def wait_settled(m, server):
    """Until the tree is what the server has, and what that is.

    A server may change by itself: a session of Dovecot 2.3 that knows a mailbox
    from before it was deleted and made again takes its log for a corrupted one,
    and what is in the new mailbox is gone. So it is asked twice.
    """
    expected = truth(server)
    try:
        wait_equal(m, expected)
    except AssertionError:
        now = truth(server)
        if now == expected:
            raise
        print("NOTE: the server has changed by itself", flush=True)
        wait_equal(m, now)
        expected = now
    return expected


def check_names(m, seen):
    """No name that is gone still opens; all others do."""
    shown = Shown(m)
    there = set(shown.files) | shown.folders
    stale = [path for path in seen - there if (m.path / path).exists()]
    assert not stale, f"gone, but still opens: {stale[:10]}"
    missing = [path for path in there if not (m.path / path).exists()]
    assert not missing, f"listed, but does not open: {missing[:10]}"
    return shown


def check_inodes(shown, known):
    """No inode number is ever given to another message; `known`, {number:
    digest}, is what was seen so far and takes in the new ones."""
    again = [ino for ino, digest in shown.inodes.items()
             if known.setdefault(ino, digest) != digest]
    assert not again, f"inode numbers of other messages: {again[:10]}"


def same_names(what, got, wanted):
    """Two {path: ...} (or Counters of paths) are the same, or it is said in
    what they differ."""
    if got != wanted:
        lines = [f"{path}: {got.get(path)}, not {wanted.get(path)}"
                 for path in sorted(set(got) | set(wanted))
                 if got.get(path) != wanted.get(path)]
        raise AssertionError("\n  ".join([what, *lines[:20]]))


def check_mounts(env, m, url, expected, shown):
    """A fresh mount has the same names; a remount all the same."""
    fresh = env.mount(url)
    wait_equal(fresh, expected)
    same_names("a fresh mount has other names",
               plain_names(Shown(fresh).files), plain_names(shown.files))
    fresh.unmount()
    m.unmount()
    m.start()
    wait_equal(m, expected)
    same_names("a remount shows something else", Shown(m).files, shown.files)
