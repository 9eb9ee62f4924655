/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistr.h>

#include "imap/names.h"

/*
 * Header blocks from senders: cut into fields, then each field decoded in
 * every way, as if it were each kind of field.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *s)
{
	assert(!u8_check((const uint8_t *)s, strlen(s)));
	for (; *s; s++)
		assert((unsigned char)*s >= 0x20 && *s != 0x7f);
}

/* A date means the same behind a comment, which is read in another way. */
static void check_date(const char *raw)
{
	char behind[MAIL_FIELD_MAX + 1];
	int64_t when = INT64_MIN, same = INT64_MIN;
	int r = header_date(raw, &when);

	assert(r == 0 || (r == -EINVAL && when == INT64_MIN));
	/* A day to both sides of 1900 and 9999, for the zones (up to 99 h). */
	if (r == 0)
		assert(when > -2208988800 - 5 * INT64_C(86400) &&
		       when < 253402300800 + 5 * INT64_C(86400));
	if (strlen(raw) + 3 > MAIL_FIELD_MAX)
		return;
	(void)snprintf(behind, sizeof(behind), "() %s", raw);
	assert(header_date(behind, &same) == r && same == when);
}

static void check_value(const char *raw)
{
	char *text = NULL;
	char *name = NULL;
	char *addr = NULL;

	if (header_decode(raw, &text) == 0)
		check_text(text);
	free(text);
	if (header_first_address(raw, &name, &addr) == 0) {
		check_text(name);
		check_text(addr);
	}
	free(name);
	free(addr);
	check_date(raw);
}

static void check_fields(const char *block, size_t n)
{
	char *store = malloc((size_t)N_FIELDS * (MAIL_FIELD_MAX + 1));
	const char *field[N_FIELDS];

	if (!store)
		return;
	header_fields(block, n, store, field);
	for (int i = 0; i < N_FIELDS; i++) {
		if (!field[i])
			continue;
		assert(strlen(field[i]) <= MAIL_FIELD_MAX);
		assert(field[i][0] != ' ');
		for (const char *p = field[i]; *p; p++)
			assert((unsigned char)*p >= 0x20 && *p != 0x7f);
		check_value(field[i]);
	}
	free(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = malloc(n + 1);

	if (!s)
		return 0;
	if (n > 0)
		memcpy(s, data, n);
	s[n] = '\0';
	check_fields((const char *)data, n);
	check_value(s);
	free(s);
	return 0;
}
