#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Hours of mixed work on one mount: sh tests/soak/run.sh [MINUTES] [OPTION...]
#
# Another client makes changes of every kind while readers walk the mount; now
# and then the link is cut or falls silent, the server restarts, or the account
# is mounted again. MINUTES are 120 unless given. --seed N makes the same
# changes and troubles again; --changes N ends after so many; --calm leaves the
# troubles out, so that
#
#	sh tests/soak/run.sh --calm --changes 10000 --pace 0 --seed 1
#
# is ten thousand changes as fast as the server makes them, and
#
#	sh tests/soak/run.sh 120 --one --most 1500 --pace 0.15 --pause 20
#
# two quiet hours of one process, with an account that does not grow: its memory
# and its descriptors have no reason to grow, either. Installs what is missing,
# builds outside the tree. The last lines sum up, with the memory and the
# descriptors of every minute; the exit status is 0 if all was well.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

case ${1:-} in
'' | -*) minutes=120 ;;
*[!0-9.]*)
	say "usage: sh tests/soak/run.sh [MINUTES] [OPTION...]"
	exit 2
	;;
*)
	minutes=$1
	shift
	;;
esac

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES procps || exit 1
root=$(build_root) || exit 1
(
	flock 9
	configure "$root/gcc" &&
		compile "$root/gcc" fs/mount.imapfs tests/testproxy
) 9>"$root/lock" || exit 1

python3 "$tree/tests/soak/soak.py" --minutes "$minutes" \
	--binary "$root/gcc/fs/mount.imapfs" \
	--testproxy "$root/gcc/tests/testproxy" "$@"
