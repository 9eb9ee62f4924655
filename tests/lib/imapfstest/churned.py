# SPDX-License-Identifier: GPL-3.0-or-later
"""Many changes by another client while others read: at the end the tree is what
the server has, and nobody met anything but what was gone."""

from .churn import Churn, mail
from .client import Client
from .endstate import (check_mounts, check_names, truth, wait_pushed,
                       wait_settled)
from .walker import Readers


def filled(env, count=150, **kw):
    server = env.dovecot(**kw)
    with Client(server) as c:
        for box in ("INBOX", "Archive", "A", "B", "Büro"):
            if box not in c.list():
                c.create(box)
        c.append_many("INBOX", map(mail, range(1, count)))
        c.append_many("Archive", map(mail, range(count, count + 50)))
        c.append_many("A", map(mail, range(count + 50, count + 70)))
    return server, count + 70


def churned(env, changes, seed, mask=(), pause=0, extra="", **kw):
    """`pause`: seconds that the readers wait between two walks. `extra`: lines
    of the server's configuration."""
    server, first = filled(env, extra=extra)
    link = env.tap(server, mask=mask) if mask else server
    url = server.url(port=link.tls_port)
    m = env.mount(url, options=["timeout=20"])
    readers = Readers(env, m, pause=pause)
    churn = env.keep(Churn(server, seed, first=first, **kw))
    churn.run(changes)
    problems = readers.stop(churn)
    print(f"NOTE: {churn.done} changes {dict(churn.counts)}, readers "
          f"{dict(readers.counts)}")
    assert not problems, "\n  ".join(["readers met:", *problems[:30]])
    # Of other folders Dovecot's NOTIFY forgets some: they are asked.
    wait_pushed(m, truth(server))
    expected = wait_settled(m, server)
    shown = check_names(m, readers.seen)
    check_mounts(env, m, url, expected, shown)
