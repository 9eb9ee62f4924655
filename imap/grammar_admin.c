/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/grammar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/change.h"

/*
 * The responses about what a mailbox may hold and who may change it: QUOTAROOT,
 * QUOTA, MYRIGHTS. Pure functions: no state, any thread.
 */

int grammar_quotaroot(const struct response *r, char **ret)
{
	struct scan s = r->rest;

	return grammar_mailbox(&s, ret);
}

/* One of `STORAGE 10 512`. False: it is none. */
static bool resource(struct scan *s, struct scan_string *name, uint64_t *used,
		     uint64_t *limit)
{
	return scan_string(s, name) && scan_blanks(s) && scan_number(s, used) &&
	       scan_blanks(s) && scan_number(s, limit);
}

bool grammar_quota(const struct response *r, uint64_t *ret_used,
		   uint64_t *ret_limit)
{
	struct scan s = r->rest;
	struct scan_string name;
	uint64_t used;
	uint64_t limit;

	/* The root's name may be "", or missing where it should be "". */
	if (!scan_at_end(&s) && *s.p != '(' && !scan_string(&s, &name))
		return false;
	(void)scan_blanks(&s);
	if (!scan_char(&s, '('))
		return false;
	for (;;) {
		(void)scan_blanks(&s);
		if (!resource(&s, &name, &used, &limit))
			return false;
		if (name.n == 7 && strncasecmp(name.p, "STORAGE", 7) == 0)
			break;
	}
	*ret_used = used;
	*ret_limit = limit;
	return true;
}

/*
 * The letters of RFC 4314 section 2.1. Older servers (RFC 2086) have `c` and
 * `d` in place of the last four, newer ones say them beside those.
 */
static const struct {
	char letter;
	bool old;
	unsigned right;
} letters[] = {
	{'r', false, RIGHT_READ},
	{'s', false, RIGHT_SEEN},
	{'w', false, RIGHT_FLAGS},
	{'i', false, RIGHT_INSERT},
	{'t', false, RIGHT_DELETE},
	{'e', false, RIGHT_EXPUNGE},
	{'k', false, RIGHT_CREATE},
	{'x', false, RIGHT_REMOVE},
	{'c', true, RIGHT_CREATE | RIGHT_REMOVE},
	{'d', true, RIGHT_DELETE | RIGHT_EXPUNGE | RIGHT_REMOVE},
};

static bool has_letter(const struct scan_string *s, const char *any)
{
	for (; *any; any++) {
		if (memchr(s->p, *any, s->n))
			return true;
	}
	return false;
}

int grammar_rights(const struct response *r, char **ret_wire, unsigned *ret)
{
	struct scan s = r->rest;
	struct scan_string word;
	unsigned rights = 0;
	char *wire;
	bool is_new;
	int err = grammar_mailbox(&s, &wire);

	if (err < 0)
		return err;
	(void)scan_blanks(&s);
	if (!scan_string(&s, &word)) {
		free(wire);
		return -EBADMSG;
	}
	is_new = has_letter(&word, "tekx");
	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++) {
		if (memchr(word.p, letters[i].letter, word.n) &&
		    !(letters[i].old && is_new))
			rights |= letters[i].right;
	}
	*ret_wire = wire;
	*ret = rights;
	return 0;
}
