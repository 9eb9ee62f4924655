# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages made for one test: small, plain, and each different.

letter(7) is the same bytes at every call; its name in a mount holds
`Letter-7`. text() makes a body of a given length.
"""

import os
import re
from email.utils import formatdate

from .util import run

EPOCH = 1_700_000_000


def text(n, seed=0):
    """`n` bytes of lines of at most 78 characters, CRLF, none repeated."""
    out, line = [], 0
    total = 0
    while total < n:
        one = f"{seed:08x} line {line:08d} ".encode()
        one += b"abcdefghij" * 4 + b"\r\n"
        out.append(one)
        total += len(one)
        line += 1
    data = b"".join(out)[:n]
    return data[:-2] + b"\r\n" if n >= 2 else data


def letter(n, size=None, subject=None, sender=None, message_id=None,
           date=None):
    """Message number `n`; `size` is its length in bytes, all told."""
    head = (f"Date: {formatdate(EPOCH + 60 * n if date is None else date)}"
            f"\r\nFrom: {sender or 'Test Sender <sender@example.com>'}\r\n"
            f"To: Alice <alice@example.com>\r\n"
            f"Subject: {subject or f'Letter {n}'}\r\n"
            f"Message-ID: <{message_id or f'letter-{n}@example.com'}>\r\n"
            f"\r\n").encode()
    if size is None:
        return head + f"This is letter {n}.\r\n".encode()
    assert size > len(head)
    return head + text(size - len(head), n)


def numbered(m, folder="INBOX"):
    """{n: path} of the messages letter(n) in a folder of a mount."""
    return {number(name): m.path / folder / name
            for name in m.messages(folder)}


def number(name):
    """The n of letter(n), by its file name."""
    return int(re.search(r"_Letter-(\d+)_", name).group(1))


def store(server, messages):
    """Put (bytes iterator, size) into alice's INBOX, a Maildir."""
    box = server.dir / "mail/alice/mail"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True, exist_ok=True)
    for n, (chunks, size) in enumerate(messages):
        path = box / "cur" / \
            f"{1_700_000_000 + n}.M{n:06d}.test,S={size},W={size}:2,"
        with open(path, "wb") as out:
            for chunk in chunks:
                out.write(chunk)
    if os.geteuid() == 0:
        run(["chown", "-R", f"{server.uid}:{server.uid}",
             str(server.dir / "mail")])
