/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Status responses and their response codes (RFC 9051 section 7.1), parsed
 * here and never by libetpan, which several such lines crash.
 */
#ifndef IMAPFS_IMAP_STATUS_H
#define IMAPFS_IMAP_STATUS_H

#include "imap/mail.h"

enum status_kind {
	STATUS_OK,
	STATUS_NO,
	STATUS_BAD,
	STATUS_BYE,
	STATUS_PREAUTH,
};

enum status_code {
	CODE_NONE,
	CODE_OTHER, /* one that we do not know */
	CODE_ALERT,
	CODE_ALREADYEXISTS,
	CODE_APPENDUID, /* number, set */
	CODE_AUTHENTICATIONFAILED,
	CODE_AUTHORIZATIONFAILED,
	CODE_BADCHARSET,
	CODE_CANNOT,
	CODE_CAPABILITY, /* words */
	CODE_CLIENTBUG,
	CODE_CLOSED,
	CODE_CONTACTADMIN,
	CODE_COPYUID, /* number, sets in words: "src dst" */
	CODE_CORRUPTION,
	CODE_EXPIRED,
	CODE_EXPUNGEISSUED,
	CODE_HASCHILDREN,
	CODE_HIGHESTMODSEQ, /* number */
	CODE_INUSE,
	CODE_LIMIT,
	CODE_MESSAGELIMIT, /* number; more in words */
	CODE_MODIFIED,     /* set in words */
	CODE_NOMODSEQ,
	CODE_NONEXISTENT,
	CODE_NOPERM,
	CODE_NOTIFICATIONOVERFLOW,
	CODE_NOTSAVED,
	CODE_OVERQUOTA,
	CODE_PARSE,
	CODE_PERMANENTFLAGS, /* words */
	CODE_PRIVACYREQUIRED,
	CODE_READ_ONLY,
	CODE_READ_WRITE,
	CODE_SERVERBUG,
	CODE_THROTTLED,
	CODE_TOOBIG,
	CODE_TRYCREATE,
	CODE_UIDNEXT, /* number */
	CODE_UIDNOTSTICKY,
	CODE_UIDVALIDITY, /* number */
	CODE_UNAVAILABLE,
	CODE_UNSEEN, /* number */
	CODE_USEATTR,
	CODE_WEBALERT, /* words: a URL */
};

struct status {
	bool tagged;
	char tag[16]; /* "" for untagged */
	enum status_kind kind;
	enum status_code code;
	bool throttled;    /* a tagged OK whose text ends so: see status.c */
	uint64_t number;   /* of codes that carry one */
	const char *words; /* argument of the code; "" if none */
	size_t n_words;
	const char *text; /* for people; "" if none */
	size_t n_text;
};

/*
 * Is this response (as the framer gave it) a status response? Then fill
 * `*ret`, whose pointers are borrowed from `line`. False: it is not one.
 * A code that is cut or malformed counts as text; no input fails.
 */
MUST_CHECK bool status_parse(const char *line, size_t n, struct status *ret);

#endif
