/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a thread that waits for us to be let go?
 *
 * The kernel sends INTERRUPT for any signal that reaches the thread, also for
 * one whose handler means no harm (SIGCHLD, SIGWINCH, a timer), and does not
 * restart a call that was answered EINTR, whatever SA_RESTART says. On a disk
 * such signals interrupt nothing, so programs do not expect it. Only what ends
 * a program, or is meant to, is worth an EINTR.
 */
#ifndef IMAPFS_FS_LETGO_H
#define IMAPFS_FS_LETGO_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Does a signal wait for this thread that kills it, or asks it to end (SIGINT,
 * SIGTERM, SIGHUP, SIGQUIT)? True as well if that cannot be found out: `tid` 0
 * (of another pid namespace), or no /proc. Reads a file: no lock may be held.
 */
bool letgo_is_asked(pid_t tid);

#endif
