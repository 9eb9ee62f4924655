# SPDX-License-Identifier: GPL-3.0-or-later
"""A tap on the line: what passes between a mount and a server, in clear.

    tap = env.tap(server, mask=("NOTIFY",))
    m = env.mount(server.url(port=tap.port))
    tap.count(rb"UID FETCH"); tap.login().turns; tap.lose()

It ends TLS on the side of the mount, so it can read commands (until COMPRESS
begins: mask that too), count bytes and round trips as the program sees them,
hide capabilities, and say when the server's word came by. To have delays on
the line, put a Proxy between the tap and the server.

lose() makes every connection a dead one that nobody closed, as an address
change does: new ones work, old ones never say anything again.
"""

import re
import select
import socket
import ssl
import threading
import time

from .util import wait_for

LOGIN = re.compile(rb"^(\S+) (?:LOGIN|AUTHENTICATE) ", re.I | re.M)
CHUNK = 1 << 16


class Passed:
    """One piece of data: when, on which connection, which way."""

    __slots__ = ("time", "number", "up", "data")

    def __init__(self, number, up, data):
        self.time = time.monotonic()
        self.number, self.up, self.data = number, up, data


class Traffic:
    """What a list of Passed amounts to."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.up = sum(len(p.data) for p in pieces if p.up)
        self.down = sum(len(p.data) for p in pieces if not p.up)
        self.bytes = self.up + self.down
        # Round trips that one connection waited for: the longest of them.
        self.turns = max(self._turns().values(), default=0)

    def _turns(self):
        found, last = {}, {}
        for p in self.pieces:
            found.setdefault(p.number, 0)
            if p.up and not last.get(p.number, False):
                found[p.number] += 1
            last[p.number] = p.up
        return found

    def __repr__(self):
        return (f"{self.turns} round trips, {self.down} bytes down, "
                f"{self.up} up")


class Line:
    """One connection: two sockets, and what has yet to be written to each."""

    def __init__(self, tap, number, near, far):
        self.tap, self.number = tap, number
        self.near, self.far, self.mask = near, far, tap.mask
        self.due = {near: b"", far: b""}
        self.ended = {near: False, far: False}
        self.hiding = bool(self.mask)
        self.lost = False

    def _hide(self, data):
        """Capabilities are announced before the first mailbox is named."""
        def without(match):
            words = match.group(0).split(b" ")
            return b" ".join(w for w in words if w.strip(b"]\r\n").upper()
                             not in self.mask)
        return re.sub(rb"CAPABILITY [^\]\r\n]*", without, data)

    def _read(self, source, target):
        while True:
            try:
                data = source.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            if not data:
                self.ended[source] = True
                return
            up = source is self.near
            if up and re.search(rb"^\S+ (LIST|SELECT|EXAMINE) ", data, re.M):
                self.hiding = False
            if not up and self.hiding:
                data = self._hide(data)
            self.tap.note(Passed(self.number, up, data))
            self.due[target] += data

    def _write(self, target):
        while self.due[target]:
            try:
                n = target.send(self.due[target])
            except (BlockingIOError, ssl.SSLWantWriteError):
                return
            self.due[target] = self.due[target][n:]

    def run(self):
        try:
            for sock in (self.near, self.far):
                sock.setblocking(False)
            while not any(self.ended.values()):
                self._once()
        except (OSError, ValueError):
            pass
        finally:
            # A lost one stays as it is, until the tap ends.
            if not self.lost:
                self.close()

    def _once(self):
        pairs = ((self.near, self.far), (self.far, self.near))
        waiting = [s for s in self.due if self.due[s]]
        select.select([self.near, self.far], waiting, [], 0.2)
        if self.lost:
            raise OSError("lost")
        for source, target in pairs:
            self._read(source, target)
        for target in self.due:
            self._write(target)

    def cut(self):
        """From another thread: run() finds both ended."""
        for sock in (self.near, self.far):
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        for sock in (self.near, self.far):
            try:
                sock.close()
            except OSError:
                pass


class Tap:
    """`target`: something with tls_port; `pair`: our certificate and key."""

    def __init__(self, target, pair, mask=(), host="127.0.0.1"):
        self.target, self.host = target, host
        self.hide(mask)
        self.pieces, self.lines = [], []
        self.lock = threading.Lock()
        self._serial = 0
        self._server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server_side.load_cert_chain(*map(str, pair))
        self._client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client_side.check_hostname = False
        self._client_side.verify_mode = ssl.CERT_NONE
        self._listener = socket.create_server((host, 0), backlog=64)
        self.port = self.tls_port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hide(self, capabilities):
        """From connections that are made from now on."""
        self.mask = {w.encode().upper() for w in capabilities}

    def note(self, piece):
        with self.lock:
            self.pieces.append(piece)

    # Connections.

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._serial += 1
            threading.Thread(target=self._serve, args=(sock, self._serial),
                             daemon=True).start()

    def _serve(self, sock, number):
        far = None
        try:
            far = socket.create_connection(
                (getattr(self.target, "host", self.host),
                 self.target.tls_port), 10)
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(10)
            far = self._client_side.wrap_socket(far)
            near = self._server_side.wrap_socket(sock, server_side=True)
        except OSError:
            for one in (sock, far):
                if one:
                    one.close()
            return
        line = Line(self, number, near, far)
        with self.lock:
            self.lines.append(line)
        line.run()

    def lose(self):
        """Nothing passes on today's connections any more, and none of them
        is closed; later ones work."""
        with self.lock:
            for line in self.lines:
                line.lost = True

    def cut(self):
        """Every connection ends now, with what was on its way."""
        with self.lock:
            lines, self.lines = self.lines, []
        for line in lines:
            line.cut()

    def remove(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        with self.lock:
            lines = list(self.lines)
        for line in lines:
            line.close()

    # Reading.

    def passed(self, since=0.0, until=float("inf")):
        """Traffic of all connections in a span of time.monotonic()."""
        with self.lock:
            return Traffic([p for p in self.pieces
                            if since <= p.time <= until])

    def after_login(self, since=0.0):
        """Of connections made since then: all after the login's answer."""
        found, tags, done = [], {}, set()
        for p in self.passed(since).pieces:
            if p.number in done:
                found.append(p)
            elif p.up and LOGIN.search(p.data):
                tags[p.number] = LOGIN.search(p.data).group(1)
            elif not p.up and re.search(rb"^%s OK" % re.escape(
                    tags.get(p.number, b"none")), p.data, re.M):
                done.add(p.number)
        return Traffic(found)

    def commands(self, since=0.0):
        """[(time, number of the connection, line)] that went up."""
        return [(p.time, p.number, line) for p in self.passed(since).pieces
                if p.up for line in p.data.split(b"\r\n") if line]

    def count(self, pattern, since=0.0):
        """Commands whose text after the tag begins so."""
        look = re.compile(rb"\S+ (?:%s)" % pattern, re.I).match
        return sum(bool(look(line)) for _, _, line in self.commands(since))

    def first(self, pattern, since=0.0, up=False):
        """When the first piece with this in it came by; None: never."""
        look = re.compile(pattern, re.I | re.M).search
        for p in self.passed(since).pieces:
            if p.up == up and look(p.data):
                return p.time
        return None

    def write(self, path):
        """All of it, for people."""
        with open(path, "wb") as out:
            for p in self.passed().pieces:
                out.write(b"\n%.4f #%d %s\n%s" % (
                    p.time, p.number, b">>>" if p.up else b"<<<", p.data))

    def wait_command(self, pattern, since=0.0, timeout=10):
        wait_for(lambda: self.count(pattern, since), timeout,
                 f"a command {pattern!r}")
