/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a literal the body of a message? A part of the framer (frame.h).
 */
#ifndef IMAPFS_IMAP_FRAME_BODY_H
#define IMAPFS_IMAP_FRAME_BODY_H

#include "imap/frame.h"

/* Does a response begin so: `* n FETCH (`? NUL stands somewhere behind. */
bool frame_is_fetch(const char *p);

/*
 * The FETCH so far is [p, end), its present line begins at `line`. Is the
 * literal that follows `end` the body of a message? A header is none: it is
 * wanted inside the response. The caller knows the depth of parentheses.
 */
bool frame_is_body(const char *p, const char *line, const char *end);

#endif
