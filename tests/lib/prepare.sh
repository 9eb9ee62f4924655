# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh disable=SC2034,SC2154
# For run.sh, demo.sh and fuzz/run.sh: what is missing is installed, and a
# build folder outside the tree is found. Set `tree` (the top of the checkout)
# before this file is read.

BUILD_PACKAGES="meson ninja-build gcc libc6-dev pkg-config libfuse3-dev fuse3
libetpan-dev libssl-dev libsqlite3-dev libxxhash-dev zlib1g-dev
libunistring-dev libcmocka-dev"
SERVER_PACKAGES="dovecot-imapd openssl python3-minimal python3"
TEST_PACKAGES="clang clang-format clang-tidy libclang-rt-dev binutils
inotify-tools attr rsync mandoc shellcheck procps vim libglib2.0-bin"

say() {
	printf '%s\n' "$*" >&2
}

# need PACKAGE...: install those that dpkg does not have.
need() {
	missing=
	for package in "$@"; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
			2>/dev/null)
		[ "$state" = installed ] || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null; then
		say "These packages are missing, and this is no Debian:$missing"
		return 1
	fi
	as_root=
	if [ "$(id -u)" -ne 0 ]; then
		as_root="sudo -n"
		if ! sudo -n true 2>/dev/null; then
			say "Please run: sudo apt-get install$missing"
			return 1
		fi
	fi
	say "installing:$missing"
	# A server that a package would start is not wanted: the tests start
	# their own.
	policy=
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
		$as_root chmod 755 $policy
	fi
	# shellcheck disable=SC2086
	install_packages $missing
	result=$?
	[ -z "$policy" ] || $as_root rm -f $policy
	return $result
}

install_packages() {
	log=$(mktemp)
	# The lists of a fresh image may be absent or old: once more with new.
	for try in old new; do
		[ $try = old ] || $as_root apt-get -q update >>"$log" 2>&1
		if $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy \
			--no-install-recommends install "$@" >>"$log" 2>&1; then
			rm -f "$log"
			return 0
		fi
	done
	cat "$log" >&2
	rm -f "$log"
	say "Installing these packages failed: $*"
	return 1
}

# unpack FOLDER PACKAGE...: for packages that cannot be installed beside others
# (there is one IMAP server on a Debian). They and what they need and the
# machine lacks are fetched, as apt is set up, and unpacked in the folder;
# nothing is installed or configured. A mail server that they ask for is left
# out.
unpack() {
	folder=$1
	shift
	[ ! -e "$folder/complete" ] || return 0
	if ! command -v apt-get >/dev/null; then
		say "These packages are unpacked on a Debian only: $*"
		return 1
	fi
	rm -rf "$folder"
	mkdir -p "$folder/packages" || return 1
	lacks=$(apt-get -s --no-install-recommends install "$@" 2>/dev/null |
		sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -v '^exim4')
	say "unpacking:" "$@"
	# shellcheck disable=SC2046,SC2086
	if ! (cd "$folder/packages" && apt-get -q download \
		$(printf '%s\n' "$@" $lacks | sort -u)) \
		>"$folder/log" 2>&1; then
		cat "$folder/log" >&2
		return 1
	fi
	for package in "$folder"/packages/*.deb; do
		dpkg -x "$package" "$folder" || return 1
	done
	: >"$folder/complete"
}

# unpack_server ROOT ARGUMENT...: where --server cyrus or courier is among the
# arguments its packages are unpacked, in the folder that is printed.
unpack_server() {
	below=$1
	shift
	case " $* " in
	*" --server cyrus "* | *" --server=cyrus "*)
		unpack "$below/cyrus" cyrus-imapd cyrus-common sasl2-bin ||
			return 1
		printf '%s\n' "$below/cyrus"
		;;
	*" --server courier "* | *" --server=courier "*)
		unpack "$below/courier" courier-imap courier-base \
			courier-authlib libcourier-unicode4 || return 1
		printf '%s\n' "$below/courier"
		;;
	esac
}

# The builds of this tree stay in one folder of this user between runs.
build_root() {
	key=$(printf '%s' "$tree" | cksum | tr -c '0-9\n' '-')
	root=${TMPDIR:-/tmp}/imapfs-build-$(id -u)-$key
	[ -d "$root" ] || mkdir -m 755 "$root"
	if [ ! -O "$root" ] || [ -L "$root" ]; then
		say "$root is not ours; set TMPDIR to another folder"
		return 1
	fi
	printf '%s\n' "$root"
}

# configure FOLDER [MESON ARGUMENT...]: only the first time; ninja does the
# rest. A folder that meson cannot use any more is made anew.
configure() {
	folder=$1
	shift
	if [ -e "$folder/build.ninja" ] &&
		meson setup --reconfigure "$folder" "$tree" "$@" \
			>"$folder.log" 2>&1; then
		return 0
	fi
	rm -rf "$folder"
	if ! meson setup "$folder" "$tree" "$@" >"$folder.log" 2>&1; then
		cat "$folder.log" >&2
		return 1
	fi
}

# compile FOLDER [TARGET...]: quiet unless it fails.
compile() {
	folder=$1
	shift
	if ! ninja --quiet -C "$folder" "$@" >"$folder.log" 2>&1; then
		cat "$folder.log" >&2
		return 1
	fi
}

# Debian's own Python, without leaving compiled files in the tree: one that
# lives in somebody's home could not be read by the ordinary user that some
# tests become.
python3() {
	if [ -x /usr/bin/python3 ]; then
		/usr/bin/python3 -B "$@"
	else
		command python3 -B "$@"
	fi
}
