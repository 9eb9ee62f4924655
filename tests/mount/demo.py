# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/demo.sh, as a new user runs it: twice, and nothing is left."""

import os
from pathlib import Path

from imapfstest import *

SCRIPT = Path(__file__).resolve().parents[1] / "demo.sh"


@deadline(120)
def test_the_demo_lists_and_finds_and_can_be_run_again(env):
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("/dev/fuse is not there or not open to this user")
    if not os.access(SCRIPT, os.R_OK):
        skip("the checkout is not readable by this user")
    place = env.tmp / "place"
    place.mkdir()
    place.chmod(0o755)
    for word in ("--once", "--once"):
        shown = env.run(["sh", str(SCRIPT), word], timeout=50,
                        env={"TMPDIR": place}).text
        assert "$ ls -l INBOX" in shown, shown
        assert ".eml" in shown and "lighthouse" in shown, shown
    assert not list(place.glob("imapfs-demo*")), "the demo left its folder"
    assert not mounts_under(place), "the demo left its mount"
