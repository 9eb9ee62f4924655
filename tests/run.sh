#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# All tests: sh tests/run.sh [--quick] [PATTERN]
# shellcheck disable=SC2317
#
# Installs what is missing, builds outside the tree, and runs lint, unit tests,
# fuzz corpora and end-to-end tests: built by gcc; by gcc with ASan and UBSan;
# by clang with TSan. --quick stops after the first. PATTERN chooses end-to-end
# tests by file or function name, and leaves the other stages out.
# At the end it says how long each stage took, and names what failed; the last
# line counts; the exit status is 0 if nothing failed. With CI=true a test that
# cannot run (no /dev/fuse) is a failure.
#
# Run by root, the plain build is tested as root and the sanitizer builds as
# an ordinary user; run by an ordinary user, all is that user's.

tree=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

quick=
pattern=
for word in "$@"; do
	case $word in
	--quick) quick=--quick ;;
	-*)
		say "usage: sh tests/run.sh [--quick] [PATTERN]"
		exit 2
		;;
	*) pattern=$word ;;
	esac
done

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES $TEST_PACKAGES || exit 1

# One run at a time in the shared build folder; a second one builds apart.
root=$(build_root) || exit 1
own=
exec 9>"$root/lock"
if ! flock -n 9; then
	root=$(mktemp -d "${TMPDIR:-/tmp}/imapfs-build-XXXXXX") || exit 1
	chmod 755 "$root"
	own=$root
fi
work=$(mktemp -d) || exit 1
cleanup() {
	rm -rf "$work"
	[ -z "$own" ] || rm -rf "$own"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

passed=0
failed=0
skipped=0
times=

# stage NAME COMMAND...: what it prints is shown; the last line of the form
# `N passed, N failed, N skipped` in it is added up. No such line: it counts
# as one test.
stage() {
	name=$1
	shift
	printf '== %s\n' "$name"
	begin=$(date +%s)
	{
		"$@" 9>&-
		echo $? >"$work/status"
	} 2>&1 | tee "$work/output"
	seconds=$(($(date +%s) - begin))
	times="$times
  $(printf '%4d s  %s' $seconds "$name")"
	status=$(cat "$work/status")
	sed -n "s/^not ok \([0-9]* \)\{0,1\}\(.*\)/  \2; $name/p" "$work/output" \
		>>"$work/failures"
	counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		"$work/output" | tail -n 1)
	if [ -z "$counts" ]; then
		counts="$((status == 0)) $((status != 0)) 0"
	elif [ "$status" -ne 0 ] && [ "${counts#* 0 }" != "$counts" ]; then
		# It failed without a test that did: that is one more.
		counts="${counts%% *} 1 ${counts##* }"
	fi
	[ "$status" -eq 0 ] || grep -q "; $name\$" "$work/failures" ||
		echo "  $name" >>"$work/failures"
	# shellcheck disable=SC2086
	add_up $counts
	printf '== %s: %s after %d s\n' "$name" \
		"$([ "$status" -eq 0 ] && echo fine || echo FAILED)" "$seconds"
	return "$status"
}

add_up() {
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

build() {
	configure "$@" && compile "$1"
}

# unit FOLDER [WRAPPER]: unit tests and corpora by meson, counted.
unit() {
	meson test -C "$1" --no-rebuild --print-errorlogs --num-processes 4 \
		--timeout-multiplier "${2:-1}" >"$work/unit" 2>&1
	result=$?
	[ $result -eq 0 ] || cat "$work/unit"
	sed -n "s,^ *[0-9]*/[0-9]* mount.imapfs:\(.*\) \(FAIL\|TIMEOUT\|ERROR\) .*,not ok \1 \2,p" \
		"$work/unit" | tr -s ' ' | sort -u
	awk '/^Ok:/ { ok = $2 } /^(Fail|Timeout|Unexpected Pass):/ { bad += $NF }
		/^Skipped:/ { skip = $2 }
		END { printf "%d passed, %d failed, %d skipped\n", ok, bad, skip }' \
		"$work/unit"
	return $result
}

# mounts FOLDER [RUNNER ARGUMENT...]: the end-to-end tests of that build.
mounts() {
	folder=$1
	shift
	# shellcheck disable=SC2086
	python3 "$tree/tests/lib/runner.py" \
		--binary "$folder/fs/mount.imapfs" \
		--testproxy "$root/gcc/tests/testproxy" $quick "$@" \
		${pattern:+"$pattern"}
}

finish() {
	printf '\ntime of each stage:%s\n\n' "$times"
	[ ! -s "$work/failures" ] || {
		echo "what failed:"
		cat "$work/failures"
		echo
	}
	printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
	if [ "${CI:-}" = true ] && [ $skipped -ne 0 ]; then
		say "a skip is a failure under CI"
		exit 1
	fi
	[ $failed -eq 0 ]
	exit
}

# What is freed stays set aside for a while; not for so long that the memory
# of the mount could not be watched any more.
asan_options=abort_on_error=0:detect_stack_use_after_return=1
asan_options=$asan_options:strict_string_checks=1:quarantine_size_mb=64
supp=$tree/tests/lib

stage "build with gcc" build "$root/gcc" || finish
if [ -n "$pattern" ]; then
	stage "end to end" mounts "$root/gcc"
	finish
fi
# Of a plain build by clang lint reads the commands; it compiles for TSan.
CC=clang configure "$root/clang" || finish
stage "lint" python3 "$tree/tests/lint/run.py" --gcc "$root/gcc" \
	--clang "$root/clang" --cache "$root/tidy" $quick
stage "unit tests and fuzz corpora, gcc" unit "$root/gcc"
stage "end to end, gcc" mounts "$root/gcc"
[ -z "$quick" ] || finish

if stage "build with ASan and UBSan" build "$root/asan" \
	-Db_sanitize=address,undefined -Db_lundef=false \
	-Dc_args=-fno-sanitize-recover=undefined; then
	export ASAN_OPTIONS=$asan_options
	export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	export LSAN_OPTIONS=suppressions=$supp/lsan.supp:print_suppressions=0
	export IMAPFS_TEST_SLOWDOWN=3
	stage "unit tests and fuzz corpora, ASan and UBSan" \
		unit "$root/asan" 3
	stage "end to end, ASan and UBSan" mounts "$root/asan" --as-user
fi
if CC=clang stage "build with TSan" build "$root/tsan" \
	-Db_sanitize=thread -Db_lundef=false; then
	export TSAN_OPTIONS="halt_on_error=0 suppressions=$supp/tsan.supp"
	export IMAPFS_TEST_SLOWDOWN=4
	stage "unit tests, TSan" unit "$root/tsan" 4
	stage "end to end, TSan" mounts "$root/tsan" --as-user
fi
finish
