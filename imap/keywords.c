/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/keywords.h"

#include <string.h>
#include <strings.h>

/*
 * Keywords are atoms (RFC 9051 section 9), and their case says nothing. A list
 * of them never has two blanks in a row, nor one at an end.
 */

bool keywords_next(const char **p, const char **ret, size_t *ret_n)
{
	const char *at = *p;

	if (!at || !*at)
		return false;
	*ret = at;
	*ret_n = strcspn(at, " ");
	at += *ret_n;
	*p = *at ? at + 1 : at;
	return true;
}

bool keywords_have(const char *list, const char *word, size_t n)
{
	const char *at;
	size_t n_at;

	while (keywords_next(&list, &at, &n_at)) {
		if (n_at == n && strncasecmp(at, word, n) == 0)
			return true;
	}
	return false;
}

/* No `]` either: it would end a response code that holds the keyword. */
static bool is_atom(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] <= 0x20 || s[i] > 0x7e || strchr("(){%*\"\\]", s[i]))
			return false;
	}
	return n > 0;
}

bool keywords_each_is(const char *list,
		      bool (*is_word)(const char *word, size_t n))
{
	const char *word;
	size_t n;

	if (!list || !*list)
		return true;
	n = strlen(list);
	if (n > MAIL_KEYWORDS_MAX || list[n - 1] == ' ')
		return false;
	while (keywords_next(&list, &word, &n)) {
		if (!is_word(word, n))
			return false;
	}
	return true;
}

bool keywords_are_valid(const char *list)
{
	return keywords_each_is(list, is_atom);
}
