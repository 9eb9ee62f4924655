# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand changes by another client, while others read.

Two halves, for Dovecot 2.3 cannot do both at once: NOTIFY needs its index of
the list of mailboxes, and that breaks when mailboxes are renamed in one session
while others list them. (`Error: Corrupted mailbox list index [...]: name_id=125
not in index header`; sessions that were open then LIST for ever what was.)
"""

from imapfstest import *
from imapfstest.churn import FOLDERS
from imapfstest.churned import churned

HALF = 500
PAUSE = 0.5  # of the readers, who would take all of a small machine


@deadline(240)
def test_changes_of_any_kind_are_all_here_in_the_end(env):
    churned(env, int(HALF / slowdown()), seed=1, pause=PAUSE,
            extra="mailbox_list_index = no\n")


@deadline(240)
def test_changes_of_messages_are_pushed(env):
    churned(env, int(HALF / slowdown()), seed=2, pause=PAUSE,
            without=FOLDERS)
