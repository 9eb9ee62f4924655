# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells everybody who watches a folder: inotifywait's lines.

    watch = env.watch(m.path / "INBOX")
    name = watch.wait("CREATE", "_Letter-100_")
    watch.count("DELETE")

Nothing here lists the folder or asks for anything in it: a test that waits
with this waits for what is pushed. Each event has the time.monotonic() at
which its line came.
"""

import re
import subprocess
import threading
import time

from .util import popen, slowdown, wait_for

EVENTS = "create,delete,attrib,move,delete_self"
# Far below the ten minutes after which folders are asked in any case.
PUSHED = 30


class Event:
    def __init__(self, line):
        self.time = time.monotonic()
        kinds, _, self.name = line.partition(" ")
        self.kinds = set(kinds.split(","))

    def __repr__(self):
        return f"{','.join(sorted(self.kinds))} {self.name}"


class Watch:
    def __init__(self, folder, user=None):
        self.folder, self.found = folder, []
        self._process = popen(
            ["inotifywait", "-m", "-e", EVENTS, "--format", "%e %f",
             str(folder)], user=user, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self._ready = threading.Event()
        self._said = b""
        for reader in (self._read_events, self._read_messages):
            threading.Thread(target=reader, daemon=True).start()
        if not self._ready.wait(20 * slowdown()):
            self.remove()
            raise AssertionError(f"no watch on {folder}: {self._said!r}")

    def _read_events(self):
        for line in self._process.stdout:
            text = line.decode("utf-8", "surrogateescape").rstrip("\n")
            self.found.append(Event(text))

    def _read_messages(self):
        for line in self._process.stderr:
            self._said += line
            if b"established" in line:
                self._ready.set()

    def events(self, kind=None, pattern=""):
        """Events so far, of that kind, whose name has `pattern` in it."""
        return [e for e in list(self.found)
                if (not kind or kind in e.kinds) and
                re.search(pattern, e.name)]

    def count(self, kind=None, pattern=""):
        return len(self.events(kind, pattern))

    def wait(self, kind, pattern="", timeout=PUSHED, times=1):
        """The name in the last of so many such events, once they came."""
        wait_for(lambda: self.count(kind, pattern) >= times,
                 timeout,
                 f"{times} {kind} of {pattern!r} in {self.folder}")
        return self.events(kind, pattern)[times - 1].name

    def wait_any(self, kinds, pattern, timeout=PUSHED):
        """The first event of one of these kinds."""
        def found():
            return [e for kind in kinds for e in self.events(kind, pattern)]
        return wait_for(found, timeout,
                        f"{' or '.join(kinds)} of {pattern!r}")[0]

    def remove(self):
        self._process.kill()
        self._process.wait(5)
