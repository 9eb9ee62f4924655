/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../scratch.h"
#include "fs/budget.h"
#include "fs/draft.h"
#include "fs/flush_private.h"
#include "fs/folder.h"
#include "fs/keep.h"

/* See flushing.h. */

static void add_folder(struct fs *fs, const char *wire)
{
	struct cache_folder f = {.wire = wire, .delimiter = '/'};

	assert_int_equal(cache_new_ids(fs->cache, 1, &f.id), 0);
	assert_int_equal(cache_save_folder(fs->cache, &f), 0);
}

static uint64_t add_message(struct box *box, unsigned i)
{
	char message_id[32], name[32];
	struct mail_row row = {
		.has = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE | ROW_FIELDS,
		.uid = i + 1,
		.flags = MAIL_SEEN,
		.keywords = "",
		.size = 1000 + i,
		.internaldate = 1700000000 + i,
		.field = {[FIELD_MESSAGE_ID] = message_id},
	};
	struct cache_new add = {&row, name, true};
	uint64_t id = 0;

	snprintf(message_id, sizeof(message_id), "<%u@example.com>", i);
	snprintf(name, sizeof(name), "m%u.eml", i);
	assert_int_equal(box_add(box, &add, 1, NULL, &id), 0);
	return id;
}

static void set_state(struct box *box, uint32_t uidvalidity, uint32_t uidnext)
{
	struct cache_state s = {.uidvalidity = uidvalidity,
				.uidnext = uidnext,
				.low_uid = 1,
				.complete = true};

	assert_int_equal(box_set_state(box, &s), 0);
}

static void fill(struct flushing *t)
{
	struct box *box;

	assert_int_equal(folder_get(t->fs, t->a, &box), 0);
	set_state(box, VALID_A, 100);
	for (unsigned i = 0; i < 8; i++)
		t->id[i] = add_message(box, i);
	folder_put(t->fs, t->a);
	assert_int_equal(folder_get(t->fs, t->b, &box), 0);
	set_state(box, VALID_B, 20);
	folder_put(t->fs, t->b);
	assert_int_equal(folder_get(t->fs, t->c, &box), 0);
	set_state(box, VALID_C, 100);
	folder_put(t->fs, t->c);
}

static void open_world(struct flushing *t)
{
	world_open(&t->w);
	assert_int_equal(budget_new(t->fs, &t->fs->budget), 0);
	assert_int_equal(keep_new(t->fs, &t->fs->keep), 0);
	t->a = walk(&t->w, "A", NULL);
	t->b = walk(&t->w, "B", NULL);
	t->c = walk(&t->w, "C", NULL);
}

static void close_world(struct flushing *t)
{
	struct fs *fs = t->fs;

	keep_stop(fs->keep);
	keep_free(fs->keep);
	budget_free(fs->budget);
	world_close(&t->w);
	fs->keep = NULL;
}

int flushing_setup(void **state)
{
	struct flushing *t = calloc(1, sizeof(*t));
	struct cache_report report;
	char dir[300], bodies[300];
	struct cache_config cfg = {.state_dir = dir, .cache_dir = bodies};

	assert_non_null(t);
	t->fs = &t->w.fs;
	snprintf(t->w.dir, sizeof(t->w.dir), "%s/imapfs-flush-XXXXXX",
		 scratch_root());
	assert_non_null(mkdtemp(t->w.dir));
	snprintf(dir, sizeof(dir), "%s/state", t->w.dir);
	snprintf(bodies, sizeof(bodies), "%s/bodies", t->w.dir);
	assert_int_equal(cache_open(&cfg, 0, &t->fs->cache, &report), 0);
	add_folder(t->fs, "A");
	add_folder(t->fs, "B");
	add_folder(t->fs, "C");
	cache_close(t->fs->cache);
	open_world(t);
	fill(t);
	*state = t;
	return 0;
}

int flushing_teardown(void **state)
{
	struct flushing *t = *state;

	close_world(t);
	world_remove(&t->w);
	free(t);
	return 0;
}

int drafting_setup(void **state)
{
	int r = flushing_setup(state);
	struct flushing *t = *state;

	return r == 0 ? drafts_new(t->fs, &t->fs->drafts) : r;
}

int drafting_teardown(void **state)
{
	struct flushing *t = *state;

	drafts_free(t->fs->drafts);
	t->fs->drafts = NULL;
	return flushing_teardown(state);
}

void flushing_begin(struct flushing *t, const script *scripts)
{
	t->server = server_start(scripts);
	assert_int_equal(flush_new(t->fs, &t->fs->flush), 0);
	t->fs->flush->retry_ms = 20;
	t->fs->flush->again_ms = 20;
	t->fs->imap = account_connected(t->server, 1);
	t->fs->online = true;
	flush_online(t->fs);
}

void flushing_reopen(struct flushing *t)
{
	close_world(t);
	open_world(t);
}

void flushing_wait(struct flushing *t)
{
	int64_t end = clock_now_ms() + PATIENCE_MS;
	struct journal_counts n;

	do {
		journal_count(t->fs->cache, &n);
		(void)!flush_drained(t->fs);
		wait_a_bit(end);
	} while (n.queued + n.sent > 0);
}

void wait_sent(struct flushing *t)
{
	int64_t end = clock_now_ms() + PATIENCE_MS;
	struct journal_counts n;

	do {
		journal_count(t->fs->cache, &n);
		wait_a_bit(end);
	} while (n.sent == 0);
}

void flushing_end(struct flushing *t)
{
	flush_stop(t->fs->flush);
	account_end(t->fs->imap, t->server);
	flush_free(t->fs->flush);
	t->fs->flush = NULL;
	t->fs->imap = NULL;
	t->fs->online = false;
}

void move_message(struct flushing *t, unsigned i, struct folder *from,
		  struct folder *to)
{
	struct journal_move how = {.onto = JOURNAL_TWIN};
	struct box *box;
	char name[32];

	snprintf(name, sizeof(name), "m%u.eml", i);
	how.name = name;
	assert_int_equal(folder_get(t->fs, from, &box), 0);
	assert_int_equal(folder_get(t->fs, to, &how.to), 0);
	assert_int_equal(journal_move(box, t->id[i], &how, NULL), 0);
	folder_put(t->fs, to);
	folder_put(t->fs, from);
}

void move_to_b(struct flushing *t, unsigned i)
{
	move_message(t, i, t->a, t->b);
}

void lose_answer(struct flushing *t, unsigned i)
{
	struct journal_result r = {
		.id = t->id[i], .rest = JOURNAL_AGAIN, .doubt = true};
	struct journal_mark m = {.id = t->id[i],
				 .parts = JOURNAL_MOVE,
				 .uidvalidity = VALID_B,
				 .uidnext = 20};
	struct journal_list *list;

	assert_int_equal(journal_get(t->fs->cache, t->id[i], &list), 0);
	m.gen = list->v[0].gen;
	free(list);
	assert_int_equal(journal_mark_sent(t->fs->cache, &m, 1), 0);
	assert_true(m.marked);
	assert_int_equal(journal_settle(t->fs->cache, &r, 1, NULL), 0);
}

int find(struct flushing *t, struct folder *f, uint64_t id,
	 struct cache_msg *ret)
{
	struct box *box;
	int r;

	assert_int_equal(folder_get(t->fs, f, &box), 0);
	r = box_find_id(box, id, ret);
	folder_put(t->fs, f);
	return r == 0 && ret->dead ? -ENOENT : r;
}

void expect_uid(struct flushing *t, struct folder *f, unsigned i, uint32_t uid)
{
	struct cache_msg m;

	assert_int_equal(find(t, f, t->id[i], &m), 0);
	assert_int_equal(m.uid, uid);
}

void expect_failed(struct flushing *t, const char *words)
{
	char *text;

	assert_int_equal(journal_failed_text(t->fs->cache, &text), 0);
	if (!strstr(text, words))
		fail_msg("not listed: %s\n%s", words, text);
	free(text);
}
