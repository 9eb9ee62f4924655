# SPDX-License-Identifier: GPL-3.0-or-later
"""The test kit itself: what the other tests lean on holds."""

import contextlib
import os
import socket
import ssl
import threading
import time

import makemail
from imapfstest import *


def test_dovecot_runs_without_root_and_restarts_with_its_mail(env):
    server = env.dovecot(format="maildir", separator=".")
    with Client(server) as client:
        client.create("Entwürfe & mehr")
        uid = client.append("INBOX", b"Subject: x\r\n\r\nhi\r\n",
                            ["\\Seen"], 1_000_000_000)
        got = client.attributes("INBOX")[uid]
    assert got == {"size": 18, "flags": got["flags"], "date": 1_000_000_000}
    assert all(os.stat(f"/proc/{pid}").st_uid != 0 for pid in server.pids())
    server.stop()
    server.start()
    with Client(server, tls=False) as client:
        assert "Entwürfe & mehr" in client.list()
        assert client.fetch("INBOX") == {1: b"Subject: x\r\n\r\nhi\r\n"}


def test_dovecot_takes_every_made_message(env):
    letters = makemail.odd()
    assert letters == makemail.odd(), "not the same bytes twice"
    assert len({name for name, _ in letters}) == len(letters)
    with Client(env.dovecot()) as client:
        for _, data in letters:
            client.append("INBOX", data)
        assert len(client.uids("INBOX")) == len(letters)


def test_scripted_server_satisfies_an_independent_client(env):
    boxes = {b"INBOX": Box([Msg(i, b"Subject: %d\r\n\r\nbody\r\n" % i)
                            for i in range(1, 20)]),
             b"A/&AOQ-": Box()}
    server = env.script(boxes)
    with Client(server) as client:
        assert set(client.list()) == {"INBOX", "A/ä"}
        assert client.fetch("INBOX")[3] == b"Subject: 3\r\n\r\nbody\r\n"
        client.move("INBOX", 3, "A/ä")
        client.expunge("INBOX", 4)
        assert {3, 4}.isdisjoint(client.uids("INBOX"))
        assert client.uids("A/ä") == [1]
    assert server.count(rb"UID MOVE") == 1


def test_scripted_server_that_stopped_has_no_connection_left(env):
    """Not one either whose TLS was not ready when it stopped."""
    server = env.gmail()
    context = ssl.create_default_context(cafile=str(env.certs.ca))
    coming = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    wait_for(lambda: server.connections == 1)
    server.stop()
    server.start()
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError), \
            context.wrap_socket(coming, server_hostname="localhost") as s:
        assert s.recv(100) == b""
    assert server.sessions() == []


def test_tap_reads_the_line_hides_and_loses(env):
    server = env.dovecot()
    tap = env.tap(server, mask=["NOTIFY", "QRESYNC"])
    client = Client(tap)
    assert {"NOTIFY", "QRESYNC"}.isdisjoint(client.imap.capabilities)
    assert "IDLE" in client.imap.capabilities
    client.append("INBOX", b"Subject: NOTIFY\r\n\r\nCAPABILITY NOTIFY\r\n")
    assert client.fetch("INBOX")[1].endswith(b"CAPABILITY NOTIFY\r\n")
    assert tap.count(rb"APPEND") == 1 and tap.count(rb"UID FETCH") == 1
    assert tap.first(rb"CAPABILITY NOTIFY") < time.monotonic()
    assert tap.after_login().turns == 5, tap.commands()
    tap.lose()
    client.imap.sock.settimeout(1)
    try:
        client.imap.noop()
    except (OSError, client.imap.error):
        pass
    else:
        raise AssertionError("a lost connection answers")
    assert Client(tap).uids("INBOX") == [1]


def fastest(call):
    """The shortest of a few tries, in seconds: a machine that is busy with
    other things makes some of them longer, none shorter."""
    took = []
    for _ in range(5):
        begin = time.monotonic()
        call()
        took.append(time.monotonic() - begin)
    return min(took)


@measure
def test_connections_through_a_proxy_share_its_rate(env):
    letter = makemail.large(2_000_000)
    server = env.script({b"INBOX": Box([Msg(1, letter)])})
    link = env.proxy(server, rate=100)
    clients = [Client(link) for _ in range(3)]

    def fetch():
        threads = [threading.Thread(target=client.fetch, args=("INBOX",))
                   for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    wire = 3 * len(letter) * 8 / 100e6
    assert wire <= fastest(fetch) < 2.5 * wire


@measure
def test_proxy_delays_limits_and_cuts(env):
    letter = makemail.large(2_000_000)
    server = env.script({b"INBOX": Box([Msg(1, letter)])})
    link = env.proxy(server, rtt=50)
    client = Client(link)
    assert 0.050 <= fastest(client.imap.noop) < 0.080
    link.rate(100)
    assert client.fetch("INBOX") == {1: letter}
    assert 0.25 < fastest(lambda: client.fetch("INBOX")) < 0.60
    link.reset()
    client.imap.noop()
    assert link.stats()["turns"] == 1
    link.cut("rst")
    link.wait_live(0)
    link.rtt(0)
    link.rate(0)
    link.cutdown(100_000)
    client = Client(link)
    try:
        client.fetch("INBOX")
    except (OSError, client.imap.error):
        return
    raise AssertionError("the connection was not cut")
