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
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

from alone import alone  # noqa: E402
from imapfstest import Client  # noqa: E402
from imapfstest.churn import Churn, mail  # noqa: E402
from imapfstest.endstate import (check_inodes, check_mounts,  # noqa: E402
                                 check_names, truth, wait_equal,
                                 wait_pushed)
from imapfstest.walker import Readers  # noqa: E402

TIMEOUT = 8  # seconds, the mount's
SAMPLE_S = 5
SETTLED_S = 60  # of a process, until its memory counts
FIRST = 200  # messages in the beginning
CALM = "calm"
TROUBLES = (CALM,) * 6 + ("rst", "fin", "hole", "refuse", "sessions",
                          "restart", "remount")


class Samples(threading.Thread):
    """VmRSS, RssAnon (KiB), threads and descriptors of the program."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.pid = None
        self.rows = []
        self._out = path.open("w")
        self._out.write("seconds,pid,rss_kb,anon_kb,threads,descriptors\n")
        self._over = threading.Event()
        self._began = time.monotonic()

    @staticmethod
    def look(pid):
        text = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in text.splitlines())
        try:
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        except PermissionError:  # root's only: the program hides it
            descriptors = -1
        return (*(int(fields[k].split()[0]) for k in
                  ("VmRSS", "RssAnon", "Threads")), descriptors)

    def run(self):
        while not self._over.wait(SAMPLE_S):
            pid = self.pid
            try:
                row = (round(time.monotonic() - self._began), pid,
                       *self.look(pid)) if pid else None
            except (OSError, KeyError):
                continue
            if row:
                self.rows.append(row)
                self._out.write(",".join(map(str, row)) + "\n")
                self._out.flush()

    def end(self):
        self._over.set()
        self.join()
        self._out.close()

    def slope(self):
        """KiB of RssAnon an hour within one process, the longest-lived."""
        best = []
        for pid in {row[1] for row in self.rows}:
            rows = [r for r in self.rows if r[1] == pid]
            rows = [r for r in rows if r[0] - rows[0][0] >= SETTLED_S]
            best = max(best, rows, key=len)
        if len(best) < 3:
            return None, 0
        line = statistics.linear_regression([r[0] for r in best],
                                            [r[3] for r in best])
        return line.slope * 3600, best[-1][0] - best[0][0]

    def summary(self):
        if not self.rows:
            return "no samples"
        slope, seconds = self.slope()
        growth = "too short for a slope" if slope is None else \
            f"{slope:+.0f} KiB an hour over {seconds / 60:.0f} min of one " \
            "process"
        columns = list(zip(*self.rows))
        return (f"anonymous memory {min(columns[3])}-{max(columns[3])} KiB, "
                f"{growth}; RSS at most {max(columns[2])} KiB; threads "
                f"{min(columns[4])}-{max(columns[4])}; descriptors "
                f"{min(columns[5])}-{max(columns[5])}")


class Soak:
    def __init__(self, o, env, out):
        self.o, self.env = o, env
        self.r = random.Random(o.seed)
        self.server = env.dovecot()
        with Client(self.server) as c:
            c.append_many("INBOX", map(mail, range(1, FIRST)))
        self.link = env.proxy(self.server, rtt=o.rtt)
        self.url = self.server.url(port=self.link.port)
        self.m = env.mount(self.url, background=not o.debug,
                           options=[f"timeout={TIMEOUT}"])
        self.churn = env.keep(Churn(self.server, o.seed, first=FIRST,
                                    pace=o.pace))
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
        readers = Readers(self.env, self.m)
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
        expected = truth(self.server)
        wait_pushed(self.m, expected)
        wait_equal(self.m, expected)
        shown = check_names(self.m, readers.seen)
        check_inodes(shown, self.inodes)
        self.phases += 1
        self.troubles.append(kind)
        print(f"phase {self.phases}, {kind}: {self.churn.done} changes, "
              f"{len(shown.files)} messages, equal after "
              f"{time.monotonic() - began:.1f} s", flush=True)
        return expected, shown

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
                f"{self.remounts} remounts; {self.samples.summary()}; "
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
    p.add_argument("--rtt", type=float, default=5, help="milliseconds")
    p.add_argument("--calm", action="store_true",
                   help="the link holds, nothing is restarted")
    p.add_argument("--debug", action="store_true",
                   help="keep the debug log if it fails")
    p.add_argument("--binary", type=Path, required=True)
    p.add_argument("--testproxy", type=Path, required=True)
    return p.parse_args()


def main():
    o = options()
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
