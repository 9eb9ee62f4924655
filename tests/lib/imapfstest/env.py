# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test function gets: servers, mounts, and their clean-up.

    from imapfstest import *

    def test_reads_what_the_server_has(env):
        server = env.dovecot()
        with Client(server) as c: ...
        m = env.mount(server)

Everything made through `env` is ended after the test, the last one first.
A mount's log line with `error:` fails the test unless env.expect_error() has
announced it; one that was announced and does not come fails it too.
"""

import os
import re
from pathlib import Path

from .certs import Certs
from .dovecot import Dovecot
from .gmail import GmailServer
from .mount import Mount, StartFailed
from .proxy import Proxy
from .script import ScriptServer
from .tap import Tap
from .terminal import Terminal
from .util import run, wait_for
from .watch import Watch

ERROR_LINE = re.compile(r"(?:^|\s|>)error: ")


class Skip(Exception):
    """The test cannot run here; the text is the reason."""


def skip(reason):
    raise Skip(reason)


def deadline(seconds):
    """Decorator: another deadline than 60 s."""
    def mark(function):
        function.deadline = seconds
        return function
    return mark


def ordinary_user(function):
    """Decorator: also when root starts the run, this test is not root."""
    function.ordinary_user = True
    return function


def needs_root(function):
    """Decorator: left out when the run is not root's."""
    function.needs_root = True
    return function


def measure(function):
    """Decorator: times or memory are measured: runs alone."""
    function.measure = True
    return function


def slow(function):
    """Decorator: left out of --quick."""
    function.slow = True
    return function


class Env:
    wait_for = staticmethod(wait_for)
    run = staticmethod(run)
    skip = staticmethod(skip)

    def __init__(self, tmp, certs, data):
        self.tmp = Path(tmp)
        self.certs = Certs(certs)
        self.data = Path(data)
        self.mounts = []
        self._expected, self._cleanups = [], []
        self._serial = 0

    # Making.

    def _folder(self, kind):
        self._serial += 1
        return self.tmp / f"{kind}{self._serial}"

    def keep(self, thing):
        """thing.remove() will be called after the test."""
        self._cleanups.append(thing.remove)
        return thing

    def cleanup(self, function):
        self._cleanups.append(function)

    def dovecot(self, pair=None, **kw):
        return self.keep(Dovecot(self._folder("dovecot"),
                                 pair or self.certs.valid, **kw))

    def script(self, boxes=None, pair=None, starttls=None, **kw):
        """TLS with the valid certificate; pair=False: plain."""
        if pair is None and not starttls:
            pair = self.certs.valid
        return self.keep(ScriptServer(boxes, pair=pair or None,
                                      starttls=starttls, **kw))

    def gmail(self, **kw):
        """The Gmail double; see gmail/server.py."""
        return self.keep(GmailServer(self.certs.valid, **kw))

    def proxy(self, server, rtt=0, rate=0, port=None):
        return self.keep(Proxy(port or server.tls_port, rtt, rate))

    def tap(self, target, mask=()):
        """A line to `target` that can be read; see tap.py."""
        return self.keep(Tap(target, self.certs.valid, mask))

    def watch(self, folder, **kw):
        return self.keep(Watch(folder, **kw))

    def mount_object(self, url, cafile=None, **kw):
        """A Mount that is not started. `url`: a server or a URL."""
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            skip("/dev/fuse is not there or not open to this user")
        if not isinstance(url, str):
            url = url.url()
        m = Mount(self.tmp, url, cafile=cafile if cafile is not None
                  else self.certs.ca, **kw)
        self.mounts.append(m)
        return self.keep(m)

    def mount(self, url, **kw):
        return self.mount_object(url, **kw).start()

    def mount_fails(self, url, timeout=30, **kw):
        """Start as a user would and demand a refusal: its Result."""
        kw.setdefault("background", True)
        m = self.mount_object(url, **kw)
        try:
            m.start(timeout)
        except StartFailed as failure:
            assert not m.mounted()
            return failure.result
        raise AssertionError("the mount was expected to fail")

    def terminal(self, args, **kw):
        return self.keep(Terminal(args, **kw))

    def corpus(self):
        """Message files of tests/data and, where it stands beside the
        checkout, of the shared corpus."""
        found = sorted(self.data.rglob("*.eml"))
        shared = os.environ.get("IMAPFS_TEST_CORPUS")
        if shared and os.access(shared, os.R_OK | os.X_OK):
            found += sorted(p for sub in ("torture", "real")
                            for p in (Path(shared) / sub).rglob("*")
                            if p.is_file())
        return found

    # The log.

    def expect_error(self, pattern):
        """An `error:` line that matches will come, at least one."""
        self._expected.append(re.compile(pattern))

    def _log_of(self, mount):
        text = mount.log()
        if mount.background and mount.mounted():
            try:
                text += mount.control("log")
            except AssertionError:
                pass
        return text

    def check_logs(self):
        lines = [line for m in self.mounts
                 for line in self._texts[m].splitlines()
                 if ERROR_LINE.search(line)]
        for line in lines:
            if not any(p.search(line) for p in self._expected):
                raise AssertionError(f"unannounced line in the log: {line}")
        for pattern in self._expected:
            if not any(pattern.search(line) for line in lines):
                raise AssertionError("announced, but not in the log: "
                                     f"{pattern.pattern!r}")

    # Ending.

    def finish(self, passed):
        """Unmount, look at logs, clean up. With `passed`, a mount that does
        not end well is a failure too."""
        problem = None
        self._texts = {m: self._log_of(m) for m in self.mounts}
        for m in reversed(self.mounts):
            try:
                if passed and m.mounted():
                    m.unmount()
            except AssertionError as error:
                problem = problem or error
            if not m.background:
                self._texts[m] = m.log()
        for function in reversed(self._cleanups):
            try:
                function()
            except Exception as error:
                problem = problem or error
        if passed and problem:
            raise problem
        if passed:
            self.check_logs()
