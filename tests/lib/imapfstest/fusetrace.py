# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel asked a FUSE program, counted by the kernel itself.

    with FuseTrace(tmp, m.path) as trace:
        before = trace.counts()
        ...
        trace.since(before) -> {"LOOKUP": 1, ...}

Root's, and only where the kernel has the tracepoint fuse_request_send
(else: Unavailable): a tracing instance of our own, filtered to this one
mount, so nobody else's tracing is touched. FORGETs are not in it.

reads(pid) needs no tracepoint: the read(2) calls of a process so far, by
/proc/PID/io. Each request costs the program at least one, so the difference
bounds the requests from above, whatever the program itself counts. The
program hides its /proc files from its own user, so this is root's too.
"""

import os
import re
from collections import Counter
from pathlib import Path

from .util import mounts_under, run

EVENT = "events/fuse/fuse_request_send"
BUFFER_KB = 8192


class Unavailable(Exception):
    """This kernel, or this user, cannot trace FUSE; the text says why."""


def reads(pid):
    """The count, or None where this user may not see it."""
    try:
        text = Path(f"/proc/{pid}/io").read_text()
    except PermissionError:
        return None
    return int(re.search(r"^syscr: (\d+)$", text, re.M)[1])


def minor(path):
    """The device of the mount at `path`: the number of its connection."""
    for point, number in mounts_under(Path(path).parent):
        if point == str(path):
            return number
    raise AssertionError(f"{path} is not mounted")


class FuseTrace:
    serial = 0

    def __init__(self, tmp, path):
        FuseTrace.serial += 1
        self._own = self._instance = None
        if os.geteuid() != 0:
            raise Unavailable("only root can trace")
        root = self._tracefs(Path(tmp) / f"trace{FuseTrace.serial}")
        try:
            self._start(root, path)
        except OSError as error:
            self.remove()
            raise Unavailable(f"tracing does not work: {error}") from None

    def _tracefs(self, folder):
        for line in Path("/proc/mounts").read_text().splitlines():
            if line.split(" ")[2] == "tracefs":
                return Path(line.split(" ")[1])
        folder.mkdir()
        if run(["mount", "-t", "tracefs", "none", folder],
               check=False).code != 0:
            folder.rmdir()
            raise Unavailable("tracefs cannot be mounted")
        self._own = folder
        return folder

    def _start(self, root, path):
        if not (root / EVENT).is_dir():
            raise OSError("this kernel has no FUSE tracepoints")
        instance = root / "instances" / \
            f"imapfs-{os.getpid()}-{FuseTrace.serial}"
        instance.mkdir()
        self._instance = instance
        (instance / "buffer_size_kb").write_text(str(BUFFER_KB))
        (instance / EVENT / "filter").write_text(
            f"connection == {minor(path)}")
        (instance / EVENT / "enable").write_text("1")

    def counts(self):
        """Requests by name since the start."""
        lost = sum(int(n) for stats in
                   self._instance.glob("per_cpu/cpu*/stats")
                   for n in re.findall(r"overrun: (\d+)", stats.read_text()))
        if lost:
            raise AssertionError(f"{lost} events did not fit the buffer")
        text = (self._instance / "trace").read_text(errors="replace")
        return Counter(re.findall(r"opcode \d+ \(FUSE_(\w+)\)", text))

    def since(self, before):
        return self.counts() - before

    def clear(self):
        (self._instance / "trace").write_text("")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()

    def remove(self):
        if self._instance:
            try:
                (self._instance / EVENT / "enable").write_text("0")
            finally:
                self._instance.rmdir()
                self._instance = None
        if self._own:
            run(["umount", str(self._own)])
            self._own.rmdir()
            self._own = None
