# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted IMAP server for what real servers will not do.

Left alone it is a small, correct IMAP4rev1 server over the mailboxes given:

    boxes = {b"INBOX": Box([Msg(1, b"Subject: x\r\n\r\nhi\r\n")]),
             b"../x": Box(attrs=[b"\\Noselect"])}        # keys: wire names
    with ScriptServer(boxes, pair=certs.valid) as server:
        server.on(rb"UID FETCH .*BODY", hang_in_literal, times=1)

on(regex, answer) changes what happens to commands that match (the text after
the tag, case ignored): `answer` is bytes, a list of bytes, or a function
f(session, tag, command) that returns bytes, a list, or None (nothing more is
sent). `%TAG%` in bytes stands for the tag. Later rules win; `times` limits
how often one is used. Inside a function session.default(tag, command) gives
the answer that would have been sent; session.send(), session.hang(),
session.close(rst=) do as they say.

server.commands is every command line received, in order; each with the
number of its connection. The lock guards boxes: change them under
`with server.lock`, tell the clients by server.push(name, b"* 3 EXISTS\r\n").
"""

import re
import socket
import ssl
import struct
import threading
import time

from .script_default import Defaults
from .server import hold_port
from .util import wait_for

CAPABILITIES = (b"IMAP4rev1", b"LITERAL+", b"SASL-IR", b"ID", b"ENABLE",
                b"NAMESPACE", b"CHILDREN", b"SPECIAL-USE", b"UIDPLUS",
                b"MOVE", b"UNSELECT", b"IDLE")


class Msg:
    """One message. `size` overrides RFC822.SIZE: how a server lies. `gm` is
    its X-GM-MSGID, `emailid` what is sent as its EMAILID."""

    def __init__(self, uid, data, flags=(), date=1_700_000_000, size=None,
                 gm=None, emailid=None):
        self.uid, self.data = uid, data
        self.flags = {f if isinstance(f, bytes) else f.encode()
                      for f in flags}
        self.date, self.size, self.gm = date, size, gm
        self.emailid = emailid


class Box:
    def __init__(self, messages=(), attrs=(), delimiter=b"/",
                 uidvalidity=1_000, uidnext=None, readonly=False):
        self.messages = sorted(messages, key=lambda m: m.uid)
        self.attrs = list(attrs)
        self.delimiter, self.uidvalidity = delimiter, uidvalidity
        self.readonly = readonly
        top = self.messages[-1].uid if self.messages else 0
        self.uidnext = uidnext or top + 1


class Gone(Exception):
    """The connection is over."""


class Session(Defaults):
    """One connection, in a thread of its own."""

    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.buffer = b""
        self.box = self.name = self.user = None
        self.tls = isinstance(sock, ssl.SSLSocket)
        self.seen = []
        self.write_lock = threading.Lock()

    # What an answer may use.

    def send(self, data):
        try:
            with self.write_lock:
                self.sock.sendall(self.to_wire(data))
        except (OSError, ValueError) as error:
            raise Gone from error

    @staticmethod
    def to_wire(data):
        """For a session that compresses: what is sent for these bytes."""
        return data

    @staticmethod
    def from_wire(data):
        return data

    def hang(self, seconds=None):
        """Say nothing more, until server.release() or the end."""
        self.server._released.wait(seconds)
        if self.server._stopping:
            raise Gone

    def close(self, rst=False):
        if rst:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
            self.sock.close()
        raise Gone

    def peer_closed(self):
        """Has the client ended this connection? Does not wait."""
        try:
            self.sock.settimeout(0)
            data = self.sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            try:
                self.sock.settimeout(None)
            except OSError:
                pass
        self.buffer += data
        return not data

    # Reading commands.

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except (OSError, ValueError) as error:
            raise Gone from error
        if not data:
            raise Gone
        self.buffer += self.from_wire(data)

    def read_line(self):
        while b"\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def read_bytes(self, n):
        while len(self.buffer) < n:
            self._fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_command(self):
        """One command, its literals taken in as `{n}CRLF` and n bytes."""
        line = self.read_line()
        while True:
            match = re.search(rb"\{(\d+)(\+?)\}$", line)
            if not match:
                return line
            if not match.group(2):
                self.send(b"+ go on\r\n")
            line += b"\r\n" + self.read_bytes(int(match.group(1)))
            line += self.read_line()

    # The life of a connection.

    def start_tls(self, injected=b""):
        """Answer was sent; `injected` went out behind it, in clear."""
        self.sock = self.server._wrap(self.sock)
        self.tls, self.buffer = True, b""

    def run(self):
        try:
            greeting = self.server.greeting
            if callable(greeting):
                greeting = greeting(self)
            self.user = b"preauth" if greeting.startswith(b"* PREAUTH") \
                else None
            self.send(greeting)
            while True:
                self._one(self.read_command())
        except Gone:
            pass
        except (OSError, ValueError):
            if not self.server._stopping:
                raise
        finally:
            self.server._forget(self)
            try:
                self.sock.close()
            except OSError:
                pass

    def _one(self, line):
        tag, _, command = line.partition(b" ")
        self.server._note(self.number, command)
        answer = self.server._rule(command)
        if answer is None:
            answer = self.default(tag, command)
        elif callable(answer):
            answer = answer(self, tag, command)
        if answer is None:
            return
        if isinstance(answer, (list, tuple)):
            answer = b"".join(answer)
        self.send(answer.replace(b"%TAG%", tag))


class ScriptServer:
    session_class = Session

    def __init__(self, boxes=None, pair=None, starttls=None, users=None,
                 capabilities=CAPABILITIES, greeting=None, host="127.0.0.1"):
        """`pair` (certificate, key): TLS from the first byte.
        `starttls` (the same): plain, and STARTTLS is offered.
        Neither: plain only."""
        self.boxes = boxes if boxes is not None else {b"INBOX": Box()}
        self.users = users or {b"alice": b"wonder"}
        self.capabilities = list(capabilities)
        self.greeting = greeting or b"* OK scripted server\r\n"
        self.lock = threading.RLock()
        self.commands = []
        self.connections = 0
        self.pair, self.starttls = pair, starttls
        self._context = None
        if pair or starttls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*map(str, pair or starttls))
        self._rules, self._sessions = [], []
        self._released = threading.Event()
        self._stopping, self._drops = False, 0
        self._held = hold_port(host)
        self.host = host
        self.port = self.tls_port = self.plain_port = \
            self._held.getsockname()[1]
        self._listener = socket.create_server((host, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._listener,),
                         daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()

    def url(self, user="alice", host="localhost", port=None):
        scheme = "imaps" if self.pair else "imap"
        return f"{scheme}://{user}@{host}:{port or self.port}/"

    # Rules and hooks.

    def on(self, pattern, answer, times=None):
        """Answer commands that match `pattern` (bytes); see the top."""
        with self.lock:
            self._rules.append([re.compile(pattern, re.I | re.S), answer,
                                times])

    def clear(self):
        with self.lock:
            self._rules.clear()

    def _rule(self, command):
        with self.lock:
            for rule in reversed(self._rules):
                if rule[2] != 0 and rule[0].match(command):
                    if rule[2] is not None:
                        rule[2] -= 1
                    return rule[1]
        return None

    def _note(self, number, command):
        with self.lock:
            self.commands.append((number, command))

    def count(self, pattern):
        """How many commands so far begin with this regular expression."""
        match = re.compile(pattern, re.I | re.S).match
        with self.lock:
            return sum(bool(match(line)) for _, line in self.commands)

    def wait_for_command(self, pattern, timeout=10, times=1):
        wait_for(lambda: self.count(pattern) >= times, timeout,
                 f"{times} command(s) {pattern!r}")

    def push(self, name, data):
        """Send untagged data to every session that has `name` selected."""
        with self.lock:
            found = [s for s in self._sessions if s.name == name]
        for session in found:
            session.send(data)

    def sessions(self):
        with self.lock:
            return list(self._sessions)

    def release(self):
        """Everything that hangs goes on."""
        self._released.set()

    # Connections.

    def _wrap(self, sock):
        try:
            return self._context.wrap_socket(sock, server_side=True)
        except (OSError, ValueError) as error:
            raise Gone from error

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                if self._listener is not listener or self._stopping:
                    sock.close()
                    return
                self.connections += 1
                number, drops = self.connections, self._drops
            threading.Thread(target=self._serve, args=(sock, number, drops),
                             daemon=True).start()

    def _serve(self, sock, number, drops):
        try:
            if self.pair:
                sock = self._wrap(sock)
        except Gone:
            sock.close()
            return
        session = self.session_class(self, sock, number)
        with self.lock:
            if drops != self._drops:  # since it was accepted
                sock.close()
                return
            self._sessions.append(session)
        session.run()

    def _forget(self, session):
        with self.lock:
            if session in self._sessions:
                self._sessions.remove(session)

    def drop(self):
        """End every connection; the server goes on listening."""
        with self.lock:
            self._drops += 1
        for session in self.sessions():
            try:
                session.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        """Stop listening and end every connection."""
        with self.lock:
            self._stopping = True
        self._released.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.drop()

    def start(self):
        """Listen again on the same port after stop()."""
        self._stopping = False
        self._released = threading.Event()
        deadline = time.monotonic() + 10
        while True:
            try:
                self._listener = socket.create_server(
                    (self.host, self.port), backlog=64)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        threading.Thread(target=self._accept, args=(self._listener,),
                         daemon=True).start()

    @staticmethod
    def pids():
        """None of its own: it is threads of this process."""
        return []

    def remove(self):
        self.stop()
        self._held.close()


# Answers that several tests use.

def hang_in_literal(after=100):
    """An answer: `after` bytes of the real one, then silence."""
    def answer(session, tag, command):
        session.send(session.default(tag, command)[:after])
        session.hang()
    return answer


def cut_after(n, rst=False):
    """An answer: `n` bytes of the real one, then the connection ends."""
    def answer(session, tag, command):
        session.send(session.default(tag, command)[:n])
        session.close(rst)
    return answer


def slowly(seconds):
    """An answer: the real one, `seconds` late."""
    def answer(session, tag, command):
        session.hang(seconds)
        return session.default(tag, command)
    return answer


def inject_after_starttls(extra):
    """For on(rb"STARTTLS", ...): bytes in clear behind the tagged OK."""
    def answer(session, tag, command):
        session.send(tag + b" OK begin TLS\r\n" + extra)
        session.start_tls()
    return answer
