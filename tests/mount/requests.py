# SPDX-License-Identifier: GPL-3.0-or-later
"""A warm folder costs nothing per file: in the third pass of a program over
it the kernel asks at most 2 requests a directory and 4 a process.

Counted three times: by the program's own counters in .imapfs/status.json, and
for root by the kernel's tracepoint (where it has one) and by the read(2) calls
of the program, which bound the requests from above.
"""

import os

from imapfstest import *
from imapfstest.fusetrace import FuseTrace, Unavailable, reads
from imapfstest.letters import letter

FILES = 300
DIRECTORIES = 1
PER_DIRECTORY, PER_PROCESS = 2, 4
PASSES = 5
# What else the program may read(2) meanwhile: wake-ups of its own threads,
# a keep-alive. Far below one for each file.
OTHER_READS = 30

# name: (command, processes that walk)
PROGRAMS = {
    "ls -l": (["ls", "-l", "."], 1),
    "find -newermt": (["find", ".", "-newermt", "2100-01-01"], 1),
    "grep -r": (["grep", "-rc", "no-such-words", "."], 1),
    "cat": (["find", ".", "-type", "f", "-exec", "cat", "{}", "+"], 2),
    "tar c": ("tar cf - . | cat >/dev/null", 1),
}


class Counters:
    """Requests of one mount, less those that asking for them costs."""

    def __init__(self, m, trace):
        self.m, self.trace = m, trace
        self.pid = m.pid
        self._look()  # the first one looks up more than the later ones
        self.cost = self._difference(self._look(), self._look())

    def _look(self):
        counts = self.m.status()["requests"]
        own = sum(counts.values()) - counts["forget"]
        kernel = sum(self.trace.counts().values()) if self.trace else None
        return own, kernel, reads(self.pid)

    @staticmethod
    def _difference(before, after):
        return [None if b is None else a - b for b, a in zip(before, after)]

    def during(self, work):
        before = self._look()
        work()
        spent = self._difference(before, self._look())
        return [None if s is None else s - c
                for s, c in zip(spent, self.cost)]


def filled(env):
    server = env.dovecot(special=())
    with Client(server) as c:
        c.append_many("INBOX", (letter(n, size=5_000 + 100 * (n % 300))
                                for n in range(1, FILES + 1)),
                      date=1_700_000_000)
    return env.mount(server)


def tracer(env, m):
    try:
        return env.keep(FuseTrace(env.tmp, m.path))
    except Unavailable as reason:
        print(f"NOTE: not counted by the kernel's tracepoint: {reason}")
        return None


def walk(m, name):
    command = PROGRAMS[name][0]
    result = m.run(command, timeout=40, cwd=str(m.path / "INBOX"),
                   check=False)
    assert not result.err, f"{name}: {result!r}"
    return result


def excess_of(m, name, counters, trace):
    """What a pass of this program asked beyond what it may: texts."""
    most = PER_DIRECTORY * DIRECTORIES + PER_PROCESS * PROGRAMS[name][1]
    if trace:
        trace.clear()
    own, kernel, calls = counters.during(lambda: walk(m, name))
    excess = []
    if own > most:
        excess.append(f"{name}: {own} requests, at most {most}")
    if kernel is not None and kernel > most:
        excess.append(f"{name}: the kernel sent {dict(trace.counts())}, "
                      f"at most {most}")
    if calls is not None and calls > most + OTHER_READS:
        excess.append(f"{name}: the program read {calls} times")
    return excess


@deadline(120)
def test_third_pass_sends_no_request_per_file(env):
    m = filled(env)
    folder = m.path / "INBOX"
    trace = tracer(env, m)
    counters = Counters(m, trace)
    cold = counters.during(lambda: [walk(m, name) for name in PROGRAMS])
    assert cold[0] >= 1, f"the program's counters see nothing: {cold}"
    for seen in cold[1:]:
        assert seen is None or seen >= cold[0], \
            f"somebody sees fewer than the program: {cold}"
    for name in PROGRAMS:
        walk(m, name)
    assert len(os.listdir(folder)) == FILES
    failures = []
    for name in PROGRAMS:
        # Pages that the kernel gives back meanwhile (to a host that wants
        # memory, say) are asked for again, by any file system.
        for _ in range(PASSES):
            excess = excess_of(m, name, counters, trace)
            if not excess:
                break
        failures += excess
    assert not failures, "; ".join(failures)
