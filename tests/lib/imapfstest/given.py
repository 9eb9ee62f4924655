# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is there already, at an address, and how it is killed.

    Given("imaps://alice@mail.example.com:993/", password, kill, start)

kill and start are commands for a shell (None: it is not killed); when `start`
is back the server accepts connections. Its certificate is not verified.
"""

import re
import subprocess
from urllib.parse import quote, unquote, urlsplit

from .client import Client


class Given:
    def __init__(self, url, password, kill=None, start=None):
        parts = urlsplit(url)
        if parts.scheme != "imaps" or not parts.hostname:
            raise AssertionError(f"no address like imaps://user@host/: {url}")
        self.host, self.tls_port = parts.hostname, parts.port or 993
        self.account = unquote(parts.username or "alice")
        self.users = {self.account: password}
        self._commands = {"kill": kill, "start": start}
        self.can_die = bool(kill and start)
        with Client(self) as c:
            space = c.raw("NAMESPACE") and c.imap.response("NAMESPACE")[1]
        found = re.match(rb'\(\("([^"]*)" "(.)"\)', space[0] or b"")
        self.prefix, self.separator = [
            part.decode() for part in found.groups()] if found else ("", "/")

    def kill(self):
        subprocess.run(self._commands["kill"], shell=True, check=True)

    def start(self):
        subprocess.run(self._commands["start"], shell=True, check=True)

    def url(self, port):
        """Of a line on this machine that leads there."""
        return f"imaps://{quote(self.account, safe='')}@localhost:{port}/"
