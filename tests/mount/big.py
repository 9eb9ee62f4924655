# SPDX-License-Identifier: GPL-3.0-or-later
"""Large folders and large messages: all of it right, few round trips, and
little memory. The mail is written straight into the server's store."""

import hashlib
import os
import re

from imapfstest import *
from imapfstest.letters import letter, store

MB = 1 << 20


def filled_server(env, count):
    server = env.dovecot(format="maildir", special=(), start=False)
    store(server, (((data,), len(data)) for data in
                   (letter(n) for n in range(1, count + 1))))
    server.start()
    with Client(server) as c:  # Dovecot builds its own index
        assert c.select("INBOX") == count
        c._uid("FETCH", "1:*", "(RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE "
               "FROM TO CC SUBJECT MESSAGE-ID)])")
    return server


@deadline(180)
@slow
def test_twenty_thousand_messages(env):
    count = 20_000
    server = filled_server(env, count)
    link = env.proxy(server, rtt=50, rate=100)
    m = env.mount(server.url(port=link.port))
    os.listdir(m.path)
    m.wait_watching()  # it has round trips of its own
    link.reset()
    names = []
    with os.scandir(m.path / "INBOX") as entries:
        names.append(next(entries).name)
        turns = link.stats()["turns"]
        assert turns <= 4, f"{turns} round trips before the first name"
        names += [entry.name for entry in entries]
    found = [int(re.search(r"_Letter-(\d+)_", name).group(1))
             for name in names]
    assert sorted(found) == list(range(1, count + 1))
    assert found[:50] == list(range(count, count - 50, -1)), "newest first"
    numbers = dict(zip(found, names))
    for n in range(1, count + 1, 997):
        path = m.path / "INBOX" / numbers[n]
        assert os.stat(path).st_size == len(letter(n))
        assert path.read_bytes() == letter(n)
    listed = set(names)
    m.unmount()
    server.stop()
    m.start()
    assert set(m.messages()) == listed, "the cache has another listing"


@deadline(120)
@slow
def test_lookup_during_a_first_listing(env):
    """A name far down the folder is found as soon as it has come."""
    count = 5_000
    server = filled_server(env, count)
    m = env.mount(server)
    name = next(n for n in m.messages() if "_Letter-3_" in n)
    fresh = env.mount(server)
    assert (fresh.path / "INBOX" / name).read_bytes() == letter(3)
    assert not os.path.exists(fresh.path / "INBOX" /
                              name.replace("Letter-3", "Letter-x"))


def large_message(mib):
    """Chunks of 1 MiB, no two alike, CRLF lines, a header in front."""
    head = (b"Subject: Large\r\nFrom: Big <b@example.com>\r\n"
            b"Message-ID: <large@example.com>\r\n\r\n")
    first = head + b"x" * (62 - len(head) % 64) + b"\r\n"
    yield first + large_chunk(0)[len(first):]
    for n in range(1, mib):
        yield large_chunk(n)


def large_chunk(n):
    line = b"%08d " + b"abcdefghijklmnopqrstuvwxyz" * 2 + b"z\r\n"
    return b"".join(line % (n * 16384 + i) for i in range(16384))


def with_large_message(env, mib):
    assert len(large_chunk(1)) == MB
    server = env.dovecot(format="maildir", special=(), start=False)
    store(server, [(large_message(mib), mib * MB)])
    server.start()
    return server


@deadline(180)
@slow
def test_200_megabytes_in_parts(env):
    size = 200
    server = with_large_message(env, size)
    link = env.proxy(server)
    m = env.mount(server.url(port=link.port))
    name = m.messages()[0]
    path = m.path / "INBOX" / name
    assert os.stat(path).st_size == size * MB
    link.reset()
    first = m.run(["head", "-c", "100", str(path)]).out
    assert first == next(large_message(1))[:100]
    down = link.stats()["down"]
    assert down < MB, f"{down} bytes for the first 100"

    before = m.rss_anon()
    most, wanted, got = 0, hashlib.sha256(), hashlib.sha256()
    with open(path, "rb", buffering=0) as f:
        for n, chunk in enumerate(large_message(size)):
            wanted.update(chunk)
            got.update(read_exactly(f, MB))
            if n % 10 == 0:
                most = max(most, m.rss_anon())
        assert f.read(1) == b""
    assert got.digest() == wanted.digest()
    grown = (most - before) / MB
    assert grown < 16 * slowdown() ** 2, f"RssAnon grew by {grown:.1f} MB"

    m.unmount()
    server.stop()
    m.start()
    assert m.run(["sha256sum", str(path)], timeout=60).text.split()[0] == \
        wanted.hexdigest(), "the cache has other bytes"


def read_exactly(f, n):
    parts = []
    while n > 0:
        part = f.read(n)
        assert part, "the file ends early"
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


@deadline(120)
def test_random_reads_of_a_large_message(env):
    size = 20
    server = with_large_message(env, size)
    m = env.mount(server)
    path = m.path / "INBOX" / m.messages()[0]
    truth = b"".join(large_message(size))
    with open(path, "rb", buffering=0) as f:
        for at in (size * MB - 10, 7 * MB - 3, 0, 13 * MB + 77, 3 * MB,
                   size * MB - 1):
            f.seek(at)
            want = truth[at:at + 5000]
            assert f.read(5000)[:len(want)] == want, at
    assert path.read_bytes() == truth


@deadline(120)
def test_cache_size_bounds_the_bodies(env):
    server = env.script({b"INBOX": Box([Msg(n, letter(n, size=100_000))
                                        for n in range(1, 101)])})
    m = env.mount(server, options=["cache_size=3M"])
    m.run("cat INBOX/*", timeout=40)

    def used():
        total = 0
        for top, _, files in os.walk(m.cache):
            for name in files:
                if not name.startswith("index.db"):
                    total += os.stat(os.path.join(top, name)).st_blocks * 512
        return total
    env.wait_for(lambda: used() < 4_500_000, 10)
    for name in m.messages():
        n = int(re.search(r"_Letter-(\d+)_", name).group(1))
        data = (m.path / "INBOX" / name).read_bytes()
        assert data == letter(n, size=100_000)


def test_message_larger_than_the_cache(env):
    data = letter(1, size=3_000_000)
    server = env.script({b"INBOX": Box([Msg(1, data)])})
    m = env.mount(server, options=["cache_size=1M"])
    path = m.path / "INBOX" / m.messages()[0]
    assert m.run(["cat", str(path)]).out == data


def test_parts_that_come_in_another_order_are_kept(env):
    """A server may answer what is in flight in any order. The last part to be
    asked for has none beside it: then the next message is read."""
    data = letter(1, size=MB)
    server = env.script({b"INBOX": Box([Msg(n, data) for n in range(1, 11)])})
    kept, left = [], {}

    def swap(session, tag, command):
        answer = session.default(tag, command)
        uid, offset, n = map(int, re.search(
            rb"FETCH (\d+) .*<(\d+)\.(\d+)>", command).groups())
        left[uid] = left.get(uid, MB) - min(n, MB - offset)
        if offset == 0 or kept == [None] or not kept and left[uid] <= 0:
            return answer
        if not kept:
            kept.append(answer)
            return b""
        first, kept[0] = kept[0], None
        return [answer, first]

    server.on(rb"UID FETCH .*BODY\.PEEK\[\]<", swap)
    m = env.mount(server)
    for name in m.messages():
        path = m.path / "INBOX" / name
        assert path.read_bytes() == data
        if kept == [None]:
            break
    assert kept == [None], "no two parts were in flight"
    m.unmount()
    server.stop()
    m.start()
    assert path.read_bytes() == data
