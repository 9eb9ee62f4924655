#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file manager shows new mail without being asked to; see run.sh.

PCManFM has a folder of a mount open on a screen of its own (Xvfb), which
nobody touches. The picture must stand still; then another client delivers a
message, and later removes one, and the picture must change by itself each
time. The pictures are kept, to be looked at.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "lib"))

from alone import alone  # noqa: E402
from imapfstest import PUSHED, Client, wait_for  # noqa: E402
from imapfstest.letters import letter, numbered  # noqa: E402
from imapfstest.util import end_process, popen  # noqa: E402

SCREEN = "1100x500x24"
STILL_S = 3
CONFIG = """[ui]
always_show_tabs=0
max_tab_chars=32
win_width=1100
win_height=500
view_mode=list
show_hidden=0
sort=name;ascending;
side_pane_mode=hidden
show_statusbar=1
"""


class Screen:
    """Xvfb, and the file in which it keeps its picture (XWD)."""

    def __init__(self, folder):
        folder.mkdir()
        self._file = folder / "Xvfb_screen0"
        read, write = os.pipe()
        self._process = popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", SCREEN,
             "-nolisten", "tcp", "-fbdir", str(folder)], pass_fds=[write],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as source:
            number = source.readline().strip()
        if not number:
            raise AssertionError("Xvfb does not start")
        self.display = f":{number}"

    def rows(self):
        """The lines of the picture, three bytes a pixel."""
        data = self._file.read_bytes()
        head = struct.unpack(">25I", data[:100])
        size, width, height, line, colours = (head[0], head[4], head[5],
                                              head[12], head[19])
        at = size + 12 * colours
        found = []
        for y in range(height):
            row = data[at + y * line:at + y * line + 4 * width]
            pixels = bytearray(3 * width)
            # Least significant byte first: blue, green, red, nothing.
            for i, offset in enumerate((2, 1, 0)):
                pixels[i::3] = row[offset::4]
            found.append(bytes(pixels))
        return found

    def wait_still(self, timeout=60):
        """The picture that has not changed for STILL_S seconds."""
        state = {"rows": None, "since": 0.0}

        def still():
            rows, now = self.rows(), time.monotonic()
            if rows != state["rows"]:
                state.update(rows=rows, since=now)
            return now - state["since"] > STILL_S and rows

        return wait_for(still, timeout, "the picture stands still", step=0.2)

    def wait_change(self, old, timeout=PUSHED):
        wait_for(lambda: self.rows() != old, timeout,
                 "the picture changes by itself", step=0.1)
        return self.wait_still()

    def remove(self):
        end_process(self._process.pid)
        self._process.wait(5)


def save(rows, path):
    """As PNG."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + \
            struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0,
                       0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) +
                     chunk(b"IDAT", data) + chunk(b"IEND", b""))
    print(f"  {path}", flush=True)


def changed_lines(old, new):
    return [y for y, (a, b) in enumerate(zip(old, new)) if a != b]


class FileManager:
    def __init__(self, folder, screen, path):
        home = folder / "home"
        config = home / ".config/pcmanfm/default"
        config.mkdir(parents=True)
        (config / "pcmanfm.conf").write_text(CONFIG)
        env = {"DISPLAY": screen.display, "HOME": home, "GDK_BACKEND": "x11",
               "XDG_CONFIG_HOME": None, "XDG_RUNTIME_DIR": None,
               "DBUS_SESSION_BUS_ADDRESS": None}
        with (folder / "pcmanfm.log").open("wb") as log:
            self._process = popen(["pcmanfm", str(path)], env=env,
                                  stdout=log, stderr=log)

    def runs(self):
        return self._process.poll() is None

    def remove(self):
        end_process(self._process.pid)
        self._process.wait(5)


def look(env, out):
    server = env.dovecot()
    with Client(server) as c:
        uids = {n: c.append("INBOX", letter(n), ["\\Seen"])
                for n in range(6)}
    m = env.mount(server)
    watch = env.watch(m.path / "INBOX")
    paths = numbered(m)
    screen = env.keep(Screen(env.tmp / "screen"))
    empty = screen.wait_still()
    manager = env.keep(FileManager(env.tmp, screen, m.path / "INBOX"))
    before = screen.wait_change(empty)
    save(before, out / "1-before.png")

    begin = time.monotonic()
    with Client(server) as c:
        c.append("INBOX", letter(100, subject="Letter 100 is new"))
    after = screen.wait_change(before)
    save(after, out / "2-new-message.png")
    event = watch.events("CREATE", "_Letter-100-is-new_")[0]
    print(f"new message: told to watchers after {event.time - begin:.2f} s, "
          f"{len(changed_lines(before, after))} lines of the picture differ")

    with Client(server) as c:
        c.expunge("INBOX", uids[2])
    removed = screen.wait_change(after)
    save(removed, out / "3-removed.png")
    assert not paths[2].exists()
    print(f"removal: {len(changed_lines(after, removed))} lines differ")
    assert manager.runs(), "the file manager ended"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--binary", type=Path, required=True)
    p.add_argument("--out", type=Path, help="where the pictures go")
    o = p.parse_args()
    with alone("imapfs-desktop-run-", o.binary) as env:
        out = o.out or Path(tempfile.mkdtemp(prefix="imapfs-desktop-"))
        out.mkdir(exist_ok=True)
        print(f"pictures in {out}:", flush=True)
        look(env, out)
    print("1 passed, 0 failed, 0 skipped" if env.well else
          "0 passed, 1 failed, 0 skipped")
    sys.exit(not env.well)


if __name__ == "__main__":
    main()
