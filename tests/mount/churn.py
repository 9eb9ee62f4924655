# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand changes by another client, while others read."""

from imapfstest import *
from imapfstest.churned import churned

CHANGES = 1000
PAUSE = 0.5  # of the readers, who would take all of a small machine


@deadline(240)
def test_changes_of_any_kind_are_pushed(env):
    churned(env, int(CHANGES / slowdown()), seed=1, pause=PAUSE)
