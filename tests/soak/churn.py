# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand changes by another client, while others read: at the end the
tree is what the server has, and nobody met anything but what was gone."""

import os
import random
import threading

from imapfstest import *
from imapfstest.churn import Churn, mail
from imapfstest.endstate import (Shown, check_inodes, check_mounts,
                                 check_names, same_names, truth, wait_equal,
                                 wait_pushed)
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


def churned(env, changes, seed, mask=(), **kw):
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
    # Of other folders Dovecot's NOTIFY forgets some: they are asked.
    wait_pushed(m, expected)
    wait_equal(m, expected)
    shown = check_names(m, readers.seen)
    check_mounts(env, m, url, expected, shown)


@deadline(150)
def test_changes_of_any_kind_are_pushed(env):
    churned(env, 1000, seed=1, pace=0.01)


@deadline(120)
def test_changes_by_condstore_without_notify(env):
    churned(env, 300, seed=2, mask=["NOTIFY", "QRESYNC"])


@deadline(120)
def test_changes_by_comparing_flags_without_notify(env):
    churned(env, 300, seed=3, mask=["NOTIFY", "QRESYNC", "CONDSTORE",
                                    "ESEARCH"])


@deadline(150)
def test_killed_in_the_middle_it_catches_up(env):
    """What was stored covers what it says; no inode number comes again."""
    server, first = filled(env)
    m = env.mount(server, options=["timeout=20"])
    churn = env.keep(Churn(server, 5, first=first, pace=0.003))
    r, known = random.Random(5), {}
    for _ in range(5):
        worker = threading.Thread(target=churn.run, args=(100,))
        worker.start()
        upto = churn.done + r.randrange(20, 90)
        readers = Readers(env, m, walkers=1, shells=())
        wait_for(lambda n=upto: churn.done >= n, 30 * slowdown())
        m.kill9()
        m.wait_end()
        worker.join()
        readers.remove()
        m.start()
        wait_equal(m, truth(server))
        check_inodes(Shown(m), known)


@deadline(120)
def test_unmounted_in_the_middle_of_a_storm(env):
    server, first = filled(env)
    m = env.mount(server)
    os.listdir(m.path / "INBOX")
    watch = env.watch(m.path / "INBOX")
    known = {}
    check_inodes(Shown(m), known)
    for n in range(3):
        with Client(server) as c:
            c.append_many("INBOX", map(mail, range(first, first + 1000)))
        first += 1000
        watch.wait("CREATE")
        m.unmount()
        m.start()
        watch = env.watch(m.path / "INBOX")
    wait_equal(m, truth(server))
    check_inodes(Shown(m), known)


def test_what_was_pushed_is_there_without_a_server(env):
    server, first = filled(env)
    m = env.mount(server, options=["timeout=5"])
    churn = env.keep(Churn(server, 6, first=first))
    wait_equal(m, truth(server))
    churn.run(100)
    wait_equal(m, truth(server))
    before = Shown(m).files
    m.unmount()
    server.stop()
    m.start()
    m.wait_offline()
    same_names("without a server", Shown(m).files, before)
