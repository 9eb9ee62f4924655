/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/messages.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/internal.h"
#include "imap/log.h"

/*
 * The rows of messages, read back: those of a folder into its packed index, and
 * the details of one message. By the reading connection; what another program,
 * a damaged disk or an older bug has written there is checked, and a row that
 * cannot be is left out.
 */

/* --- a folder --- */

/* Is this a row that we could have written? Says in one word what is not. */
static const char *read_row(sqlite3_stmt *st, uint64_t ids_end,
			    const struct index *ix, struct record *ret,
			    const char **ret_name, size_t *ret_len)
{
	int64_t id = sqlite3_column_int64(st, 0);
	int64_t uid = sqlite3_column_int64(st, 1);
	int64_t flags = sqlite3_column_int64(st, 2);
	int64_t size = sqlite3_column_int64(st, 3);
	const char *name = (const char *)sqlite3_column_text(st, 7);
	int len = sqlite3_column_bytes(st, 7);
	bool is_unmoored = sqlite3_column_type(st, 1) == SQLITE_INTEGER &&
			   uid == UNMOORED_UID;

	if (id < CACHE_ID_FIRST || (uint64_t)id >= ids_end)
		return "id";
	if (uid < 0 || uid > UINT32_MAX ||
	    index_find_uid(ix, (uint32_t)uid) != INDEX_NONE)
		return "UID";
	if (size < 0 || size > (int64_t)MAIL_SIZE_MAX)
		return "size";
	if (!name || len <= 0 || !index_name_is_valid(name, (size_t)len) ||
	    index_find_name(ix, name, (size_t)len) != INDEX_NONE)
		return "name";

	*ret = (struct record){
		.id = (uint32_t)id,
		.uid = (uint32_t)uid,
		.size = (uint64_t)size,
		.state = ((uint64_t)flags & RECORD_FLAGS) | RECORD_ANNOUNCED |
			 (is_unmoored ? RECORD_UNMOORED : 0u),
		.internaldate = sqlite3_column_int64(st, 4),
		.changed_at = messages_clamp_time(sqlite3_column_int64(st, 5)),
		.keywords = (uint32_t)sqlite3_column_int64(st, 6),
	};
	*ret_name = name;
	*ret_len = (size_t)len;
	return NULL;
}

static int load_row(sqlite3_stmt *st, uint64_t ids_end, uint64_t folder,
		    struct index *ix)
{
	struct record rec;
	const char *name, *bad;
	size_t len;
	int r;

	bad = read_row(st, ids_end, ix, &rec, &name, &len);
	if (bad) {
		log_warn("cache: a row of folder %llu is left out: its %s "
			 "cannot be",
			 (unsigned long long)folder, bad);
		return 0;
	}
	r = index_reserve(ix, 1, len);
	if (r == 0)
		index_append(ix, &rec, name, len);
	return r;
}

int messages_load(struct cache *c, uint64_t folder, struct index *ix)
{
	uint64_t end = ids_end(c);
	int r;

	lock_take(&c->read_lock);
	db_bind_int(&c->read, S_MSG_LOAD, 1, (int64_t)folder);
	while ((r = db_step(&c->read, S_MSG_LOAD)) == 1) {
		r = load_row(c->read.stmt[S_MSG_LOAD], end, folder, ix);
		if (r != 0)
			break;
	}
	db_reset(&c->read, S_MSG_LOAD);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	return r;
}

/* --- the details of one --- */

struct cache_details *messages_copy_details(sqlite3_stmt *st)
{
	size_t bytes = sizeof(struct cache_details) + 2;
	struct cache_details *d;
	const char *text[N_TEXTS];
	char *pool;

	for (int i = 0; i < N_TEXTS; i++) {
		text[i] = (const char *)sqlite3_column_text(st, i);
		bytes += messages_text_bytes(text[i]);
	}
	d = calloc(1, bytes);
	if (!d)
		return NULL;

	pool = (char *)(d + 1);
	for (int i = 0; i < N_FIELDS; i++)
		d->field[i] = messages_copy_text(&pool, text[i]);
	d->keywords = text[TEXT_KEYWORDS]
			      ? messages_copy_text(&pool, text[TEXT_KEYWORDS])
			      : messages_copy_text(&pool, "");
	d->gm_labels = text[TEXT_GM_LABELS]
			       ? messages_copy_text(&pool, text[TEXT_GM_LABELS])
			       : messages_copy_text(&pool, "");
	d->emailid = messages_copy_text(&pool, text[TEXT_EMAILID]);
	d->gm_msgid = (uint64_t)sqlite3_column_int64(st, N_TEXTS);
	d->gm_thrid = (uint64_t)sqlite3_column_int64(st, N_TEXTS + 1);
	return d;
}

int messages_read_details(struct cache *c, uint64_t id,
			  struct cache_details **ret)
{
	struct cache_details *d = NULL;
	int r;

	lock_take(&c->read_lock);
	db_bind_int(&c->read, S_DETAIL_GET, 1, (int64_t)id);
	r = db_step(&c->read, S_DETAIL_GET);
	if (r == 1)
		d = messages_copy_details(c->read.stmt[S_DETAIL_GET]);
	db_reset(&c->read, S_DETAIL_GET);
	lock_drop(&c->read_lock);
	if (r == -EBADMSG)
		store_mark_damaged(c);
	if (r == 0)
		return -ENOENT;
	if (r < 0)
		return r;
	if (!d)
		return -ENOMEM;
	*ret = d;
	return 0;
}
