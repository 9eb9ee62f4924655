# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes go out in few commands, and each is made once, whatever is lost."""

import os
import re
import time

from imapfstest import *
from imapfstest.changed import DATE, changing, numbers, on_server, sent
from imapfstest.letters import letter, numbered
from imapfstest.script import CAPABILITIES

MOVES = rb"UID (MOVE|COPY|STORE|EXPUNGE) "


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


def fill(server, count, boxes=("Work",)):
    with Client(server) as c:
        for n in range(count):
            c.append("INBOX", letter(n), [], DATE + 60 * n)
        for box in boxes:
            c.create(box)


@measure
@deadline(120)
def test_a_thousand_moves_are_few_commands(env):
    server = env.dovecot()
    fill(server, 1000)
    link = env.proxy(server, rtt=50)
    m = env.mount(server.url(port=link.port))
    m.messages("Work"), m.messages("INBOX")
    server.forget_commands()
    t0 = time.monotonic()
    m.run("mv INBOX/* Work/", timeout=60)
    open("/tmp/wt/journal.tmp/figures","a").write(repr(("mv", time.monotonic()-t0, open("/proc/loadavg").read())))
    link.reset()
    sent(m)
    assert link.stats()["turns"] <= 5
    assert server.count(MOVES) <= 6
    assert numbers(server, "INBOX", "Work") == [[], list(range(1000))]
    assert len(m.messages("Work")) == 1000 and not m.messages("INBOX")


@deadline(300)
@slow
def test_a_long_queue_made_offline_survives_remounts_and_goes_out(env):
    count = 10_000
    server = env.dovecot(format="maildir", start=False)
    store(server, (((data,), len(data)) for data in
                   (letter(n) for n in range(count))))
    server.start()
    with Client(server) as c:
        c.create("Work"), c.create("Home")
    m = env.mount(server)
    m.messages("Work"), m.messages("Home")
    paths = numbered(m)
    assert len(paths) == count
    server.stop()
    m.wait_offline()
    for n, path in paths.items():
        mixed(m, n, path)
    for _ in range(2):
        assert m.status()["queue"]["queued"] == count
        m.unmount()
        m.start()
    begin = time.monotonic()
    server.start()
    m.wait_online(40)
    t = time.monotonic()
    sent(m, 60)
    open("/tmp/wt/journal.tmp/figures","a").write(repr((time.monotonic() - begin, time.monotonic() - t, server.count(MOVES), server.count(b"."), open("/proc/loadavg").read())))
    found = {box: on_server(server, box)
             for box in ("INBOX", "Work", "Home", "Trash")}
    for n in range(count):
        box, flags = MIXED[n % len(MIXED)]
        assert found[box][n].flags >= flags, (n, box, found[box][n])
    assert sum(len(v) for v in found.values()) == count


# What becomes of message n: where it is in the end, and its flags.
MIXED = [("Work", set()), ("INBOX", {"\\Seen"}), ("Home", set()),
         ("INBOX", {"\\Flagged"}), ("Trash", set()),
         ("Work", {"\\Seen"}), ("INBOX", {"red"}), ("Home", {"\\Flagged"})]


def mixed(m, n, path):
    box, flags = MIXED[n % len(MIXED)]
    mode = 0o600 | (0o044 if "\\Seen" in flags else 0) | \
        (0o100 if "\\Flagged" in flags else 0)
    if mode != 0o600:
        os.chmod(path, mode)
    if "red" in flags:
        os.setxattr(path, "user.xdg.tags", b"red")
    if box == "Trash":
        os.unlink(path)
    elif box != "INBOX":
        os.rename(path, m.path / box / path.name)
