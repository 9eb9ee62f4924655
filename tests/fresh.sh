#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# By hand, as root: sh tests/fresh.sh [MIRROR]
# Does the README work for somebody who has nothing? A fresh Debian 12 is made
# with debootstrap, a copy of the tree is put there, and every block of
# README.md that is fenced as sh is run word for word, in order; then all of
# them once more. The system (about 2 GB) is removed at the end.
# FRESH_BASE=FOLDER keeps the bare system there for the next time.

tree=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# The mirror that this machine itself uses, unless another one is named.
# shellcheck disable=SC2016
mirror=${1:-$(apt-get indextargets --format '$(SITE)' 2>/dev/null | head -n 1)}

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || fail "fresh.sh must be run by root (chroot)"
command -v debootstrap >/dev/null || fail "please install debootstrap"
[ -e /dev/fuse ] || fail "there is no /dev/fuse here"

# Mounts live in a namespace of their own: they end with this script.
if [ -z "${FRESH_INSIDE:-}" ]; then
	FRESH_INSIDE=yes exec unshare -m -p -f --mount-proc sh "$0" "$@"
fi

new=$(mktemp -d "${TMPDIR:-/tmp}/imapfs-fresh-XXXXXX") || exit 1
cleanup() {
	umount -l "$new/proc" "$new/sys/fs/fuse/connections" "$new/sys" "$new/dev/fuse" "$new/dev/pts" "$new" 2>/dev/null
	rm -rf --one-file-system "$new"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

bare=${FRESH_BASE:-$new}
if [ ! -e "$bare/etc/debian_version" ]; then
	debootstrap --variant=minbase bookworm "$bare" "$mirror" ||
		fail "debootstrap failed"
fi
[ "$bare" = "$new" ] || cp -a "$bare/." "$new/" || exit 1

# What a machine has that a chroot has not: processes, devices, names, and
# the way to the packages.
mkdir -p "$new/proc" "$new/dev/pts"
mount --bind "$new" "$new" || exit 1 # or unshare(1) cannot work in it
mount -t proc proc "$new/proc" || exit 1
mount -t sysfs sysfs "$new/sys" || exit 1
mount -t fusectl fusectl "$new/sys/fs/fuse/connections" || exit 1
[ -e "$new/dev/fuse" ] || mknod -m 666 "$new/dev/fuse" c 10 229 || exit 1
mount -t devpts -o newinstance,ptmxmode=666 devpts "$new/dev/pts"
ln -sf pts/ptmx "$new/dev/ptmx"
ln -sf ../proc/self/mounts "$new/etc/mtab"
cp /etc/resolv.conf "$new/etc/resolv.conf"
echo '127.0.0.1 localhost' >"$new/etc/hosts"
grep -lE 'Acquire::' /etc/apt/apt.conf.d/* /etc/apt/apt.conf 2>/dev/null |
	while read -r conf; do
		cp "$conf" "$new/etc/apt/apt.conf.d/90-${conf##*/}"
	done
# A person would press Enter.
echo 'APT::Get::Assume-Yes "true";' >"$new/etc/apt/apt.conf.d/91yes"

copy=/srv/mount.imapfs
mkdir "$new$copy"
(cd "$tree" && git ls-files -z --cached --others --exclude-standard |
	tar -c --null --files-from=-) | tar -x -C "$new$copy" || exit 1
rm -rf "$new$copy/.git"

# The README's commands, each block ended by the first that fails.
awk '/^```sh$/ { inside = 1; print "(set -ex"; next }
	/^```$/ && inside { inside = 0; print ") || exit 1"; next }
	inside { print }' "$tree/README.md" >"$new/srv/readme.sh"
[ -s "$new/srv/readme.sh" ] || fail 'README.md has no sh blocks'

for time in first second; do
	printf '=== the README, %s time\n' $time
	chroot "$new" env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive ${CI:+CI="$CI"} \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		sh -c "cd $copy && sh /srv/readme.sh" ||
		fail "the README does not work (the $time time)"
	# Left running by the demo, as promised there.
	chroot "$new" env -i PATH="$PATH" sh -c \
		"cd $copy && sh tests/demo.sh stop"
done
echo "=== the README works"
