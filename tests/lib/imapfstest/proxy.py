# SPDX-License-Identifier: GPL-3.0-or-later
"""The delay and fault proxy (testproxy, tests/lib/proxy.c) as an object.

    with Proxy(server.tls_port, rtt=50, rate=100) as link:
        url = server.url(port=link.port)
        link.cut("rst"); link.hole(); link.stats()["turns"]

Every command is answered before the method returns, so it is in force.
"""

import json
import os
import subprocess

from .util import end_process, popen, wait_for


class Proxy:
    def __init__(self, port, rtt=0, rate=0, host="127.0.0.1"):
        binary = os.environ["IMAPFS_TESTPROXY"]
        self._process = popen([binary, f"{host}:{port}", str(rtt),
                               str(rate)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self.host = "127.0.0.1"
        self.port = json.loads(self._process.stdout.readline())["port"]
        self.tls_port = self.plain_port = self.port

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def command(self, text):
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"testproxy: {answer['error']}")
        return answer

    def rtt(self, ms):
        """Round trip in milliseconds: half of it each way."""
        self.command(f"rtt {ms}")

    def rate(self, mbit):
        """Megabits a second, each way; 0: no limit."""
        self.command(f"rate {mbit}")

    def cut(self, how="rst"):
        """End every connection now, by `rst` or by `fin`."""
        self.command(f"cut {how}")

    def cutdown(self, n):
        """End each connection by RST when `n` more bytes went down."""
        self.command(f"cutdown {n}")

    def hole(self, on=True):
        """Nothing passes and nothing is accepted, but nothing is closed."""
        self.command(f"hole {int(on)}")

    def refuse(self, on=True):
        """New connections are refused (RST); the old ones go on."""
        self.command(f"refuse {int(on)}")

    def most(self, n):
        """At most `n` connections at a time: others get no answer."""
        self.command(f"most {n}")

    def stats(self):
        """down, up (bytes delivered), turns (answers followed by a new
        request: the round trips), connections, live."""
        return self.command("stats")

    def reset(self):
        self.command("reset")

    def wait_live(self, n, timeout=10):
        wait_for(lambda: self.stats()["live"] == n, timeout,
                 f"{n} connections through the proxy")

    def stop(self):
        if self._process.poll() is None:
            self._process.stdin.close()
            end_process(self.pid)
            self._process.wait(5)
        self._process.stdout.close()

    remove = stop
