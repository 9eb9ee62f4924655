#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Benches: sh tests/bench/run.sh [warm|cold|listing|latency|memory|keepup|changes|gmail|all] [OPTION...]
#
# Installs what is missing, makes a release build in a folder of its own, and
# runs one bench or all of them, one after the other. OPTIONs go to the bench:
# --rounds, --rtt, --mbit, --tmp, --limit and --small (try it out, fast) are
# known to all, sizes to one each: sh tests/bench/run.sh warm --help
#
# Targets that are missed stand in the tables; the last line and the exit
# status say which benches did not run to their end.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

usage() {
	say "usage: sh tests/bench/run.sh [warm|cold|listing|latency|memory|keepup|changes|gmail|all] [OPTION...]"
	exit 2
}

case ${1:-all} in
all) benches="warm cold listing latency memory keepup changes gmail" ;;
warm | cold | listing | latency | memory | keepup | changes | gmail) benches=$1 ;;
*) usage ;;
esac
[ $# -eq 0 ] || shift

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES isync || exit 1
root=$(build_root) || exit 1

# Only one at a time builds; whoever measures beside another measures noise.
exec 9>"$root/bench.lock"
flock 9
configure "$root/bench" --buildtype=release -Db_ndebug=true || exit 1
compile "$root/bench" fs/mount.imapfs tests/testproxy tests/rawreader ||
	exit 1

failed=
for bench in $benches; do
	printf '\n== %s\n' "$bench"
	python3 "$tree/tests/bench/$bench.py" --build "$root/bench" "$@" 9>&- ||
		failed="$failed $bench"
done
[ -z "$failed" ] || say "not to its end:$failed"
[ -z "$failed" ]
