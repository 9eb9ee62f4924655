# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting, running commands and knowing processes: what every helper needs.

wait_for() is the only way to wait: it asks until the answer is yes or the
deadline passes. All deadlines here are for a plain build; a sanitizer build
has more.
"""

import os
import select
import signal
import subprocess
import time
from pathlib import Path


class Timeout(AssertionError):
    """A deadline passed; the text says what was waited for."""


def slowdown():
    """How much longer a sanitizer build may take (1.0: a plain build)."""
    return float(os.environ.get("IMAPFS_TEST_SLOWDOWN", "1"))


def wait_for(predicate, timeout=10.0, what=None, step=0.01):
    """Ask `predicate` until it gives something true, and return that.

    OSError counts as "not yet". After `timeout` seconds: Timeout, with the
    last exception or value in its text.
    """
    timeout *= slowdown()
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = predicate()
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() >= deadline:
            name = what or getattr(predicate, "__name__", "condition")
            raise Timeout(f"{name}: not within {timeout} s (last: {last!r})")
        time.sleep(step)


class Result:
    """What a command left: code, out and err (bytes), seconds."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err = code, out, err
        self.seconds = seconds

    @property
    def text(self):
        return self.out.decode("utf-8", "surrogateescape")

    @property
    def errtext(self):
        return self.err.decode("utf-8", "surrogateescape")

    @property
    def lines(self):
        return self.text.splitlines()

    def __repr__(self):
        return (f"Result(code={self.code}, out={self.out[-2000:]!r}, "
                f"err={self.err[-2000:]!r}, seconds={self.seconds:.2f})")


def environment(extra=None):
    env = dict(os.environ)
    env["LC_ALL"] = "C.UTF-8"
    if extra:
        for key, value in extra.items():
            if value is None:
                env.pop(key, None)
            else:
                env[key] = str(value)
    return env


class Process(subprocess.Popen):
    """One whose deadlines are those of wait_for()."""

    def wait(self, timeout=None):
        return super().wait(timeout and timeout * slowdown())

    def communicate(self, input=None, timeout=None):
        return super().communicate(input, timeout and timeout * slowdown())


def popen(args, user=None, env=None, **kw):
    """Start a process in its own session, as numeric `user` when root."""
    if user is not None and os.geteuid() == 0 and user != 0:
        kw.update(user=user, group=user, extra_groups=[])
        # The folder may be one that only this user can enter.
        folder = kw.pop("cwd", None)
        words = ["sh", "-c", args] if isinstance(args, str) else list(args)
        args = ["sh", "-c", 'cd "$0" && exec "$@"', str(folder or "/"),
                *map(str, words)]
    shell = isinstance(args, str)
    return Process(args, shell=shell, env=environment(env),
                   start_new_session=True, **kw)


def wait_end(process, timeout):
    """process.wait(timeout), but back at once when it ends: Python's own
    looks every 50 ms, which is a lot where seconds are compared."""
    fd = os.pidfd_open(process.pid)
    try:
        if not select.select([fd], [], [], timeout * slowdown())[0]:
            raise subprocess.TimeoutExpired(process.args, timeout)
    finally:
        os.close(fd)
    return process.wait()


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def run(args, timeout=20.0, check=True, input=None, user=None, env=None,
        cwd=None):
    """Run a list (or, with a shell, a string) to its end; give a Result.

    A process that misses the deadline is killed with its group: Timeout.
    With `check` a non-zero exit is an AssertionError that shows its output.
    """
    start = time.monotonic()
    stdin = subprocess.PIPE if input is not None else subprocess.DEVNULL
    process = popen(args, user=user, env=env, cwd=cwd, stdin=stdin,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)
        try:
            out, err = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            out = err = b""
        raise Timeout(f"{args!r}: not done within {timeout} s; "
                      f"out={out[-2000:]!r} err={err[-2000:]!r}") from None
    result = Result(process.returncode, out, err, time.monotonic() - start)
    if check and result.code != 0:
        raise AssertionError(f"{args!r} failed: {result!r}")
    return result


def of_process(pid, name):
    """The text of /proc/PID/NAME; empty: there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
    except OSError:
        return b""
    try:
        text = b""
        while more := os.read(fd, 65536):
            text += more
        return text
    except OSError:
        return b""
    finally:
        os.close(fd)


def processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def stat_of(pid):
    """The fields of /proc/PID/stat behind the name; none: it is gone."""
    return of_process(pid, "stat").rpartition(b")")[2].split()


def state(pid):
    """The letter of this process in /proc; X: it is not there."""
    fields = stat_of(pid)
    return fields[0].decode() if fields else "X"


def alive(pid):
    """Is this process there and not a zombie?"""
    return state(pid) not in "ZX"


def stand_still(pid):
    """SIGSTOP, and wait until none of its threads runs: it takes a moment, in
    which much can be done on a busy machine."""
    def stands():
        letters = []
        for task in os.listdir(f"/proc/{pid}/task"):
            stat = of_process(pid, f"task/{task}/stat")
            letters += stat.rpartition(b")")[2].split()[:1]
        return not {b"R", b"S"}.intersection(letters)

    os.kill(pid, signal.SIGSTOP)
    wait_for(stands, 20, f"process {pid} stands still", step=0.002)


def children(pid):
    """All living descendants of a process, the process itself first."""
    parents = {}
    for one in processes():
        fields = stat_of(one)
        if fields:
            parents.setdefault(int(fields[1]), []).append(one)
    found = [pid]
    for one in found:
        found.extend(parents.get(one, []))
    return found


def has_marker(pid, value, name):
    """Was this process started with this variable in its environment?"""
    return f"{name}={value}".encode() in of_process(pid, "environ").split(b"\0")


def marked(value, name):
    """Living processes, except this one, that have a marker."""
    return [pid for pid in processes() if pid != os.getpid() and
            has_marker(pid, value, name) and alive(pid)]


def end_process(pid, patience=5.0):
    """SIGTERM, wait, SIGKILL, wait; fine when it is gone already."""
    for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        try:
            wait_for(lambda: not alive(pid), seconds)
            return
        except Timeout:
            continue


def mounts_under(folder):
    """[(mount point, device minor)] below `folder`, the deepest first."""
    prefix = str(folder).rstrip("/") + "/"
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        point = fields[4].encode().decode("unicode_escape") \
            .encode("latin-1").decode("utf-8", "surrogateescape")
        if point.startswith(prefix):
            found.append((point, int(fields[2].split(":")[1])))
    return sorted(found, key=lambda item: -len(item[0]))
