# SPDX-License-Identifier: GPL-3.0-or-later
"""A program on a terminal of its own: for prompts, echo and Ctrl-C.

    with Terminal(["program", "argument"]) as t:
        t.expect("Password"); t.type("wonder\n"); t.wait(10)
"""

import os
import pty
import re
import select
import signal
import termios
import time

from .util import Timeout, environment, slowdown


class Terminal:
    def __init__(self, args, env=None, user=None, cwd=None):
        self.output = b""
        self.code = None
        full = environment(env)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                if cwd:
                    os.chdir(cwd)
                if user is not None and os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(user)
                    os.setuid(user)
                os.execvpe(args[0], [str(a) for a in args], full)
            finally:
                os._exit(127)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def expect(self, pattern, timeout=10):
        """Wait until the output so far matches; gives the match."""
        deadline = time.monotonic() + timeout * slowdown()
        raw = pattern.encode() if isinstance(pattern, str) else pattern
        while True:
            match = re.search(raw, self.output)
            if match:
                return match
            left = deadline - time.monotonic()
            if left <= 0 or not (self._read(min(left, 0.1)) or
                                 not self.ended()):
                raise Timeout(f"terminal: no {raw!r} in {self.output!r}")

    def type(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def interrupt(self):
        """What Ctrl-C does: the terminal sends SIGINT to the foreground."""
        self.type(b"\x03")

    def echo(self):
        """Does the terminal echo what is typed at this moment?"""
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def ended(self):
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, timeout=10):
        """Wait for the end of the program; gives its exit code."""
        deadline = time.monotonic() + timeout * slowdown()
        while not self.ended():
            self._read(0.02)
            if time.monotonic() > deadline:
                raise Timeout(f"terminal: still running; {self.output!r}")
        while self._read(0):
            pass
        return self.code

    def close(self):
        if not self.ended():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(self.pid, 0)
            self.code = -signal.SIGKILL
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    remove = close
