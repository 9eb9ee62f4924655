# SPDX-License-Identifier: GPL-3.0-or-later
"""What private servers have in common: a folder, ports, processes.

A Server is a program that runs in the foreground out of a temporary folder,
without root rights, and listens on 127.0.0.1 at ports that the kernel picked.
stop() or kill() and start() keep ports and mail; pause() and resume() freeze
all its processes. The classes of the servers say how they are configured.
"""

import grp
import os
import pwd
import shutil
import signal
import socket
from pathlib import Path

from .util import Timeout, alive, children, marked, popen, state, wait_for

# Started by root, the server runs as this user; otherwise as whoever runs it.
UNPRIVILEGED = 65534
MARKER = "IMAPFS_TEST_SERVER"


def hold_port(host):
    """A socket with a port that is nobody else's while it is open: bound, but
    not listening, so that the server can listen there, and be stopped without
    another one getting the port. (Both say SO_REUSEADDR.)"""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, 0))
    return held


class Server:
    host = "127.0.0.1"
    account = "alice"  # the user whose mail it is all about
    prefix = ""  # of the names of all mailboxes but INBOX
    separator = "/"

    def __init__(self, folder, pair, users=None, start=True):
        self.dir, self.pair = Path(folder), pair
        self.users = users or {"alice": "wonder", "bob": "builder"}
        self.plain_port = self.tls_port = self.pid = None
        self._held = []
        uid = os.geteuid()
        self.uid = UNPRIVILEGED if uid == 0 else uid
        who = pwd.getpwuid(self.uid)
        self.gid, self.user = who.pw_gid, who.pw_name
        self.group = grp.getgrgid(self.gid).gr_name
        (self.dir / "tls").mkdir(parents=True, exist_ok=True)
        for source, name in zip(pair, ("crt", "key")):
            shutil.copyfile(source, self.dir / "tls" / name)
        self._layout()
        self._give()
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()

    # What a server is made of.

    def _layout(self):
        """Files that stay as they are."""

    def _write_config(self):
        """The ports are known."""

    def _args(self):
        raise NotImplementedError

    def _environment(self):
        return {}

    def _give(self):
        """All of it is of the user that it runs as."""
        if os.geteuid() != 0:
            return
        for root, dirs, files in os.walk(self.dir):
            for name in [".", *dirs, *files]:
                os.chown(os.path.join(root, name), self.uid, self.gid)

    # Its life.

    def start(self):
        """Start (again); the ports stay what they were the first time."""
        first = self.plain_port is None
        for _ in range(5):
            if first:
                self._release()
                self._held = [hold_port(self.host) for _ in range(2)]
                self.plain_port, self.tls_port = (
                    s.getsockname()[1] for s in self._held)
            self._write_config()
            if self._launch():
                return
            if not first:
                wait_for(self._ports_free, 10, "own ports are free again")
        raise AssertionError(f"{self.dir.name} does not start: "
                             + self.log()[-3000:])

    def _launch(self):
        self._output = open(self.dir / "stderr", "ab")
        self._process = popen(self._args(), user=self.uid,
                              env={MARKER: self.dir, **self._environment()},
                              stdout=self._output, stderr=self._output,
                              cwd=self.dir)
        self.pid = self._process.pid

        def up():
            if self._process.poll() is not None:
                return "dead"
            for port in self._ports():
                socket.create_connection((self.host, port), 1).close()
            return "up"

        if wait_for(up, 20, f"{self.dir.name} listens") == "up":
            return True
        self._output.close()
        return False

    def _ports(self):
        return self.plain_port, self.tls_port

    def _ports_free(self):
        for port in self._ports():
            socket.create_server((self.host, port)).close()
        return True

    def _release(self):
        for held in self._held:
            held.close()
        self._held = []

    def pids(self):
        """All its living processes, the one that was started first; also
        those that left their parent."""
        if not self.pid:
            return []
        found = children(self.pid)
        found += [pid for pid in marked(self.dir, MARKER)
                  if pid not in found]
        return [pid for pid in found if alive(pid)]

    def stop(self, patient=True):
        """End all its processes and wait for that; the mail stays."""
        if not self.pid:
            return
        pids = set(self.pids())
        for pid in pids:
            self._signal(pid, signal.SIGCONT)

        def ended():
            pids.update(self.pids())
            return self._process.poll() is not None

        if patient:
            self._signal(self.pid, signal.SIGTERM)
            try:
                wait_for(ended, 10)
            except Timeout:
                pass
        if self._process.poll() is None:
            self.kill()
        else:
            # Without the first one nobody knows the others but by this.
            self._end_others(pids - {self.pid})

    def _end_others(self, pids):
        def gone():
            left = [pid for pid in pids if alive(pid)]
            for pid in left:
                self._signal(pid, signal.SIGKILL)
            return not left

        wait_for(gone, 10, f"{self.dir.name} is gone")
        self._output.close()
        self.pid = None

    def kill(self):
        """SIGKILL for all its processes at once. The first one goes last: as
        long as it is there, and begins no others, those of a server that
        hides their environment are known as its children."""
        self._signal(self.pid, signal.SIGSTOP)
        wait_for(lambda: state(self.pid) in "TZX", 10,
                 f"{self.dir.name} begins no more processes")

        def gone():
            pids = [pid for pid in self.pids() if pid != self.pid]
            for pid in pids:
                self._signal(pid, signal.SIGKILL)
            return not pids

        wait_for(gone, 10, f"{self.dir.name} is gone")
        self._signal(self.pid, signal.SIGKILL)
        self._process.wait(10)
        self._output.close()
        self.pid = None

    @staticmethod
    def _signal(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def pause(self):
        for pid in self.pids():
            self._signal(pid, signal.SIGSTOP)

    def resume(self):
        for pid in self.pids():
            self._signal(pid, signal.SIGCONT)

    def remove(self):
        """End it the short way and delete everything."""
        self.stop(patient=False)
        self._release()
        shutil.rmtree(self.dir, ignore_errors=True)

    # For its clients.

    def url(self, user="alice", tls=True, host="localhost", port=None):
        if tls:
            return f"imaps://{user}@{host}:{port or self.tls_port}/"
        return f"imap://{user}@{host}:{port or self.plain_port}/"

    def log(self):
        path = self.dir / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""
