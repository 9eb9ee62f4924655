#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many points at which something dies; see killing.py. By hand:

    sh tests/soak/kill.sh [POINTS] [--server cyrus] [--seed N] [--first N]

--seed N --first M makes point M of that seed again, and those behind it;
--again 50 makes each of them so often. --server takes an address, too, of an
account that is used for nothing else (given.py).
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

from alone import alone  # noqa: E402
from imapfstest.given import Given  # noqa: E402
from imapfstest.killing import HOW, KINDS, Killing  # noqa: E402
from imapfstest.named import NAMES, named_server  # noqa: E402
from summary import Summary, commit  # noqa: E402


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--points", type=int, default=200)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--again", type=int, default=1, metavar="TIMES",
                   help="make each point so often")
    p.add_argument("--server", default="dovecot", metavar="NAME|ADDRESS",
                   help="dovecot, cyrus, courier or imaps://user@host:port/")
    p.add_argument("--password-file", type=Path, help="... of an address")
    p.add_argument("--kill-command", help="... kills the server there")
    p.add_argument("--start-command", help="... starts it again")
    p.add_argument("--unpacked", type=Path, metavar="FOLDER",
                   help="where the packages of cyrus or courier are")
    p.add_argument("--how", default=",".join(HOW))
    p.add_argument("--kinds", default=",".join(KINDS))
    p.add_argument("--summary", type=Path)
    p.add_argument("--log", type=Path, metavar="FOLDER",
                   help="keep what passed on the line where it failed")
    p.add_argument("--binary", required=True)
    p.add_argument("--testproxy")
    return p.parse_args()


def keep_logs(folder, killing):
    folder.mkdir(parents=True)
    (folder / "mount").write_text(killing.m.log())
    (folder / "server").write_text(killing.server.log())
    killing.tap.write(folder / "line")


def new_killing(o, env):
    """A mount of a server."""
    how = o.how.split(",")
    if o.server in NAMES:
        server = named_server(env, o.server, o.unpacked)
    else:
        server = Given(o.server, o.password_file.read_text().strip("\n"),
                       o.kill_command, o.start_command)
        if not server.can_die:
            how = [h for h in how if h != "server"]
    return Killing(env, o.seed, server, tuple(how),
                   tuple(o.kinds.split(",")), wire=bool(o.log))


def one(o, number, state, summary):
    """One point, by the mount of the one before, if that was well."""
    begin = time.monotonic()
    try:
        if state.get("killing") is None:
            state["killing"] = new_killing(o, state["env"])
        what = state["killing"].point(number)
    except Exception as error:  # pylint: disable=broad-except
        traceback.print_exc()
        summary.say(f"point {number}: FAILED: {error}")
        if state.get("killing") and o.log:
            keep_logs(o.log / f"{o.seed}.{number}.{time.time_ns()}",
                      state["killing"])
        state["killing"] = None
        return False
    summary.say(f"point {number}: fine, {what} "
                f"({time.monotonic() - begin:.1f} s)")
    return True


def main():
    o = options()
    summary = Summary(o.summary, f"{o.server}, seed {o.seed}, points "
                      f"{o.first} to {o.first + o.points - 1}, {o.again} "
                      f"times, commit {commit()}")
    with alone("imapfs-kill-", o.binary, o.testproxy) as env:
        state = {"env": env}
        failed = [n for n in range(o.first, o.first + o.points)
                  for _ in range(o.again) if not one(o, n, state, summary)]
        summary.end(o.points * o.again, failed)
    return not env.well


if __name__ == "__main__":
    sys.exit(main())
