# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes while something dies: each must have been made once in the end.

    k = Killing(env, seed=1)
    for number in range(20):
        k.point(number)     # AssertionError: what is wrong

At each point some changes are made (moves, removals, flags, tags, new files)
while the mount is killed (`mount`), the server with all its processes
(`server`), or every connection is cut (`wire`): when a certain piece of data
has passed on the line, and a moment later. Then what died is started again,
the rest of the changes is made, and when all is sent the account, as another
client sees it, must be what the changes amount to.

What was acknowledged counts; of a change that was in flight when the mount
died both outcomes are right. A point begins with an account of its own letters
only, so all of it follows from the seed and its number, but for the moment
itself, which depends on how busy the machine is: a point that failed once is
made again by its number, some times over.

The server is Dovecot, or another one of Server's kind (server.py, given.py)
whose account is used for nothing else: every letter in it is removed.
"""

import os
import random
import threading
import time
from collections import namedtuple

from .changed import on_server
from .client import Client
from .letters import letter, number, numbered
from .util import Timeout

BOXES = ("INBOX", "Work", "Home")
EVERYWHERE = (*BOXES, "Trash")
LETTERS = 16
NUMBERS = 1000  # of the letters of one point
CHANGES = 24
PIECES = 40  # about as many pass while the changes are made
MODES = {0o600: set(), 0o644: {"\\Seen"}, 0o700: {"\\Flagged"},
         0o744: {"\\Seen", "\\Flagged"}}
SYSTEM = {"\\Seen", "\\Flagged"}
HOW = ("mount", "server", "wire")
KINDS = ("move", "move", "remove", "mode", "mode", "tag", "new")


class State(namedtuple("State", "box flags")):
    """Where a letter is (None: nowhere) and its flags."""

    def __new__(cls, box, flags=()):
        return super().__new__(cls, box, frozenset(flags))

    def __repr__(self):
        return f"{self.box} {' '.join(sorted(self.flags))}".strip()


class Killing:
    def __init__(self, env, seed, server=None, how=HOW, kinds=KINDS,
                 wire=False):
        self.env, self.seed, self.how, self.kinds = env, seed, how, kinds
        self.server = server or env.dovecot()
        self.tap = env.tap(self.server)
        self.letters = {}  # n: State
        self.n_failed = 0  # files that were being made when the mount died
        with Client(self.server) as c:
            there = c.list()
            for box in map(self._wire, EVERYWHERE):
                if box not in there:
                    c.create(box)
                uids = c.uids(box)
                assert not uids, f"{box} is not empty: no account to kill in"
        self.m = env.mount(self.server.url(port=self.tap.port),
                           password=self.server.users[self.server.account],
                           options=["timeout=10"], wire=wire)

    # The account.

    def _wire(self, box):
        return box if box == "INBOX" else self.server.prefix + box

    def _folder(self, box):
        """Where it is in the mount."""
        return "/".join(self._wire(box).split(self.server.separator))

    def _fill(self, rng, number):
        """The letters of this point in place of all others, by another
        client; and they are shown."""
        self.next = number * NUMBERS
        self.letters = {self.next + i: State(
            rng.choice(EVERYWHERE), rng.choice(sorted(MODES.items()))[1])
            for i in range(LETTERS)}
        self.next += LETTERS
        with Client(self.server) as c:
            for box in EVERYWHERE:
                c.empty(self._wire(box))
            for n, s in self.letters.items():
                c.append(self._wire(s.box), letter(n), s.flags,
                         1_600_000_000 + n)
        for box in EVERYWHERE:
            os.utime(self.m.path / self._folder(box))
        try:
            self.env.wait_for(lambda: self._shown() == self.letters,
                              30)
        except Timeout:
            compare("shown", self._shown(), self.letters)

    def _shown(self):
        """{n: State} as the mount has it."""
        found = {}
        for box in EVERYWHERE:
            for n, path in numbered(self.m, self._folder(box)).items():
                assert n not in found, f"letter {n} is shown twice"
                found[n] = State(box, flags_of(path))
        return found

    def _truth(self):
        found = {}
        for box in EVERYWHERE:
            for n, a in on_server(self.server, self._wire(box)).items():
                assert n not in found, \
                    f"letter {n} is in {found[n].box} and in {box}"
                found[n] = State(box, a.flags)
        return found

    # Changes.

    def _choose(self, rng):
        """(n, its state then, what to do)."""
        living = sorted(n for n, s in self.letters.items() if s.box)
        n = rng.choice(living)
        s = self.letters[n]
        kind = rng.choice(self.kinds)
        if kind == "remove" and n in self.young:
            kind = "move"  # if it is unsent it does not go to the Trash
        if kind == "new":
            n, self.next = self.next, self.next + 1
            self.young.add(n)
            self.letters[n] = State(None)
            return n, State(rng.choice(BOXES)), self._write
        if kind == "move":
            box = rng.choice([b for b in BOXES if b != s.box])
            return n, State(box, s.flags), self._move
        if kind == "remove" and s.box != "Trash":
            return n, State("Trash", s.flags), self._remove
        if kind == "remove":
            return n, State(None), self._remove
        if kind == "tag":
            return n, State(s.box, s.flags ^ {"red"}), self._tag
        mode = rng.choice(sorted(MODES))
        return n, State(s.box, (s.flags - SYSTEM) | MODES[mode]), self._mode

    def _path(self, n):
        """What was removed is in the Trash a moment later."""
        box = self.m.path / self._folder(self.letters[n].box)

        def look():
            try:
                with os.scandir(box) as entries:
                    return [box / e.name for e in entries
                            if "_Letter-" in e.name and number(e.name) == n]
            except OSError as error:
                return error

        found = self.env.wait_for(look, 10,
                                  f"letter {n} is listed in {box.name}")
        if isinstance(found, OSError):
            raise found
        path, = found
        return path

    def _move(self, n, state):
        path = self._path(n)
        os.rename(path, self.m.path / self._folder(state.box) / path.name)

    def _remove(self, n, _):
        os.unlink(self._path(n))

    def _tag(self, n, state):
        tags = ",".join(state.flags - SYSTEM)
        path = self._path(n)
        if tags:
            os.setxattr(path, "user.xdg.tags", tags.encode())
        else:
            os.removexattr(path, "user.xdg.tags")

    def _mode(self, n, state):
        mode, = [k for k, v in MODES.items() if v == state.flags & SYSTEM]
        os.chmod(self._path(n), mode)

    def _write(self, n, state):
        path = self.m.path / self._folder(state.box) / f"new_Letter-{n}_.eml"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, letter(n))
            os.fsync(fd)
        finally:
            os.close(fd)

    def _note(self, text):
        self.story.append(f"{time.strftime('%T')}"
                          f".{time.time_ns() // 1000000 % 1000:03} {text}")

    # Dying.

    def _kill(self, how):
        if how == "wire":
            self.tap.cut()
        elif how == "server":
            self.server.kill()
        else:
            self.m.kill9()

    def _wait_and_kill(self, how, pieces, moment):
        """In a thread: when so many more pieces have passed."""
        until = len(self.tap.pieces) + pieces
        end = time.monotonic() + 2
        while len(self.tap.pieces) < until and time.monotonic() < end:
            time.sleep(0.0005)
        time.sleep(moment)
        self._note(f"{how} dies")
        try:
            self._kill(how)
            if how == "server":
                self.server.start()
        except (AssertionError, OSError, ValueError) as error:
            self.trouble = error

    def _again(self):
        """The mount died: what it shows now of what was in flight counts."""
        self.m.wait_end()
        self.m.start()

    def _settle(self, n, state):
        """A change was in flight: it was made, or not."""
        shown = self._shown().get(n, State(None))
        self.n_failed += n in self.young and self.letters[n].box is None
        if n in self.young and shown.box:
            self.letters[n] = shown
            path = self._path(n)
            if path.stat().st_size == 0:  # nothing of it was written
                path.unlink()
                shown = self.letters[n] = State(None)
        if shown not in (self.letters[n], state):
            raise AssertionError(f"letter {n} was {self.letters[n]}, was to "
                                 f"be {state}, and is {shown}")
        self.letters[n] = shown

    def point(self, number):
        """One point; how it was, as a line."""
        rng = random.Random(f"{self.seed}.{number}")
        how = rng.choice(self.how)
        pieces, moment = rng.randrange(PIECES), rng.random() * 0.004
        what = f"{how} after {pieces} pieces and {moment * 1000:.1f} ms"
        self.story, self.young, self.trouble = [], set(), None
        try:
            self._fill(rng, number)
            self._point(rng, how, pieces, moment)
        except (AssertionError, OSError, ValueError) as error:
            story = "\n".join(self.story)
            raise AssertionError(f"point {number}, {what}: {error!r}\n"
                                 f"{error}\n{story}\n{self._left()}"
                                 ) from error
        return what

    def _left(self):
        """What the mount has yet to send: is it lost, or only late?"""
        try:
            return "queue: " + (self.m.control("queue") or "empty")
        except (AssertionError, OSError) as error:
            return f"queue: {error!r}"

    def _point(self, rng, how, pieces, moment):
        killer = threading.Thread(target=self._wait_and_kill,
                                  args=(how, pieces, moment))
        killer.start()
        try:
            restarts = self._change(rng, killer, how)
        finally:
            killer.join()
        if self.trouble:
            raise AssertionError(f"killing: {self.trouble}")
        if how == "mount" and not restarts:
            self._again()
        self._check()

    def _change(self, rng, killer, how):
        """Make the changes; True: the mount was started again."""
        restarted = False
        for _ in range(CHANGES):
            n, state, do = self._choose(rng)
            self._note(f"letter {n}: {self.letters[n]} -> {state}")
            try:
                do(n, state)
            except (OSError, ValueError) as error:
                self._note(f"... {error!r}")
                if how != "mount" or restarted:
                    raise
                killer.join()
                self._again()
                restarted = True
                self._settle(n, state)
                continue
            self.letters[n] = state
            time.sleep(rng.random() * 0.01)
        return restarted

    def _check(self):
        # Without a connection it says so at once.
        self._note("sync")
        self.env.wait_for(lambda: is_sent(self.m), 60)
        self._note("all is sent")
        expected = {n: s for n, s in self.letters.items() if s.box}
        compare("on the server", self._truth(), expected)
        compare("shown", self._shown(), expected)
        failed = self.m.control("failed")
        assert len(failed.splitlines()) <= self.n_failed, \
            f"listed as failed: {failed}"


def is_sent(m):
    return m.run(["sync", str(m.path / ".imapfs/queue")], cwd="/",
                 check=False, timeout=60).code == 0


def flags_of(path):
    flags = set(os.getxattr(path, "user.imap.flags").decode().split())
    return flags - {"\\Recent"}


def compare(where, found, expected):
    wrong = [f"letter {n}: expected {expected.get(n)}, {where}: "
             f"{found.get(n)}" for n in sorted({*found, *expected})
             if found.get(n) != expected.get(n)]
    assert not wrong, "\n".join(wrong)
