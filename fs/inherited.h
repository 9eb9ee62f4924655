/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Descriptors that were open when the program was started, beyond the standard
 * three: a lock or a pipe of the script that mounts. While it starts they may
 * be read (`cafile=/dev/fd/9`); a program in the background must not keep them,
 * or the lock is held and the pipe has no end until somebody unmounts.
 */
#ifndef IMAPFS_FS_INHERITED_H
#define IMAPFS_FS_INHERITED_H

/* Before the program opens anything. */
void inherited_note(void);

/* Close in this process what was noted; only once. */
void inherited_close(void);

#endif
