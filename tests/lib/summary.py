# SPDX-License-Identifier: GPL-3.0-or-later
"""What a long run leaves: lines on the screen and, if wanted, in a file."""

import subprocess
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]


def commit():
    found = subprocess.run(["git", "-C", str(TREE), "rev-parse", "--short",
                            "HEAD"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


class Summary:
    def __init__(self, path, head):
        self.out = path.open("w") if path else None
        self.say(head)

    def say(self, line):
        print(line, flush=True)
        if self.out:
            print(line, file=self.out, flush=True)

    def end(self, n, failed):
        """Of `n` points these, in words, were not fine: AssertionError."""
        failed = [str(point) for point in failed]
        self.say(f"{n - len(failed)} fine, {len(failed)} failed"
                 f"{': ' if failed else ''}{'; '.join(failed)}")
        assert not failed
