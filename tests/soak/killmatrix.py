#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many points at which something dies; see killing.py. By hand:

    sh tests/soak/kill.sh [POINTS] [--seed N] [--first N] [--how mount,wire]
"""

import argparse
import subprocess
import sys
import time
import traceback
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

from alone import alone  # noqa: E402
from imapfstest.killing import HOW, KINDS, Killing  # noqa: E402


def commit():
    found = subprocess.run(["git", "-C", str(TREE), "rev-parse", "--short",
                            "HEAD"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--points", type=int, default=200)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--how", default=",".join(HOW))
    p.add_argument("--kinds", default=",".join(KINDS))
    p.add_argument("--summary", type=Path)
    p.add_argument("--log", type=Path, metavar="FOLDER",
                   help="keep what passed on the wire where it failed")
    p.add_argument("--binary", required=True)
    p.add_argument("--testproxy")
    return p.parse_args()


class Summary:
    def __init__(self, path, head):
        self.out = path.open("w") if path else None
        self.say(head)

    def say(self, line):
        print(line, flush=True)
        if self.out:
            print(line, file=self.out, flush=True)


def one(o, number, state, summary):
    """One point, in the account of the one before, if that was well."""
    begin = time.monotonic()
    try:
        if state.get("killing") is None:
            state["killing"] = Killing(
                state["env"], o.seed, how=tuple(o.how.split(",")),
                kinds=tuple(o.kinds.split(",")), wire=bool(o.log))
        what = state["killing"].point(number)
    except Exception as error:  # pylint: disable=broad-except
        traceback.print_exc()
        summary.say(f"point {number}: FAILED: {error}")
        if state.get("killing") and o.log:
            text = state["killing"].m.log()
            (o.log / f"{o.seed}.{number}.log").write_text(text)
        state["killing"] = None
        return False
    summary.say(f"point {number}: fine, {what} "
                f"({time.monotonic() - begin:.1f} s)")
    return True


def main():
    o = options()
    summary = Summary(o.summary, f"seed {o.seed}, points {o.first} to "
                      f"{o.first + o.points - 1}, commit {commit()}")
    with alone("imapfs-kill-", o.binary, o.testproxy) as env:
        state = {"env": env}
        failed = [n for n in range(o.first, o.first + o.points)
                  if not one(o, n, state, summary)]
        summary.say(f"{o.points - len(failed)} points fine, {len(failed)} "
                    f"failed{': ' if failed else ''}"
                    f"{', '.join(map(str, failed))}")
        assert not failed
    return not env.well


if __name__ == "__main__":
    sys.exit(main())
