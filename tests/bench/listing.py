#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bench: the first listing of a large folder, and memory for each message.

listing.py --build DIR [--messages N] [--rounds N] [--rtt MS] [--mbit N]

Fills one folder of a private Dovecot, puts a delay line in front of it, and
lists it in turns: a raw reader that asks for the same items over the same TLS
in one command and throws them away, and a fresh mount with an empty cache.
Prints medians and their ratio, round trips before the first name, and the
slope of RssAnon between a fifth of the messages and all of them, in fresh
processes.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from imapfstest.certs import Certs  # noqa: E402
from imapfstest.client import Client  # noqa: E402
from imapfstest.dovecot import Dovecot  # noqa: E402
from imapfstest.letters import letter  # noqa: E402
from imapfstest.mount import Mount  # noqa: E402
from imapfstest.proxy import Proxy  # noqa: E402

FIELDS = "DATE FROM TO CC SUBJECT MESSAGE-ID"
ITEMS = ("(UID FLAGS RFC822.SIZE INTERNALDATE "
         f"BODY.PEEK[HEADER.FIELDS ({FIELDS})])")


def subject(n):
    """Makes names of 60 bytes on average."""
    words = ("minutes of", "an offer for", "the report on", "a note about")
    return f"{words[n % 4]} item {n:06d}"


def fill(server, boxes):
    store = server.dir / "mail/alice/mail"
    for box, count in boxes.items():
        folder = store / box / "cur"
        folder.mkdir(parents=True)
        for name in ("new", "tmp"):
            (store / box / name).mkdir()
        for n in range(count):
            data = letter(n, subject=subject(n), sender=f"P {n % 97} "
                          "<p@example.com>")
            name = f"{1_700_000_000 + n}.M{n:06d}.b,S={len(data)}," \
                   f"W={len(data)}:2,"
            (folder / name).write_bytes(data)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{server.uid}:{server.uid}",
                        server.dir / "mail"], check=True)


def raw(build, server, link, certs, box):
    out = subprocess.run([build / "tests/rawreader", "localhost",
                          str(link.port), certs.ca, "alice", "wonder", box,
                          f"FETCH 1:* {ITEMS}"], check=True,
                         capture_output=True, text=True, timeout=600).stdout
    return float(out.split()[0]), int(out.split()[1])


def ours(tmp, server, link, certs, box, count):
    """Seconds from opendir to the end, turns to the first name, RssAnon."""
    with tempfile.TemporaryDirectory(dir=tmp) as folder:
        m = Mount(folder, server.url(port=link.port), cafile=certs.ca,
                  background=True)
        m.start()
        try:
            link.reset()
            began = time.monotonic()
            with os.scandir(m.path / box) as entries:
                next(entries)
                turns = link.stats()["turns"]
                n = 1 + sum(1 for _ in entries)
            seconds = time.monotonic() - began
            assert n == count, f"{n} names, not {count}"
            down = link.stats()["down"]
            return seconds, turns, m.rss_anon(), down
        finally:
            m.unmount()
            m.wait_end()


def main():
    arg = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arg.add_argument("--build", type=Path, required=True)
    arg.add_argument("--messages", type=int, default=100_000)
    arg.add_argument("--rounds", type=int, default=5)
    arg.add_argument("--rtt", type=int, default=50)
    arg.add_argument("--mbit", type=int, default=100)
    o = arg.parse_args()
    build = o.build.resolve()
    os.environ["IMAPFS_BINARY"] = str(build / "fs/mount.imapfs")
    os.environ["IMAPFS_TESTPROXY"] = str(build / "tests/testproxy")
    tmp = tempfile.mkdtemp(prefix="imapfs-bench-")
    os.chmod(tmp, 0o755)
    few = o.messages // 5
    boxes = {"Few": few, "Many": o.messages}
    server = link = None
    try:
        certs = Certs(Path(tmp) / "certs")
        server = Dovecot(Path(tmp) / "server", certs.valid, format="maildir",
                         special=(), start=False)
        fill(server, boxes)
        server.start()
        link = Proxy(server.tls_port, rtt=o.rtt, rate=o.mbit)
        for box in boxes:  # Dovecot builds its own index first
            raw(build, server, server_link(server), certs, box)
        times = {"raw": [], "ours": []}
        for i in range(o.rounds):
            seconds, raw_bytes = raw(build, server, link, certs, "Many")
            times["raw"].append(seconds)
            seconds, turns, many, down = ours(tmp, server, link, certs,
                                              "Many", o.messages)
            times["ours"].append(seconds)
            print(f"round {i + 1}: raw {times['raw'][-1]:.3f} s "
                  f"{raw_bytes} bytes, mount {seconds:.3f} s {down} bytes, "
                  f"{turns} round trips to the first name", flush=True)
        small = ours(tmp, server, link, certs, "Few", few)[2]
        a, b = (statistics.median(times[k]) for k in ("raw", "ours"))
        print(f"listing of {o.messages} at {o.rtt} ms, {o.mbit} Mbit/s: raw "
              f"reader {a:.3f} s, mount {b:.3f} s, ratio {b / a:.2f}")
        print(f"RssAnon: {small} bytes at {few}, {many} at {o.messages}: "
              f"{(many - small) / (o.messages - few):.1f} bytes a message")
    finally:
        if link:
            link.stop()
        if server:
            server.remove()
        shutil.rmtree(tmp, ignore_errors=True)


def server_link(server):
    """The server itself, where a link is wanted."""
    class Direct:
        port = server.tls_port
    return Direct


if __name__ == "__main__":
    main()
