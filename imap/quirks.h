/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Servers that need to be handled with care, in one table: who they are and
 * what is done differently, each with its reason. The rest of the code asks
 * the fields of `struct quirks` and never the server's name.
 */
#ifndef IMAPFS_IMAP_QUIRKS_H
#define IMAPFS_IMAP_QUIRKS_H

#include "imap/mail.h"

struct quirks {
	unsigned window; /* commands in flight */
	size_t line_max; /* bytes of one command line */
	bool plain_list; /* LIST without RETURN */
	bool long_list;  /* ... with it was granted: found out */
	bool body_alone; /* one body at a time: found out while fetching */
	bool is_google;
	bool no_qresync;   /* the table says so, or the server refused it */
	bool no_condstore; /* the server refused it */
	bool modseq_ahead; /* HIGHESTMODSEQ counts what is not seen yet */
};

/* What every server gets that is not in the table. */
void quirks_init(struct quirks *q);

/*
 * Add what the table knows. `text` is a greeting, or the server's answer to
 * ID, or its list of capabilities: any of them may give it away.
 */
void quirks_apply(struct quirks *q, const char *text, size_t n);

#endif
