#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of demo.sh that talks to servers: demo.py start|stop FOLDER.

start: a private Dovecot with sample mail in FOLDER, left running; prints the
URL of the account. stop: unmounts FOLDER/mail, ends the program and the
server, deletes FOLDER; fine if there is nothing.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import makemail  # noqa: E402
from imapfstest import Certs, Client, Dovecot, Timeout, run  # noqa: E402
from imapfstest.mount import detach  # noqa: E402
from imapfstest.util import (alive, children, end_process,  # noqa: E402
                             mounts_under, wait_for)


def fill(server):
    with Client(server) as client:
        for folder, letters in makemail.demo(int(time.time())).items():
            if folder not in client.list():
                client.create(folder)
            client.subscribe(folder)
            for data, flags, date in letters:
                client.append(folder, data, flags, date)


def start(folder):
    certs = Certs(folder / "certs")
    server = Dovecot(folder / "dovecot", certs.valid)
    (folder / "server.pid").write_text(str(server.pid))
    fill(server)
    print(server.url())


def is_ours(pid, folder):
    """The number may have gone to another process since."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return bytes(folder) in line


def stop_mount(folder):
    path = folder / "mail"
    pid = None
    if any(point == str(path) for point, _ in mounts_under(folder)):
        try:
            text = run(["cat", str(path / ".imapfs" / "status.json")],
                       timeout=5).text
            pid = json.loads(text)["pid"]
        except (AssertionError, ValueError, KeyError):
            pass
        args = ["umount", str(path)] if os.geteuid() == 0 else \
            ["fusermount3", "-u", str(path)]
        if run(args, check=False).code != 0:
            detach(path)
    if pid and alive(pid):
        try:
            wait_for(lambda: not alive(pid), 10)
        except Timeout:
            end_process(pid)


def stop(folder):
    stop_mount(folder)
    try:
        pid = int((folder / "server.pid").read_text())
    except (OSError, ValueError):
        pid = 0
    if pid and is_ours(pid, folder):
        everyone = children(pid)
        end_process(pid)
        for other in everyone:
            end_process(other)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]](Path(sys.argv[2]))
