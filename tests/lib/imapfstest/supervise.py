# SPDX-License-Identifier: GPL-3.0-or-later
"""One end-to-end test: a supervisor process, and below it the test.

supervise() is called in a process of its own, and ends it. Verdicts: 0 (it
passed), SKIPPED, anything else (it failed; why is on its output).
"""

import ctypes
import faulthandler
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path

from .env import Env, Skip
from .util import Timeout, alive, children, wait_for

ORDINARY_UID = 65534
SKIPPED = 77
PR_SET_CHILD_SUBREAPER = 36


def become_ordinary(tmp):
    os.chown(tmp, ORDINARY_UID, ORDINARY_UID)
    os.setgroups([])
    os.setgid(ORDINARY_UID)
    os.setuid(ORDINARY_UID)


def run_test_function(function, tmp, folder, as_user):
    """The body of the test process; its exit code is the verdict."""
    home = tmp / "home"
    if as_user and os.geteuid() == 0:
        become_ordinary(tmp)
    home.mkdir()
    os.environ["HOME"] = str(home)
    os.chdir(tmp)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    env = Env(tmp, folder / "certs", folder / "data")
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


def supervise(function, tmp, folder, as_user, limit):
    """Fork the test, hold its deadline, end whatever it leaves running, and
    exit with its verdict.

    As a subreaper this process becomes the parent of everything that the
    test's processes leave behind, whatever they did to their environment,
    session or user.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    listen_to_signals()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        verdict = 1
        try:
            verdict = run_test_function(function, tmp, folder, as_user)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(verdict)
    try:
        verdict = wait_test(pid, limit)
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
