#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault at every kind of command of a Gmail account (gmail/faulty.py).
By hand:

    sh tests/soak/faults.sh [--seed N] [--kinds A,B] [--faults A,B]

--seed N makes the same points in the same order again. Each point is a mount
of its own; how often its fault is met follows from the seed.
"""

import argparse
import random
import sys
import time
import traceback
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

from alone import alone  # noqa: E402
from imapfstest.gmail.faulty import FAULTS, KINDS, point  # noqa: E402
from killmatrix import Summary, commit  # noqa: E402

TIMES = (1, 1, 2, 3, 6)


def words_of(known):
    def words(text):
        found = text.split(",")
        if set(found) - set(known):
            raise argparse.ArgumentTypeError(
                f"known are: {', '.join(known)}")
        return found
    return words


def options():
    p = argparse.ArgumentParser()
    add = p.add_argument
    add("--seed", type=int, default=int(time.time()))
    add("--kinds", type=words_of(KINDS), default=list(KINDS))
    add("--faults", type=words_of(FAULTS), default=list(FAULTS))
    add("--part", default="1/1", metavar="I/N",
        help="the I-th of N parts, to run them side by side")
    add("--summary", type=Path)
    add("--binary", required=True)
    add("--testproxy")
    return p.parse_args()


def points(o):
    """[(kind, fault, times)], the same for the same seed."""
    r = random.Random(o.seed)
    found = [(k, f, r.choice(TIMES)) for k in KINDS for f in FAULTS]
    r.shuffle(found)
    part, parts = map(int, o.part.split("/"))
    return [(k, f, times) for k, f, times in found[part - 1::parts]
            if k in o.kinds and f in o.faults]


def one(env, summary, kind, fault, times):
    begin = time.monotonic()
    try:
        what = point(env, kind, fault, times)
    except Exception as error:  # pylint: disable=broad-except
        traceback.print_exc()
        summary.say(f"{kind}, {fault}, {times} times: FAILED: "
                    f"{str(error).splitlines()[0]}")
        return False
    summary.say(f"{kind}, {fault}, {times} times: fine, {what} "
                f"({time.monotonic() - begin:.1f} s)")
    return True


def main():
    o = options()
    todo = points(o)
    summary = Summary(o.summary, f"Gmail double, seed {o.seed}, part "
                      f"{o.part}, {len(todo)} points, commit {commit()}")
    with alone("imapfs-faults-", o.binary, o.testproxy) as env:
        failed = [p for p in todo if not one(env, summary, *p)]
        summary.end(len(todo), [", ".join(map(str, p)) for p in failed])
    return not env.well


if __name__ == "__main__":
    sys.exit(main())
