#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mixed work on one mount for as long as one likes; see run.sh.

In phases: another client changes things (churn.py) while readers walk the
mount (walker.py); in some of them the link is cut, falls silent or refuses,
the server is restarted, or the account is mounted again. After each the tree
must be what the server has. Meanwhile memory, descriptors and threads of the
program are written down every few seconds.
"""

import argparse
import contextlib
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

from alone import alone  # noqa: E402
from imapfstest import Client, Timeout, wait_for  # noqa: E402
from imapfstest.churn import Churn, mail  # noqa: E402
from imapfstest.endstate import (check_inodes, check_mounts,  # noqa: E402
                                 check_names, truth, wait_pushed,
                                 wait_settled)
from imapfstest.walker import Readers  # noqa: E402

TIMEOUT = 8  # seconds, the mount's
SAMPLE_S = 5
SETTLED_S = 60  # of a process, until its memory counts
DESCRIPTORS = 100  # the program's, half of them pipes of libfuse's threads
FIRST = 200  # messages in the beginning
CALM = "calm"
TROUBLES = (CALM,) * 6 + ("rst", "fin", "hole", "refuse", "sessions",
                          "restart", "remount")


def kinds(pid):
    """What the descriptors of a process are, counted; {} if it hides them."""
    found = Counter()
    with contextlib.suppress(PermissionError):  # root may look
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[kind_of(os.readlink(f"/proc/{pid}/fd/{name}"))] += 1
    return found


def kind_of(target):
    """"socket", "anon_inode:[eventfd]", "bodies (deleted)", "index.db" ..."""
    if not target.startswith("/"):
        return re.sub(r":\[\d+\]$", "", target)
    path, gone, _ = target.partition(" (deleted)")
    for folder in ("bodies", "spool"):
        if f"/{folder}/" in path:
            return folder + gone
    return re.sub(r"\d+", "*", Path(path).name) + gone


class Samples(threading.Thread):
    """VmRSS, RssAnon (KiB), threads and descriptors of the program, and how
    many messages it showed at the last look."""

    COLUMNS = ("seconds", "pid", "rss_kb", "anon_kb", "threads",
               "descriptors", "messages")

    def __init__(self, path):
        super().__init__(daemon=True)
        self.pid, self.messages = None, 0
        self.rows, self.kinds = [], Counter()
        self._out = path.open("w")
        self._out.write(",".join(self.COLUMNS) + ",kinds\n")
        self._over = threading.Event()
        self._began = time.monotonic()

    def look(self, pid):
        text = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in text.splitlines())
        found = kinds(pid)
        if found.total() > self.kinds.total():
            self.kinds = found
        row = (round(time.monotonic() - self._began), pid,
               *(int(fields[k].split()[0])
                 for k in ("VmRSS", "RssAnon", "Threads")),
               found.total(), self.messages)
        self.rows.append(row)
        self._out.write(",".join(map(str, row)) + f",{listed(found)}\n")
        self._out.flush()

    def run(self):
        while not self._over.wait(SAMPLE_S):
            pid = self.pid
            with contextlib.suppress(OSError, KeyError):
                if pid:
                    self.look(pid)

    def end(self):
        self._over.set()
        self.join()
        self._out.close()

    def of_one(self):
        """The rows of one process, the longest-lived, once it has settled."""
        best = []
        for pid in {row[1] for row in self.rows}:
            rows = [r for r in self.rows if r[1] == pid]
            rows = [r for r in rows if r[0] - rows[0][0] >= SETTLED_S]
            best = max(best, rows, key=len)
        return best

    def summary(self):
        """Of the longest-lived process: its third quarter and its last one
        compared, and every minute."""
        rows = self.of_one()
        if len(rows) < 8:
            return "too few samples"
        quarter = len(rows) // 4
        third, last = rows[-2 * quarter:-quarter], rows[-quarter:]
        lines = [f"{(rows[-1][0] - rows[0][0]) / 60:.0f} minutes of one "
                 "process; its third and its last quarter, on average:"]
        for n, name in list(enumerate(self.COLUMNS))[2:]:
            was, now = (statistics.mean(r[n] for r in part)
                        for part in (third, last))
            every = [str(r[n]) for r in rows[::60 // SAMPLE_S]]
            lines.append(f"  {name}: {was:.0f}, {now:.0f}; at most "
                         f"{max(r[n] for r in rows)}; every minute: "
                         f"{' '.join(every)}")
        return "\n".join([*lines, "  descriptors, when they were most: " +
                          listed(self.kinds)])


def listed(counter):
    return "; ".join(f"{n} {name}" for name, n in counter.most_common())


class Soak:
    def __init__(self, o, env, out):
        self.o, self.env = o, env
        self.r = random.Random(o.seed)
        # Dovecot 2.3 has NOTIFY, or folders that are renamed: see
        # mount/churn.py. Those that only come and go it tells of as it should.
        self.server = env.dovecot(extra="" if o.notify else
                                  "mailbox_list_index = no\n")
        with Client(self.server) as c:
            c.append_many("INBOX", map(mail, range(1, FIRST)))
        self.link = env.proxy(self.server, rtt=o.rtt)
        self.url = self.server.url(port=self.link.port)
        self.m = env.mount(self.url, background=not o.debug,
                           options=[f"timeout={TIMEOUT}"])
        self.churn = env.keep(Churn(self.server, o.seed, first=FIRST,
                                    pace=o.pace, most=o.most,
                                    without=("rename",) if o.notify else ()))
        self.samples = Samples(out / "samples.csv")
        self.samples.pid = self.m.pid
        self.samples.start()
        self.phases, self.reads, self.remounts = 0, 0, 0
        self.troubles, self.inodes = [], {}

    # What goes wrong, and how it is put right.

    def begin_trouble(self, kind):
        if kind in ("rst", "fin"):
            self.link.cut(kind)
        elif kind == "hole":
            self.link.hole()
        elif kind == "refuse":
            self.link.refuse()
            self.link.cut("rst")
        elif kind == "sessions":
            self.server.kill_sessions()
            self.churn.reconnect()
        elif kind == "restart":
            self.server.stop()
            self.server.start()
            self.churn.reconnect()

    def end_trouble(self, kind):
        if kind == "hole":
            self.link.hole(False)
        elif kind == "refuse":
            self.link.refuse(False)

    def remount(self):
        self.samples.pid = None
        self.m.unmount(timeout=60)
        self.m.start()
        self.samples.pid = self.m.pid
        self.remounts += 1

    # Work.

    def phase(self, changes, kind, stop):
        readers = Readers(self.env, self.m, pause=self.o.pause)
        parts = [changes // 3] * 2 + [changes - 2 * (changes // 3)]
        try:
            self.churn.run(parts[0], stop)
            self.begin_trouble(kind)
            self.churn.run(parts[1], stop)
        finally:
            self.end_trouble(kind)
        self.churn.run(parts[2], stop)
        problems = readers.stop(self.churn, offline=kind != CALM)
        self.reads += readers.counts["reads"]
        if problems:
            raise AssertionError("\n  ".join(["readers met:",
                                              *problems[:30]]))
        if kind == "remount":
            self.remount()
        began = time.monotonic()
        wait_pushed(self.m, truth(self.server))
        expected = wait_settled(self.m, self.server)
        shown = check_names(self.m, readers.seen)
        self.samples.messages = len(shown.files)
        self.check_descriptors()
        check_inodes(shown, self.inodes)
        self.phases += 1
        self.troubles.append(kind)
        print(f"phase {self.phases}, {kind}: {self.churn.done} changes, "
              f"{len(shown.files)} messages, equal after "
              f"{time.monotonic() - began:.1f} s", flush=True)
        return expected, shown

    def check_descriptors(self):
        """Nobody reads: what is gone is closed, and few others are open."""
        pid = self.m.pid

        def few():
            found = kinds(pid)
            return found.total() <= DESCRIPTORS and \
                not found["bodies (deleted)"]

        try:
            wait_for(few, 10)
        except Timeout:
            raise AssertionError("too many descriptors: " +
                                 listed(kinds(pid))) from None

    def run(self):
        """Until the minutes, or the changes, are over."""
        end = time.monotonic() + self.o.minutes * 60

        def over():
            if self.o.changes:
                return self.churn.done >= self.o.changes
            return time.monotonic() >= end

        result = None
        while not over():
            kind = CALM if self.o.calm else self.r.choice(TROUBLES)
            if kind == "remount" and self.o.one:
                kind = CALM
            result = self.phase(self.r.randrange(150, 700), kind, over)
        if result:
            self.samples.pid = None
            check_mounts(self.env, self.m, self.url, *result)

    def summary(self, verdict):
        kinds = {k: self.troubles.count(k) for k in set(self.troubles)}
        connections = self.link.stats()["connections"]
        return (f"seed {self.o.seed}, commit {commit()}, "
                f"{self.churn.done} changes, {self.reads} reads, "
                f"{self.phases} phases {kinds}, {connections} connections, "
                f"{self.remounts} remounts\n{self.samples.summary()}\n"
                f"result: {verdict}")


def commit():
    text = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(TREE),
                           "describe", "--always", "--dirty"],
                          capture_output=True, text=True)
    return text.stdout.strip() or "unknown"


def keep_logs(soak, out):
    try:
        (out / "log").write_text(soak.m.control("log"))
        (out / "status").write_text(soak.m.control("status"))
        if soak.o.debug:
            shutil.copy(soak.m.logfile, out / "debug")
    except AssertionError as error:
        print(f"the log cannot be read: {error}")


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--minutes", type=float, default=120)
    p.add_argument("--changes", type=int, default=0,
                   help="end after so many, not after minutes")
    p.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    p.add_argument("--pace", type=float, default=0.02,
                   help="seconds between two changes, on average")
    p.add_argument("--pause", type=float, default=0,
                   help="seconds between two walks of a reader")
    p.add_argument("--most", type=int,
                   help="more messages are not added to the account")
    p.add_argument("--one", action="store_true",
                   help="the account is not mounted again")
    p.add_argument("--rtt", type=float, default=5, help="milliseconds")
    p.add_argument("--calm", action="store_true",
                   help="the link holds, nothing is restarted")
    p.add_argument("--notify", action="store_true",
                   help="the server has NOTIFY; no folder is renamed")
    p.add_argument("--debug", action="store_true",
                   help="keep the debug log if it fails")
    p.add_argument("--binary", type=Path, required=True)
    p.add_argument("--testproxy", type=Path, required=True)
    return p.parse_args()


def main():
    o = options()
    text = "result: it did not begin"
    with alone("imapfs-soak-run-", o.binary, o.testproxy) as env:
        out = Path(tempfile.mkdtemp(prefix="imapfs-soak-"))
        print(f"seed {o.seed}; samples and logs go to {out}", flush=True)
        soak, verdict = Soak(o, env, out), "FAILED"
        try:
            soak.run()
            verdict = "fine"
        except KeyboardInterrupt:
            verdict = "interrupted"
            raise
        finally:
            if verdict != "fine":
                keep_logs(soak, out)
            soak.samples.end()
            text = soak.summary(verdict)
            (out / "summary").write_text(text + "\n")
    print(text, flush=True)
    sys.exit(not env.well)


if __name__ == "__main__":
    main()
