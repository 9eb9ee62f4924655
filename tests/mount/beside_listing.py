# SPDX-License-Identifier: GPL-3.0-or-later
"""While a huge folder is listed for the first time over a slow link, mail
arrives in it, and others list, look up and read there: each gets what it
asked for long before the end of the listing."""

import errno
import os
import re
import signal
import threading
import time

from imapfstest import *
from imapfstest.letters import letter, number, numbered

COUNT = 3000
MBIT = 1.5  # so that it takes five seconds
WINDOW = rb"\S+ FETCH (\d+):(\d+) .*HEADER"


class Listing:
    """Somebody who lists a folder, name by name."""

    def __init__(self, folder):
        self.folder, self.names = folder, []
        self.error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        # The end of a child of this test is for its main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    self.names.append(entry.name)
        except OSError as error:
            self.error = error

    def runs(self):
        return self._thread.is_alive()

    def has(self, n):
        wait_for(lambda: len(self.names) >= n or not self.runs(),
                 30, f"{n} names")
        return self.names[:n]

    def end(self, timeout=60):
        self._thread.join(timeout * slowdown())
        assert not self.runs(), f"no end after {len(self.names)} names"
        if self.error:
            raise self.error
        return self.names


def started(env, options=()):
    """(server, mount, a listing that has just begun); m.tap is what tells
    what was asked."""
    server = env.dovecot()
    with Client(server) as c:
        c.append_many("INBOX", map(letter, range(COUNT)))
        c.create("Other")
        c.append("Other", letter(1))
    link = env.proxy(server, rtt=20, rate=MBIT / min(slowdown(), 2))
    tap = env.tap(link, mask=["COMPRESS=DEFLATE"])
    m = env.mount(server.url(port=tap.port),
                  options=["timeout=20", *options])
    m.tap = tap
    listing = Listing(m.path / "INBOX")
    listing.has(50)
    assert listing.runs(), "it was over at once: nothing can be told"
    return server, m, listing


def beside(listing, what, function):
    """What comes back while the listing goes on did not wait for its end."""
    result = function()
    assert listing.runs(), f"{what} came only after the listing"
    return result


def lookups_and_readers(m, listing):
    folder = m.path / "INBOX"
    path, n = folder / listing.names[10], number(listing.names[10])
    assert beside(listing, "stat", path.stat).st_size == len(letter(n))
    assert beside(listing, "a reader", path.read_bytes) == letter(n)
    beside(listing, "an attribute",
           lambda: os.getxattr(path, "user.imap.flags"))
    beside(listing, "another folder", lambda: os.listdir(m.path / "Other"))
    data = beside(listing, "its mail", numbered(m, "Other")[1].read_bytes)
    assert data == letter(1)
    beside(listing, "the root", lambda: os.listdir(m.path))
    beside(listing, "the status", m.status)


@deadline(120)
def test_lookup_reader_and_second_ls_beside_a_listing(env):
    server, m, listing = started(env)
    second = Listing(m.path / "INBOX")
    beside(listing, "a second ls", lambda: second.has(50))
    lookups_and_readers(m, listing)
    assert len(listing.end()) == len(second.end()) == COUNT
    assert sorted(listing.names) == sorted(second.names)
    # On a slow line little is asked for at a time.
    asked = [re.match(WINDOW, line) for _, _, line in m.tap.commands()]
    rows = [int(w[2]) - int(w[1]) + 1 for w in asked if w]
    assert sum(rows) >= COUNT and max(rows) <= 250, rows


@deadline(120)
def test_new_mail_beside_a_listing(env):
    server, m, listing = started(env)
    watch = env.watch(m.path / "INBOX")
    with Client(server) as c:
        for n in range(COUNT, COUNT + 5):
            c.append("INBOX", letter(n))
    # What is told to watchers takes the folder's lock as a listing does:
    # nobody may stand still behind it.
    lookups_and_readers(m, listing)
    third = Listing(m.path / "INBOX")
    beside(listing, "a third ls", lambda: third.has(50))
    assert len(set(listing.end())) >= COUNT
    third.end()
    for n in range(COUNT, COUNT + 5):
        name = watch.wait("CREATE", f"_Letter-{n}_")
        assert (m.path / "INBOX" / name).read_bytes() == letter(n)
    assert watch.count("CREATE") == 5
    assert len(set(m.messages())) == COUNT + 5


@deadline(120)
def test_removals_and_flags_beside_a_listing(env):
    server, m, listing = started(env)
    with Client(server) as c:
        uids = c.uids("INBOX")
        listed, later = number(listing.names[25]), 100
        for n in (listed, later):
            c.expunge("INBOX", uids[n])
        c.store("INBOX", uids[later + 1], "+FLAGS", "\\Seen")
        c.store("INBOX", uids[listed - 1], "+FLAGS", "\\Seen")
    lookups_and_readers(m, listing)
    listing.end()
    env.wait_for(lambda: len(m.messages()) == COUNT - 2, PUSHED)
    paths = numbered(m)
    assert {listed, later}.isdisjoint(paths)
    for n in (later + 1, listed - 1):
        env.wait_for(lambda p=paths[n]: p.stat().st_mode & 0o777 == 0o644,
                     PUSHED, f"letter {n} is read")
    assert not (m.path / "INBOX" / listing.names[25]).exists()


@deadline(120)
def test_name_that_may_yet_come_is_waited_for_but_not_long(env):
    """Five seconds at most, and never an ENOENT that the kernel keeps."""
    server, m, listing = started(env)
    oldest = numbered_elsewhere(env, server)
    begin = time.monotonic()
    try:
        found = (m.path / "INBOX" / oldest).stat()
        assert found.st_size == len(letter(0))
    except OSError as error:
        assert error.errno == errno.ETIMEDOUT, error
        assert listing.runs(), "it was there, but did not come"
    assert time.monotonic() - begin < 5 * 1.5 * slowdown()
    assert not (m.path / "INBOX/never-ours").exists()
    listing.end()
    assert (m.path / "INBOX" / oldest).read_bytes() == letter(0)


def numbered_elsewhere(env, server):
    """The name of the oldest letter, by a mount over a fast link."""
    with Client(server) as c:
        c.create("Copy")
        c.append("Copy", letter(0))
    return numbered(env.mount(server), "Copy")[0].name
