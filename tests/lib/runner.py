#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs end-to-end tests: runner.py [options] [PATTERN].

Every function test_*(env) of tests/mount/*.py runs in a process and a folder
of its own, four at a time, each with a deadline: most of a test is waiting.
PATTERN chooses by file or function name. One line a test; the output of those that fail is shown; the
last line counts. Nothing is left: mounts and processes of a test are found
by its folder and by descent, never by a name.

Started by root, the run has a mount namespace of its own, in which /dev/fuse
is open to everybody: tests that run as an ordinary user work everywhere.
"""

import argparse
import ctypes
import faulthandler
import importlib.util
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from imapfstest import Env, Skip  # noqa: E402
from imapfstest.mount import detach, slowdown  # noqa: E402
from imapfstest.util import (MARKER, Timeout, alive, children,  # noqa: E402
                             mounts_under, wait_for)

ORDINARY_UID = 65534
NAMESPACE = "IMAPFS_TEST_NAMESPACE"
DEFAULT_DEADLINE = 60
SKIPPED = 77
PR_SET_CHILD_SUBREAPER = 36


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


# One test: a supervisor process, and below it the test.

def become_ordinary(tmp):
    os.chown(tmp, ORDINARY_UID, ORDINARY_UID)
    os.setgroups([])
    os.setgid(ORDINARY_UID)
    os.setuid(ORDINARY_UID)


def run_test_function(function, tmp, certs, data, as_user):
    """The body of the test process; its exit code is the verdict."""
    home = Path(tmp) / "home"
    if as_user and os.geteuid() == 0:
        become_ordinary(tmp)
    home.mkdir()
    os.environ["HOME"] = str(home)
    os.chdir(tmp)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    env = Env(tmp, certs, data)
    verdict = 1
    try:
        function(env)
        verdict = 0
    except Skip as reason:
        print(f"SKIP: {reason}")
        verdict = SKIPPED
    except BaseException:
        traceback.print_exc()
        show_logs(env)
    try:
        env.finish(verdict == 0)
    except BaseException:
        traceback.print_exc()
        show_logs(env)
        verdict = 1
    return verdict


def supervise(args):
    """Fork the test, hold its deadline, end whatever it leaves running.

    As a subreaper this process becomes the parent of everything that the
    test's processes leave behind, whatever they did to their environment,
    session or user.
    """
    path, name, tmp, certs, data, as_user, limit = args
    function = getattr(load(Path(path)), name)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    listen_to_signals()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        verdict = 1
        try:
            verdict = run_test_function(function, tmp, certs, data,
                                        as_user == "yes")
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(verdict)
    try:
        verdict = wait_test(pid, float(limit))
    except KeyboardInterrupt:
        verdict = 1
    well = verdict in (0, SKIPPED)
    left = end_descendants(patience=2 if well else 0)
    if well and left:
        print(*left, sep="\n", flush=True)
        verdict = 1
    os._exit(verdict)


def listen_to_signals():
    """SIGTERM ends a run as Ctrl-C does; Ctrl-C works in a background job
    too, which inherits it as ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def wait_test(pid, limit):
    """The verdict of the test process; 1, and why, at its deadline."""
    fd = os.pidfd_open(pid)
    if select.select([fd], [], [], limit)[0]:
        return abs(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(f"not done within {limit:.0f} s", flush=True)
    os.kill(pid, signal.SIGUSR1)  # shows where it stands
    if not select.select([fd], [], [], 0.5)[0]:
        # It may be held by a mount that does not answer: it ends when that
        # does, so nobody waits for it here.
        os.kill(pid, signal.SIGKILL)
    return 1


def end_descendants(patience):
    """Kill what is still there after `patience` seconds; a line for each."""
    def others():
        reap()
        return [p for p in children(os.getpid())[1:] if alive(p)]

    said = {}
    try:
        wait_for(lambda: not others(), patience)
    except Timeout:
        pass
    end = time.monotonic() + 10
    while others() and time.monotonic() < end:
        for pid in others():
            try:
                name = Path(f"/proc/{pid}/cmdline").read_bytes()
                os.kill(pid, signal.SIGKILL)
                said.setdefault(pid, f"left behind: process {pid} "
                                f"{name.replace(bytes(1), b' ')[:200]!r}")
            except OSError:
                continue
        time.sleep(0.01)
    return list(said.values())


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def show_logs(env):
    for mount in env.mounts:
        lines = fold(mount.log().splitlines())[-40:]
        if lines:
            print(f"--- end of the log of {mount.name}:",
                  *lines, sep="\n  ", file=sys.stderr)


def fold(lines):
    """Equal neighbours become one line that says how many they were."""
    found = []
    for line in lines:
        if found and found[-1][0] == line:
            found[-1][1] += 1
        else:
            found.append([line, 1])
    return [f"{line}  ({n} times)" if n > 1 else line for line, n in found]


# The run.

def deadline_of(function):
    return getattr(function, "deadline", DEFAULT_DEADLINE)


class Run:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.lock = threading.Lock()
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.number = 0
        self.running = set()
        self.interrupted = False

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
        with self.lock:
            self.number += 1
            self.counts[kind] += 1
            print(f"{word} {self.number} {path.stem} {name} "
                  f"({seconds:.1f} s){reason}", flush=True)
            shown = output if word == "not ok" else "".join(
                line + "\n" for line in output.splitlines()
                if line.startswith("NOTE: "))
            for line in shown.splitlines():
                print("    " + line)
            sys.stdout.flush()

    def run_test(self, path, name, function):
        """Start one test process, hold its deadline, clean up after it."""
        tmp = Path(tempfile.mkdtemp(prefix="t", dir=self.folder))
        tmp.chmod(0o755)
        as_user = getattr(function, "ordinary_user", False) or (
            self.options.as_user and
            not getattr(function, "needs_root", False))
        environ = dict(os.environ)
        environ[MARKER] = str(tmp)
        report = tmp / "sanitizer"
        for tool in ("ASAN", "TSAN", "UBSAN"):
            key = tool + "_OPTIONS"
            environ[key] = f"{environ.get(key, '')}:log_path={report}"
        limit = deadline_of(function) * slowdown()
        output = tempfile.TemporaryFile()
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-B", __file__, "--one", str(path), name,
             str(tmp), str(self.folder / "certs"), str(self.folder / "data"),
             "yes" if as_user else "no", str(limit)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=environ, start_new_session=True)
        self.running.add(process)
        try:
            verdict = process.wait(limit + 60)
        except subprocess.TimeoutExpired:
            process.kill()
            verdict = process.wait()
        finally:
            self.running.discard(process)
        seconds = time.monotonic() - start
        left = [found.read_text(errors="replace")[-20000:]
                for found in sorted(tmp.glob(report.name + "*"))]
        left += self.clean(tmp)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
        if left:
            verdict = verdict if verdict not in (0, SKIPPED) else 1
            text += "\n" + "\n".join(left)
        self.report(path, name, verdict, seconds, text)

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
        measuring ones alone, at the end."""
        together = [t for t in tests if not getattr(t[2], "measure", False)]
        together.sort(key=lambda t: -deadline_of(t[2]))
        alone = [t for t in tests if getattr(t[2], "measure", False)]
        jobs = iter(together)

        def worker():
            while not self.interrupted:
                with self.lock:
                    job = next(jobs, None)
                if not job:
                    return
                self.run_test(*job)

        threads = [threading.Thread(target=worker)
                   for _ in range(self.options.jobs)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
            for job in alone:
                self.run_test(*job)
        except KeyboardInterrupt:
            self.interrupted = True
            for process in list(self.running):
                process.terminate()
            for thread in threads:
                thread.join()
            raise


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
    if len(sys.argv) > 1 and sys.argv[1] == "--one":
        supervise(sys.argv[2:])
    parser = argparse.ArgumentParser(description="end-to-end tests")
    parser.add_argument("--binary", help="mount.imapfs under test")
    parser.add_argument("--testproxy", help="the delay proxy's binary")
    parser.add_argument("--tests", default=HERE.parent / "mount")
    parser.add_argument("--jobs", type=int, default=6)
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
    with tempfile.TemporaryDirectory(prefix="imapfs-test-",
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
