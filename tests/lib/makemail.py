#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes mail for tests and for the demo; the same seed, the same bytes.

    odd()               [(name, bytes)]: one message for each oddity
    bulk(n, seed)       n small plain messages, file names of about 60 bytes
    large(size, seed)   one message of exactly `size` bytes
    demo()              {folder: [(bytes, flags, epoch seconds)]}: nice to see

As a program: makemail.py FOLDER writes odd() there as files.
"""

import base64
import random
import sys
from email.message import EmailMessage
from email.utils import format_datetime, formatdate
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = 1_700_000_000
WORDS = ("harbour lantern meadow copper violet thunder orchard compass willow "
         "granite ember saffron river marble falcon juniper canvas silver "
         "pepper anchor walnut breeze cobalt ferry garden hollow island "
         "kettle ladder mirror needle oyster parcel quartz ribbon").split()
NAMES = ("Alice Example", "Bob Builder", "Jürgen Müller", "Zoë Faßbinder",
         "山田 太郎", "Мария Иванова", "Σωκράτης Π.", "محمد علي", "김민수",
         "Ångström Søren", "Nguyễn Văn An", "François Œuvrard")


def header(name, value):
    name = name if isinstance(name, bytes) else name.encode()
    value = value if isinstance(value, bytes) else value.encode("utf-8")
    return name + b": " + value + b"\r\n"


def plain(subject="hello", body=b"Hello.\r\n", sender="Alice <alice@a.test>",
          date="Tue, 14 Nov 2023 22:13:20 +0000", mid=None, extra=()):
    """A message whose parts are given raw; None leaves a field out."""
    fields = [("From", sender), ("To", "bob@b.test"), ("Subject", subject),
              ("Date", date), ("Message-ID", mid), *extra]
    head = b"".join(header(n, v) for n, v in fields if v is not None)
    return head + b"\r\n" + body


def encoded(text, charset="utf-8", how="B"):
    raw = text.encode(charset)
    if how == "B":
        body = base64.b64encode(raw).decode()
    else:
        body = "".join(chr(b) if chr(b).isalnum() and b < 128 else
                       "_" if b == 32 else f"={b:02X}" for b in raw)
    return f"=?{charset}?{how}?{body}?="


# Oddities, by kind. Each function yields (name, bytes).

def odd_encoded_words():
    cases = {
        "b-utf8": encoded("Grüße aus Köln"),
        "q-utf8": encoded("Grüße aus Köln", how="Q"),
        "q-latin1": encoded("Café olé", "iso-8859-1", "Q"),
        "b-koi8": encoded("Привет, мир", "koi8-r"),
        "b-2022jp": encoded("日本語の件名", "iso-2022-jp"),
        "b-gb18030": encoded("中文主题 测试", "gb18030"),
        "b-big5": encoded("繁體中文", "big5"),
        "b-euckr": encoded("한국어 제목", "euc-kr"),
        "b-1256": encoded("موضوع عربي", "windows-1256"),
        "q-1252": encoded("“quoted” – dash…", "windows-1252", "Q"),
        "lower-case": "=?utf-8?b?R3LDvMOfZQ==?=",
        "language-tag": "=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=",
        "adjacent": encoded("one ") + "\r\n " + encoded("two"),
        "split-character": "=?utf-8?B?w7w=?= =?utf-8?Q?=C3?= =?utf-8?Q?=BC?=",
        "mixed": "plain " + encoded("ünd") + " plain again",
        "inside-word": "x" + encoded("ü") + "y",
        "unknown-charset": "=?x-unknown?Q?abc=E9?=",
        "unknown-encoding": "=?utf-8?Z?abc?=",
        "bad-base64": "=?utf-8?B?%%%not base64%%%?=",
        "bad-hex": "=?utf-8?Q?a=ZZb=4?=",
        "unterminated": "=?utf-8?Q?never ends",
        "empty": "=?utf-8?Q??=",
        "nul": "=?utf-8?Q?a=00b?=",
        "newline": "=?utf-8?Q?a=0D=0Ab?=",
        "utf7": "=?utf-7?Q?Gr+APw-+AN8-e?=",
        "utf16": encoded("utf sixteen", "utf-16"),
        "not-shortest": "=?utf-8?Q?=C0=AF=E0=80=AF?=",
        "surrogate": "=?utf-8?Q?=ED=A0=80?=",
        "very-long": " ".join([encoded("長い件名です")] * 60),
    }
    for name, subject in cases.items():
        yield f"encoded-{name}", plain(subject)
        yield f"encoded-from-{name}", plain(
            "from " + name, sender=f"{subject} <x@y.test>".replace("\r\n", ""))


def odd_raw_headers():
    yield "raw-utf8", plain("Grüße roh".encode())
    yield "raw-latin1", plain(b"Gr\xfc\xdfe roh")
    yield "raw-broken-utf8", plain(b"a\xc3(b\xff\xfe")
    yield "raw-8bit-from", plain("x", sender=b"J\xfcrgen <j@a.test>")
    yield "controls", plain(b"a\x01b\x07c\x1b[31mred\x7f")
    yield "tabs", plain(b"a\tb\t\tc")
    yield "folded", plain(b"one\r\n two\r\n\tthree")
    yield "folded-empty", plain(b"one\r\n \r\n two")
    yield "blank-subject", plain(b"   ")
    yield "empty-subject", plain(b"")
    yield "long-line", plain(b"x" * 20000)
    yield "long-word", plain(b"word" * 400)
    yield "two-subjects", plain("first", extra=[("Subject", "second")])
    yield "lower-case-names", (b"from: a@a.test\r\nsubject: lower\r\n"
                               b"date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                               b"\r\nx\r\n")
    yield "blank-before-colon", (b"Subject : blank\r\nFrom : a@a.test\r\n"
                                 b"\r\nx\r\n")
    yield "many-fields", plain("many", extra=[(f"X-Field-{i}", "v" * 60)
                                              for i in range(500)])
    yield "no-header-end", b"Subject: no end\r\nFrom: a@a.test\r\n"
    yield "only-header", b"Subject: only a header\r\n\r\n"
    yield "folded-first", b" starts folded\r\nSubject: x\r\n\r\nbody\r\n"
    yield "junk-line", b"Subject: x\r\nthis is no field\r\nTo: y\r\n\r\nb\r\n"


def odd_subjects():
    cases = {
        "cjk": "件名" * 120, "arabic": "موضوع الرسالة " * 40,
        "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 40, "combining": "e" + "\u0301" * 300,
        "bidi": "a\u202egnp.exe\u202c b\u2066x\u2069\u200f\u061c",
        "zero-width": "a\u200bb\ufeffc\u2060d\u00ade",
        "nfc": "Zo\u00eb \u00c5ngstr\u00f6m",
        "nfd": "Zoe\u0308 A\u030angstro\u0308m",
        "hangul-nfd": "\u1112\u1161\u11ab\u1100\u1173\u11af",
        "spaces": "a\u00a0b\u2003c\u3000d\u2028e\u2029f",
        "private": "a\ue000b\U000f0000c", "tags": "a\U000e0041b",
        "dots-up": "../../etc/passwd", "slash": "/etc/shadow", "dot": ".",
        "dotdot": "..", "dash": "-rf", "tilde": "~root", "star": "* ? [a-z]",
        "shell": "$(reboot); `id` | tee > /tmp/x & \\ \"q\" 'q' #!",
        "newline-word": "a\\nb", "percent": "%s%n%d%2F%00", "equals": "a=b",
        "backslash": "a\\b\\", "colon": "Re: Fwd: AW: x", "brackets":
        "[list] (x) {y} <z>", "eml": "report.eml", "twin": "name.2",
        "reserved": "CON NUL aux.txt", "trailing": "ends in dots...",
        "dashes": "---", "underscores": "a__b__c", "fullwidth": "ＡＢＣ／ｄ",
        "ligature": "ﬁnal ﬂow", "turkish": "İstanbul ılık", "math": "𝒳𝔜𝟙",
    }
    for name, subject in cases.items():
        yield f"subject-{name}", plain(encoded(subject)
                                       if len(subject) < 30 else subject)
    for name in ("bidi", "dots-up", "shell", "emoji"):
        yield f"from-{name}", plain(
            "name in From", sender=encoded(cases[name][:40]) + " <a@a.test>")


def odd_dates():
    cases = {
        "absent": None, "empty": "", "words": "yesterday evening",
        "two-digit-year": "1 Jan 99 00:00 GMT", "three-digit": "1 Jan 102",
        "no-weekday": "14 Nov 2023 22:13:20 +0000",
        "zone-name": "Tue, 14 Nov 2023 22:13:20 EST",
        "zone-comment": "Tue, 14 Nov 2023 22:13:20 +0100 (CET)",
        "zone-none": "Tue, 14 Nov 2023 22:13:20",
        "zone-odd": "Tue, 14 Nov 2023 22:13:20 +2460",
        "leap-second": "Sat, 31 Dec 2016 23:59:60 +0000",
        "year-9999": "Fri, 31 Dec 9999 23:59:59 +0000",
        "year-1": "Mon, 01 Jan 0001 00:00:00 +0000",
        "year-huge": "1 Jan 99999999999 00:00:00 +0000",
        "before-epoch": "Wed, 31 Dec 1969 23:59:59 +0000",
        "feb-30": "Fri, 30 Feb 2024 10:00:00 +0000",
        "comments": "(a) Tue (b), (c) 14 Nov 2023 (d) 22:13 (e) +0000",
        "iso": "2023-11-14T22:13:20Z", "asctime": "Tue Nov 14 22:13:20 2023",
        "day-over-midnight": "Tue, 14 Nov 2023 23:30:00 -0800",
        "lower-case": "tue, 14 nov 2023 22:13:20 gmt",
    }
    for name, date in cases.items():
        yield f"date-{name}", plain(f"date {name}", date=date)
    yield "date-twice", plain("two dates", extra=[
        ("Date", "Wed, 15 Nov 2023 00:00:00 +0000")])


def odd_senders():
    cases = {
        "absent": None, "empty": "", "bare": "alice@a.test",
        "angle-only": "<alice@a.test>", "quoted": '"Alice, the one" <a@a.t>',
        "escaped": r'"Al \"the\" ice \\" <a@a.test>',
        "comment": "alice@a.test (Alice Comment)", "group":
        "Friends: a@a.test, b@b.test;", "empty-group": "undisclosed:;",
        "two": "a@a.test, b@b.test", "no-address": "Just A Name",
        "idn": "x@xn--mnchen-3ya.test", "quoted-local": '"a b"@a.test',
        "unclosed-quote": '"Alice <a@a.test>', "nested-comment":
        "a(b(c)d)@a.test", "route": "<@x.test,@y.test:a@a.test>",
        "many-at": "a@b@c@d", "long": "N" * 5000 + " <a@a.test>",
    }
    for name, sender in cases.items():
        yield f"from-{name}", plain(f"from {name}", sender=sender)


def odd_ids():
    for name, mid in (("absent", None), ("empty", ""), ("no-angles", "abc"),
                      ("blanks", "<a b c>"), ("8bit", b"<\xff\xfe@a>"),
                      ("long", "<" + "i" * 3000 + "@a>")):
        yield f"id-{name}", plain(f"id {name}", mid=mid)
    for i in range(3):
        yield f"id-same-{i}", plain(f"same id {i}", mid="<same@a.test>")
    for i in range(4):
        yield f"twin-{i}", plain("twins in all", mid="<twin@a.test>",
                                 body=b"body %d\r\n" % i)
    for i in range(2):
        yield f"copy-{i}", plain("equal to the byte", mid="<copy@a.test>")


def odd_bodies():
    yield "body-empty", plain("empty body", body=b"")
    yield "body-1", plain("one byte", body=b"x")
    yield "body-crlf", plain("only CRLF", body=b"\r\n")
    yield "body-bare-lf", b"Subject: bare LF\nFrom: a@a.test\n\none\ntwo\n"
    yield "body-mixed-ends", plain("mixed", body=b"a\nb\r\nc\n\r\nd")
    yield "body-bare-cr", plain("bare CR", body=b"a\rb\r\rc\r\n")
    yield "body-no-final-newline", plain("no end", body=b"last line")
    yield "body-8bit", plain("8 bit", body=bytes(range(128, 256)) + b"\r\n")
    yield "body-latin1", plain(
        "latin 1", body=b"Gr\xfc\xdfe\r\n",
        extra=[("Content-Type", "text/plain; charset=iso-8859-1")])
    yield "body-dots", plain("dots", body=b".\r\n..\r\n.x\r\n")
    yield "body-from", plain("From", body=b"From here on\r\n>From\r\n")
    yield "body-long-line", plain("long", body=b"y" * 100_000 + b"\r\n")
    yield "body-many-lines", plain("lines", body=b"z\r\n" * 20_000)
    yield "body-like-imap", plain(
        "like IMAP", body=b")\r\n* 1 EXISTS\r\nA1 OK done\r\n{10}\r\n")
    yield "body-64k-1", plain("64k", body=b"q" * 65_535)
    yield "body-128k", plain("128k", body=(b"0123456789abcde\n" * 8192)
                             .replace(b"\n", b"\r\n"))
    yield "body-mbox", b"From x@y Tue Nov 14 2023\r\n" + plain("mbox line")


def part(kind, data, extra=b""):
    return b"Content-Type: " + kind + b"\r\n" + extra + b"\r\n" + data


def multipart(parts, boundary=b"b", sub=b"mixed", close=True):
    body = b"".join(b"--" + boundary + b"\r\n" + p + b"\r\n" for p in parts)
    if close:
        body += b"--" + boundary + b"--\r\n"
    return (b"multipart/" + sub + b"; boundary=\"" + boundary + b'"', body)


def typed(subject, kind_body, **kw):
    kind, body = kind_body
    return plain(subject, body=body, extra=[
        ("MIME-Version", "1.0"), ("Content-Type", kind)], **kw)


def odd_structures():
    text = part(b"text/plain; charset=utf-8", "Grüße\r\n".encode())
    html = part(b"text/html", b"<p>Gr&uuml;&szlig;e</p>\r\n")
    yield "mime-alternative", typed(
        "alternative", multipart([text, html], sub=b"alternative"))
    inner = multipart([text], b"inner")
    for depth in range(60):
        inner = multipart([part(*inner)], b"d%d" % depth)
    yield "mime-deep", typed("61 levels", inner)
    yield "mime-wide", typed("300 parts", multipart([text] * 300))
    yield "mime-unclosed", typed("unclosed", multipart([text], close=False))
    yield "mime-no-parts", typed("no parts", (b"multipart/mixed; boundary=q",
                                              b"only a preamble\r\n"))
    yield "mime-no-boundary", typed("none", (b"multipart/mixed", b"--\r\n"))
    yield "mime-same-boundary", typed("same", multipart(
        [part(*multipart([text]))]))
    yield "mime-message", typed("a message in it", multipart(
        [part(b"message/rfc822", plain("the inner one"))]))
    yield "mime-digest", typed("digest", multipart(
        [b"\r\n" + plain(f"digest {i}") for i in range(3)], sub=b"digest"))
    yield "mime-bad-type", plain("bad type", extra=[
        ("Content-Type", ";;; / ; charset=\"unclosed")])
    names = (b'"../../etc/passwd"', b'"a/b\\\\c"', b'"=?utf-8?B?w7w=?=.pdf"',
             b'""', b'".."', b'"' + b"n" * 400 + b'.txt"', b'"con\x01trol"')
    yield "mime-names", typed("odd names", multipart([part(
        b"application/octet-stream", base64.b64encode(b"data") + b"\r\n",
        b"Content-Transfer-Encoding: base64\r\nContent-Disposition: "
        b"attachment; filename=" + name + b"\r\n") for name in names]))
    yield "mime-2231", typed("RFC 2231", multipart([part(
        b"text/plain", b"x\r\n", b"Content-Disposition: attachment;\r\n"
        b" filename*0*=utf-8''%C3%BC%20;\r\n filename*1=rest.txt\r\n")]))
    for name, how, data in (("qp", "quoted-printable", b"a=3D=\r\nb=ZZ\r\n"),
                            ("base64", "base64", b"!!!not!!!\r\n"),
                            ("uue", "x-uuencode", b"begin 644 x\r\nend\r\n"),
                            ("binary", "binary", b"\x80\x81\r\n")):
        yield f"mime-cte-{name}", plain(
            f"encoding {name}", body=data,
            extra=[("Content-Transfer-Encoding", how)])


def odd():
    """[(name, bytes)]: every oddity once; names are unique."""
    found = {}
    for maker in (odd_encoded_words, odd_raw_headers, odd_subjects,
                  odd_dates, odd_senders, odd_ids, odd_bodies,
                  odd_structures):
        for name, data in maker():
            while name in found:
                name += "-x"
            found[name] = data
    return list(found.items())


# Many and large.

def bulk(n, seed=1, body=300):
    """n plain messages; subjects of a few words, unique Message-IDs."""
    pick = random.Random(seed)
    for i in range(n):
        words = " ".join(pick.choices(WORDS, k=3))
        name = f"{pick.choice(WORDS)}.{pick.choice(WORDS)}"
        text = " ".join(pick.choices(WORDS, k=max(1, body // 7)))
        date = formatdate(START + i * 60)
        yield (f"From: {name}@example.test\r\nTo: alice@example.test\r\n"
               f"Subject: {words}\r\nDate: {date}\r\n"
               f"Message-ID: <{seed}.{i}@example.test>\r\n\r\n"
               f"{text}\r\n").encode()


def large(size, seed=1, subject="a large message"):
    """One message of exactly `size` bytes, in lines of base64."""
    head = plain(subject, body=b"", mid=f"<large.{seed}.{size}@a.test>",
                 extra=[("MIME-Version", "1.0"),
                        ("Content-Type", "application/octet-stream"),
                        ("Content-Transfer-Encoding", "base64")])
    pick = random.Random(seed)
    block = b"".join(base64.b64encode(pick.randbytes(57)) + b"\r\n"
                     for _ in range(4096))
    need = size - len(head)
    body = block * (need // len(block) + 1)
    body = body[:max(0, need - 2)] + b"\r\n"
    # A cut must not leave half of a line end.
    if body.endswith(b"\r\r\n"):
        body = body[:-3] + b"A\r\n"
    return head + body


# The demo account.

def letter(sender, subject, text, when, reply_to=None, files=(), html=None):
    """A well-formed message with everything a mail program would write."""
    m = EmailMessage()
    m["From"] = sender
    m["To"] = "Alice Example <alice@example.test>"
    m["Subject"] = subject
    m["Date"] = format_datetime(when)
    stamp = int(when.timestamp())
    m["Message-ID"] = f"<{stamp}.{abs(hash_of(subject)):x}@example.test>"
    if reply_to:
        m["In-Reply-To"] = m["References"] = reply_to
    m.set_content(text)
    if html:
        m.add_alternative(html, subtype="html")
    for name, data, kind in files:
        main, sub = kind.split("/")
        m.add_attachment(data, maintype=main, subtype=sub, filename=name)
    if m.is_multipart():
        # The library would draw a random boundary.
        m.set_boundary(f"==={stamp}===")
    return m


def hash_of(text):
    value = 5381
    for char in text:
        value = (value * 33 + ord(char)) & 0xffffffff
    return value


PIXEL = base64.b64decode(
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
    b"hgGAWjR9awAAAABJRU5ErkJggg==")
BOB, JUERGEN = "Bob Builder <bob@example.test>", \
    "Jürgen Müller <juergen@example.test>"
YAMADA, MARIA = "山田 太郎 <yamada@example.test>", \
    "Мария Иванова <maria@example.test>"
ZOE, SHOP = "Zoë Faßbinder <zoe@example.test>", \
    "The Paper Shop <orders@shop.example.test>"
THREADS = {
    "INBOX": [
        (BOB, "Hello world", 4, "The lighthouse is lit again.\n"),
        (ZOE, "Grüße aus Köln", 2, "Der Dom steht noch, der Zug nicht.\n"),
        (YAMADA, "東京からこんにちは", 2, "桜が咲きました。また来てください。\n"),
        (MARIA, "Привет из Казани", 1, "Погода прекрасная, приезжай!\n"),
        (JUERGEN, "Fahrräder & Brötchen", 1, "Samstag um neun am Fluss?\n"),
        ("Nguyễn Văn An <an@example.test>", "Công thức phở", 1,
         "Hầm xương mười hai giờ.\n"),
        (BOB, "Photo of the harbour", 1, "See the attachment.\n"),
    ],
    "Work": [
        (JUERGEN, "Quarterly report", 4, "Figures are attached as CSV.\n"),
        (ZOE, "Minutes of the meeting", 2, "We met, we agreed, we left.\n"),
    ],
    "Work/Clients": [
        (BOB, "Contract for the bridge", 4, "Three spans, two lanes.\n"),
        (YAMADA, "お見積もりの件", 2, "添付をご確認ください。\n"),
    ],
    "Travel": [
        ("Rail Office <tickets@rail.example.test>", "Your tickets", 1,
         "Seat 42, coach 7. The lighthouse line is closed in winter.\n"),
        (MARIA, "Казань: план поездки", 2, "Кремль, озеро, чай.\n"),
    ],
    "Receipts": [(SHOP, f"Order {n} is on its way", 1,
                  f"Paper, ink and {WORDS[n % len(WORDS)]}.\n")
                 for n in range(1041, 1049)],
    "Sent": [("Alice Example <alice@example.test>", "Re: Hello world", 2,
              "I can see it from here!\n")],
    "Drafts": [("Alice Example <alice@example.test>", "Recipe for Zoë", 1,
                "Flour, water, patience\n")],
}
FILES = {
    "Photo of the harbour": ("harbour.png", PIXEL, "image/png"),
    "Quarterly report": ("figures.csv",
                         b"month,boats\nJan,12\nFeb,15\nMar,21\n",
                         "text/csv"),
    "Contract for the bridge": ("Vertrag über die Brücke.txt",
                                "Drei Bögen, zwei Spuren.\n".encode(),
                                "text/plain"),
    "Your tickets": ("ticket.html", b"<h1>Seat 42</h1>\n", "text/html"),
}


def demo_thread(folder, thread, start):
    """One thread: a letter and its replies, to and fro, hours apart."""
    sender, subject, n, text = thread
    first = None
    for i in range(n):
        when = start + timedelta(hours=5 * i)
        who = sender if i % 2 == 0 else "Alice Example <alice@example.test>"
        m = letter(who, subject if i == 0 else "Re: " + subject,
                   text if i == 0 else f"> {text}\nAnswer {i}.\n", when,
                   first, [FILES[subject]] if i == 0 and subject in FILES
                   else ())
        first = first or m["Message-ID"]
        flags = ["\\Seen"] if (hash_of(subject) + i) % 3 else []
        if hash_of(subject) % 5 == 0 and i == 0:
            flags.append("\\Flagged")
        if folder == "Drafts":
            flags = ["\\Draft", "\\Seen"]
        data = m.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        yield data, flags, int(when.timestamp())


def demo(today=None):
    """About 40 messages; the newest is of `today` (epoch seconds)."""
    end = datetime.fromtimestamp(today or START, timezone.utc)
    boxes = {}
    for number, (folder, threads) in enumerate(THREADS.items()):
        boxes[folder] = []
        for i, thread in enumerate(threads):
            start = end - timedelta(days=(len(threads) - i) * 3 + number,
                                    minutes=hash_of(thread[1]) % 600)
            boxes[folder] += demo_thread(folder, thread, start)
    return boxes


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in odd():
        (folder / f"{name}.eml").write_bytes(data)
    print(f"{len(odd())} messages")


if __name__ == "__main__":
    main()
