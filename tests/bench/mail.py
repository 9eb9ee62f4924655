# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail for the benches: the same bytes at every run, sizes as in life.

Every iterator gives (message, flags as Maildir writes them). real() is text
that deflates like text; above 20 KB it is mostly one base64 attachment, which
hardly does. Every RARE_EVERYth message holds the word RARE, no other does.
"""

import base64
import math
import random
from email.utils import formatdate

EPOCH = 1_600_000_000
RARE, RARE_EVERY = "zanzibar", 500
ATTACHED = 20_000
WORDS = """the of and to in is you that it he was for on are as with his they
at be this have from or one had by word but not what all were we when your can
said there use an each which she do how their if will up other about out many
then them these so some her would make like him into time has look two more
write go see number no way could people my than first water been call who oil
its now find long down day did get come made may part account invoice meeting
tomorrow regards attached please report project customer delivery question
answer minutes station garden winter orange letter window kitchen ticket
holiday contract signature network office paper budget""".split()


def flags_of(r):
    return "".join(letter for letter, p in
                   (("F", .05), ("R", .2), ("S", .8)) if r.random() < p)


def prose(r, n):
    """About `n` bytes of lines of words."""
    lines, total = [], 0
    while total < n:
        line = " ".join(r.choices(WORDS, k=12))
        lines.append(line)
        total += len(line) + 2
    return "\r\n".join(lines)


def head(r, n, subject, sender=None):
    date = formatdate(EPOCH + 3600 * n)
    key = base64.b64encode(r.randbytes(90)).decode()
    person = r.randrange(200)
    sender = sender or f'"User {person}" <user{person}@example.com>'
    return (f"Return-Path: <user{person}@example.com>\r\n"
            f"Received: from mx{n % 9}.example.com (192.0.2.{n % 250}) by "
            f"mail.example.com with ESMTPS id {r.getrandbits(60):x}; {date}"
            f"\r\nDKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1;\r\n"
            f" b={key}\r\nDate: {date}\r\nFrom: {sender}\r\n"
            f"To: Alice <alice@example.com>\r\nSubject: {subject}\r\n"
            f"Message-ID: <{n}.{r.getrandbits(64):x}@example.com>\r\n"
            "MIME-Version: 1.0\r\n")


def one(r, n, size):
    """Message `n` of about `size` bytes."""
    top = head(r, n, " ".join(r.choices(WORDS, k=6)) + f" {n}")
    rare = f"{RARE}\r\n" if n % RARE_EVERY == 0 else ""
    plain = "Content-Type: text/plain; charset=utf-8\r\n\r\n"
    if size <= ATTACHED:
        text = prose(r, max(50, size - len(top) - len(plain)))
        return (top + plain + rare + text + "\r\n").encode()
    text = prose(r, 3000)
    raw = r.randbytes(max(100, (size - len(top) - 3400) * 54 // 74))
    data = base64.encodebytes(raw).decode().replace("\n", "\r\n")
    return (f'{top}Content-Type: multipart/mixed; boundary="=_{n}"\r\n\r\n'
            f"--=_{n}\r\n{plain}{rare}{text}\r\n--=_{n}\r\n"
            f'Content-Type: application/pdf; name="f{n}.pdf"\r\n'
            "Content-Transfer-Encoding: base64\r\n\r\n"
            f"{data}--=_{n}--\r\n").encode()


def real(count, seed=1):
    """Log-normal sizes: median 8 KB, mean nearly 30 KB, at most 6 MB."""
    r = random.Random(seed)
    for n in range(count):
        size = int(min(6e6, max(900, r.lognormvariate(math.log(8180),
                                                      1.626))))
        yield one(r, n, size), flags_of(r)


def even(count, mean=20_000, seed=2):
    """Sizes from 3/4 to 5/4 of the mean, text only."""
    r = random.Random(seed)
    page = prose(r, 4 * mean)
    for n in range(count):
        top = head(r, n, " ".join(r.choices(WORDS, k=3)) + f" {n}")
        size = r.randrange(mean * 3 // 4, mean * 5 // 4) - len(top)
        rare = f"{RARE}\r\n" if n % RARE_EVERY == 0 else ""
        at = r.randrange(3 * mean - mean // 2)
        yield (f"{top}Content-Type: text/plain\r\n\r\n{rare}"
               f"{page[at:at + size]}\r\n").encode(), flags_of(r)


def small(count, seed=3):
    """For listings: about 1.4 KB each, names of 60 bytes in a mount."""
    r = random.Random(seed)
    subjects = ("minutes of", "an offer for", "the report on",
                "a note about")
    page = prose(r, 4000)
    for n in range(count):
        top = head(r, n, f"{subjects[n % 4]} item {n:06d}",
                   f"Pete {n % 97:02d} <p@example.com>")
        at = r.randrange(2500)
        yield (f"{top}Content-Type: text/plain\r\n\r\n"
               f"{page[at:at + r.randrange(300, 1100)]}\r\n").encode(), \
            flags_of(r)
