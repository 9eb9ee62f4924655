/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/frame_body.h"

#include <string.h>
#include <strings.h>

/*
 * Which literals are bodies: told by the words in front of them, before the
 * response is whole. Pure functions.
 */

bool frame_is_fetch(const char *p)
{
	size_t digits;

	if (*p != '*')
		return false;
	p += 1 + strspn(p + 1, " ");
	digits = strspn(p, "0123456789");
	if (digits == 0)
		return false;
	p += digits + strspn(p + digits, " ");
	if (strncasecmp(p, "FETCH", 5) != 0)
		return false;
	p += 5 + strspn(p + 5, " ");
	return *p == '(';
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
