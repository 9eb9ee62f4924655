# SPDX-License-Identifier: GPL-3.0-or-later
"""Read-ahead: who goes through a folder is followed, in few commands, every
body coming once; who does not, costs what he reads."""

import os
import random
import threading

from imapfstest import *
from imapfstest.letters import letter

SIZE = 6_000


def unlisted(env, count, size=SIZE, box="INBOX"):
    """A server with `count` letters, a link to it, and a mount."""
    server = env.dovecot()
    with Client(server) as c:
        if box != "INBOX":
            c.create(box)
        c.append_many(box, (letter(n, size=size) for n in range(count)))
    link = env.proxy(server)
    return server, link, env.mount(server.url(port=link.port))


def folder(env, count, size=SIZE, box="INBOX"):
    """The same, with the paths in the order of the listing, and the letters
    by path."""
    server, link, m = unlisted(env, count, size, box)
    with os.scandir(m.path / box) as entries:
        paths = [m.path / box / entry.name for entry in entries]
    truth = {m.path / box / name: letter(int(name.split("_Letter-")[1]
                                             .split("_")[0]), size=size)
             for name in (path.name for path in paths)}
    assert len(paths) == count
    server.forget_commands()
    link.reset()
    return server, link, m, paths, truth


def body_commands(server, m):
    """Ends both, since the server's log is whole only then."""
    m.unmount()
    server.stop()
    n = server.count(rb"UID FETCH .*BODY\.PEEK\[\]")
    assert n > 0, "the log shows no command"
    return n


def quiet(env, link):
    """Bytes that had come down when no more came."""
    last = [-1]

    def same():
        now = link.stats()["down"]
        was, last[0] = last[0], now
        return was == now
    env.wait_for(same, 20)
    return last[0]


def check_walk(env, order):
    count = 300
    server, link, m, paths, truth = folder(env, count)
    for path in order(paths):
        assert path.read_bytes() == truth[path]
    down = quiet(env, link)
    assert down < 1.1 * count * SIZE + 100_000, f"{down} bytes came"
    commands = body_commands(server, m)
    assert commands <= count / 4, f"{commands} commands for {count} bodies"


def test_in_the_order_of_the_listing(env):
    check_walk(env, lambda paths: paths)


def test_against_the_order_of_the_listing(env):
    check_walk(env, lambda paths: paths[::-1])


def test_jumping_over_some(env):
    """A reader that leaves messages out (grep by date) is still followed."""
    count = 300
    server, link, m, paths, truth = folder(env, count)
    for path in paths[::3]:
        assert path.read_bytes() == truth[path]
    assert body_commands(server, m) <= count / 6


def test_one_message_alone_fetches_nothing_else(env):
    server, link, m, paths, truth = folder(env, 50)
    assert paths[20].read_bytes() == truth[paths[20]]
    down = quiet(env, link)
    assert down < 2 * SIZE + 20_000, f"{down} bytes for one message"
    status = m.status()
    assert status["ahead"]["fetched"] == 0
    assert status["ahead"]["stored"] == 0
    assert body_commands(server, m) == 1


def test_the_first_of_a_listing_alone_fetches_nothing_else(env):
    """`cat` of the first one, behind an `ls`: two programs, and no walk."""
    server, link, m = unlisted(env, 50)
    first = m.run(["ls", "-U", "INBOX"]).lines[0]
    m.run(["cat", f"INBOX/{first}"])
    quiet(env, link)
    assert m.status()["ahead"]["fetched"] == 0
    assert body_commands(server, m) == 1


def test_who_lists_and_then_reads_is_followed_at_once(env):
    """One program that lists a folder and reads its first message goes
    through it: what follows comes along, as much as a window."""
    server, link, m = unlisted(env, 200)
    m.run(["python3", "-c", "import os\n"
           "names = [entry.name for entry in os.scandir('INBOX')]\n"
           "open(f'INBOX/{names[0]}', 'rb').read()"])
    m.wait_status(lambda s: s["ahead"]["fetched"] >= 8, 15,
                  "what follows the first has come")
    quiet(env, link)
    fetched = m.status()["ahead"]["fetched"]
    assert fetched <= 64, f"{fetched} of 200 beside the first"


def test_scattered_reads_fetch_what_they_read(env):
    count = 400
    server, link, m, paths, truth = folder(env, count)
    chosen = paths[::20]
    random.Random(4).shuffle(chosen)
    for path in chosen:
        assert path.read_bytes() == truth[path]
    down = quiet(env, link)
    assert down < 2 * len(chosen) * SIZE + 50_000, f"{down} bytes came"


def test_stops_when_nobody_reads(env):
    count = 1_500
    server, link, m, paths, truth = folder(env, count)
    for path in paths[:12]:
        assert path.read_bytes() == truth[path]
    quiet(env, link)
    fetched = m.status()["ahead"]["fetched"]
    assert fetched <= 600, f"{fetched} of {count} for 12 that were read"


def test_gives_the_kernel_a_window_at_most(env):
    """Bodies that are in the cache come without a line to slow them down:
    still no more of them than a window are ahead of who has stopped."""
    count, read, window = 1_500, 300, 512
    server, link, m, paths, truth = folder(env, count)
    m.run(["cat", *[str(path) for path in paths]])  # into the cache
    m.unmount()
    m.start()
    m.run(["ls", "-l", "INBOX"])
    for path in paths[:read]:
        assert path.read_bytes() == truth[path]
    last = [-1]

    def same():
        was, last[0] = last[0], m.status()["ahead"]["stored"]
        return was == last[0]
    env.wait_for(same, 20)
    assert 0 < last[0] <= read + window, f"{last[0]} stored for {read} read"


def test_two_readers_at_once(env):
    count = 400
    server, link, m, paths, truth = folder(env, count)
    wrong = []

    def walk(part):
        for path in part:
            if path.read_bytes() != truth[path]:
                wrong.append(path)
    halves = (paths[:count // 2], paths[count // 2:][::-1])
    threads = [threading.Thread(target=walk, args=(h,)) for h in halves]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    down = quiet(env, link)
    assert down < 1.15 * count * SIZE + 200_000, f"{down} bytes came"
    assert body_commands(server, m) <= count / 4


def test_a_walk_is_found_in_the_cache_by_the_next_mount(env):
    count = 200
    server, link, m, paths, truth = folder(env, count)
    m.run(["sh", "-c", "cat INBOX/*.eml"])
    m.unmount()
    server.stop()
    m.start()
    for path in paths:
        assert path.read_bytes() == truth[path]


def test_what_was_read_ahead_needs_no_request(env):
    """The kernel is given bodies before it asks: few READs for a walk."""
    count = 300
    server, link, m, paths, truth = folder(env, count)
    m.run(["cat", *[str(path) for path in paths]])  # into the cache
    m.unmount()
    m.start()
    m.run(["ls", "-l", "INBOX"])
    before = m.status()["requests"]["read"]
    for path in paths:
        assert path.read_bytes() == truth[path]
    reads = m.status()["requests"]["read"] - before
    assert reads < 0.7 * count, f"{reads} READs for {count} messages"


def test_large_messages_are_left_to_their_readers(env):
    server = env.dovecot()
    with Client(server) as c:
        for n in range(6):
            c.append("INBOX", letter(n, size=3_000_000))
    link = env.proxy(server)
    m = env.mount(server.url(port=link.port))
    names = sorted(m.messages())
    link.reset()
    for name in names[:3]:
        with open(m.path / "INBOX" / name, "rb") as f:
            f.read(1000)
    assert quiet(env, link) < 3_000_000


def test_connection_cut_while_reading_ahead(env):
    count = 300
    server, link, m, paths, truth = folder(env, count)
    made = -1
    for i, path in enumerate(paths):
        if i in (20, 90, 200):
            # One that is cut again and again while it connects is no line.
            env.wait_for(lambda: link.stats()["connections"] > made)
            m.wait_online()
            made = link.stats()["connections"]
            link.cut("rst")
        assert path.read_bytes() == truth[path]
