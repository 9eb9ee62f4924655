#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another client does, as a mount shows it, on servers of every kind.

    sh tests/soak/keepup.sh [--server cyrus|courier] [--only CHECK]

Each check has a mount of its own and says how long it took until the kernel
told a watcher. Folders but INBOX are watched where the server has NOTIFY; on
others they are asked when they are touched, or entered after a minute.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

from alone import alone  # noqa: E402
from imapfstest import Client, Timeout, popen, wait_for  # noqa: E402
from imapfstest.changed import on_server  # noqa: E402
from imapfstest.letters import letter, numbered  # noqa: E402
from imapfstest.named import NAMES, named_server  # noqa: E402
from summary import Summary, commit  # noqa: E402

COUNT = 8
TIMEOUT = 10  # of the mount
PATIENCE = 100  # until an event must have come
ASLEEP = 60
ENTERED = 61  # a folder is asked at most once a minute when it is entered


class Scene:
    """A server with two folders of letters, and a mount of it."""

    def __init__(self, env, name, unpacked, **options):
        self.env = env
        self.server = named_server(env, name, unpacked)
        with Client(self.server) as c:
            c.create(self.wire("Work"))
            for box in ("INBOX", "Work"):
                for n in range(COUNT):
                    c.append(self.wire(box), letter(n))
        self.link = env.proxy(self.server)
        self.m = env.mount(self.server.url(port=self.link.port), options=[
            f"timeout={TIMEOUT}", *options.get("options", ())])
        for box in ("INBOX", "Work"):
            assert len(numbered(self.m, self.folder(box))) == COUNT
        self.m.wait_watching()

    def wire(self, box):
        return box if box == "INBOX" else self.server.prefix + box

    def folder(self, box):
        return "/".join(self.wire(box).split(self.server.separator))

    def path(self, box):
        return self.m.path / self.folder(box)

    def watch(self, box):
        return self.env.watch(self.path(box))

    def has_notify(self):
        return any(c["state"] == "notify"
                   for c in self.m.status()["connections"])

    def uid(self, box, n):
        return on_server(self.server, self.wire(box))[n].uid

    def check(self, box):
        """What is shown is what the server has."""
        def differs():
            there = on_server(self.server, self.wire(box))
            shown = numbered(self.m, self.folder(box))
            return there.keys() == shown.keys() and all(
                bool(shown[n].stat().st_mode & 0o100) ==
                ("\\Flagged" in there[n].flags) for n in shown)
        wait_for(differs, PATIENCE, f"{box} is as on the server")


def told(s, box, ask=lambda: None):
    """Of a new message, a flag and a removal; how soon, in words."""
    watch, times = s.watch(box), []
    wire = s.wire(box)

    def once(kind, n, work):
        seen = watch.count(kind, f"_Letter-{n}_")
        with Client(s.server) as c:
            begin = time.monotonic()
            work(c)
        ask()
        name = watch.wait(kind, f"_Letter-{n}_", PATIENCE, seen + 1)
        event = watch.events(kind, f"_Letter-{n}_")[seen]
        times.append(f"{kind} {event.time - begin:.2f} s")
        return s.path(box) / name

    path = once("CREATE", 100, lambda c: c.append(wire, letter(100)))
    assert path.read_bytes() == letter(100)
    once("ATTRIB", 1, lambda c: c.store(wire, s.uid(box, 1), "+FLAGS.SILENT",
                                        "\\Flagged"))
    assert numbered(s.m, s.folder(box))[1].stat().st_mode & 0o100
    once("DELETE", 2, lambda c: c.expunge(wire, s.uid(box, 2)))
    s.check(box)
    watch.remove()
    return ", ".join(times)


def pushed(make):
    """INBOX is watched: events with the right names, read at once."""
    return told(make(), "INBOX")


def second_folder(make):
    """Another folder: by NOTIFY, else when it is touched."""
    s = make()
    if s.has_notify():
        return "by NOTIFY: " + told(s, "Work")
    return "when touched: " + told(s, "Work",
                                   lambda: os.utime(s.path("Work")))


def entered(make):
    """Who lists a folder after a minute sees what came, at the latest when
    he lists it again."""
    s = make()
    time.sleep(ENTERED)
    with Client(s.server) as c:
        c.append(s.wire("Work"), letter(100))
    at_once = 100 in numbered(s.m, s.folder("Work"))
    begin = time.monotonic()
    wait_for(lambda: 100 in numbered(s.m, s.folder("Work")), PATIENCE,
             "the new one is listed")
    return ("the first listing has it" if at_once else
            f"listed {time.monotonic() - begin:.2f} s after the first listing")


def folders(make):
    """Made, renamed and deleted elsewhere, once the root is touched."""
    s = make()

    def shows(work, *names):
        with Client(s.server) as c:
            work(c)
        begin = time.monotonic()
        os.utime(s.m.path)
        wait_for(lambda: [s.path(n).is_dir() for n in ("One", "Two")] ==
                 [n in names for n in ("One", "Two")], PATIENCE,
                 f"the folders are {names}")
        return f"{time.monotonic() - begin:.2f} s"

    return "shown after " + ", ".join((
        shows(lambda c: c.create(s.wire("One")), "One"),
        shows(lambda c: c.rename_box(s.wire("One"), s.wire("Two")), "Two"),
        shows(lambda c: c.delete_box(s.wire("Two")))))


def remounted(make):
    """Changes between two mounts of one cache."""
    s = make()
    inodes = {n: p.stat().st_ino for n, p in numbered(s.m).items()}
    s.m.unmount()
    with Client(s.server) as c:
        c.append("INBOX", letter(100))
        c.store("INBOX", s.uid("INBOX", 1), "+FLAGS.SILENT", "\\Flagged")
        c.expunge("INBOX", s.uid("INBOX", 2))
    s.m.start()
    begin = time.monotonic()
    s.check("INBOX")
    shown = numbered(s.m)
    assert all(shown[n].stat().st_ino == inodes[n] for n in shown
               if n in inodes)
    assert shown[100].read_bytes() == letter(100)
    return f"as the server after {time.monotonic() - begin:.2f} s"


def read_only(make):
    s = make(options=("ro",))
    return told(s, "INBOX")


def silence(make):
    """The line says nothing for longer than any time-out."""
    s = make()
    watch = s.watch("INBOX")
    s.link.hole()
    begin = time.monotonic()
    reader = popen(["cat", str(numbered(s.m)[5])], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    code = reader.wait(3 * TIMEOUT)
    spent = time.monotonic() - begin
    assert code == 1, "read over a dead link"
    with Client(s.server) as c:
        c.append("INBOX", letter(100))
    time.sleep(3 * TIMEOUT)
    s.link.hole(False)
    begin = time.monotonic()
    watch.wait("CREATE", "_Letter-100_", PATIENCE)
    back = time.monotonic() - begin
    assert numbered(s.m)[5].read_bytes() == letter(5)
    s.check("INBOX")
    return f"a reader failed after {spent:.1f} s, told {back:.1f} s after it"


def asleep(make):
    """The program stands still for a minute, as in a suspended machine."""
    s = make()
    watch, pid = s.watch("INBOX"), s.m.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with Client(s.server) as c:
            c.append("INBOX", letter(100))
            c.expunge("INBOX", s.uid("INBOX", 2))
        time.sleep(ASLEEP)
    finally:
        os.kill(pid, signal.SIGCONT)
    begin = time.monotonic()
    watch.wait("CREATE", "_Letter-100_", PATIENCE)
    watch.wait("DELETE", "_Letter-2_", PATIENCE)
    spent = time.monotonic() - begin
    s.check("INBOX")
    return f"told {spent:.1f} s after it woke"


CHECKS = (pushed, second_folder, entered, folders, remounted, read_only,
          silence, asleep)


def options():
    names = [check.__name__ for check in CHECKS]
    p = argparse.ArgumentParser()
    p.add_argument("--server", choices=NAMES, default="dovecot")
    p.add_argument("--unpacked", type=Path, metavar="FOLDER",
                   help="where the packages of cyrus or courier are")
    p.add_argument("--only", choices=names, action="append")
    p.add_argument("--summary", type=Path)
    p.add_argument("--binary", required=True)
    p.add_argument("--testproxy", required=True)
    return p.parse_args()


def one(o, check, env, summary):
    scenes = []

    def make(**kw):
        scenes.append(Scene(env, o.server, o.unpacked, **kw))
        return scenes[-1]

    try:
        summary.say(f"{check.__name__}: fine, {check(make)}")
        scenes[0].m.unmount()
        return True
    except (AssertionError, OSError, Timeout) as error:
        traceback.print_exc()
        summary.say(f"{check.__name__}: FAILED: {error}")
        if scenes:
            print(scenes[0].m.log()[-3000:])
        return False


def main():
    o = options()
    summary = Summary(o.summary, f"{o.server}, commit {commit()}")
    with alone("imapfs-keepup-", o.binary, o.testproxy) as env:
        checks = [check for check in CHECKS
                  if not o.only or check.__name__ in o.only]
        summary.end(len(checks), [check.__name__ for check in checks
                                  if not one(o, check, env, summary)])
    return not env.well


if __name__ == "__main__":
    sys.exit(main())
