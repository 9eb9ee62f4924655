#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A look at the program without a mail account: sh tests/demo.sh
#
# Installs what is missing, builds outside the tree, starts a throw-away mail
# server on this machine with sample mail, and mounts it. `sh tests/demo.sh
# stop` ends and removes all of it; started again, it begins anew. With --once
# it stops by itself at the end. IMAPFS_BINARY names a program that is built
# already.

tree=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

demo=$(cd "${TMPDIR:-/tmp}" && pwd -P)/imapfs-demo-$(id -u)
mail=$demo/mail

stop() {
	[ ! -e "$demo" ] || python3 "$tree/tests/lib/demo.py" stop "$demo"
}

# Show a command as one would type it, then what it prints.
show() {
	printf '\n$ %s\n' "$1"
	(cd "$mail" && sh -c "$1")
}

once=
case ${1:-} in
'') ;;
--once) once=yes ;;
stop)
	stop
	exit
	;;
*)
	say "usage: sh tests/demo.sh [--once | stop]"
	exit 2
	;;
esac

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES || exit 1
program=${IMAPFS_BINARY:-}
if [ -z "$program" ]; then
	root=$(build_root) || exit 1
	program=$root/gcc/fs/mount.imapfs
	say "building mount.imapfs ..."
	(
		flock 9
		configure "$root/gcc" && compile "$root/gcc" fs/mount.imapfs
	) 9>"$root/lock" || exit 1
fi

stop
mkdir -m 755 "$demo" || exit 1
mkdir "$mail" || exit 1
trap stop EXIT
trap 'exit 130' INT TERM HUP
say "starting a mail server with sample mail ..."
url=$(python3 "$tree/tests/lib/demo.py" start "$demo") || exit 1
(umask 077 && echo wonder >"$demo/password") || exit 1
options=passfile=$demo/password,cafile=$demo/certs/ca.crt,cache=$demo/cache
"$program" "$url" "$mail" -o "$options" || exit 1

show 'ls'
show 'ls -l INBOX'
show 'ls Work Work/Clients'
show 'grep -r lighthouse . | cut -c 1-150' || exit 1
grep -rq lighthouse "$mail" || {
	say "grep found nothing"
	exit 1
}
show 'cat .imapfs/status'
[ -z "$once" ] || exit 0

trap - EXIT
cat <<END

The account is mounted at
  $mail
Look around there. To end it all:
  sh tests/demo.sh stop
END
