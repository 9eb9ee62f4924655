# SPDX-License-Identifier: GPL-3.0-or-later
"""Two messages that are alike go into one folder from two places, and answers
are lost: none is lost, none is there twice."""

import os
import threading

from imapfstest import *
from imapfstest.changed import wait_sent
from imapfstest.letters import letter, numbered
from imapfstest.script import CAPABILITIES


def lost(session, tag, command):
    """Nothing was done."""
    session.close(rst=True)


def done(session, tag, command):
    """It was done, and nobody hears of it."""
    session.default(tag, command)
    session.close(rst=True)


def half(session, tag, command):
    """It was copied, and is in both places."""
    session.default(tag, command.replace(b"MOVE", b"COPY"))
    session.close(rst=True)


def late(session, tag, command):
    """It is done at once, and told a second later."""
    answer = session.default(tag, command)
    session.hang(1)
    return answer


def check(env, first, second, move=True):
    server = env.script(
        {b"INBOX": Box([Msg(1, letter(1))]), b"Other": Box([Msg(1, letter(1))]),
         b"Work": Box([Msg(1, letter(7))])},
        capabilities=[c for c in CAPABILITIES if move or c != b"MOVE"])
    both = threading.Barrier(2)

    def answer(session, tag, command):
        how = first if session.name == b"INBOX" else second
        both.wait(20 * slowdown())  # both are under way
        return how(session, tag, command)

    m = env.mount(server)
    for box in ("INBOX", "Other", "Work"):
        m.messages(box)
    server.on(rb"UID MOVE" if move else rb"UID COPY", answer, times=2)
    for n, box in enumerate(("INBOX", "Other")):
        path, = numbered(m, box).values()
        os.rename(path, m.path / "Work" / f"twin{n}.eml")
    wait_sent(m, 60)
    what = (first.__name__, second.__name__, move)
    with server.lock:
        there = {name: [msg.data for msg in box.messages]
                 for name, box in server.boxes.items()}
    assert there == {b"INBOX": [], b"Other": [],
                     b"Work": [letter(7), letter(1), letter(1)]}, (what, there)
    env.wait_for(lambda: len(m.messages("Work")) == 3, 20, f"{what}: shown")
    m.unmount()


@deadline(120)
@slow
def test_what_has_arrived_is_not_counted_for_another(env):
    check(env, lost, half)
    check(env, done, lost, move=False)


@deadline(120)
def test_what_is_told_late_is_not_found_by_another(env):
    check(env, done, late)
    check(env, late, lost, move=False)


@deadline(120)
def test_two_that_have_arrived_are_both_shown(env):
    check(env, done, done)
    check(env, half, half)
    check(env, done, done, move=False)
