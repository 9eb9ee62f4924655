# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount, the server or the line dies while changes are made: each change
is made once. (tests/soak/killmatrix.py has more points.)"""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from imapfstest import *
from imapfstest.killing import Killing
from imapfstest.letters import letter


@deadline(300)
@slow
def test_changes_are_made_once_whatever_dies(env):
    killing = Killing(env, seed=1)
    for number in range(20):
        killing.point(number)


def whole(body):
    """Which letter that is, all of it."""
    number = int(body.split(b"letter-")[1].split(b"@")[0])
    assert body == letter(number)
    return number


@deadline(240)
@slow
def test_killed_at_any_moment_nothing_is_lost_or_doubled(env):
    server = env.dovecot()
    with Client(server) as c:
        c.create("Work")
        c.create("Drafts")
        c.append("Drafts", letter(0), flags=["\\Draft"])
    m = env.mount(server, background=True)
    os.listdir(m.path / "Work")
    rng = random.Random(5)
    name, safe, begun, draft_is = m.messages("Drafts")[0], [], 1, 0
    writer_py = str(Path(__file__).parent.parent / "lib/keep_writing.py")
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-B", writer_py, str(m.path / "Work"),
             str(m.path / "Drafts" / name), str(begun)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines = [writer.stdout.readline()]
        until = time.monotonic() + rng.uniform(0, 1.5)
        killer = threading.Timer(until - time.monotonic(), m.kill9)
        killer.start()
        lines += writer.stdout.readlines()
        killer.join()
        writer.wait(10)
        done = [int(n) for n in lines if n.strip()]
        safe += done
        # Who is killed while it writes to the draft may have emptied it.
        if done and (done[-1] + 1) % 3 != 0:
            draft_is = max([draft_is] + [n for n in done if n % 3 == 0])
        # Those that were begun, too, have had their numbers.
        begun = max(done, default=begun) + 2
        wait_for(lambda: not m.mounted(), 10, "the helper has unmounted")
        m.wait_end()
        m.start()
    m.run(["sync", str(m.path / ".imapfs" / "queue")], timeout=30)
    with Client(server) as c:
        numbers = [whole(body) for body in c.fetch("Work").values()]
        draft, = c.fetch("Drafts").values()
        attrs, = c.attributes("Drafts").values()
    assert len(numbers) == len(set(numbers)), "doubled"
    assert set(numbers) >= set(safe), "lost"
    assert whole(draft) >= draft_is
    assert "\\Draft" in attrs["flags"]
