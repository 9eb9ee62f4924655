/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The vocabulary that all three folders share: plain values, no functions
 * that talk to anybody. Terms are those of RFC 9051.
 */
#ifndef IMAPFS_IMAP_MAIL_H
#define IMAPFS_IMAP_MAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))

/* System flags (RFC 9051 section 2.3.2) as bits. */
enum mail_flag {
	MAIL_SEEN = 1 << 0,
	MAIL_ANSWERED = 1 << 1,
	MAIL_FLAGGED = 1 << 2,
	MAIL_DELETED = 1 << 3,
	MAIL_DRAFT = 1 << 4,
};

/* Mailbox attributes (RFC 9051 section 7.3.1, RFC 6154) as bits. */
enum mail_folder_attr {
	FOLDER_NOSELECT = 1 << 0,    /* \Noselect or \NonExistent */
	FOLDER_NOINFERIORS = 1 << 1, /* no children, ever */
	FOLDER_SUBSCRIBED = 1 << 2,
	FOLDER_ALL = 1 << 3,
	FOLDER_ARCHIVE = 1 << 4,
	FOLDER_DRAFTS = 1 << 5,
	FOLDER_FLAGGED = 1 << 6,
	FOLDER_JUNK = 1 << 7,
	FOLDER_SENT = 1 << 8,
	FOLDER_TRASH = 1 << 9,
	FOLDER_IMPORTANT = 1 << 10,
	FOLDER_IMPLIED = 1 << 11, /* ours: a parent that was never listed */
};

/* Limits on what a server may make us hold (DESIGN B10). */
#define MAIL_WIRE_NAME_MAX 4096    /* bytes of a mailbox name */
#define MAIL_FOLDERS_MAX 100000    /* mailboxes of one account */
#define MAIL_LEVELS_MAX 100        /* of a mailbox name: mail_levels() */
#define MAIL_IMPLIED_MAX 100000    /* parents of mailboxes, never listed */
#define MAIL_MESSAGES_MAX 10000000 /* messages of one mailbox */
#define MAIL_FIELD_MAX 1024        /* bytes of one header field, stored */
#define MAIL_KEYWORDS_MAX 4096     /* bytes of all keywords of a message */
#define MAIL_EMAILID_MAX 255       /* bytes of an EMAILID (RFC 8474) */
#define MAIL_SIZE_MAX (1ULL << 40) /* bytes of a message: 1 TiB */

/* What LIST and STATUS say of one mailbox. */
struct mail_folder {
	char *wire;      /* name as on the wire (modified UTF-7), no NUL */
	char delimiter;  /* 0: NIL, the mailbox has no hierarchy */
	uint32_t attrs;  /* enum mail_folder_attr */
	bool has_status; /* the four below are known */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t messages;
	uint64_t highestmodseq; /* 0: none */
};

/* Into how many components does the delimiter part the name? */
static inline unsigned mail_levels(const char *wire, char delimiter)
{
	unsigned n = 1;

	for (const char *p = wire; delimiter && *p; p++)
		n += *p == delimiter;
	return n;
}

/* The header fields of a listing, unfolded, without the field's name. */
enum mail_field {
	FIELD_DATE,
	FIELD_FROM,
	FIELD_TO,
	FIELD_CC,
	FIELD_SUBJECT,
	FIELD_MESSAGE_ID,
	N_FIELDS
};

/* Which members of a struct mail_row are set. */
enum mail_row_has {
	ROW_UID = 1 << 0,
	ROW_FLAGS = 1 << 1,
	ROW_SIZE = 1 << 2,
	ROW_DATE = 1 << 3,
	ROW_FIELDS = 1 << 4,
	ROW_MODSEQ = 1 << 5,
	ROW_GM = 1 << 6, /* gm_msgid, gm_thrid */
	ROW_LABELS = 1 << 7,
	ROW_EMAILID = 1 << 8,
};

/*
 * One message as a FETCH response described it. Pointers are borrowed for as
 * long as the callback that hands the row out.
 */
struct mail_row {
	unsigned has; /* enum mail_row_has */
	uint32_t seq; /* message sequence number of the response */
	uint32_t uid;
	uint32_t flags;       /* enum mail_flag */
	const char *keywords; /* joined by one blank; "" if none */
	uint64_t size;        /* RFC822.SIZE, at most MAIL_SIZE_MAX */
	/* Seconds since the epoch, UTC; 0 if it is said and is no date. */
	int64_t internaldate;
	uint64_t modseq;
	uint64_t gm_msgid;     /* 0: none */
	uint64_t gm_thrid;     /* 0: none */
	const char *gm_labels; /* words of labels.h; "" if none */
	/*
	 * What stands for the content of the message, the same of its copies
	 * and of no other content (RFC 8474): letters, digits, `_` and `-`.
	 */
	const char *emailid;
	/*
	 * Raw value of each field: unfolded, outer blanks removed, NUL and
	 * other control characters turned into blanks, cut at MAIL_FIELD_MAX.
	 * NULL: the message has no such field. Of repeated fields the first.
	 */
	const char *field[N_FIELDS];
};

/* A run of UIDs, both ends included, first <= last. */
struct mail_range {
	uint32_t first;
	uint32_t last;
};

#endif
