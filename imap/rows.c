/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A window of rows. The text stands in blocks that never move, so rows can
 * point into it while more come. One row has an upper bound (the limits of
 * mail.h), and a window has a number of rows: so memory is bounded whatever a
 * server sends.
 */

#define ROW_TEXT_MAX                                                           \
	(N_FIELDS * (MAIL_FIELD_MAX + 1) + 2 * (MAIL_KEYWORDS_MAX + 1) +       \
	 MAIL_EMAILID_MAX + 1)
#define BLOCK_SIZE 65536u

struct rows_text {
	struct rows_text *next;
	size_t used;
	char bytes[BLOCK_SIZE];
};

static void free_blocks(struct rows_text *b)
{
	while (b) {
		struct rows_text *next = b->next;

		free(b);
		b = next;
	}
}

void rows_finish(struct rows *r)
{
	free_blocks(r->text);
	free(r->row);
	*r = (struct rows){0};
}

void rows_clear(struct rows *r)
{
	r->n = 0;
	if (!r->text)
		return;
	free_blocks(r->text->next);
	r->text->next = NULL;
	r->text->used = 0;
}

/* Room for the texts of one more row. */
static int reserve_text(struct rows *r)
{
	struct rows_text *b;

	if (r->text && BLOCK_SIZE - r->text->used >= ROW_TEXT_MAX)
		return 0;
	b = malloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->next = r->text;
	b->used = 0;
	r->text = b;
	return 0;
}

/* Room for one more row, whatever it holds. */
static int reserve(struct rows *r)
{
	if (r->n == ROWS_MAX)
		return -ENOSPC;
	if (!r->row) {
		r->row = malloc(ROWS_MAX * sizeof(*r->row));
		if (!r->row)
			return -ENOMEM;
	}
	return reserve_text(r);
}

static const char *keep(struct rows_text *b, const char *s, size_t max)
{
	size_t n = strnlen(s, max);
	char *to = b->bytes + b->used;

	memcpy(to, s, n);
	to[n] = '\0';
	b->used += n + 1;
	return to;
}

static void keep_fields(struct rows *r, struct mail_row *to,
			const char *const field[N_FIELDS])
{
	for (unsigned i = 0; i < N_FIELDS; i++)
		to->field[i] = field[i]
				       ? keep(r->text, field[i], MAIL_FIELD_MAX)
				       : NULL;
}

int rows_add(struct rows *r, const struct mail_row *row)
{
	struct mail_row *to;
	int err = reserve(r);

	if (err < 0)
		return err;
	to = &r->row[r->n++];
	*to = *row;
	to->keywords = keep(r->text, row->keywords ? row->keywords : "",
			    MAIL_KEYWORDS_MAX);
	to->gm_labels = keep(r->text, row->gm_labels ? row->gm_labels : "",
			     MAIL_KEYWORDS_MAX);
	to->emailid = row->has & ROW_EMAILID
			      ? keep(r->text, row->emailid, MAIL_EMAILID_MAX)
			      : NULL;
	keep_fields(r, to, row->field);
	return 0;
}

int rows_set_fields(struct rows *r, size_t at,
		    const char *const field[N_FIELDS])
{
	int err = reserve_text(r);

	if (err < 0)
		return err;
	keep_fields(r, &r->row[at], field);
	r->row[at].has |= ROW_FIELDS;
	return 0;
}

static int up(const void *a, const void *b)
{
	const struct mail_row *x = a;
	const struct mail_row *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static int down(const void *a, const void *b)
{
	return up(b, a);
}

/* Servers answer in the order of the mailbox, which is that of the UIDs. */
static bool ascends(const struct rows *r)
{
	for (size_t i = 1; i < r->n; i++) {
		if (r->row[i - 1].uid >= r->row[i].uid)
			return false;
	}
	return true;
}

static void reverse(struct rows *r)
{
	for (size_t i = 0, j = r->n; i + 1 < j; i++) {
		struct mail_row row = r->row[i];

		r->row[i] = r->row[--j];
		r->row[j] = row;
	}
}

void rows_sort(struct rows *r, bool newest_first)
{
	size_t n = 0;

	if (r->n == 0)
		return;
	if (ascends(r)) {
		if (newest_first)
			reverse(r);
		return;
	}
	qsort(r->row, r->n, sizeof(*r->row), newest_first ? down : up);
	for (size_t i = 0; i < r->n; i++) {
		if (n > 0 && r->row[n - 1].uid == r->row[i].uid)
			continue;
		r->row[n++] = r->row[i];
	}
	r->n = n;
}
