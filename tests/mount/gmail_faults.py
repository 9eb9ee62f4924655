# SPDX-License-Identifier: GPL-3.0-or-later
"""Gmail cuts, hangs, throttles or refuses at some command: nothing is lost,
nothing is doubled, and there is no login loop. Some points of all those that
tests/soak/faults.sh makes."""

from imapfstest import *
from imapfstest.gmail.faulty import KINDS, point

POINTS = {
    "begins": [
        ("CAPABILITY", "hangs after", 1), ("AUTHENTICATE", "lost after", 2),
        ("LOGIN", "System Error", 1), ("ID", "NO [THROTTLED]", 1),
        ("ENABLE", "BAD", 1), ("COMPRESS", "cut in the answer", 1),
        ("LIST", "expired", 1)],
    "looks": [
        ("EXAMINE", "System Error", 2), ("SELECT", "lost before", 1),
        ("IDLE", "hangs before", 1), ("FETCH of a listing", "BAD", 1),
        ("FETCH of ids", "cut in the answer", 2), ("SEARCH", "lost after", 1),
        ("FETCH of header fields", "System Error", 1),
        ("FETCH of header fields", "BAD", 1)],
    "reads": [
        ("FETCH of a body", "NO [OVERQUOTA]", 1),
        ("FETCH of a body", "cut in the answer", 3),
        ("FETCH of changes", "OK [THROTTLED]", 3),
        ("LOGOUT", "hangs before", 1), ("GETQUOTAROOT", "lost before", 1),
        ("LSUB", "System Error", 1)],
    "changes": [
        ("MOVE", "lost after", 2), ("COPY", "lost after", 1),
        ("STORE of flags", "hangs after", 1),
        ("STORE of a removal", "lost after", 1), ("EXPUNGE", "expired", 1),
        ("APPEND", "lost after", 2), ("APPEND", "BAD", 1)],
    "folders": [
        ("CREATE", "lost after", 1), ("SUBSCRIBE", "NO [THROTTLED]", 1),
        ("RENAME", "cut in the answer", 1), ("DELETE", "hangs after", 1),
        ("UNSUBSCRIBE", "BAD", 1), ("STATUS", "lost before", 1)],
}


def check(env, group):
    for kind, fault, times in POINTS[group]:
        print(kind, fault, times, point(env, kind, fault, times))


def test_every_kind_of_command_is_met(env):
    chosen = {kind for rows in POINTS.values() for kind, _, _ in rows}
    assert chosen == set(KINDS)


@deadline(150)
def test_faults_at_the_login_end_well(env):
    check(env, "begins")


@deadline(150)
def test_faults_of_listings_end_well(env):
    check(env, "looks")


@deadline(150)
def test_faults_of_readers_end_well(env):
    check(env, "reads")


@deadline(150)
def test_faults_of_changes_end_well(env):
    check(env, "changes")


@deadline(150)
def test_faults_of_folders_end_well(env):
    check(env, "folders")
