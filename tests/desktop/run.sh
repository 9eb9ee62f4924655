#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Does a file manager show new mail by itself?
# sh tests/desktop/run.sh [--out FOLDER]
#
# Installs what is missing (a file manager and an X server without a screen),
# builds outside the tree, opens a folder of a mount in PCManFM, lets another
# client deliver and remove messages, and demands that the picture changes
# without anybody touching it. The pictures, before and after, are kept in the
# folder that is named.

tree=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
. "$tree/tests/lib/prepare.sh"

# shellcheck disable=SC2086
need $BUILD_PACKAGES $SERVER_PACKAGES inotify-tools procps xvfb pcmanfm \
	fonts-dejavu-core || exit 1
root=$(build_root) || exit 1
(
	flock 9
	configure "$root/gcc" && compile "$root/gcc" fs/mount.imapfs
) 9>"$root/lock" || exit 1

python3 "$tree/tests/desktop/desktop.py" \
	--binary "$root/gcc/fs/mount.imapfs" "$@"
