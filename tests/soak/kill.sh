#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# By hand: sh tests/soak/kill.sh [POINTS] [OPTION...]
# Kills the mount, the server or the line while changes are made, at POINTS
# (200) moments, and compares what came of it (killmatrix.py). --seed N makes
# the same points again, --summary FILE keeps the result, --server cyrus or
# courier takes that server in place of Dovecot: out of Debian's packages,
# which are unpacked beside the build and not installed.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

points=200
case ${1:-} in
'' | -*) ;;
*)
	points=$1
	shift
	;;
esac
# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES $TEST_PACKAGES || exit 1
root=$(build_root) || exit 1
unpacked=$(unpack_server "$root" "$@") || exit 1
[ -z "$unpacked" ] || set -- --unpacked "$unpacked" "$@"
configure "$root/gcc" && compile "$root/gcc" || exit 1
python3 "$tree/tests/soak/killmatrix.py" --points "$points" \
	--binary "$root/gcc/fs/mount.imapfs" \
	--testproxy "$root/gcc/tests/testproxy" "$@"
