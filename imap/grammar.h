/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One framed untagged response -> our structs.
 *
 * libetpan parses what has a grammar worth the name (flags, dates, body
 * sections, unless they have the plain form of item.h), and gets nothing but
 * single, framed items which it is known to survive; numbers, names and lists
 * are read here, since it wraps at 2^32 and cuts at NUL. What cannot be
 * understood costs that item or that response, never the connection.
 *
 * A `struct grammar` belongs to one connection's thread, which has at least
 * 1 MiB of stack (libetpan keeps 64 KiB of it in one function).
 */
#ifndef IMAPFS_IMAP_GRAMMAR_H
#define IMAPFS_IMAP_GRAMMAR_H

#include "imap/mail.h"
#include "imap/names.h"
#include "imap/scan.h"

enum response_kind {
	RESPONSE_OTHER, /* nothing that we know: skipped */
	RESPONSE_CAPABILITY,
	RESPONSE_LIST,
	RESPONSE_STATUS,
	RESPONSE_SEARCH,
	RESPONSE_ESEARCH,
	RESPONSE_NAMESPACE,
	RESPONSE_ID,
	RESPONSE_EXISTS,
	RESPONSE_EXPUNGE,
	RESPONSE_VANISHED,
	RESPONSE_LSUB,
	RESPONSE_QUOTAROOT,
	RESPONSE_QUOTA,
	RESPONSE_MYRIGHTS,
	RESPONSE_FETCH,
};

/* A response, and the cursor behind its name. */
struct response {
	enum response_kind kind;
	uint32_t number; /* of EXISTS, EXPUNGE, FETCH */
	struct scan rest;
};

/* Which response is this? `text` is as the framer gave it; kept, not copied. */
void grammar_classify(const char *text, size_t n, struct response *ret);

struct grammar;

MUST_CHECK int grammar_new(struct grammar **ret);
void grammar_free(struct grammar *g);

/* The value of BODY[] in a FETCH response. */
enum body_value {
	BODY_ABSENT,
	BODY_NIL,
	BODY_STRING, /* quoted, or a literal that went to the sink ({0}) */
};

struct fetch {
	struct mail_row row; /* pointers into the grammar, until its next use */
	bool damaged;        /* some item could not be understood */
	bool no_header;      /* its section of header fields is NIL */
	enum body_value body;
	struct scan_string body_text;
	uint64_t origin; /* of BODY[]<origin>; 0 if none was given */
	bool has_origin;
};

/*
 * Read a FETCH response. Items that make no sense are left out of `row.has`,
 * and `damaged` is set. Never fails.
 */
void grammar_fetch(struct grammar *g, const struct response *r,
		   struct fetch *ret);

/*
 * The beginning of a FETCH response, up to the literal of a body section:
 * which message, and from which byte on. -EBADMSG: not a FETCH of BODY[].
 * `uid` is 0 if the UID was not said before the literal.
 */
struct body_head {
	uint32_t uid;
	uint64_t origin;
	bool has_origin;
};
MUST_CHECK int grammar_body_head(const char *head, size_t n,
				 struct body_head *ret);

/*
 * The name of a mailbox, yours to free; INBOX is INBOX in any case. -EBADMSG:
 * not understood, or it cannot be one (NUL in it, empty, over
 * MAIL_WIRE_NAME_MAX). -ENOMEM.
 */
MUST_CHECK int grammar_mailbox(struct scan *s, char **ret);

/* LIST and LSUB: `ret->wire` is yours to free. Errors are those of the name. */
MUST_CHECK int grammar_list(const struct response *r, struct mail_folder *ret);

/*
 * The name that the mailbox of a LIST had before (RFC 5465 section 5.4), yours
 * to free. -ENOENT: it had none. Else as grammar_mailbox().
 */
MUST_CHECK int grammar_oldname(const struct response *r, char **ret);

/* STATUS, likewise; has_status is set if all of the asked numbers are there. */
MUST_CHECK int grammar_status(const struct response *r,
			      struct mail_folder *ret);

/* QUOTAROOT (RFC 9208): the mailbox it is about, as grammar_mailbox(). */
MUST_CHECK int grammar_quotaroot(const struct response *r, char **ret);

/* QUOTA: STORAGE of a root, in KiB. False: it says none. */
MUST_CHECK bool grammar_quota(const struct response *r, uint64_t *ret_used,
			      uint64_t *ret_limit);

/* MYRIGHTS (RFC 4314): the mailbox, and enum imap_right. */
MUST_CHECK int grammar_rights(const struct response *r, char **ret_wire,
			      unsigned *ret);

/*
 * ESEARCH (RFC 4731). False: it is not understood. Pointers are borrowed from
 * the response.
 */
struct esearch {
	const char *tag; /* of the command that it answers; "" if not said */
	size_t n_tag;
	bool has_uids;   /* it speaks of UIDs, not of sequence numbers */
	struct scan all; /* the set; at its end: no message was found */
	uint32_t max;    /* 0: not said */
};
MUST_CHECK bool grammar_esearch(const struct response *r, struct esearch *ret);

/*
 * The next number of a SEARCH: 1. 0: there is none any more. -EBADMSG: what
 * follows is no number of a message.
 */
MUST_CHECK int grammar_search_next(struct scan *s, uint32_t *ret);

/* The greatest number of a SEARCH, or MAX of an ESEARCH; 0: none. */
uint32_t grammar_search_max(const struct response *r);

/*
 * VANISHED (RFC 7162 section 3.2.10): the set that follows, and whether it
 * tells of what was gone before (EARLIER), which does not change EXISTS.
 */
struct scan grammar_vanished(const struct response *r, bool *ret_earlier);

#endif
