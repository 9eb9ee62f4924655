# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Dovecot 2.3 in a temporary folder, always without root rights.

    with Dovecot(tmp / "dovecot", certs.valid) as server:
        server.tls_port, server.plain_port, server.url("alice")

commands() is every line that clients sent (raw logs), so that a test can
count what was asked. What else it can do is in server.py.
"""

import re
import signal
from pathlib import Path

from .server import Server

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


class Dovecot(Server):
    def __init__(self, folder, pair, format="sdbox", separator="/",
                 connections=40, users=None, special=SPECIAL, quota=None,
                 extra="", compress=False, start=True):
        """`quota` (as Dovecot writes sizes, `10M`) switches quotas on,
        `compress` offers COMPRESS=DEFLATE (raw logs of connections that
        use it cannot be read)."""
        self.format, self.separator = format, separator
        self.connections, self.quota, self.extra = connections, quota, extra
        self.special, self.compress = special, compress
        self._forgotten = {}
        super().__init__(folder, pair, users, start)

    def _layout(self):
        for name in ("run", "mail", "rawlog"):
            (self.dir / name).mkdir(exist_ok=True)
        with open(self.dir / "passwd", "w") as out:
            for user, password in self.users.items():
                (self.dir / "rawlog" / user).mkdir(exist_ok=True)
                out.write(f"{user}:{{PLAIN}}{password}:{self.uid}:{self.gid}"
                          f"::{self.dir}/mail/{user}::\n")

    def _write_config(self):
        boxes = "".join(
            f"  mailbox {name} {{\n    special_use = \\{name}\n"
            f"    auto = subscribe\n  }}\n" for name in self.special)
        text = CONFIG.format(
            dir=self.dir, instance=self.dir.name,
            cert=self.dir / "tls/crt", key=self.dir / "tls/key",
            user=self.user, group=self.group, format=self.format,
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

    def _args(self):
        return ["/usr/sbin/dovecot", "-F", "-c",
                str(self.dir / "dovecot.conf")]

    def kill_sessions(self):
        """Break every logged-in connection; the server goes on."""
        for pid in self.pids()[1:]:
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            if name == "imap":
                self._signal(pid, signal.SIGKILL)

    def log(self):
        path = self.dir / "dovecot.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return text + super().log()

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
