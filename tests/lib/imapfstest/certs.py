# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away CA and server certificates of every sort, by openssl(1).

Certs(folder) makes them once per folder. Attributes are (certificate, key)
pairs of paths: valid, expired, wrong_name, unknown_issuer, self_signed; `ca`
is the path of the CA's own certificate (for cafile=).
"""

import base64
import hashlib
import os
import ssl
from pathlib import Path

from .util import run

NAMES = "DNS:localhost,IP:127.0.0.1"


class Certs:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.ca = self.folder / "ca.crt"
        if not (self.folder / "done").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make()
            (self.folder / "done").touch()
        for name in ("valid", "expired", "wrong-name", "unknown-issuer",
                     "self-signed"):
            setattr(self, name.replace("-", "_"), self._pair(name))

    def _pair(self, name):
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def _openssl(self, *args):
        run(["openssl", *map(str, args)], timeout=60, cwd=self.folder)

    def _authority(self, name, subject):
        crt, key = self._pair(name)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                      "-out", crt, "-subj", f"/CN={subject}", "-days", "30",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _issue(self, name, issuer, names, expired=False):
        crt, key = self._pair(name)
        request, ext = crt.with_suffix(".csr"), crt.with_suffix(".ext")
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                      "-out", request, "-subj", f"/CN={name}.test")
        ext.write_text(f"subjectAltName={names}\n"
                       "basicConstraints=CA:FALSE\n"
                       "extendedKeyUsage=serverAuth\n")
        if expired:
            # Only `openssl ca` can set both dates of a certificate.
            self._expired(name, issuer, request, ext)
        else:
            icrt, ikey = self._pair(issuer)
            self._openssl("x509", "-req", "-in", request, "-CA", icrt,
                          "-CAkey", ikey, "-CAcreateserial", "-days", "30",
                          "-extfile", ext, "-out", crt)
        key.chmod(0o644)

    def _expired(self, name, issuer, request, ext):
        icrt, ikey = self._pair(issuer)
        config = self.folder / "ca.cnf"
        (self.folder / "index.txt").write_text("")
        (self.folder / "serial").write_text("1000\n")
        config.write_text(
            "[ca]\ndefault_ca=d\n[d]\n"
            f"database={self.folder}/index.txt\nserial={self.folder}/serial\n"
            f"new_certs_dir={self.folder}\ndefault_md=sha256\n"
            "policy=p\n[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-notext", "-config", config,
                      "-cert", icrt, "-keyfile", ikey, "-in", request,
                      "-out", self._pair(name)[0], "-extfile", ext,
                      "-startdate", "20200101000000Z",
                      "-enddate", "20210101000000Z")

    def _make(self):
        self._authority("ca", "imapfs test CA")
        self._authority("strange-ca", "imapfs strange CA")
        self._issue("valid", "ca", NAMES)
        self._issue("expired", "ca", NAMES, expired=True)
        self._issue("wrong-name", "ca", "DNS:elsewhere.test")
        self._issue("unknown-issuer", "strange-ca", NAMES)
        crt, key = self._pair("self-signed")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                      "-out", crt, "-subj", "/CN=localhost", "-days", "30",
                      "-addext", f"subjectAltName={NAMES}")
        key.chmod(0o644)
        os.chmod(self.folder, 0o755)

    @staticmethod
    def sha256(pair):
        """SHA-256 of the whole certificate (DER), as lower-case hex."""
        pem = Path(pair[0]).read_text()
        start = pem.index("-----BEGIN CERTIFICATE-----")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(
            pem[start:])).hexdigest()

    @staticmethod
    def spki_sha256(pair):
        """SHA-256 of the public key (SubjectPublicKeyInfo): (hex, base64)."""
        pem = run(["openssl", "x509", "-in", str(pair[0]), "-noout",
                   "-pubkey"]).out
        der = run(["openssl", "pkey", "-pubin", "-outform", "DER"],
                  input=pem).out
        digest = hashlib.sha256(der).digest()
        return digest.hex(), base64.b64encode(digest).decode()
