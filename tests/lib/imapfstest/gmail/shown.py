# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a mount what the Gmail double holds? Messages are letters (letters.py)
and known by their numbers."""

import os
import re

from ..client import utf7_decode
from ..letters import number
from ..util import Timeout, wait_for


def where(message, server):
    """A message's place and labels, in words; "gone": it is nowhere."""
    if message.msgid not in server.account.messages:
        return "gone"
    labels = " ".join(sorted(label.decode() for label in message.labels))
    return f"{message.place}: {labels}".rstrip(": ")


def number_of(message):
    return int(re.search(rb"Subject: Letter (\d+)", message.data).group(1))


def _flags_of(path):
    return set(os.getxattr(path, "user.imap.flags").split()) - {b"\\Recent"}


def _in_folder(m, name, box):
    there, shown = {number_of(x): x for x in box.messages.values()}, {}
    for file in m.messages(name):
        if number(file) in shown:
            return [f"{name}: letter {number(file)} twice"]
        shown[number(file)] = m.path / name / file
    if set(shown) != set(there):
        return [f"{name}: shown {sorted(shown)}, not {sorted(there)}"]
    return [f"{name}: the flags or bytes of letter {n} are others"
            for n, path in shown.items()
            if _flags_of(path) != there[n].flags or
            path.read_bytes() != there[n].data]


def differences(m, server):
    """Lines that say in what the mount differs; none: it does not."""
    account = server.account
    boxes = {utf7_decode(name): box
             for name, box in account.mailboxes.items() if box.shown}
    parents = {"/".join(name.split("/")[:i]) for name in boxes
               for i in range(1, name.count("/") + 1)}
    try:
        shown = set(m.folders())
        wrong = [f"folder {name!r}: one has it, the other has not"
                 for name in shown ^ (set(boxes) | parents)]
        for name in shown & set(boxes):
            wrong += _in_folder(m, name, boxes[name])
        return wrong
    except OSError as error:
        return [f"walking the mount: {error}"]


def touch_all(m):
    """Ask for everything, as touch(1) does."""
    for top, _, _ in os.walk(m.path):
        try:
            os.utime(top)
        except OSError:
            pass


def wait_same(m, server, more=list, seconds=20):
    """Until there are no differences, and more() finds nothing wrong. What a
    server does not tell by itself is asked for."""
    wrong = []

    def look():
        if wrong:
            touch_all(m)
        wrong[:] = more() + differences(m, server)
        return not wrong

    try:
        wait_for(look, seconds, "all is the same", step=0.3)
    except Timeout:
        raise AssertionError("\n  ".join(wrong[:30])) from None
