# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand changes by another client, while others read: at the end the
tree is what the server has, and nobody met anything but what was gone."""

import os

from imapfstest import *
from imapfstest.churn import Churn, mail
from imapfstest.endstate import (check_mounts, check_names, truth,
                                 wait_equal)
from imapfstest.walker import Readers


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


def touch_all(m):
    """Without a push: what `touch FOLDER` promises, for every folder."""
    for top, folders, _ in os.walk(m.path):
        os.utime(top)


def churned(env, changes, seed, mask=(), nudge=None, **kw):
    server, first = filled(env)
    link = env.tap(server, mask=mask) if mask else server
    url = server.url(port=link.tls_port)
    m = env.mount(url, options=["timeout=20"])
    readers = Readers(env, m)
    churn = env.keep(Churn(server, seed, first=first, **kw))
    churn.run(changes)
    problems = readers.stop(churn)
    expected = truth(server)
    print(f"NOTE: {churn.done} changes {dict(churn.counts)}, readers "
          f"{dict(readers.counts)}")
    assert not problems, "\n  ".join(["readers met:", *problems[:30]])
    wait_equal(m, expected, nudge)
    shown = check_names(m, readers.seen)
    check_mounts(env, m, url, expected, shown)


@deadline(150)
def test_thousand_changes_of_any_kind_are_pushed(env):
    churned(env, 1000, seed=1, pace=0.01)


@deadline(120)
def test_changes_by_condstore_without_notify(env):
    churned(env, 300, seed=2, mask=["NOTIFY", "QRESYNC"], nudge=touch_all)


@deadline(120)
def test_changes_by_comparing_flags_without_notify(env):
    churned(env, 300, seed=3, mask=["NOTIFY", "QRESYNC", "CONDSTORE",
                                    "ESEARCH"], nudge=touch_all)


@deadline(120)
def test_messages_that_change_in_folders_that_stay(env):
    churned(env, 500, seed=4, folders=False, nudge=touch_all)
