# SPDX-License-Identifier: GPL-3.0-or-later
"""A message that is shorter than the server said. The kernel takes a short
answer for the end only if it has heard of no attributes since it asked, and
fills it up with zeros otherwise: nobody may ever see these."""

import os
import re
import signal
import sys
import threading

from imapfstest import *
from imapfstest.letters import letter

MB = 1 << 20


class Scene:
    """One message whose last part the server holds back until let_go()."""

    def __init__(self, env, said, real):
        self.data = letter(1, size=real)
        self.server = env.script({b"INBOX": Box([Msg(1, self.data,
                                                     size=said)])})
        self.real = real
        self.go, self.asked = threading.Event(), threading.Event()
        self.server.on(rb"UID FETCH .*BODY\.PEEK\[\]", self.answer)
        self.m = env.mount(self.server)
        self.path = self.m.path / "INBOX" / self.m.messages()[0]
        self.m.wait_watching()
        self.got = None

    def answer(self, session, tag, command):
        part = re.search(rb"<(\d+)\.(\d+)>", command)
        if not part or sum(map(int, part.groups())) > self.real:
            self.asked.set()
            self.go.wait(30)
        return session.default(tag, command)

    def read(self):
        self.got = self.path.read_bytes()

    def begin(self):
        """A reader that waits for the end."""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        assert self.asked.wait(30)
        self.m.wait_status(lambda s: s["parked"] > 0)

    def tell_of_a_star(self):
        """Until the kernel knows of it, somebody else's word on the file."""
        before = os.stat(self.path).st_mode
        with self.server.lock:
            self.server.boxes[b"INBOX"].messages[0].flags.add(b"\\Flagged")
        self.server.push(b"INBOX", b"* 1 FETCH (FLAGS (\\Flagged) UID 1)\r\n")
        wait_for(lambda: os.stat(self.path).st_mode != before, 20,
                 "the star is seen")

    def let_go(self):
        self.go.set()
        self.reader.join(30)
        assert self.got == self.data, \
            f"read {len(self.got or b'')} of {self.real} bytes"
        assert os.stat(self.path).st_size == self.real


def test_flags_that_change_while_the_end_is_waited_for(env):
    for said, real in ((90_000, 5000), (3 * MB, MB), (3 * MB, MB + 5000),
                       (MB + 1, MB)):
        s = Scene(env, said, real)
        s.begin()
        s.tell_of_a_star()
        s.let_go()


def test_who_asked_for_the_size_before_reads_nothing_behind_the_end(env):
    for said, real in ((90_000, 5000), (3 * MB, MB), (3 * MB, MB + 5000)):
        s = Scene(env, said, real)
        s.begin()
        with open(s.path, "rb", buffering=0) as second:
            assert os.fstat(second.fileno()).st_size == said
            s.let_go()
            assert os.pread(second.fileno(), 4096, said - 1000) == b""
            assert os.pread(second.fileno(), 4096, real - 10) == s.data[-10:]


MAPPED = """
import mmap, os, sys
with open(sys.argv[1], "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    data = m[:int(sys.argv[2])]
    os.write(1, data)
    at = (int(sys.argv[2]) + 4095) // 4096 * 4096
    os.write(2, m[at:at + 10])
"""


def test_mapped_memory_ends_where_the_message_does(env):
    for said, real in ((90_000, 5000), (3 * MB, MB), (3 * MB, MB + 5000)):
        data = letter(1, size=real)
        server = env.script({b"INBOX": Box([Msg(1, data, size=said)])})
        m = env.mount(server)
        path = m.path / "INBOX" / m.messages()[0]
        r = m.run([sys.executable, "-c", MAPPED, str(path), str(real)],
                  check=False)
        assert r.out == data, len(r.out)
        assert r.code == -signal.SIGBUS, (r.code, r.err)
