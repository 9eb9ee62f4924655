# SPDX-License-Identifier: GPL-3.0-or-later
"""An independent view of the server, over imaplib: the truth of the tests.

    with Client(server, "alice") as c:
        uid = c.append("INBOX", b"Subject: x\r\n\r\nHello\r\n")
        c.fetch("INBOX") -> {uid: bytes}

Mailbox names are given in Unicode and encoded here; bytes go out as they are.
"""

import base64
import imaplib
import re
import ssl
import time

imaplib._MAXLINE = 100_000_000
PASSWORDS = {"alice": "wonder", "bob": "builder"}
FETCH_STEP = 200


def utf7_encode(name):
    """Modified UTF-7 of RFC 3501, section 5.1.3."""
    out, run = b"", ""

    def flush():
        nonlocal out, run
        if run:
            text = base64.b64encode(run.encode("utf-16-be"))
            out += b"&" + text.rstrip(b"=").replace(b"/", b",") + b"-"
            run = ""

    for char in name:
        if 0x20 <= ord(char) <= 0x7e:
            flush()
            out += b"&-" if char == "&" else char.encode()
        else:
            run += char
    flush()
    return out


def utf7_decode(wire):
    def part(match):
        text = match.group(1)
        if not text:
            return "&"
        data = text.replace(b",", b"/")
        data += b"=" * (-len(data) % 4)
        return base64.b64decode(data).decode("utf-16-be")

    out, at = "", 0
    for match in re.finditer(rb"&([^-]*)-", wire):
        out += wire[at:match.start()].decode("ascii", "surrogateescape")
        out += part(match)
        at = match.end()
    return out + wire[at:].decode("ascii", "surrogateescape")


def quote(name):
    wire = name if isinstance(name, bytes) else utf7_encode(name)
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", wire) + b'"'


class Client:
    def __init__(self, server=None, user=None, password=None, port=None,
                 host=None, tls=True, timeout=60, login=True):
        """`server`: anything with tls_port; or give the port itself. Its
        users, if it tells them, are known by their passwords."""
        host = host or getattr(server, "host", "127.0.0.1")
        user = user or getattr(server, "account", "alice")
        passwords = {**PASSWORDS, **getattr(server, "users", {})}
        if tls:
            # Nothing is verified, so no authority is read.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.imap = imaplib.IMAP4_SSL(
                host, port or server.tls_port, ssl_context=context,
                timeout=timeout)
        else:
            self.imap = imaplib.IMAP4(host, port or server.plain_port,
                                      timeout=timeout)
        # One that is logged in from the beginning (PREAUTH) stays so.
        if login and self.imap.state == "NONAUTH":
            self.imap.login(user, password or passwords[user])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        try:
            self.imap.logout()
        except (OSError, imaplib.IMAP4.error):
            pass

    @staticmethod
    def _ok(answer):
        if answer[0] != "OK":
            raise AssertionError(f"the server says {answer!r}")
        return answer[1]

    def _uid(self, *args):
        return self._ok(self.imap.uid(*args))

    def raw(self, name, *args):
        """Any command; returns the data of the answer named as it."""
        if name not in imaplib.Commands:
            imaplib.Commands[name] = ("AUTH", "SELECTED")
        return self._ok(self.imap._simple_command(name, *args))

    def list(self, pattern="*"):
        """{name: set of attributes} of all mailboxes, names in Unicode."""
        found = {}
        for item in self._ok(self.imap.list('""', quote(pattern))):
            if item is None:
                continue
            if isinstance(item, tuple):
                head, name = item[0], item[1]
                flags = re.match(rb"\((.*?)\)", head).group(1)
            else:
                match = re.match(rb'\((.*?)\) (?:NIL|"[^"]+") (.*)$', item,
                                 re.S)
                flags, name = match.groups()
                if name.startswith(b'"'):
                    name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
            found[utf7_decode(name)] = set(flags.decode().split())
        return found

    def select(self, box, readonly=True):
        """Select, again each time, so that the view is fresh."""
        return int(self._ok(self.imap.select(quote(box), readonly))[0])

    def uidvalidity(self, box):
        return self.status(box)["UIDVALIDITY"]

    def status(self, box):
        items = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"
        data = self._ok(self.imap.status(quote(box), items))
        line = b"".join(p for part in data for p in
                        (part if isinstance(part, tuple) else (part,)))
        return {k.decode(): int(v) for k, v in re.findall(
            rb"([A-Z]+) (\d+)", line[line.rindex(b"("):])}

    def unseen(self, box):
        return self.status(box)["UNSEEN"]

    def selectable(self):
        """Names of the mailboxes that can hold messages, sorted."""
        return sorted(name for name, flags in self.list().items()
                      if not flags & {"\\Noselect", "\\NonExistent"})

    def unseen_all(self):
        return {name: self.unseen(name) for name in self.selectable()}

    def uids(self, box, criteria="ALL"):
        self.select(box)
        return [int(x) for x in self._uid("SEARCH", criteria)[0].split()]

    def _fetch(self, box, uids, items):
        self.select(box)
        if uids is None:
            uids = [int(x) for x in self._uid("SEARCH", "ALL")[0].split()]
        for at in range(0, len(uids), FETCH_STEP):
            part = ",".join(map(str, uids[at:at + FETCH_STEP]))
            yield from self._uid("FETCH", part, items)

    def fetch(self, box, uids=None):
        """{uid: the bytes of BODY.PEEK[]}."""
        found = {}
        for item in self._fetch(box, uids, "(UID BODY.PEEK[])"):
            if isinstance(item, tuple):
                uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                found[uid] = item[1]
        return found

    def attributes(self, box, uids=None):
        """{uid: {"size", "flags" (set of str), "date" (epoch seconds)}}."""
        found = {}
        for item in self._fetch(box, uids,
                                "(UID FLAGS INTERNALDATE RFC822.SIZE)"):
            if item is None:
                continue
            uid = int(re.search(rb"UID (\d+)", item).group(1))
            size = int(re.search(rb"RFC822\.SIZE (\d+)", item).group(1))
            flags = re.search(rb"FLAGS \((.*?)\)", item).group(1).decode()
            when = imaplib.Internaldate2tuple(item)
            found[uid] = {"size": size, "flags": set(flags.split()),
                          "date": int(time.mktime(when))}
        return found

    def append(self, box, message, flags=(), date=None):
        """Add one message (bytes, sent as they are); returns its UID.

        `date` is epoch seconds. imaplib's own append() rewrites line ends,
        so the literal is sent here.
        """
        when = imaplib.Time2Internaldate(date).encode() + b" " \
            if date is not None else b""
        line = quote(box) + b" (" + " ".join(flags).encode() + b") " + when
        self.imap.literal = None
        tag = self.imap._new_tag()
        self.imap.send(tag + b" APPEND " + line +
                       b"{%d}\r\n" % len(message))
        while self.imap._get_response():
            if self.imap.tagged_commands[tag]:  # a NO: no `+` will come
                break
        else:
            self.imap.send(message + b"\r\n")
        kind, data = self.imap._command_complete("APPEND", tag)
        text = self._ok((kind, data))[0]
        match = re.search(rb"APPENDUID \d+ (\d+)", text)
        return int(match.group(1)) if match else None

    def append_many(self, box, messages, date=None):
        """Add many plain messages in few round trips (MULTIAPPEND)."""
        messages = list(messages)
        for at in range(0, len(messages), 500):
            parts = []
            for i, message in enumerate(messages[at:at + 500]):
                when = b' %s' % imaplib.Time2Internaldate(
                    date + at + i).encode() if date is not None else b""
                parts.append(when + b" {%d+}\r\n" % len(message) + message)
            tag = self.imap._new_tag()
            self.imap.send(tag + b" APPEND " + quote(box) + b"".join(parts) +
                           b"\r\n")
            self._ok(self.imap._command_complete("APPEND", tag))

    def create(self, box):
        self._ok(self.imap.create(quote(box)))

    def delete_box(self, box):
        self._ok(self.imap.delete(quote(box)))

    def rename_box(self, old, new):
        self._ok(self.imap.rename(quote(old), quote(new)))

    def subscribe(self, box):
        self._ok(self.imap.subscribe(quote(box)))

    def store(self, box, uid, how, *flags):
        """store("INBOX", 3, "+FLAGS", "\\\\Seen")."""
        self.select(box, readonly=False)
        self._uid("STORE", str(uid), how, "(" + " ".join(flags) + ")")

    def move(self, box, uid, target):
        self.select(box, readonly=False)
        self._uid("MOVE", str(uid), quote(target))

    def copy(self, box, uid, target):
        self.select(box, readonly=False)
        self._uid("COPY", str(uid), quote(target))

    def empty(self, box):
        if self.select(box, readonly=False):
            self._uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Deleted)")
            self._ok(self.imap.expunge())

    def expunge(self, box, uid):
        self.store(box, uid, "+FLAGS.SILENT", "\\Deleted")
        self._uid("EXPUNGE", str(uid))


imaplib.Commands.setdefault("MOVE", ("SELECTED",))
imaplib.Commands.setdefault("EXPUNGE", ("SELECTED",))
