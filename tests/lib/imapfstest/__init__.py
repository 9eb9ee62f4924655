# SPDX-License-Identifier: GPL-3.0-or-later
"""The end-to-end test kit: private servers, faults, mounts, waiting.

Tests are plain functions test_*(env) in tests/mount/*.py, run by
tests/lib/runner.py; `from imapfstest import *` gives them all of this.
"""

from .certs import Certs
from .client import Client, quote, utf7_decode, utf7_encode
from .dovecot import Dovecot
from .env import (Env, Skip, deadline, measure, needs_root, ordinary_user,
                  skip, slow)
from .mount import Mount, StartFailed
from .proxy import Proxy
from .script import (Box, Msg, ScriptServer, cut_after, hang_in_literal,
                     inject_after_starttls, slowly)
from .tap import Tap
from .terminal import Terminal
from .util import (Timeout, alive, mounts_under, popen, run, slowdown,
                   stand_still, wait_for)
from .watch import PUSHED, Watch

__all__ = [
    "Box", "Certs", "Client", "Dovecot", "Env", "Mount", "Msg", "PUSHED",
    "Proxy", "ScriptServer", "Skip", "StartFailed", "Tap", "Terminal",
    "Timeout", "Watch", "alive", "cut_after", "deadline", "hang_in_literal",
    "inject_after_starttls", "measure", "mounts_under", "needs_root",
    "ordinary_user", "popen", "quote", "run", "skip", "slow", "slowdown",
    "slowly", "stand_still", "utf7_decode", "utf7_encode", "wait_for",
]
