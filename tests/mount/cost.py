# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeping up costs: round trips and bytes, counted next to the mount
with a delay behind the counter. Few, and none that grow with the folder."""

import os
import time

from imapfstest import *
from imapfstest.letters import letter, numbered
from imapfstest.tap import Traffic

COUNT, CHANGES = 2000, 10
RTT = 60
NOTHING_TURNS, NOTHING_BYTES = 4, 10_000
# Received: ten rows with their headers, ten of flags, and some ranges.
CHANGED_BYTES = 5_000
EACH_FLAGS = 40  # bytes for each message, if all flags are asked for


def known(env):
    """A far server, with a folder that the mount's cache knows."""
    server = env.dovecot()
    with Client(server) as c:
        c.create("Kept")
        c.append_many("Kept", map(letter, range(COUNT)))
    tap = env.tap(env.proxy(server, rtt=RTT))
    m = env.mount(server.url(port=tap.port))
    assert len(m.messages("Kept")) == COUNT
    m.unmount()
    return server, tap, m


def remount(tap, m, mask=()):
    """When it began."""
    tap.hide(mask)
    begin = time.monotonic()
    m.start()
    return begin


@measure
def test_remount_with_nothing_changed_costs_four_round_trips(env):
    server, tap, m = known(env)
    begin = remount(tap, m)
    assert len(m.run(["ls", "Kept"]).lines) == COUNT
    after = tap.after_login(begin)
    assert after.turns <= NOTHING_TURNS, tap.commands(begin)
    assert after.bytes <= NOTHING_BYTES, after


def change(server):
    with Client(server) as c:
        uids = c.uids("Kept")
        gone, flagged = uids[100:100 + CHANGES], uids[50:50 + CHANGES]
        for uid in gone:
            c.expunge("Kept", uid)
        for uid in flagged:
            c.store("Kept", uid, "+FLAGS.SILENT", "\\Flagged")
        for n in range(COUNT, COUNT + CHANGES):
            c.append("Kept", letter(n))


def catches_up(env, mask):
    """Bytes of the line for a folder in which a few things changed."""
    server, tap, m = known(env)
    change(server)
    begin = remount(tap, m, mask)
    os.listdir(m.path / "Kept")
    shown = time.monotonic()
    paths = numbered(m, "Kept")
    assert sorted(paths) == [n for n in range(COUNT + CHANGES)
                             if not 100 <= n < 100 + CHANGES]
    assert all(paths[n].stat().st_mode & 0o777 == 0o700
               for n in range(50, 50 + CHANGES))
    asked = [(when, number) for when, number, line in tap.commands(begin)
             if b"Kept" in line and b"LIST" not in line]
    return Traffic([p for p in tap.passed(asked[0][0], shown).pieces
                    if p.number == asked[0][1]])


@measure
def test_few_changes_cost_few_bytes_by_qresync(env):
    traffic = catches_up(env, [])
    assert traffic.down <= CHANGED_BYTES, traffic


@measure
def test_few_changes_cost_few_bytes_by_condstore(env):
    traffic = catches_up(env, ["QRESYNC"])
    assert traffic.down <= CHANGED_BYTES, traffic


@measure
def test_few_changes_cost_a_line_each_message_without_condstore(env):
    traffic = catches_up(env, ["QRESYNC", "CONDSTORE", "ESEARCH"])
    assert traffic.down <= CHANGED_BYTES + EACH_FLAGS * COUNT, traffic
