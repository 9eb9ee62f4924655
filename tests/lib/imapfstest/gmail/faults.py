# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers for server.on() and server.at() that no client wants to hear.

With those of script.py (hang_in_literal, cut_after, slowly) they say when a
connection is lost: before the command was done, or after, unseen.
"""

import re

from . import texts


def lost_before(session, tag, command):
    """The connection ends; nothing was done."""
    session.close(rst=True)


def lost_after(session, tag, command):
    """It was done, and nobody hears of it."""
    session.default(tag, command)
    session.close(rst=True)


def cut_inside(session, tag, command):
    """It was done, and half of the answer arrives."""
    answer = session.default(tag, command)
    if answer:
        session.send(answer[:len(answer) // 2])
    session.close()


def hang_before(session, tag, command):
    session.hang()


def hang_after(session, tag, command):
    session.default(tag, command)
    session.hang()


def throttled(session, tag, command):
    """It was done, and the client is told to be slow."""
    answer = session.default(tag, command)
    return answer and re.sub(rb"( OK [^\r\n]*)\r\n\Z",
                             rb"\1 [THROTTLED]\r\n", answer)


def expired(session, tag, command):
    """Google ends the session instead of an answer."""
    session.send(texts.SESSION_EXPIRED)
    session.close()


def over_limits(session, tag, command):
    """The account is over its limits, and the connection ends."""
    session.send(texts.OVER_LIMITS.replace(b"%TAG%", tag))
    expired(session, tag, command)
