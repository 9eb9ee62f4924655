# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of changes: the truth on the server, and when it is there.

    server, m = changing(env)              letters 0..9 in INBOX; Work, Trash
    os.rename(...)
    sent(m)                                all changes are on the server
    on_server(server, "Work") == {0: Letter(uid, flags, date)}
"""

import re
from collections import namedtuple

from .client import Client
from .letters import letter
from .util import wait_for

Letter = namedtuple("Letter", "uid flags date")
DATE = 1_600_000_000


def changing(env, count=10, flags=(), boxes=("Work",), options=(), server=None,
             url=None, **kw):
    """A server with letters in INBOX, each with a date of its own, and a mount
    of it (or of `url`, which leads there)."""
    server = server or env.dovecot()
    with Client(server) as c:
        for n in range(count):
            c.append("INBOX", letter(n), flags, DATE + 60 * n)
        for box in boxes:
            c.create(box)
    return server, env.mount(url or server, options=list(options), **kw)


def sent(m, timeout=30):
    """Wait until the mount has sent all, as a user would."""
    m.run(["sync", str(m.path / ".imapfs/queue")], cwd="/",
          timeout=timeout)


def wait_sent(m, timeout=40):
    """The same where connections are lost: sync(1) fails while there is none.
    """
    def is_sent():
        queue = m.status()["queue"]
        return not any(queue[key] for key in ("queued", "sent", "writing"))

    wait_for(is_sent, timeout, "all is sent")


def on_server(server, box):
    """{n: Letter} of the letters in a mailbox; each must be there once, with
    all its bytes."""
    found = {}
    with Client(server) as c:
        bodies, attributes = c.fetch(box), c.attributes(box)
    for uid, data in bodies.items():
        n = int(re.search(rb"^Subject: Letter (\d+)", data, re.M).group(1))
        assert n not in found, f"letter {n} is in {box} twice"
        assert data == letter(n), f"other bytes in letter {n}"
        a = attributes[uid]
        found[n] = Letter(uid, frozenset(a["flags"] - {"\\Recent"}),
                          a["date"])
    return found


def numbers(server, *boxes):
    """[sorted numbers] of each mailbox, as one list if there is one."""
    found = [sorted(on_server(server, box)) for box in boxes]
    return found if len(boxes) > 1 else found[0]


def errno_of(call, *args):
    """The error number of a call; 0: it worked."""
    try:
        call(*args)
    except OSError as error:
        return error.errno
    return 0
