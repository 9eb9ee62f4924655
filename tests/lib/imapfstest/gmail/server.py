# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of Gmail's IMAP server, which cannot be reached from a test.

    server = env.gmail(language="de", prefix="[Google Mail]",
                       auto_expunge=False)
    with server.lock:
        m = server.account.deliver(data, [b"\\\\Inbox", b"work"])
    server.web(lambda account: account.relabel(m, add=[b"holidays"]))
    server.on(rb"UID MOVE", texts.SYSTEM_ERROR, times=1)
    server.at(7, texts.THROTTLED)

It is a ScriptServer (rules, faults, the log of commands) over an Account (see
account.py), which behaves as `settings` say. web() is a change from another
client or the web: idling sessions hear of it. at() does something to the
n-th command from now on, of all sessions. Time is the server's own: advance()
lets sessions and tokens end.

User `alice`, app password `abcd efgh ijkl mnop` with or without the blanks;
`wonder` is the password of the account, which is no good for IMAP.
"""

import time

from .account import Account
from .session import GmailSession
from .settings import Settings
from .traffic import Traffic
from ..script import ScriptServer

GREETING = b"* OK Gimap ready for requests from 127.0.0.1 d2mb42\r\n"
APP_PASSWORD = "abcd efgh ijkl mnop"
TOKEN_SECONDS = 3600


class GmailServer(ScriptServer):
    session_class = GmailSession

    def __init__(self, pair, language="en", prefix="[Gmail]", **settings):
        self.settings = Settings(**settings)
        self.account = Account(self.settings, language, prefix)
        self.traffic = Traffic()
        self.passwords = {b"alice": b"wonder"}
        self.app_passwords = {
            b"alice": APP_PASSWORD.replace(" ", "").encode()}
        self.logins = 0
        self.gave_up = []  # what clients said to the error challenge
        self._tokens, self._refusal, self._ahead = {}, [None, 0], 0
        self._at = {}
        super().__init__(pair=pair, greeting=GREETING)

    @property
    def boxes(self):
        from .folders import listed
        return listed(self.account)

    @boxes.setter
    def boxes(self, given):
        """The account makes its own."""

    # Time, tokens, logins.

    def now(self):
        return time.monotonic() + self._ahead

    def advance(self, seconds):
        with self.lock:
            self._ahead += seconds
            self.tell()

    def add_token(self, token, seconds=TOKEN_SECONDS):
        with self.lock:
            self._tokens[token.encode()] = self.now() + seconds

    def token_end(self, token):
        """When it ends; None: it is unknown or over."""
        end = self._tokens.get(token, 0)
        return end if end > self.now() else None

    def refuse_login(self, answer, times=-1):
        """Whoever proves to be alice hears this; None: no more."""
        with self.lock:
            self._refusal = [answer, times]

    def refusal(self):
        answer, times = self._refusal
        if times == 0:
            return None
        self._refusal[1] -= 1
        return answer

    def logged_in(self):
        return sum(s.user is not None for s in self._sessions)

    def over_limits(self):
        """Has the account used up its day?"""
        limits = ((self.settings.bytes_down, self.traffic.down),
                  (self.settings.bytes_up, self.traffic.up),
                  (self.settings.commands, self.traffic.commands))
        return any(limit and used > limit for limit, used in limits)

    # Changes from elsewhere, and faults.

    def tell(self):
        """Sessions that idle look for news. The lock is held."""
        for session in self._sessions:
            session.wake()

    def web(self, change):
        with self.lock:
            result = change(self.account)
            self.tell()
        return result

    def at(self, n, answer):
        """Answer the n-th command from now on (1: the next) by a rule."""
        with self.lock:
            self._at[len(self.commands) + n] = answer

    def _rule(self, command):
        with self.lock:
            due = self._at.pop(len(self.commands), None)
        return due if due is not None else super()._rule(command)
