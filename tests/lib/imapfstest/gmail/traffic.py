# SPDX-License-Identifier: GPL-3.0-or-later
"""What went over the line, by kind: the figures that budgets are about."""

from collections import Counter


class Traffic:
    """`bodies` and `headers` count the bytes sent of each message, by its
    X-GM-MSGID, and `header_times` how often its header fields were; `down`
    and `up` are all bytes of the sessions, before compression."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.bodies, self.headers = Counter(), Counter()
        self.header_times = Counter()
        self.down = self.up = self.commands = 0

    def section(self, message, name, n):
        """`n` bytes of BODY[name] are sent."""
        if name.upper().startswith(b"HEADER"):
            self.headers[message.msgid] += n
            self.header_times[message.msgid] += 1
        else:
            self.bodies[message.msgid] += n
