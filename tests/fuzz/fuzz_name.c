/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/name.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/*
 * Names: whatever the header fields or a mailbox component are, the name is
 * harmless. The first byte chooses: even, a message whose fields are the lines
 * of the rest (From, Subject, Date, Message-ID); odd, a mailbox component.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                               \
	do {                                                                   \
		if (!(x))                                                      \
			abort();                                               \
	} while (0)

/* What no name may have, whoever made it. */
static void check_common(const char *name)
{
	const uint8_t *s = (const uint8_t *)name;
	size_t n = strlen(name);

	CHECK(n > 0 && n <= NAME_MAX_BYTES && n < NAME_BUFFER);
	CHECK(!u8_check(s, n));
	CHECK(name[0] != '.' && !strchr(name, '/'));
	for (ucs4_t c; (s = u8_next(&c, s));)
		CHECK(!uc_is_general_category_withtable(
			      c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Zl |
					 UC_CATEGORY_MASK_Zp |
					 UC_CATEGORY_MASK_Cs) &&
		      !uc_is_property_bidi_control(c));
}

static void check_message_name(const char *name)
{
	const uint8_t *s = (const uint8_t *)name;
	uint8_t *nfc;
	size_t n = 0;

	check_common(name);
	CHECK(name[0] != '-' && name_is_possible(name));
	CHECK(!strpbrk(name, " \"'`\\$&|;<>()*?[]{}!#~^:"));
	for (ucs4_t c; (s = u8_next(&c, s));)
		CHECK(!uc_is_general_category_withtable(
			c, UC_CATEGORY_MASK_Z | UC_CATEGORY_MASK_Pi |
				   UC_CATEGORY_MASK_Pf | UC_CATEGORY_MASK_Cf |
				   UC_CATEGORY_MASK_Co | UC_CATEGORY_MASK_Cn));
	nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)name, strlen(name),
			   NULL, &n);
	CHECK(nfc && n == strlen(name) && !memcmp(nfc, name, n));
	free(nfc);
}

/*
 * A joiner in front of a Subject goes, and takes it the way of what is not
 * ASCII: all but the hash must be as it was.
 */
static void check_other_way(const struct mail_row *row, const char *name)
{
	const char *raw = row->field[FIELD_SUBJECT];
	char text[MAIL_FIELD_MAX + 1], other[NAME_BUFFER];
	struct mail_row joined = *row;
	size_t n = strlen(name);

	if (!raw || strlen(raw) + 3 >= MAIL_FIELD_MAX)
		return;
	CHECK(snprintf(text, sizeof(text), "\u200d%s", raw) > 0);
	joined.field[FIELD_SUBJECT] = text;
	CHECK(name_of_message(&joined, other) == 0);
	CHECK(strlen(other) == n && !memcmp(other, name, n - 10));
}

static void fuzz_message(char *text)
{
	static const enum mail_field order[] = {FIELD_FROM, FIELD_SUBJECT,
						FIELD_DATE, FIELD_MESSAGE_ID};
	struct mail_row row = {.has = ROW_FIELDS};
	char name[NAME_BUFFER], again[NAME_BUFFER];

	for (size_t i = 0; i < 4 && text; i++) {
		char *end = strchr(text, '\n');

		if (end)
			*end++ = '\0';
		if (strlen(text) > MAIL_FIELD_MAX)
			text[MAIL_FIELD_MAX] = '\0';
		row.field[order[i]] = text;
		text = end;
	}
	CHECK(name_of_message(&row, name) == 0);
	check_message_name(name);
	CHECK(name_of_message(&row, again) == 0 && !strcmp(name, again));
	check_other_way(&row, name);
}

static void fuzz_folder(const char *wire, size_t n)
{
	char name[NAME_BUFFER], twin[NAME_BUFFER], again[NAME_BUFFER];

	CHECK(name_of_folder(wire, n, name) == 0);
	check_common(name);
	CHECK(name_of_folder_twin(wire, n, twin) == 0);
	check_common(twin);
	CHECK(strstr(twin, "%~"));
	CHECK(name_of_folder(wire, n, again) == 0 && !strcmp(name, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text;

	if (n == 0 || n > 8192)
		return 0;
	text = malloc(n);
	CHECK(text);
	memcpy(text, data + 1, n - 1);
	text[n - 1] = '\0';
	if (data[0] % 2)
		fuzz_folder(text, n - 1);
	else
		fuzz_message(text);
	(void)name_is_possible(text);
	free(text);
	return 0;
}
