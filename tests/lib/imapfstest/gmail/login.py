# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in to the double, and what every state of a session knows."""

import base64
import re
import zlib

from . import texts

BEFORE = (b"IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN "
          b"X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN "
          b"AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER")
AFTER = (b"IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN "
         b"X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH "
         b"UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE "
         b"APPENDLIMIT=%d")


class Logins:
    """Mixed into the session; uses its server and its user."""

    def capability_list(self):
        if self.user is None:
            return BEFORE
        return AFTER % self.settings.append_limit

    def do_CAPABILITY(self, tag, rest):
        end = b"Success" if self.user else b"Thats all she wrote!"
        return (b"* CAPABILITY " + self.capability_list() + b"\r\n" +
                tag + b" OK " + end + b"\r\n")

    def do_ID(self, tag, rest):
        return (b'* ID ("name" "GImap" "vendor" "Google, Inc." '
                b'"support-url" "https://support.google.com/mail" '
                b'"remote-host" "127.0.0.1")\r\n' + self.done(tag))

    def do_LOGOUT(self, tag, rest):
        self.send(b"* BYE LOGOUT Requested\r\n" + tag +
                  b" OK 73 good day (Success)\r\n")
        return self.close()

    # Three ways to prove who one is.

    def do_LOGIN(self, tag, rest):
        user, password = self.words(rest)[:2]
        return self._by_password(tag, user, password)

    def do_AUTHENTICATE(self, tag, rest):
        words = rest.split(b" ")
        mechanism = words[0].upper()
        if len(words) == 1:
            self.send(b"+ \r\n")
            words.append(self.read_line())
        data = base64.b64decode(words[1])
        if mechanism == b"PLAIN":
            return self._by_password(tag, *data.split(b"\0")[1:3])
        if mechanism in (b"OAUTHBEARER", b"XOAUTH2"):
            return self._by_token(tag, data)
        return tag + b" NO [CANNOT] Unknown mechanism (Failure)\r\n"

    def _by_password(self, tag, user, password):
        user = user.removesuffix(b"@gmail.com")
        if password == self.server.passwords.get(user):
            return texts.APP_PASSWORD
        wanted = self.server.app_passwords.get(user)
        if not wanted or password.replace(b" ", b"") != wanted:
            return texts.INVALID_CREDENTIALS
        return self._enter(tag, user, None)

    def _by_token(self, tag, data):
        token = re.search(rb"\x01auth=Bearer ([^\x01]*)\x01", data)
        user = re.search(rb"(?:\Auser|\An,a)=([^\x01,@]*)", data)
        end = self.server.token_end(token.group(1)) if token else None
        if not user or end is None:
            self.send(b"+ " + base64.b64encode(texts.BEARER_CHALLENGE) +
                      b"\r\n")
            self.server.gave_up.append(self.read_line())
            return texts.INVALID_CREDENTIALS
        return self._enter(tag, user.group(1), end)

    def _enter(self, tag, user, token_end):
        refusal = self.server.refusal()
        if refusal:
            return refusal
        if self.server.logged_in() >= self.settings.connections:
            return texts.TOO_MANY
        self.user = user
        self.ends = self.server.now() + self.settings.session_seconds
        if token_end is not None:
            self.ends = min(self.ends, token_end)
        self.server.logins += 1
        return (b"* CAPABILITY " + self.capability_list() + b"\r\n" + tag +
                b" OK " + user + b"@gmail.com authenticated (Success)\r\n")

    # Logged in.

    def do_ENABLE(self, tag, rest):
        known = [w for w in (b"CONDSTORE", b"UTF8=ACCEPT")
                 if w in rest.upper().split()]
        self.condstore = self.condstore or b"CONDSTORE" in known
        return (b"* ENABLED " + b" ".join(known) + b"\r\n" if known
                else b"") + self.done(tag)

    def do_COMPRESS(self, tag, rest):
        self.send(self.done(tag))
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        unpacker = zlib.decompressobj(-15)
        self.deflate = lambda data: (packer.compress(data) +
                                     packer.flush(zlib.Z_SYNC_FLUSH))
        self.inflate = unpacker.decompress
        self.buffer = self.inflate(self.buffer)

    def do_GETQUOTAROOT(self, tag, rest):
        return (b"* QUOTAROOT " + rest + b' ""\r\n' +
                self.do_GETQUOTA(tag, rest))

    def do_GETQUOTA(self, tag, rest):
        used = sum(len(m.data) for m in self.account.messages.values())
        return (b'* QUOTA "" (STORAGE %d 15728640)\r\n' % (used // 1024) +
                self.done(tag))
