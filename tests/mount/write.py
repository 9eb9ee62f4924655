# SPDX-License-Identifier: GPL-3.0-or-later
"""New messages and scratch files, as they are before they are sent."""

import errno
import json
import mmap
import os
import subprocess
import time

from imapfstest import *
from imapfstest.letters import letter

TEXT = b"Subject: new\n\nHello\nworld\n"
CRLF = TEXT.replace(b"\n", b"\r\n")


def mounted(env, **kw):
    server = env.dovecot()
    with Client(server) as c:
        c.append("INBOX", letter(0))
        c.create("Work")
    return server, env.mount(server, **kw)


def test_basic(env):
    _, m = mounted(env)
    inbox = m.path / "INBOX"
    os.listdir(inbox)
    path = inbox / "new.eml"
    path.write_bytes(TEXT)
    assert path.read_bytes() == TEXT
    first = os.stat(path)
    assert first.st_size == len(TEXT)
    wait_for(lambda: os.stat(path).st_size == len(CRLF), 10, "it has CRLF")
    assert path.read_bytes() == CRLF
    assert os.stat(path).st_ino != first.st_ino
    print(m.log()[-3000:])
    print(m.status())
