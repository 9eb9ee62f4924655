/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "cache/box.h"
#include "cache/messages.h"
#include "cache/writer.h"

/*
 * Gmail's labels of messages that are known. Memory has nothing of them: what
 * the server says is written, behind the rows that it is about.
 */

struct label_row {
	uint64_t id;
	const char *text; /* in the same block */
};

struct labels_op {
	struct op op;
	size_t n;
	struct label_row row[];
};

static int run_labels(struct cache *c, struct op *op)
{
	struct labels_op *l = (struct labels_op *)op;
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n; i++) {
		db_bind_text(&c->write, S_DETAIL_LABELS, 1, l->row[i].text);
		db_bind_int(&c->write, S_DETAIL_LABELS, 2,
			    (int64_t)l->row[i].id);
		r = db_run(&c->write, S_DETAIL_LABELS);
	}
	return r;
}

int box_set_labels(struct box *b, const struct cache_labels *v, size_t n)
{
	size_t bytes = sizeof(struct labels_op) + n * sizeof(struct label_row);
	struct labels_op *op;
	char *pool;
	int r = writer_wait_room(b->c);

	if (r != 0)
		return r;
	for (size_t i = 0; i < n; i++)
		bytes += messages_text_bytes(v[i].labels);
	op = op_new(bytes, run_labels, b->folder);
	if (!op)
		return -ENOMEM;
	op->n = n;
	pool = (char *)&op->row[n];
	for (size_t i = 0; i < n; i++)
		op->row[i] = (struct label_row){
			v[i].id, messages_copy_text(&pool, v[i].labels)};
	writer_push(b->c, &op->op);
	return 0;
}
