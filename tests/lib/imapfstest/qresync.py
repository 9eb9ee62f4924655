# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted server with QRESYNC, of which the test says what it names as gone.

    server, box = qresync_server(env, 5)    letters 1..5 in INBOX
    telling(server, b"2:3")                 from now on these have vanished
    touched(server, m)                      and the mount has heard it
"""

import os
import re

from .letters import letter
from .script import CAPABILITIES, Box, Msg


def folder(status, path):
    return next(f for f in status["folders"] if f["path"] == path)


def telling(server, vanished, messages=None):
    """`vanished` is what it names as gone; it says to have so many messages."""
    def examine(session, tag, command):
        answer = session.default(tag, command.split(b" (")[0])
        more = b"* OK [HIGHESTMODSEQ %d] next\r\n" % server.modseq
        if b"QRESYNC" in command and vanished:
            more += b"* VANISHED (EARLIER) " + vanished + b"\r\n"
        if messages is not None:
            answer = re.sub(rb"\d+ EXISTS", b"%d EXISTS" % messages, answer)
        return answer.replace(tag + b" OK", more + tag + b" OK")
    server.clear()
    server.on(rb"EXAMINE", examine)


def qresync_server(env, count):
    box = Box([Msg(n, letter(n)) for n in range(1, count + 1)])
    server = env.script({b"INBOX": box}, capabilities=(
        *(c for c in CAPABILITIES if c != b"IDLE"), b"CONDSTORE",
        b"QRESYNC"))
    server.modseq = 100
    telling(server, b"")
    return server, box


def touched(server, m):
    """INBOX was asked for since now."""
    before = server.count(rb"EXAMINE INBOX")
    server.modseq += 1
    os.utime(m.path / "INBOX")
    server.wait_for_command(rb"EXAMINE INBOX", times=before + 1)
    m.wait_status(lambda s: folder(s, "INBOX")["state"] == "known")
