/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The receiving half of a session: the framer's callbacks. Their context is
 * the session.
 */
#ifndef IMAPFS_IMAP_DISPATCH_H
#define IMAPFS_IMAP_DISPATCH_H

#include "imap/session.h"

extern const struct frame_ops session_frame_ops;

#endif
