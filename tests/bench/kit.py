# SPDX-License-Identifier: GPL-3.0-or-later
"""What every bench needs: data, a private server, a line, rivals, a table.

    o = options(parser)              # --build, --rounds, --rtt, ...
    with Bench(o) as b:
        b.fill({"Box": mail.real(2000)})
        times = alternate(o.rounds, {"raw": lambda: ..., "mount": ...})

A bench run by root has a mount namespace of its own, so no mount outlives it.
Everything else is ended and deleted at the end, also after Ctrl-C, SIGTERM,
or when --limit is over.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from imapfstest.certs import Certs  # noqa: E402
from imapfstest.dovecot import Dovecot  # noqa: E402
from imapfstest.fusetrace import FuseTrace, Unavailable  # noqa: E402
from imapfstest.mount import Mount  # noqa: E402
from imapfstest.proxy import Proxy  # noqa: E402
from imapfstest.util import alive, children, popen, run  # noqa: E402,F401
from imapfstest.util import wait_for  # noqa: E402

USER, PASSWORD = "alice", "wonder"
FIELDS = "DATE FROM TO CC SUBJECT MESSAGE-ID"
LISTING = ("(UID FLAGS RFC822.SIZE INTERNALDATE "
           f"BODY.PEEK[HEADER.FIELDS ({FIELDS})])")
SMALL, SIZES = 20, ("files", "messages", "memory", "walk", "step",
                    "moves", "waited")
NAMESPACE = "IMAPFS_BENCH_NAMESPACE"
# The server counts the commands itself: its raw logs would cost time, and
# are not readable behind COMPRESS.
SERVER_EXTRA = """
metric imap_commands {
  filter = event=imap_command_finished
  group_by = cmd_name
}
protocol imap {
  mail_plugins = $mail_plugins imap_zlib
}
"""
MBSYNC = """FSync {fsync}

IMAPAccount bench
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {ca}

IMAPStore far
Account bench

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel bench
Far :far:
Near :near:
Patterns {box}
Sync Pull
Create Near
SyncState *
"""


def options(parser, rounds=5, rtt=50, mbit=100, limit=3000):
    """Parse the command line, with what all benches share."""
    add = parser.add_argument
    add("--build", type=Path, required=True, help="a release build")
    add("--rounds", type=int, default=rounds)
    add("--rtt", type=float, default=rtt, help="milliseconds")
    add("--mbit", type=float, default=mbit, help="Mbit/s, each way")
    add("--tmp", help="where the data goes; should be ext4")
    add("--limit", type=int, default=limit, help="seconds for all of it")
    add("--plain", action="store_true",
        help="the server does not offer COMPRESS")
    add("--small", action="store_true",
        help=f"sizes divided by {SMALL}, to try whether all of it runs")
    o = parser.parse_args()
    for name in SIZES if o.small else ():
        if getattr(o, name, 0):
            setattr(o, name, max(getattr(o, name) // SMALL, 10))
    if o.rounds < 1:
        parser.error("--rounds is at least 1")
    if os.geteuid() == 0 and not os.environ.get(NAMESPACE) and \
            run(["unshare", "-m", "true"], check=False).code == 0:
        os.environ[NAMESPACE] = "1"
        os.execvp("unshare", ["unshare", "-m", "--", sys.executable, "-B",
                              *sys.argv])
    return o


def parser(doc):
    return argparse.ArgumentParser(
        description=doc.strip().split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)


class TooLong(Exception):
    """--limit is over."""


def _stop(number, _frame):
    if number == signal.SIGALRM:
        raise TooLong("not done within --limit")
    raise KeyboardInterrupt


class Bench:
    password = PASSWORD

    def __init__(self, o, **server_options):
        self.o = o
        self.build = o.build.resolve()
        for key, name in (("IMAPFS_BINARY", "fs/mount.imapfs"),
                          ("IMAPFS_TESTPROXY", "tests/testproxy")):
            os.environ[key] = str(self.build / name)
        self.server_options = server_options
        self.server = self.link = None
        self.mounts, self.counters = [], []

    def __enter__(self):
        signal.signal(signal.SIGALRM, _stop)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        signal.alarm(self.o.limit)
        self.tmp = Path(tempfile.mkdtemp(prefix="imapfs-bench-",
                                         dir=self.o.tmp))
        self.tmp.chmod(0o755)
        try:
            self.facts()
            self.certs = Certs(self.tmp / "certs")
            self.server = self.new_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def new_server(self):
        """Not started yet."""
        server = Dovecot(
            self.tmp / "server", self.certs.valid, format="maildir",
            special=(), start=False, extra=SERVER_EXTRA.replace(
                " imap_zlib", "" if self.o.plain else " imap_zlib"),
            **self.server_options)
        # Without its folder the server writes no raw logs.
        shutil.rmtree(server.dir / "rawlog" / USER)
        return server

    def __exit__(self, *exc):
        signal.alarm(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self._end_rivals()
        for counter in self.counters:
            counter.end()
        for m in self.mounts:
            m.remove()
        if self.link:
            self.link.stop()
        if self.server:
            self.server.remove()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def _end_rivals(self):
        """Whoever was interrupted at work: nobody else may write here."""
        spared = set(self.server.pids() if self.server else ())
        if self.link:
            spared.add(self.link.pid)
        left = set(children(os.getpid())[1:]) - spared
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not any(map(alive, left)), 10, "rivals have ended")

    def facts(self):
        """What the numbers depend on, and how to get them again."""
        where = run(["df", "--output=fstype", self.tmp]).lines[-1]
        version = run([os.environ["IMAPFS_BINARY"], "-V"],
                      check=False).text.strip()
        load = " ".join(f"{x:.2f}" for x in os.getloadavg())
        print("$", sys.executable, *sys.argv)
        print(f"{time.strftime('%F %T')}, {os.cpu_count()} cores, kernel "
              f"{os.uname().release}, load {load}, data on {where}, "
              f"{version}", flush=True)

    # Data.

    def fill(self, boxes):
        """Write {mailbox: iterator of (message, flags)} into the server's
        store, start it, and let it build its own indexes."""
        began = time.monotonic()
        sizes = {box: self._store(box, mails) for box, mails in
                 boxes.items()}
        self.start_server(sizes)
        for box, found in sizes.items():
            found.sort()
            print(f"{box}: {len(found)} messages, {sum(found) / 1e6:.1f} MB,"
                  f" median {found[len(found) // 2]}")
        print(f"filled in {time.monotonic() - began:.1f} s", flush=True)
        return {box: sum(found) for box, found in sizes.items()}

    def start_server(self, boxes):
        if os.geteuid() == 0:  # messages may stay root's, folders may not
            for top, _, _ in os.walk(self.server.dir / "mail"):
                os.chown(top, self.server.uid, self.server.uid)
        self.server.start()
        self.start_line()
        for box in boxes:
            self.raw(self.server.tls_port, box, f"FETCH 1:* {LISTING}")

    def start_line(self):
        self.link = Proxy(self.server.tls_port, rtt=self.o.rtt,
                          rate=self.o.mbit)

    def folder_of(self, box):
        folder = self.server.dir / "mail" / USER / "mail" / box
        for name in ("cur", "new", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        return folder / "cur"

    def _store(self, box, mails):
        folder, sizes = str(self.folder_of(box)), []
        for n, (data, flags) in enumerate(mails):
            when = 1_600_000_000 + 3600 * n
            path = f"{folder}/{when}.M{n:06d}.b,S={len(data)}," \
                   f"W={len(data)}:2,{flags}"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, data)
            os.close(fd)
            os.utime(path, (when, when))
            sizes.append(len(data))
        return sizes

    # Who runs.

    def raw(self, port, box, *commands, compress=False, folder=None):
        """The raw reader; what it prints, as a dict."""
        words = ["-z"] if compress else []
        if folder:
            words += ["-o", str(folder)]
        out = run([self.build / "tests/rawreader", *words, "localhost",
                   str(port), self.certs.ca, USER, PASSWORD, box,
                   *commands], timeout=600)
        return json.loads(out.text)

    def raw_files(self, port, box, *commands, compress=False):
        """The same, and every literal becomes a file."""
        with tempfile.TemporaryDirectory(dir=self.tmp) as folder:
            return self.raw(port, box, *commands, compress=compress,
                            folder=folder)

    def mbsync(self, port, box, then=None, fsync=True):
        """Seconds of an initial pull, and of the command `then` in it."""
        with tempfile.TemporaryDirectory(dir=self.tmp) as folder:
            config = Path(folder) / "mbsyncrc"
            mail = Path(folder) / "mail"
            mail.mkdir()
            config.write_text(MBSYNC.format(
                port=port, user=USER, password=PASSWORD, box=box,
                ca=self.certs.ca, folder=mail,
                fsync="yes" if fsync else "no"))
            pull = run(["mbsync", "-q", "-c", config, "bench"], timeout=600,
                       env={"HOME": folder}).seconds
            return pull, timed(then, mail / box)[0] if then else 0.0

    def mount(self, port=None, cache=None, wait=True, options=()):
        """A fresh mount, started as a user does, idle when this returns,
        unless nobody shall `wait` for that."""
        folder = tempfile.mkdtemp(dir=self.tmp)
        m = Mount(folder, self.server.url(port=port), self.password,
                  background=True, cafile=self.certs.ca, cache=cache,
                  options=list(options))
        self.mounts.append(m)
        began = time.monotonic()
        m.start()
        m.start_seconds = time.monotonic() - began
        if wait:
            settle(m)
        return m

    def unmount(self, m):
        """And forget it, with its cache if that is its own."""
        m.unmount(timeout=60)
        self.mounts.remove(m)
        shutil.rmtree(m.folder.parent, ignore_errors=True)

    # Counts.

    def commands(self):
        """Commands of all clients so far, by name, as the server counts."""
        out = run(["doveadm", "-c", self.server.dir / "dovecot.conf",
                   "stats", "dump"], check=False)
        found = {}
        for line in out.lines:
            match = re.match(r"imap_commands_([^\t]+)\tduration\t(\d+)\t",
                             line)
            if match:
                found[match[1]] = int(match[2])
        return found


def settle(m):
    """Wait until the program is online and works on nothing."""
    m.wait_status(lambda s: s["state"] == "online" and
                  s["jobs"] == {"running": 0, "queued": 0}, 60, "idle")


def requests(m):
    """Requests by kind, as the program counts; FORGETs have no answer."""
    counts = m.status()["requests"]
    counts.pop("forget", None)
    return counts


def spent(before, after):
    return {k: after[k] - before.get(k, 0) for k in after
            if after[k] != before.get(k, 0)}


class Requests:
    """What a piece of work makes the kernel ask, less what asking costs."""

    def __init__(self, b, m):
        self.m = m
        requests(m)
        self.cost = spent(requests(m), requests(m))
        b.counters.append(self)
        self.trace = None
        try:
            self.trace = FuseTrace(tempfile.mkdtemp(dir=b.tmp), m.path)
        except Unavailable as reason:
            print(f"requests are not counted by the kernel: {reason}")

    def of(self, work):
        """(by the program's counters, by the kernel or None)."""
        before = requests(self.m)
        if self.trace:
            self.trace.clear()
        work()
        kernel = sum(self.trace.counts().values()) if self.trace else None
        own = spent(before, requests(self.m))
        return sum(own.values()) - sum(self.cost.values()), kernel

    def end(self):
        if self.trace:
            self.trace.remove()


def timed(command, folder, timeout=600):
    """(seconds, output) of a shell command; its status is not looked at."""
    result = run(f"exec 2>&1; {command}", cwd=str(folder), check=False,
                 timeout=timeout)
    return result.seconds, result.out


def alternate(rounds, rivals):
    """Call each rival in turn, `rounds` times; {name: [what it gave]}. The
    first of a round is another one each time."""
    found = {name: [] for name in rivals}
    names = list(rivals)
    for i in range(rounds):
        at = i % len(names)
        for name in names[at:] + names[:at]:
            found[name].append(rivals[name]())
    return found


median = statistics.median


def table(title, rows):
    """Rows of (what, ours, rival, theirs, target): a ratio each."""
    print(f"\n{title}")
    print(f"  {'what':<34}{'mount':>9}{'rival':>9}{'ratio':>7}"
          f"{'target':>8}  rival")
    for what, ours, rival, theirs, target in rows:
        ratio = ours / theirs if theirs else float("inf")
        goal = f"{target:.2f}" if target else "-"
        verdict = "" if not target else \
            "  met" if ratio <= target else "  MISSED"
        print(f"  {what:<34}{show(ours):>9}{show(theirs):>9}{ratio:>7.2f}"
              f"{goal:>8}  {rival}{verdict}")
    sys.stdout.flush()


def show(seconds):
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def line_counts(stats):
    return (f"{stats['turns']} round trips, {stats['down'] / 1e6:.2f} MB "
            f"down, {stats['up'] / 1e3:.1f} kB up, "
            f"{stats['connections']} new connections")


def main(function):
    try:
        function()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except TooLong as reason:
        sys.exit(str(reason))
    except OSError as error:
        # A folder that an interrupted rival still filled.
        if isinstance(error.__context__, (KeyboardInterrupt, TooLong)):
            sys.exit(str(error.__context__) or "interrupted")
        raise
