#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# By hand: sh tests/soak/tests.sh [PATTERN]
# End-to-end tests that are too long for run.sh: changes by another client while
# others read. The plain build, one test at a time.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES $TEST_PACKAGES || exit 1
root=$(build_root) || exit 1
configure "$root/gcc" && compile "$root/gcc" || exit 1
python3 "$tree/tests/lib/runner.py" --jobs 1 --tests "$tree/tests/soak" \
	--binary "$root/gcc/fs/mount.imapfs" \
	--testproxy "$root/gcc/tests/testproxy" ${1:+"$1"}
