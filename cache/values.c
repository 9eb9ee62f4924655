/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/internal.h"

/*
 * Small values under names: settings of the account, and two of our own
 * (`ids`, `secret`), which callers cannot reach: theirs begin with `x-` in
 * the table.
 */

const struct sql db_values_sql[] = {
	{S_VALUE_GET, "SELECT value FROM vals WHERE key = ?"},
	{S_VALUE_SET, "INSERT INTO vals (key, value) VALUES (?, ?)"
		      " ON CONFLICT (key) DO UPDATE SET value"
		      " = excluded.value"},
	{0, NULL},
};

#define PREFIX "x-"

static char *own_key(const char *key)
{
	char *s = malloc(strlen(key) + sizeof(PREFIX));

	if (s) {
		memcpy(s, PREFIX, sizeof(PREFIX) - 1);
		memcpy(s + sizeof(PREFIX) - 1, key, strlen(key) + 1);
	}
	return s;
}

int cache_get_value(struct cache *c, const char *key, char **ret)
{
	char *own = own_key(key), *value = NULL;
	int r;

	if (!own)
		return -ENOMEM;
	(void)writer_drain(c, 0);
	lock_take(&c->read_lock);
	db_bind_text(&c->read, S_VALUE_GET, 1, own);
	r = db_step(&c->read, S_VALUE_GET);
	if (r == 1) {
		sqlite3_stmt *st = c->read.stmt[S_VALUE_GET];
		const char *text = (const char *)sqlite3_column_text(st, 0);

		value = strdup(text ? text : "");
	}
	db_reset(&c->read, S_VALUE_GET);
	lock_drop(&c->read_lock);
	free(own);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	if (r != 1)
		return r == 0 ? -ENOENT : r;
	if (!value)
		return -ENOMEM;
	*ret = value;
	return 0;
}

struct value_op {
	struct op op;
	size_t value_at;
	char text[]; /* key, then value */
};

static int run_value(struct cache *c, struct op *op)
{
	struct value_op *v = (struct value_op *)op;

	db_bind_text(&c->write, S_VALUE_SET, 1, v->text);
	db_bind_text(&c->write, S_VALUE_SET, 2, v->text + v->value_at);
	return db_run(&c->write, S_VALUE_SET);
}

int cache_set_value(struct cache *c, const char *key, const char *value)
{
	size_t key_bytes = sizeof(PREFIX) + strlen(key);
	size_t value_bytes = strlen(value) + 1;
	struct value_op *op;
	int r = writer_wait_room(c);

	if (r != 0)
		return r;
	op = op_new(sizeof(*op) + key_bytes + value_bytes, run_value, 0);
	if (!op)
		return -ENOMEM;
	op->value_at = key_bytes;
	memcpy(op->text, PREFIX, sizeof(PREFIX) - 1);
	memcpy(op->text + sizeof(PREFIX) - 1, key, strlen(key) + 1);
	memcpy(op->text + key_bytes, value, value_bytes);
	writer_push(c, &op->op);
	return 0;
}
