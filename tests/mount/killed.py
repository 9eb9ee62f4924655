# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount, the server or the line dies while changes are made: each change
is made once. (tests/soak/killmatrix.py has more points.)"""

from imapfstest import *
from imapfstest.killing import Killing


@deadline(300)
@slow
def test_changes_are_made_once_whatever_dies(env):
    killing = Killing(env, seed=1)
    for number in range(20):
        killing.point(number)
