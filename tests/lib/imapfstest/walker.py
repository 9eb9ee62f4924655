#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader that walks a mount while it changes: walker.py FOLDER SEED PAUSE

Until its standard input ends it walks the tree, looks at every name, reads
some, compares what it read with what a message of that name is, looks again at
names that it saw before, and waits for PAUSE seconds. Then it prints, as JSON,
what it did, every path that it saw, and every failure: a path, what was done,
the errno.

Readers(env, m) starts some of these and shells that do the same with ls, find
and cat, and says at the end what nobody may see.
"""

import errno
import json
import os
import random
import re
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from imapfstest.churn import mail
else:
    from .util import popen

AGAIN = 50
SHELLS = ("ls -lR", "ls -lRU >/dev/null; find . -type f -exec cat {} +",
          "find . -newermt 2001-01-01 -printf '%p %m %s\\n'")
# While the link is down, what is not here cannot be read.
OFFLINE = {"ENOTCONN": errno.ENOTCONN, "ETIMEDOUT": errno.ETIMEDOUT}


class Walker:
    def __init__(self, top, seed):
        self.top, self.r = top, random.Random(seed)
        self.counts, self.failed = Counter(), Counter()
        self.seen = set()

    def tell(self, path, what, error):
        name = errno.errorcode.get(error.errno, str(error.errno))
        self.failed[(path, what, name)] += 1

    def ended(self, within=0):
        return select.select([sys.stdin], [], [], within)[0]

    def walk(self, folder=""):
        try:
            names = sorted(os.listdir(os.path.join(self.top, folder)))
        except OSError as error:
            return self.tell(folder, "list", error)
        self.counts["lists"] += 1
        for name in names:
            path = f"{folder}/{name}" if folder else name
            self.seen.add(path)
            if name.endswith(".eml"):
                self.look(path, read=self.r.random() < 0.3)
            else:
                self.walk(path)
            if self.ended():
                return None
        return None

    def look(self, path, read):
        full = os.path.join(self.top, path)
        try:
            os.stat(full)
            self.counts["stats"] += 1
            os.getxattr(full, "user.imap.flags")
            if not read:
                return
            with open(full, "rb") as source:
                data = source.read()
            self.counts["reads"] += 1
        except OSError as error:
            self.tell(path, "look", error)
            return
        number = re.search(r"_Letter-(\d+)_", path)
        if number and data != mail(int(number[1])):
            self.failed[(path, f"read {len(data)} other bytes", "")] += 1

    def again(self):
        for path in self.r.sample(sorted(self.seen),
                                  min(AGAIN, len(self.seen))):
            try:
                os.stat(os.path.join(self.top, path))
                self.counts["stats"] += 1
            except OSError as error:
                self.tell(path, "stat", error)

    def run(self, pause):
        while not self.ended(pause):
            self.walk()
            self.again()
        json.dump({"counts": self.counts, "seen": sorted(self.seen),
                   "failed": [[*k, n] for k, n in self.failed.items()]},
                  sys.stdout)


class Readers:
    serial = 0

    def __init__(self, env, m, walkers=2, shells=SHELLS, pause=0):
        self.m, self.seen, self.counts = m, set(), Counter()
        Readers.serial += 1
        self._walkers = [self._start(
            [sys.executable, "-B", __file__, str(m.path), str(n), str(pause)],
            env, f"walker{n}") for n in range(walkers)]
        self._shells = [self._start(
            f"while ! read -t 0 line; do {line}; echo; sleep {pause}; done",
            env, f"shell{n}", quiet=True) for n, line in enumerate(shells)]
        env.keep(self)

    def _start(self, args, env, name, quiet=False):
        folder = env.tmp / f"{name}-{Readers.serial}"
        folder.mkdir()
        if quiet:
            args = ["bash", "-c", args]
        out = subprocess.DEVNULL if quiet else (folder / "out").open("wb")
        return popen(args, user=self.m.user, cwd=str(self.m.path),
                     stdin=subprocess.PIPE, stdout=out,
                     stderr=(folder / "err").open("wb")), folder

    def stop(self, churn, offline=False, timeout=60):
        """End them; every line that says what must not have been. `offline`:
        the link was down for a time."""
        errors = {"ENOENT": errno.ENOENT, **(OFFLINE if offline else {})}
        fine = re.compile(": (%s)$" % "|".join(
            os.strerror(code) for code in errors.values()))
        for process, _ in self._walkers + self._shells:
            process.stdin.close()
        found = []
        for process, folder in self._walkers:
            code = process.wait(timeout)
            if code != 0:
                said = (folder / "err").read_text()
                found.append(f"a walker ended with {code}: {said}")
                continue
            report = json.loads((folder / "out").read_text())
            self.counts.update(report["counts"])
            self.seen.update(report["seen"])
            found += [f"{what} of {path}: {name} ({n} times)"
                      for path, what, name, n in report["failed"]
                      if name not in errors or
                      (name == "ENOENT" and not churn.gone(path))]
        for process, folder in self._shells:
            process.wait(timeout)
            found += [line for line in set((folder / "err").read_text()
                                           .splitlines())
                      if not fine.search(line)]
        return found

    def remove(self):
        for process, _ in self._walkers + self._shells:
            if process.poll() is None:
                process.kill()
                process.wait(5)


if __name__ == "__main__":
    Walker(sys.argv[1], sys.argv[2]).run(float(sys.argv[3]))
