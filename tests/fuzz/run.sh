#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Fuzzing, by hand: sh tests/fuzz/run.sh [SECONDS [NAME...]]
# Builds every fuzz target with clang, libFuzzer, ASan and UBSan, runs each
# for SECONDS (60), starting from its corpus, and prints a summary; what was
# found stays in the build folder, which is named there. Nothing is written
# into the tree. Exit status 0: nothing was found.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"
seconds=${1:-60}
[ $# -eq 0 ] || shift

# shellcheck disable=SC2086
need $BUILD_PACKAGES clang libclang-rt-dev || exit 1
root=$(build_root) || exit 1
build=$root/fuzz
CC=clang configure "$build" -Db_sanitize=address,undefined -Db_lundef=false \
	-Dc_args='-fsanitize=fuzzer-no-link -DIMAPFS_FUZZERS' || exit 1
compile "$build" || exit 1

# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(for path in "$tree"/tests/fuzz/fuzz_*.c; do
	name=${path##*/fuzz_}
	echo "${name%.c}"
done)

result=0
summary=
for name in "$@"; do
	found=$root/fuzz-$name
	mkdir -p "$found/corpus"
	say "$name: $seconds s"
	if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -seed=1 \
		-timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="$found/" "$found/corpus" \
		"$tree/tests/fuzz/corpus/$name" >"$found/log" 2>&1; then
		word=fine
	else
		word="FAILED, see $found"
		tail -n 30 "$found/log" >&2
		result=1
	fi
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/log")
	cover=$(sed -n 's/.*cov: \([0-9]*\).*/\1/p' "$found/log" | tail -n 1)
	summary="$summary
$(printf '%-16s %12s runs %8s edges  %s' "$name" "${runs:-?}" \
		"${cover:-?}" "$word")"
done
printf '%s\n' "$summary"
exit $result
