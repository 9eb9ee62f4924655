/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Flags and keywords as the user sees them: in the mode of a file, in the text
 * of user.imap.flags, and as the tags of file managers, user.xdg.tags. Pure
 * functions; thread-safe.
 *
 * Mode: readable for group or others = has been read (\Seen); executable for
 * the owner = starred (\Flagged).
 *
 * Flags: `\Seen \Flagged $Work`, separated by blanks. \Recent is passed over:
 * the server alone sets it.
 *
 * Tags: the keywords but those that begin with `$`, which belong to programs,
 * separated by commas. A blank is `_` in a keyword, and what is not ASCII is
 * written as in mailbox names (names.h), as other mail programs do.
 */
#ifndef IMAPFS_FS_MARKS_H
#define IMAPFS_FS_MARKS_H

#include "imap/mail.h"

#include <sys/types.h>

/* What a mode can say: these flags. */
#define MARKS_OF_MODE (MAIL_SEEN | MAIL_FLAGGED)

/* The permission bits of a message, and back (MARKS_OF_MODE of them). */
mode_t marks_to_mode(uint32_t flags);
uint32_t marks_from_mode(mode_t mode);

struct marks {
	uint32_t flags; /* enum mail_flag */
	char *keywords; /* joined by one blank; "": none */
};
void marks_finish(struct marks *m);

/* Yours to free. -ENOMEM. */
MUST_CHECK int marks_to_text(const struct marks *m, char **ret);
/*
 * -EINVAL: a flag that IMAP does not have, a keyword that no server would take
 * (RFC 9051 section 9, flag-keyword), or more of them than MAIL_KEYWORDS_MAX.
 */
MUST_CHECK int marks_from_text(const char *text, size_t n, struct marks *ret);

/* Yours to free. -ENODATA: there are none. -ENOMEM. */
MUST_CHECK int marks_to_tags(const struct marks *m, char **ret);
/*
 * The marks that a message with the marks `old` has when these are its tags:
 * only tags differ. Errors as above; -EINVAL, too, if it is not UTF-8.
 */
MUST_CHECK int marks_from_tags(const char *text, size_t n,
			       const struct marks *old, struct marks *ret);

/* How one becomes the other. Keywords are equal whatever their case. */
struct marks_delta {
	struct marks add, remove;
};
/* -EINVAL: one of these keywords no server would take. -ENOMEM. */
MUST_CHECK int marks_compare(const struct marks *from, const struct marks *to,
			     struct marks_delta *ret);
bool marks_delta_is_empty(const struct marks_delta *d);
void marks_delta_finish(struct marks_delta *d);

#endif
