/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's side of a mount: finding it again, and ending it for good.
 *
 * Nothing here touches what is mounted, so nothing here can wait for it.
 */
#ifndef IMAPFS_FS_CONNECTION_H
#define IMAPFS_FS_CONNECTION_H

#include <stdbool.h>

#define CONNECTION_DEVICE 32

/*
 * "major:minor" of what is mounted on `path` (as realpath(3) gives it) now;
 * "" if nothing is.
 */
void connection_device(const char *path, char ret[CONNECTION_DEVICE]);

/* Is this device mounted anywhere? False as well if that cannot be told. */
bool connection_is_mounted(const char *device);

/*
 * Unmount `path`, if what is mounted there is still `device`, and end the
 * connection: what waits for an answer gets ENOTCONN or ECONNABORTED.
 */
void connection_end(const char *path, const char *device);

#endif
