# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Cyrus IMAP out of Debian's packages, unpacked and not installed.

    Cyrus(tmp / "cyrus", certs.valid, unpacked)

`unpacked` is a folder that `unpack` (tests/lib/prepare.sh) has made. Nothing
outside of it and of the server's own folder is used but shared libraries.
"""

from .server import Server
from .util import run

SETTINGS = """
configdirectory: {dir}/lib
partition-default: {dir}/spool
defaultpartition: default
cyrus_user: {user}
cyrus_group: {group}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {dir}/sasldb2
sasl_mech_list: PLAIN LOGIN
allowplaintext: yes
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
autocreate_post: yes
autocreate_inbox_folders: Drafts|Sent|Trash|Junk|Archive
autocreate_subscribe_folders: Drafts|Sent|Trash|Junk|Archive
xlist-drafts: Drafts
xlist-sent: Sent
xlist-trash: Trash
xlist-junk: Junk
xlist-archive: Archive
imapidlepoll: 1
tls_server_cert: {dir}/tls/crt
tls_server_key: {dir}/tls/key
tls_server_ca_file: {dir}/tls/crt
sievedir: {dir}/lib/sieve
"""

SERVICES = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {dir}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {dir}/imapd.conf" listen="127.0.0.1:{plain}"
  imaps cmd="{bin}/imapd -s -C {dir}/imapd.conf" listen="127.0.0.1:{tls}"
}}
DAEMON {{
  idled cmd="{bin}/idled -C {dir}/imapd.conf" wait=n
}}
"""

FOLDERS = ("db", "proc", "socket", "log", "msg", "quota", "user", "sieve")


class Cyrus(Server):
    def __init__(self, folder, pair, unpacked, **kw):
        self.unpacked = unpacked
        self.bin = unpacked / "usr/lib/cyrus/bin"
        super().__init__(folder, pair, **kw)

    def _layout(self):
        for name in FOLDERS:
            (self.dir / "lib" / name).mkdir(parents=True)
        (self.dir / "spool").mkdir()
        (self.dir / "imapd.conf").write_text(SETTINGS.format(
            dir=self.dir, user=self.user, group=self.group))
        for user, password in self.users.items():
            run([self.unpacked / "usr/sbin/saslpasswd2", "-p", "-c", "-f",
                 self.dir / "sasldb2", user], input=password.encode())

    def _write_config(self):
        (self.dir / "cyrus.conf").write_text(SERVICES.format(
            dir=self.dir, bin=self.bin, plain=self.plain_port,
            tls=self.tls_port))

    def _environment(self):
        return libraries(self.unpacked)

    def _args(self):
        return [self.bin / "master", "-C", self.dir / "imapd.conf",
                "-M", self.dir / "cyrus.conf", "-p", self.dir / "pid", "-D"]


def libraries(unpacked):
    """The environment in which unpacked programs find what they need."""
    found = {path.parent for path in unpacked.glob("usr/lib/**/*.so.*")}
    return {"LD_LIBRARY_PATH": ":".join(sorted(map(str, found)))}
