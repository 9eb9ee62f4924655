# SPDX-License-Identifier: GPL-3.0-or-later
"""Private servers by name, for programs that are told which one to take."""

import time

from .courier import Courier
from .cyrus import Cyrus

NAMES = ("dovecot", "cyrus", "courier")


def named_server(env, name, unpacked=None):
    """A new one, for as long as `env` lives. `unpacked`: see cyrus.py."""
    if name == "dovecot":
        return env.dovecot()
    kind = {"cyrus": Cyrus, "courier": Courier}[name]
    return env.keep(kind(env.tmp / f"{name}{time.time_ns()}",
                         env.certs.valid, unpacked))
