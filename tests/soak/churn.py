# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes by another client, while others read: those of mount/churn.py by
other methods, and with troubles in between."""

import os
import random
import threading

from imapfstest import *
from imapfstest.churn import Churn, mail
from imapfstest.churned import churned, filled
from imapfstest.endstate import (Shown, check_inodes, same_names, truth,
                                 wait_equal, wait_settled)
from imapfstest.walker import Readers


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
        wait_for(lambda n=upto: churn.done >= n, 30)
        m.kill9()
        m.wait_end()
        worker.join()
        readers.remove()
        m.start()
        wait_settled(m, server)
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
    wait_settled(m, server)
    before = Shown(m).files
    m.unmount()
    server.stop()
    m.start()
    m.wait_offline()
    same_names("without a server", Shown(m).files, before)
