# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Courier IMAP out of Debian's packages, unpacked and not installed.

    Courier(tmp / "courier", certs.valid, unpacked)

`unpacked` is as in cyrus.py. Courier's login has the paths of the system's
configuration compiled in, so it is left out: each connection, within TLS, is
that of the one account from the beginning (PREAUTH), whatever the user's name.
"""

from .cyrus import libraries
from .server import Server
from .util import run

CAPABILITY = ("IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT "
              "THREAD=REFERENCES SORT QUOTA IDLE")


class Courier(Server):
    prefix = "INBOX."
    separator = "."

    def __init__(self, folder, pair, unpacked, **kw):
        self.unpacked = unpacked
        super().__init__(folder, pair, **kw)

    def _layout(self):
        crt, key = self.dir / "tls/crt", self.dir / "tls/key"
        (self.dir / "tls/both").write_text(key.read_text() + crt.read_text())
        run([self.unpacked / "usr/bin/maildirmake.courier",
             self.dir / "Maildir"], env=self._environment())

    def _environment(self):
        return {**libraries(self.unpacked), "HOME": self.dir,
                # Without this it greets with an alert, before the PREAUTH.
                "GAMIN_DEBUG_SERVER": self.unpacked / "usr/libexec/gam_server",
                "GAM_CLIENT_ID": self.dir.name,
                "TLS_CERTFILE": self.dir / "tls/both",
                "TLS_VERIFYPEER": "NONE", "IMAP_CAPABILITY": CAPABILITY,
                "IMAP_KEYWORDS": 1, "IMAP_USELOCKS": 1,
                "IMAP_CHECK_ALL_FOLDERS": 1, "IMAP_IDLE_TIMEOUT": 1}

    def _ports(self):
        return (self.tls_port,)

    def _args(self):
        programs = self.unpacked / "usr"
        return [programs / "sbin/couriertcpd", "-address=127.0.0.1",
                "-nodnslookup", "-noidentlookup", "-maxprocs=100",
                "-maxperip=100", self.tls_port, programs / "bin/couriertls",
                "-server", "-tcpd", programs / "bin/imapd", "Maildir"]
