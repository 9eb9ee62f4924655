#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# By hand: sh tests/soak/keepup.sh [--server NAME] [OPTION...]
# Another client changes what a mount shows: is it told, and how soon? On
# Dovecot, Cyrus or Courier (the last two out of Debian's packages, which are
# unpacked beside the build and not installed); --summary FILE keeps the result,
# --only NAME makes one check (keepup.py). About five minutes.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES $TEST_PACKAGES || exit 1
root=$(build_root) || exit 1
unpacked=$(unpack_server "$root" "$@") || exit 1
[ -z "$unpacked" ] || set -- --unpacked "$unpacked" "$@"
configure "$root/gcc" && compile "$root/gcc" fs/mount.imapfs tests/testproxy ||
	exit 1
python3 "$tree/tests/soak/keepup.py" --binary "$root/gcc/fs/mount.imapfs" \
	--testproxy "$root/gcc/tests/testproxy" "$@"
