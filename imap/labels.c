/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/labels.h"

#include <string.h>

#include "imap/keywords.h"

/*
 * The words of labels, made and read. What may stand in a label is for the
 * server to say: only blanks, which part the words, and control characters,
 * which no label has, are looked after.
 */

#define ESCAPED 3 /* bytes of %20 */

static bool is_escaped(char c)
{
	return c == ' ' || c == '%';
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static size_t word_bytes(const char *label, size_t n)
{
	size_t bytes = n;

	for (size_t i = 0; i < n; i++)
		bytes += is_escaped(label[i]) ? ESCAPED - 1 : 0;
	return bytes;
}

bool labels_add(char *words, size_t size, const char *label, size_t n)
{
	size_t at = strlen(words);

	/* The length first: what a server sends may be very long. */
	if (n == 0 || n >= size || at + (at > 0) + word_bytes(label, n) >= size)
		return false;
	if (at > 0)
		words[at++] = ' ';
	for (size_t i = 0; i < n; i++) {
		if (is_escaped(label[i])) {
			memcpy(words + at, label[i] == ' ' ? "%20" : "%25",
			       ESCAPED);
			at += ESCAPED;
			continue;
		}
		words[at] = label[i];
		if (is_control(label[i]))
			words[at] = '?';
		at++;
	}
	words[at] = '\0';
	return true;
}

static bool has_escape(const char *p, size_t n)
{
	return n >= ESCAPED && p[0] == '%' && p[1] == '2' &&
	       (p[2] == '0' || p[2] == '5');
}

size_t labels_text(const char *word, size_t n, char *ret)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		ret[to] = word[i]; /* for "%25", too */
		if (has_escape(word + i, n - i)) {
			if (word[i + 2] == '0')
				ret[to] = ' ';
			i += ESCAPED - 1;
		}
		to++;
	}
	ret[to] = '\0';
	return to;
}

bool labels_have(const char *words, const char *word, size_t n)
{
	const char *at;
	size_t len;

	while (keywords_next(&words, &at, &len)) {
		if (len == n && memcmp(at, word, n) == 0)
			return true;
	}
	return false;
}

static bool is_word(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_control(p[i]) ||
		    (p[i] == '%' && !has_escape(p + i, n - i)))
			return false;
	}
	return n > 0;
}

bool labels_are_valid(const char *words)
{
	return keywords_each_is(words, is_word);
}
