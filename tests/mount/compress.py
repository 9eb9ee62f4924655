# SPDX-License-Identifier: GPL-3.0-or-later
"""A far server that can compress is asked to: the same bytes in the tree,
fewer on the wire. A near one is not. Reconnects resume the TLS session."""

import makemail
from imapfstest import *
from imapfstest.letters import letter

RTT = 20
MOUNTS = 8


def fill(server, n=60, size=30_000):
    """Letters that pack well, and every odd message; {uid: bytes}."""
    with Client(server) as client:
        client.append_many("INBOX", [letter(i, size=size) for i in range(n)],
                           date=1_600_000_000)
        for _, data in makemail.odd():
            client.append("INBOX", data)
        return client.fetch("INBOX")


def read_all(m):
    return {uid: path.read_bytes() for uid, path in m.by_uid().items()}


def compressed(m):
    """Of each connection that is logged in: does it compress?"""
    return [c["compressed"] for c in m.status()["connections"]
            if c["state"] in ("ready", "busy")]


def test_a_far_server_sends_the_same_in_fewer_bytes(env):
    server = env.dovecot(compress=True)
    truth = fill(server)
    link = env.proxy(server, rtt=RTT)
    m = env.mount(server.url(port=link.port))
    assert read_all(m) == truth
    assert compressed(m) and all(compressed(m)), m.status()
    assert ", compressed" in m.control("status")
    # What was counted is what went over the wire, TLS included.
    down = link.stats()["down"]
    total = sum(map(len, truth.values()))
    assert down < total / 3, (down, total)
    counted = sum(c["bytes_in"] for c in m.status()["connections"])
    assert down * 0.9 < counted <= link.stats()["down"], (down, counted)


@measure
def test_a_near_server_is_not_asked_to_compress(env):
    server = env.dovecot(compress=True)
    truth = fill(server, n=20)
    # A machine that is busy with other things can be as slow as a far server.
    for _ in range(MOUNTS):
        before = server.count(rb"COMPRESS")
        m = env.mount(server)
        assert read_all(m) == truth
        said, text = compressed(m), m.control("status")
        m.unmount()
        if server.count(rb"COMPRESS") == before:
            assert not any(said) and ", compressed" not in text
            return
    raise AssertionError(f"compressed each time: {m.log()}")


def test_a_far_server_that_cannot_compress_is_read_in_clear(env):
    server = env.dovecot()
    truth = fill(server, n=10)
    link = env.proxy(server, rtt=RTT)
    m = env.mount(server.url(port=link.port))
    assert read_all(m) == truth
    assert not any(compressed(m))
    assert server.count(rb"COMPRESS") == 0


def test_compression_comes_behind_starttls(env):
    server = env.dovecot(compress=True)
    truth = fill(server, n=10)
    link = env.proxy(server, rtt=RTT, port=server.plain_port)
    m = env.mount(server.url(tls=False, port=link.port))
    assert read_all(m) == truth
    assert compressed(m) and all(compressed(m))


def test_a_refusal_to_compress_is_no_error(env):
    data = letter(1)
    server = env.script({b"INBOX": Box([Msg(1, data)])})
    server.on(rb"CAPABILITY", b"* CAPABILITY IMAP4rev1 COMPRESS=DEFLATE\r\n"
              b"%TAG% OK done\r\n")
    server.on(rb"(LOGIN|AUTHENTICATE)", b"%TAG% OK in\r\n")
    server.on(rb"COMPRESS", b"%TAG% NO not today\r\n")
    link = env.proxy(server, rtt=RTT)
    m = env.mount(server.url(port=link.port))
    assert read_all(m) == {1: data}
    assert server.count(rb"COMPRESS DEFLATE") >= 1, server.commands
    assert not any(compressed(m))


def test_a_cut_loses_nothing_and_the_next_connection_is_quick(env):
    server = env.dovecot(compress=True)
    truth = fill(server)
    link = env.proxy(server, rtt=RTT)
    m = env.mount(server.url(port=link.port), options=["connections=1"])
    paths = m.by_uid()
    for n, (uid, path) in enumerate(paths.items()):
        if n == 40:  # what was read ahead needed no connection
            env.wait_for(lambda: m.log().count("is logged in") == 2, 20)
        if n in (20, 40):
            link.cut("rst")
        assert path.read_bytes() == truth[uid], path
    assert all(compressed(m))
    assert "TLS resumed, compressed" in m.log()
