#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# By hand: sh tests/soak/faults.sh [OPTION...]
# Lets a double of Gmail cut, hang, throttle and refuse at every kind of
# command, and compares what came of it (faults.py). --seed N makes the same
# points again, --summary FILE keeps the result, --part 1/4 is a fourth of
# them. All of them take twenty minutes, or five in four parts side by side.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES $TEST_PACKAGES || exit 1
root=$(build_root) || exit 1
configure "$root/gcc" && compile "$root/gcc" || exit 1
python3 "$tree/tests/soak/faults.py" \
	--binary "$root/gcc/fs/mount.imapfs" \
	--testproxy "$root/gcc/tests/testproxy" "$@"
