/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/frame_body.h"

#include <string.h>
#include <strings.h>

/*
 * Which literals are bodies: told by the words in front of them, before the
 * response is whole. Pure functions.
 */

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	return p;
}

/* Is this `* n FETCH (`? */
static bool is_fetch(const char *p, const char *end)
{
	size_t digits;

	if (p == end || *p != '*')
		return false;
	p = skip_blanks(p + 1, end);
	digits = strspn(p, "0123456789");
	if (digits == 0)
		return false;
	p = skip_blanks(p + digits, end);
	if (end - p < 5 || strncasecmp(p, "FETCH", 5) != 0)
		return false;
	p = skip_blanks(p + 5, end);
	return p < end && *p == '(';
}

/* Does [start, end) end in `word`, at the beginning of an item? */
static bool ends_in_item(const char *start, const char *end, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - start) <= n)
		return false;
	if (strncasecmp(end - n, word, n) != 0)
		return false;
	return end[-(long)n - 1] == ' ' || end[-(long)n - 1] == '(';
}

/* Step back over `<123>`, the origin of a partial body. */
static const char *before_origin(const char *start, const char *end)
{
	const char *p = end;

	if (p == start || p[-1] != '>')
		return end;
	p--;
	while (p > start && p[-1] >= '0' && p[-1] <= '9')
		p--;
	return p > start && p[-1] == '<' ? p - 1 : end;
}

bool frame_is_body(const char *p, const char *line, const char *end)
{
	const char *open;

	if (!is_fetch(p, end))
		return false;
	while (end > line && end[-1] == ' ')
		end--;
	if (ends_in_item(p, end, "RFC822") ||
	    ends_in_item(p, end, "RFC822.TEXT"))
		return true;

	end = before_origin(line, end);
	if (end == line || end[-1] != ']')
		return false;
	/*
	 * In this line only, or a response of many literals would be looked
	 * through from its beginning for each of them.
	 */
	open = memrchr(line, '[', (size_t)(end - line));
	if (!open)
		return false;
	if (end - open > 6 && strncasecmp(open + 1, "HEADER", 6) == 0)
		return false;
	return ends_in_item(p, open, "BODY") || ends_in_item(p, open, "BINARY");
}
