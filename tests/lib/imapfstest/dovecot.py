# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Dovecot 2.3 in a temporary folder, always without root rights.

    with Dovecot(tmp / "dovecot", certs.valid) as server:
        server.tls_port, server.plain_port, server.url("alice")

The kernel picks the ports. stop() and start() keep ports and mail; pause()
and resume() freeze all its processes; commands() is every line that clients
sent (raw logs), so that a test can count what was asked.
"""

import os
import pwd
import re
import shutil
import signal
import socket
from pathlib import Path

from .util import Timeout, alive, children, popen, run, wait_for

# Started by root, the server runs as this user; otherwise as whoever runs it.
UNPRIVILEGED = 65534

CONFIG = r"""
base_dir = {dir}/run
state_dir = {dir}/run
instance_name = imapfs-{instance}
protocols = imap
listen = 127.0.0.1
log_path = {dir}/dovecot.log
auth_mechanisms = plain login
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
first_valid_gid = 0
mail_home = {dir}/mail/%u
mail_location = {format}:~/mail{layout}
mail_plugins = $mail_plugins{quota_plugin}
mail_fsync = never
imap_id_log = *
shutdown_clients = yes
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    address = 127.0.0.1
    port = {plain}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 200
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {dir}/passwd
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {dir}/passwd
}}
protocol imap {{
  mail_plugins = $mail_plugins{imap_plugins}
  mail_max_userip_connections = {connections}
  rawlog_dir = {rawlog}
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
{mailboxes}
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage={quota}
}}
{extra}
"""

SPECIAL = ("Drafts", "Sent", "Junk", "Trash", "Archive")


def free_ports(n):
    """Ports that were free a moment ago; the caller retries a lost race."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Dovecot:
    def __init__(self, folder, pair, format="sdbox", separator="/",
                 connections=40, users=None, special=SPECIAL, quota=None,
                 extra="", compress=False, start=True):
        """`quota` (as Dovecot writes sizes, `10M`) switches quotas on,
        `compress` offers COMPRESS=DEFLATE (raw logs of connections that
        use it cannot be read)."""
        self.dir = Path(folder)
        self.pair, self.format, self.separator = pair, format, separator
        self.connections, self.quota, self.extra = connections, quota, extra
        self.users = users or {"alice": "wonder", "bob": "builder"}
        self.special, self.compress = special, compress
        self.host = "127.0.0.1"
        self.plain_port = self.tls_port = None
        self.pid = None
        self._forgotten = {}
        uid = os.geteuid()
        self.uid = UNPRIVILEGED if uid == 0 else uid
        self._layout()
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()

    def _layout(self):
        for name in ("", "run", "mail", "rawlog", "tls"):
            (self.dir / name).mkdir(parents=True, exist_ok=True)
        for source, name in zip(self.pair, ("crt", "key")):
            shutil.copyfile(source, self.dir / "tls" / name)
        with open(self.dir / "passwd", "w") as out:
            for user, password in self.users.items():
                (self.dir / "rawlog" / user).mkdir(exist_ok=True)
                out.write(f"{user}:{{PLAIN}}{password}:{self.uid}:"
                          f"{pwd.getpwuid(self.uid).pw_gid}::"
                          f"{self.dir}/mail/{user}::\n")
        if os.geteuid() == 0:
            gid = pwd.getpwuid(self.uid).pw_gid
            for root, dirs, files in os.walk(self.dir):
                for name in [".", *dirs, *files]:
                    os.chown(os.path.join(root, name), self.uid, gid)

    def _write_config(self):
        who = pwd.getpwuid(self.uid)
        boxes = "".join(
            f"  mailbox {name} {{\n    special_use = \\{name}\n"
            f"    auto = subscribe\n  }}\n" for name in self.special)
        group = run(["getent", "group", str(who.pw_gid)]).text.split(":")[0]
        text = CONFIG.format(
            dir=self.dir, instance=os.path.basename(self.dir),
            cert=self.dir / "tls/crt", key=self.dir / "tls/key",
            user=who.pw_name, group=group, format=self.format,
            layout=":LAYOUT=fs" if self.format == "maildir"
            and self.separator == "/" else "",
            quota_plugin=" quota" if self.quota else "",
            imap_plugins=(" imap_quota" if self.quota else "")
            + (" imap_zlib" if self.compress else ""),
            quota=self.quota or "0", plain=self.plain_port,
            tls=self.tls_port, connections=self.connections,
            rawlog=f"{self.dir}/rawlog/%u", separator=self.separator,
            mailboxes=boxes, extra=self.extra)
        path = self.dir / "dovecot.conf"
        path.write_text(text)
        path.chmod(0o644)

    def start(self):
        """Start (again); the ports stay what they were the first time."""
        first = self.plain_port is None
        for attempt in range(5):
            if first:
                self.plain_port, self.tls_port = free_ports(2)
            self._write_config()
            if self._launch():
                return
            if not first:
                wait_for(self._ports_free, 10, "own ports are free again")
        raise AssertionError("Dovecot does not start: " + self.log()[-3000:])

    def _launch(self):
        self._output = open(self.dir / "stderr", "ab")
        self._process = popen(["/usr/sbin/dovecot", "-F", "-c",
                               str(self.dir / "dovecot.conf")],
                              user=self.uid, stdout=self._output,
                              stderr=self._output, cwd="/")
        self.pid = self._process.pid

        def up():
            if self._process.poll() is not None:
                return "dead"
            for port in (self.plain_port, self.tls_port):
                socket.create_connection((self.host, port), 1).close()
            return "up"

        if wait_for(up, 20, "Dovecot listens") == "up":
            return True
        self._output.close()
        return False

    def _ports_free(self):
        for port in (self.plain_port, self.tls_port):
            socket.create_server((self.host, port)).close()
        return True

    def pids(self):
        return children(self.pid) if self.pid else []

    def stop(self, patient=True):
        """End all its processes and wait for that; the mail stays."""
        if not self.pid:
            return
        pids = self.pids()
        for pid in pids:
            self._signal(pid, signal.SIGCONT)
        self._signal(self.pid,
                     signal.SIGTERM if patient else signal.SIGKILL)
        try:
            wait_for(lambda: self._process.poll() is not None, 10)
        except Timeout:
            self._signal(self.pid, signal.SIGKILL)
            self._process.wait(5)
        for pid in pids:
            if alive(pid):
                self._signal(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(alive, pids)), 10, "Dovecot is gone")
        self._output.close()
        self.pid = None

    def kill(self):
        """SIGKILL for all its processes at once."""
        self._signal(self.pid, signal.SIGSTOP)  # it begins no other ones
        pids = self.pids()
        for pid in (self.pid, *pids):
            self._signal(pid, signal.SIGKILL)
        self._process.wait(10)
        wait_for(lambda: not any(map(alive, pids)), 10, "Dovecot is gone")
        self._output.close()
        self.pid = None

    def kill_sessions(self):
        """Break every logged-in connection; the server goes on."""
        for pid in self.pids()[1:]:
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            if name == "imap":
                self._signal(pid, signal.SIGKILL)

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
        shutil.rmtree(self.dir, ignore_errors=True)

    def url(self, user="alice", tls=True, host="localhost", port=None):
        if tls:
            return f"imaps://{user}@{host}:{port or self.tls_port}/"
        return f"imap://{user}@{host}:{port or self.plain_port}/"

    def log(self):
        text = ""
        for name in ("dovecot.log", "stderr"):
            path = self.dir / name
            if path.exists():
                text += path.read_text(errors="replace")
        return text

    def commands(self, user="alice"):
        """Lines that clients of this user sent after login, in files' order.

        Raw logs are complete only up to the last flush: wait_for() on them.
        """
        lines = []
        for path in sorted((self.dir / "rawlog" / user).glob("*.in")):
            data = path.read_bytes()[self._forgotten.get(path, 0):]
            for line in data.split(b"\n"):
                line = re.sub(rb"^\d+\.\d+ ", b"", line.rstrip(b"\r"))
                if line:
                    lines.append(line)
        return lines

    def count(self, pattern, user="alice"):
        """How many of those lines match this regular expression (bytes)."""
        return sum(bool(re.search(pattern, line, re.I))
                   for line in self.commands(user))

    def forget_commands(self, user="alice"):
        """Later commands() and count() begin here."""
        for path in (self.dir / "rawlog" / user).glob("*.in"):
            self._forgotten[path] = path.stat().st_size
