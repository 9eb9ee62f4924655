#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs end-to-end tests: runner.py [options] [PATTERN].

Every function test_*(env) of tests/mount/*.py runs in a process and a folder
of its own, several at a time, each with a deadline: most of a test is
waiting. PATTERN chooses by file or function name. One line a test; the output
of those that fail is shown; the last line counts. Nothing is left: mounts and processes of a test are found
by its folder and by descent, never by a name.

Started by root, the run has a mount namespace of its own, in which /dev/fuse
is open to everybody: tests that run as an ordinary user work everywhere.
"""

import argparse
import importlib.util
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from imapfstest.mount import detach  # noqa: E402
from imapfstest.supervise import (SKIPPED, listen_to_signals,  # noqa: E402
                                  supervise)
from imapfstest.util import mounts_under, slowdown  # noqa: E402

NAMESPACE = "IMAPFS_TEST_NAMESPACE"
DEFAULT_DEADLINE = 60
MEMORY = 6 << 30  # more than the tests' folders ever have in them
SANITIZER = "sanitizer"  # how their reports' names begin
# The search for leaks met a thread that was just ending: no finding.
NO_REPORT = re.compile(r"(\s|==\d+==Unable to get registers from thread "
                       r"\d+\.)*")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def discover(folder, pattern):
    """[(file, function name, function)] in the order of the files."""
    found = []
    for path in sorted(Path(folder).glob("*.py")):
        module = load(path)
        for name, function in vars(module).items():
            if name.startswith("test_") and callable(function):
                if not pattern or pattern in path.stem or pattern in name:
                    found.append((path, name, function))
    return found


def reports(tmp):
    """What sanitizers found in the processes of a test."""
    found = [path.read_text(errors="replace")[-20000:]
             for path in sorted(tmp.glob(SANITIZER + "*"))]
    return [text for text in found if not NO_REPORT.fullmatch(text)]


# The run.

def deadline_of(function):
    return getattr(function, "deadline", DEFAULT_DEADLINE)


class Job:
    """A test that runs: its supervisor's pid and pidfd, its folder, the file
    that its output goes to, when it began, its deadline in seconds."""

    def __init__(self, path, name, function):
        self.path, self.name, self.function = path, name, function
        self.pid = self.fd = self.tmp = self.output = None
        self.start = self.limit = 0


class Run:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.number = 0
        self.running = {}  # by the supervisor's pidfd

    def prepare(self):
        """Certificates and test data, once, readable by every user."""
        from imapfstest import Certs
        self.folder.chmod(0o755)
        Certs(self.folder / "certs")
        data = self.folder / "data"
        shutil.copytree(HERE.parent / "data", data, dirs_exist_ok=True)
        for top, dirs, files in os.walk(data):
            os.chmod(top, 0o755)
            for name in files:
                os.chmod(os.path.join(top, name), 0o644)

    def wanted(self, function):
        if getattr(function, "slow", False) and self.options.quick:
            return False
        return os.geteuid() == 0 or not getattr(function, "needs_root", False)

    def report(self, path, name, verdict, seconds, output):
        word = {0: "ok", SKIPPED: "skip"}.get(verdict, "not ok")
        reason = ""
        if verdict == SKIPPED:
            reason = "  # " + output.strip().splitlines()[-1] \
                if output.strip() else ""
            if os.environ.get("CI") == "true":
                word = "not ok"
                reason += " (a skip is a failure under CI)"
        kind = {"ok": "passed", "skip": "skipped", "not ok": "failed"}[word]
        self.number += 1
        self.counts[kind] += 1
        print(f"{word} {self.number} {path.stem} {name} "
              f"({seconds:.1f} s){reason}")
        for line in output.splitlines():
            if word == "not ok" or line.startswith("NOTE: "):
                print("    " + line)
        sys.stdout.flush()

    def start(self, path, name, function):
        """Fork a supervisor (supervise.py) for one test."""
        job = Job(path, name, function)
        job.tmp = Path(tempfile.mkdtemp(prefix="t", dir=self.folder))
        job.tmp.chmod(0o755)
        job.output = tempfile.TemporaryFile()
        job.start = time.monotonic()
        job.limit = deadline_of(function) * slowdown()
        sys.stdout.flush()
        sys.stderr.flush()
        job.pid = os.fork()
        if job.pid == 0:
            self.become_supervisor(job)
        job.fd = os.pidfd_open(job.pid)
        self.running[job.fd] = job

    def become_supervisor(self, job):
        """The child's life, in a session of its own."""
        try:
            os.setsid()
            with open(os.devnull) as nothing:
                os.dup2(nothing.fileno(), 0)
            os.dup2(job.output.fileno(), 1)
            os.dup2(job.output.fileno(), 2)
            for tool in ("ASAN", "TSAN", "UBSAN"):
                key = tool + "_OPTIONS"
                os.environ[key] = (f"{os.environ.get(key, '')}:"
                                   f"log_path={job.tmp / SANITIZER}")
            root_only = getattr(job.function, "needs_root", False)
            as_user = getattr(job.function, "ordinary_user", False) or (
                self.options.as_user and not root_only)
            supervise(job.function, job.tmp, self.folder, as_user, job.limit)
        finally:
            os._exit(1)

    def finish(self, job):
        """Its supervisor has ended: clean up after it, and say how it was."""
        del self.running[job.fd]
        os.close(job.fd)
        verdict = abs(os.waitstatus_to_exitcode(os.waitpid(job.pid, 0)[1]))
        seconds = time.monotonic() - job.start
        left = reports(job.tmp) + self.clean(job.tmp)
        job.output.seek(0)
        text = job.output.read().decode("utf-8", "replace")
        job.output.close()
        if left:
            verdict = verdict if verdict not in (0, SKIPPED) else 1
            text += "\n" + "\n".join(left)
        self.report(job.path, job.name, verdict, seconds, text)

    def wait(self):
        """Until a test ends. Supervisors hold the deadlines; one that does
        not is ended a minute later."""
        ends = [job.start + job.limit + 60 for job in self.running.values()]
        ready = select.select(list(self.running), [], [],
                              max(0, min(ends) - time.monotonic()))[0]
        for fd in ready:
            self.finish(self.running[fd])
        if not ready:
            for job in self.running.values():
                if job.start + job.limit + 60 <= time.monotonic():
                    os.kill(job.pid, signal.SIGKILL)

    @staticmethod
    def clean(tmp):
        """Unmount what a test left and delete its folder; says what was."""
        left = []
        for point, minor in mounts_under(tmp):
            left.append(f"left behind: a mount at {point}")
            try:
                Path(f"/sys/fs/fuse/connections/{minor}/abort") \
                    .write_text("1")
            except OSError:
                pass
            detach(point)
        shutil.rmtree(tmp, ignore_errors=True)
        return left

    def run_all(self, tests):
        """Several at a time, those that may take longest first; the
        measuring ones alone, at the end.

        All is done by one thread, and the tests' modules are loaded before
        the first fork: starting a test costs no start of an interpreter."""
        together = [t for t in tests if not getattr(t[2], "measure", False)]
        together.sort(key=lambda t: -deadline_of(t[2]))
        alone = [t for t in tests if getattr(t[2], "measure", False)]
        try:
            for jobs, waiting in ((self.options.jobs, together), (1, alone)):
                while waiting or self.running:
                    while waiting and len(self.running) < jobs:
                        self.start(*waiting.pop(0))
                    self.wait()
        except KeyboardInterrupt:
            for job in self.running.values():
                os.kill(job.pid, signal.SIGTERM)
            while self.running:
                self.wait()
            raise


def memory():
    """A folder in memory for the tests' folders, if there is plenty of it,
    it can do what a disk can, and nobody has chosen one by TMPDIR: much of
    what tests do is to make files and to delete them. Else None."""
    if "TMPDIR" in os.environ:
        return None
    shm = "/dev/shm"
    try:
        free = os.statvfs(shm)
        with tempfile.NamedTemporaryFile(dir=shm) as probe:
            os.setxattr(probe.name, "user.probe", b"x")
        available = re.search(r"^MemAvailable: *(\d+) kB",
                              Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return None
    if free.f_bavail * free.f_frsize < MEMORY or not available or \
            int(available[1]) * 1024 < 2 * MEMORY:
        return None
    return shm


def readable_python():
    """Go on in Debian's Python if root runs another: tests that become an
    ordinary user could not read one in somebody's home."""
    usual = "/usr/bin/python3"
    real = os.path.realpath(sys.executable)
    if os.geteuid() == 0 and os.path.exists(usual) and \
            real != os.path.realpath(usual):
        os.execv(usual, [usual, "-B", *sys.argv])


def own_namespace():
    """Root only: a private mount namespace with what every Debian has and a
    sandbox may not: /dev/fuse for everybody, and fusectl."""
    if os.geteuid() != 0 or os.environ.get(NAMESPACE):
        return
    os.environ[NAMESPACE] = "1"
    script = ('d=$(mktemp -d) && mount -t tmpfs none "$d" && '
              'mknod -m 666 "$d/fuse" c 10 229 && '
              'mount --bind "$d/fuse" /dev/fuse && umount -l "$d" && '
              'rmdir "$d"; c=/sys/fs/fuse/connections; '
              '[ ! -d $c ] || mountpoint -q $c || '
              'mount -t fusectl none $c; exec "$@"')
    inner = ["sh", "-c", script, "sh", sys.executable, "-B", *sys.argv]
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    if probe.returncode == 0 and os.path.exists("/dev/fuse"):
        os.execvp("unshare", ["unshare", "-m", "--", *inner])


def main():
    parser = argparse.ArgumentParser(description="end-to-end tests")
    parser.add_argument("--binary", help="mount.imapfs under test")
    parser.add_argument("--testproxy", help="the delay proxy's binary")
    parser.add_argument("--tests", default=HERE.parent / "mount")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--as-user", action="store_true",
                        help="every test that can as an ordinary user")
    parser.add_argument("pattern", nargs="?")
    options = parser.parse_args()
    listen_to_signals()
    readable_python()
    own_namespace()
    for key, value in (("IMAPFS_BINARY", options.binary),
                       ("IMAPFS_TESTPROXY", options.testproxy)):
        if value:
            os.environ[key] = str(Path(value).resolve())
    corpus = HERE.parents[2] / "shared" / "corpus"
    if corpus.is_dir():
        os.environ.setdefault("IMAPFS_TEST_CORPUS", str(corpus))
    with tempfile.TemporaryDirectory(prefix="imapfs-test-", dir=memory(),
                                     ignore_cleanup_errors=True) as folder:
        run = Run(options, folder)
        run.prepare()
        tests = discover(options.tests, options.pattern)
        try:
            run.run_all([t for t in tests if run.wanted(t[2])])
        except KeyboardInterrupt:
            print("interrupted")
            run.counts["failed"] += 1
    c = run.counts
    print(f"{c['passed']} passed, {c['failed']} failed, "
          f"{c['skipped']} skipped", flush=True)
    sys.exit(1 if c["failed"] else 0)


if __name__ == "__main__":
    main()
