/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <unistr.h>

#include "imap/names.h"

/*
 * Names of mailboxes. What decodes is valid UTF-8 and encodes to the very
 * same bytes; what encodes decodes to the very same bytes.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_decode(const char *wire)
{
	char *text = NULL;
	char *again = NULL;

	if (utf7_decode(wire, &text) < 0)
		return;
	assert(!u8_check((const uint8_t *)text, strlen(text)));
	assert(utf7_encode(text, &again) == 0);
	assert(strcmp(wire, again) == 0);
	free(text);
	free(again);
}

static void check_encode(const char *text)
{
	char *wire = NULL;
	char *again = NULL;

	if (utf7_encode(text, &wire) < 0) {
		assert(u8_check((const uint8_t *)text, strlen(text)));
		return;
	}
	for (const char *p = wire; *p; p++)
		assert(*p >= 0x20 && *p <= 0x7e);
	assert(utf7_decode(wire, &again) == 0);
	assert(strcmp(text, again) == 0);
	free(wire);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = malloc(n + 1);

	if (!s)
		return 0;
	if (n > 0)
		memcpy(s, data, n);
	s[n] = '\0';
	check_decode(s);
	check_encode(s);
	free(s);
	return 0;
}
