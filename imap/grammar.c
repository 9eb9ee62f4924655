/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/grammar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * The responses whose grammar is a few words: which response it is, LIST,
 * STATUS, SEARCH, and the beginning of a FETCH in front of a body. They are
 * read by hand because a check that libetpan would survive them (extended
 * data behind LIST, unknown STATUS items, numbers over 32 bits, NUL in names)
 * would be the whole parse already. FETCH is in grammar_fetch.c.
 *
 * Pure functions: no state, any thread.
 */

static const struct {
	const char *name;
	enum response_kind kind;
} names[] = {
	{"CAPABILITY", RESPONSE_CAPABILITY},
	{"LIST", RESPONSE_LIST},
	{"STATUS", RESPONSE_STATUS},
	{"SEARCH", RESPONSE_SEARCH},
	{"ESEARCH", RESPONSE_ESEARCH},
	{"NAMESPACE", RESPONSE_NAMESPACE},
	{"ID", RESPONSE_ID},
	{"VANISHED", RESPONSE_VANISHED},
	{"LSUB", RESPONSE_LSUB},
	{"QUOTAROOT", RESPONSE_QUOTAROOT},
	{"QUOTA", RESPONSE_QUOTA},
	{"MYRIGHTS", RESPONSE_MYRIGHTS},
};

static const struct {
	const char *name;
	enum response_kind kind;
} numbered[] = {
	{"EXISTS", RESPONSE_EXISTS},
	{"EXPUNGE", RESPONSE_EXPUNGE},
	{"FETCH", RESPONSE_FETCH},
};

void grammar_classify(const char *text, size_t n, struct response *ret)
{
	struct scan s;
	uint64_t number;

	*ret = (struct response){.kind = RESPONSE_OTHER};
	scan_init(&s, text, n);
	if (!scan_char(&s, '*') || !scan_blanks(&s))
		return;

	if (scan_number_max(&s, UINT32_MAX, &number)) {
		(void)scan_blanks(&s);
		for (size_t i = 0; i < sizeof(numbered) / sizeof(*numbered);
		     i++) {
			if (scan_word(&s, numbered[i].name))
				ret->kind = numbered[i].kind;
		}
		/* There is no message 0 (RFC 9051 section 2.3.1.2). */
		if (number == 0 && ret->kind != RESPONSE_EXISTS)
			ret->kind = RESPONSE_OTHER;
		ret->number = (uint32_t)number;
	} else {
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			if (scan_word(&s, names[i].name))
				ret->kind = names[i].kind;
			if (ret->kind != RESPONSE_OTHER)
				break;
		}
	}
	(void)scan_blanks(&s);
	ret->rest = s;
}

static bool is_item(const char *p, size_t n, const char *name)
{
	return n == strlen(name) && strncasecmp(p, name, n) == 0;
}

/* `BODY[]` or `BODY[]<123>`: what was asked for, and nothing else. */
static bool whole_body(const char *p, size_t n, struct body_head *ret)
{
	struct scan s = {.p = p, .end = p + n};
	uint64_t origin;

	if (n < 6 || strncasecmp(p, "BODY[]", 6) != 0)
		return false;
	s.p += 6;
	if (scan_char(&s, '<')) {
		if (!scan_number(&s, &origin))
			return false;
		/* One server answers <origin.length>; the length is noise. */
		ret->has_origin = true;
		ret->origin = origin;
	}
	return true;
}

int grammar_body_head(const char *head, size_t n, struct body_head *ret)
{
	struct response r;
	struct body_head found = {0};
	const char *item;
	size_t n_item;
	uint64_t uid;

	grammar_classify(head, n, &r);
	if (r.kind != RESPONSE_FETCH || !scan_char(&r.rest, '('))
		return -EBADMSG;

	for (;;) {
		(void)scan_blanks(&r.rest);
		if (!scan_item(&r.rest, &item, &n_item))
			return -EBADMSG;
		(void)scan_blanks(&r.rest);
		if (scan_at_end(&r.rest) || *r.rest.p == '~')
			break;
		if (is_item(item, n_item, "UID") &&
		    scan_number_max(&r.rest, UINT32_MAX, &uid))
			found.uid = (uint32_t)uid;
		else if (!scan_skip(&r.rest))
			return -EBADMSG;
	}
	if (!whole_body(item, n_item, &found))
		return -EBADMSG;

	*ret = found;
	return 0;
}

static const struct {
	const char *name;
	uint32_t attr;
} attributes[] = {
	{"\\Noselect", FOLDER_NOSELECT},
	{"\\NonExistent", FOLDER_NOSELECT},
	{"\\Noinferiors", FOLDER_NOINFERIORS},
	{"\\Subscribed", FOLDER_SUBSCRIBED},
	{"\\All", FOLDER_ALL},
	{"\\Archive", FOLDER_ARCHIVE},
	{"\\Drafts", FOLDER_DRAFTS},
	{"\\Flagged", FOLDER_FLAGGED},
	{"\\Junk", FOLDER_JUNK},
	{"\\Sent", FOLDER_SENT},
	{"\\Trash", FOLDER_TRASH},
	{"\\Important", FOLDER_IMPORTANT},
};

static bool list_attributes(struct scan *s, uint32_t *ret)
{
	struct scan_string word;

	if (!scan_char(s, '('))
		return false;
	for (;;) {
		(void)scan_blanks(s);
		if (scan_char(s, ')'))
			return true;
		if (!scan_string(s, &word))
			return false;
		for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes);
		     i++) {
			if (is_item(word.p, word.n, attributes[i].name))
				*ret |= attributes[i].attr;
		}
	}
}

int grammar_mailbox(struct scan *s, char **ret)
{
	struct scan_string str;
	size_t n;
	char *name;

	if (!scan_string(s, &str))
		return -EBADMSG;
	/* A folder may be called NIL: a name is an astring, never nil. */
	if (str.kind == SCAN_NIL)
		str.kind = SCAN_ATOM;
	if (str.n == 0 || str.n > MAIL_WIRE_NAME_MAX ||
	    memchr(str.p, '\0', str.n))
		return -EBADMSG;

	name = malloc(str.n + 1);
	if (!name)
		return -ENOMEM;
	n = scan_text(&str, name);
	name[n] = '\0';
	if (strcasecmp(name, "INBOX") == 0)
		memcpy(name, "INBOX", 5);
	*ret = name;
	return 0;
}

int grammar_list(const struct response *r, struct mail_folder *ret)
{
	struct mail_folder f = {0};
	struct scan s = r->rest;
	struct scan_string delimiter;
	char text[4];
	int err;

	if (!list_attributes(&s, &f.attrs) || !scan_blanks(&s) ||
	    !scan_string(&s, &delimiter) || !scan_blanks(&s))
		return -EBADMSG;
	if (delimiter.kind != SCAN_NIL && delimiter.n > 0 && delimiter.n <= 2 &&
	    scan_text(&delimiter, text) == 1)
		f.delimiter = text[0];

	/* Extended data may follow the name (RFC 5258); it is not needed. */
	err = grammar_mailbox(&s, &f.wire);
	if (err < 0)
		return err;

	*ret = f;
	return 0;
}

int grammar_oldname(const struct response *r, char **ret)
{
	struct scan s = r->rest;
	struct scan_string tag;

	/* Behind the attributes, the delimiter and the name. */
	for (unsigned i = 0; i < 3; i++) {
		if (!scan_skip(&s))
			return -ENOENT;
		(void)scan_blanks(&s);
	}
	if (!scan_char(&s, '('))
		return -ENOENT;
	for (;;) {
		(void)scan_blanks(&s);
		if (!scan_string(&s, &tag))
			return -ENOENT;
		(void)scan_blanks(&s);
		if (is_item(tag.p, tag.n, "OLDNAME") && scan_char(&s, '('))
			return grammar_mailbox(&s, ret);
		if (!scan_skip(&s))
			return -ENOENT;
	}
}

enum { GOT_MESSAGES = 1, GOT_UIDNEXT = 2, GOT_UIDVALIDITY = 4 };

static bool status_item(struct scan *s, struct mail_folder *f, unsigned *got)
{
	const char *item;
	size_t n;
	uint64_t v;
	bool is_small;

	if (!scan_item(s, &item, &n) || !scan_blanks(s))
		return false;
	if (!scan_number(s, &v))
		return scan_skip(s);

	is_small = v <= UINT32_MAX;
	if (is_item(item, n, "MESSAGES") && is_small) {
		f->messages = (uint32_t)v;
		*got |= GOT_MESSAGES;
	} else if (is_item(item, n, "UIDNEXT") && is_small) {
		f->uidnext = (uint32_t)v;
		*got |= GOT_UIDNEXT;
	} else if (is_item(item, n, "UIDVALIDITY") && is_small) {
		f->uidvalidity = (uint32_t)v;
		*got |= GOT_UIDVALIDITY;
	} else if (is_item(item, n, "HIGHESTMODSEQ")) {
		f->highestmodseq = v;
	}
	return true;
}

int grammar_status(const struct response *r, struct mail_folder *ret)
{
	struct mail_folder f = {0};
	struct scan s = r->rest;
	unsigned got = 0;
	int err;

	err = grammar_mailbox(&s, &f.wire);
	if (err < 0)
		return err;
	(void)scan_blanks(&s);
	if (!scan_char(&s, '('))
		goto bad;
	for (;;) {
		(void)scan_blanks(&s);
		if (scan_char(&s, ')'))
			break;
		if (!status_item(&s, &f, &got))
			goto bad;
	}

	f.has_status = got == (GOT_MESSAGES | GOT_UIDNEXT | GOT_UIDVALIDITY);
	*ret = f;
	return 0;

bad:
	free(f.wire);
	return -EBADMSG;
}

/* (TAG "A1") */
static bool correlator(struct scan *s, struct esearch *ret)
{
	struct scan_string tag;

	if (!scan_char(s, '('))
		return true;
	(void)scan_blanks(s);
	if (!scan_word(s, "TAG") || !scan_blanks(s) || !scan_string(s, &tag))
		return false;
	ret->tag = tag.p;
	ret->n_tag = tag.n;
	(void)scan_blanks(s);
	return scan_char(s, ')');
}

bool grammar_esearch(const struct response *r, struct esearch *ret)
{
	struct esearch e = {.tag = ""};
	struct scan s = r->rest;
	struct scan_string word;
	struct scan value;
	uint64_t v;

	if (!correlator(&s, &e))
		return false;
	for (;;) {
		(void)scan_blanks(&s);
		if (scan_at_end(&s))
			break;
		if (!scan_string(&s, &word))
			return false;
		if (is_item(word.p, word.n, "UID")) {
			e.has_uids = true;
			continue;
		}
		(void)scan_blanks(&s);
		value = s;
		if (!scan_skip(&s))
			return false;
		value.end = s.p;
		if (is_item(word.p, word.n, "ALL"))
			e.all = value;
		else if (is_item(word.p, word.n, "MAX") &&
			 scan_number_max(&value, UINT32_MAX, &v))
			e.max = (uint32_t)v;
	}
	*ret = e;
	return true;
}

int grammar_search_next(struct scan *s, uint32_t *ret)
{
	uint64_t v;

	(void)scan_blanks(s);
	/* (MODSEQ 1) may stand at the end (RFC 7162 section 3.1.5). */
	if (scan_at_end(s) || *s->p == '(')
		return 0;
	if (!scan_number_max(s, UINT32_MAX, &v) || v == 0)
		return -EBADMSG;
	*ret = (uint32_t)v;
	return 1;
}

uint32_t grammar_search_max(const struct response *r)
{
	struct scan s = r->rest;
	struct esearch e;
	uint32_t max = 0;
	uint32_t v;

	if (r->kind == RESPONSE_ESEARCH)
		return grammar_esearch(r, &e) ? e.max : 0;
	while (grammar_search_next(&s, &v) > 0) {
		if (v > max)
			max = v;
	}
	return max;
}

struct scan grammar_vanished(const struct response *r, bool *ret_earlier)
{
	struct scan s = r->rest;
	const char *word;
	size_t n;

	*ret_earlier = false;
	if (scan_char(&s, '(')) {
		(void)scan_blanks(&s);
		*ret_earlier =
			scan_item(&s, &word, &n) && is_item(word, n, "EARLIER");
		(void)scan_blanks(&s);
		(void)scan_char(&s, ')');
		(void)scan_blanks(&s);
	}
	return s;
}
