# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to the Gmail double."""

import os
import re

from . import texts
from .changing import Changing
from .folders import Folders
from .login import Logins
from .reading import Reading
from ..script import Session
from ..script_default import words

BEFORE_LOGIN = {b"CAPABILITY", b"LOGIN", b"AUTHENTICATE", b"NOOP", b"LOGOUT",
                b"ID"}
LITERAL_MINUS = 4096
NO_LIMITS = {b"LOGOUT", b"NOOP"}


class GmailSession(Logins, Folders, Reading, Changing, Session):
    def __init__(self, server, sock, number):
        super().__init__(server, sock, number)
        self.account, self.settings = server.account, server.settings
        self.condstore = self.readonly = False
        self.version = self.told = 0  # of the mailbox, of MODSEQ: as told
        self.ends = None  # when the session is over
        self.bell = os.eventfd(0, os.EFD_NONBLOCK)
        self.deflate = self.inflate = None

    words = staticmethod(words)

    # The line.

    def to_wire(self, data):
        self.server.traffic.down += len(data)
        return self.deflate(data) if self.deflate else data

    def from_wire(self, data):
        data = self.inflate(data) if self.inflate else data
        self.server.traffic.up += len(data)
        return data

    def wake(self):
        """Look for news. The caller holds the lock of the server."""
        if self.bell is not None:
            os.eventfd_write(self.bell, 1)

    def silence(self):
        os.eventfd_read(self.bell)

    def run(self):
        try:
            super().run()
        finally:
            with self.server.lock:
                os.close(self.bell)
                self.bell = None

    # Commands.

    @staticmethod
    def done(tag, code=b""):
        return tag + b" OK " + code + b"Success\r\n"

    def is_over(self):
        return self.ends is not None and self.server.now() >= self.ends

    def default(self, tag, command):
        name = command.split(b" ", 1)[0].upper()
        self.server.traffic.commands += 1
        if self.user is None and name not in BEFORE_LOGIN:
            return tag + b" BAD Unknown command\r\n"
        if any(int(n) > LITERAL_MINUS for n in
               re.findall(rb"\{(\d+)\+\}\r\n", command[:2048])):
            return tag + b" BAD Literal too large for LITERAL-\r\n"
        if self.is_over():
            self.send(texts.SESSION_EXPIRED)
            self.close()
        if self.user and name not in NO_LIMITS and self.server.over_limits():
            return texts.OVER_LIMITS
        before = self.account.modseq
        answer = super().default(tag, command)
        if self.account.modseq != before:
            with self.server.lock:
                self.server.tell()
        if self.settings.throttled and answer:
            answer = re.sub(rb"( OK [^\r\n]*)\r\n\Z", rb"\1 [THROTTLED]\r\n",
                            answer)
        return answer
