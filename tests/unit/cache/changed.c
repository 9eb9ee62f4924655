/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "changed.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* See changed.h. */

static uint64_t new_folder(struct changed *t, const char *name)
{
	char wire[32];
	struct cache_folder f = {.wire = wire, .delimiter = '/'};

	snprintf(wire, sizeof(wire), "%s", name);
	assert_int_equal(cache_new_ids(t->s->c, 1, &f.id), 0);
	assert_int_equal(cache_save_folder(t->s->c, &f), 0);
	return f.id;
}

static void set_validity(struct box *b, uint32_t uidvalidity)
{
	struct cache_state s = {.uidvalidity = uidvalidity, .uidnext = 1000};

	assert_int_equal(box_set_state(b, &s), 0);
}

void changed_open_boxes(struct changed *t)
{
	assert_int_equal(box_open(t->s->c, t->in_a, &t->a), 0);
	assert_int_equal(box_open(t->s->c, t->in_b, &t->b), 0);
	assert_int_equal(box_open(t->s->c, t->in_trash, &t->trash), 0);
}

void changed_close_boxes(struct changed *t)
{
	box_close(t->a);
	box_close(t->b);
	box_close(t->trash);
	t->a = t->b = t->trash = NULL;
}

int changed_setup(void **state)
{
	struct changed *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->s = scene_new();
	scene_open(t->s);
	t->in_a = new_folder(t, "INBOX");
	t->in_b = new_folder(t, "Work");
	t->in_trash = new_folder(t, "Trash");
	changed_open_boxes(t);
	set_validity(t->a, VALID_A);
	set_validity(t->b, VALID_B);
	set_validity(t->trash, VALID_TRASH);
	*state = t;
	return 0;
}

int changed_teardown(void **state)
{
	struct changed *t = *state;

	changed_close_boxes(t);
	scene_free(t->s);
	free(t);
	return 0;
}

void changed_close(struct changed *t)
{
	changed_close_boxes(t);
	scene_close(t->s);
}

void changed_open(struct changed *t)
{
	scene_open(t->s);
	assert_string_equal(t->s->report.set_aside, "");
	changed_open_boxes(t);
}

void changed_reopen(struct changed *t)
{
	changed_close(t);
	changed_open(t);
}

uint64_t changed_add(struct box *b, uint32_t uid, const char *name)
{
	char message_id[32];
	struct mail_row row = {
		.has = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE | ROW_FIELDS |
		       ROW_LABELS,
		.uid = uid,
		.flags = MAIL_SEEN,
		.keywords = "blue",
		.gm_labels = "blue",
		.size = 1000 + uid,
		.internaldate = 1700000000 + uid,
		.field = {[FIELD_SUBJECT] = "Hello",
			  [FIELD_MESSAGE_ID] = message_id},
	};
	struct cache_new add = {&row, name, true};
	uint64_t id = 0;

	snprintf(message_id, sizeof(message_id), "<%u@example.com>", uid);
	assert_int_equal(box_add(b, &add, 1, NULL, &id), 0);
	return id;
}

/* --- what the user does --- */

void change_move(struct box *from, uint64_t id, struct box *to,
		 const char *name)
{
	struct journal_move how = {.to = to, .name = name};

	assert_int_equal(journal_move(from, id, &how, NULL), 0);
}

void change_replace(struct box *from, uint64_t id, struct box *to,
		    const char *name, struct box *trash)
{
	struct journal_move how = {to, name, JOURNAL_REPLACE, trash, true};

	assert_int_equal(journal_move(from, id, &how, NULL), 0);
}

void change_flags(struct box *b, uint64_t id, uint32_t add, uint32_t remove)
{
	struct journal_flags v = {.id = id, .add = add, .remove = remove};

	assert_int_equal(journal_change_flags(b, &v, 1), 0);
}

void change_words(struct box *b, uint64_t id, const char *add,
		  const char *remove)
{
	struct journal_flags v = {id, 0, 0, add, remove, add, remove};

	assert_int_equal(journal_change_flags(b, &v, 1), 0);
}

uint64_t change_create(struct box *b, const char *name, const char *text)
{
	struct journal_new v = {
		.name = name, .internaldate = 1600000000, .announced = true};
	struct mail_row row = {
		.has = ROW_FLAGS | ROW_FIELDS,
		.flags = MAIL_FLAGGED,
		.field = {[FIELD_MESSAGE_ID] = "<new@example.com>"}};
	uint64_t id;
	int fd;

	assert_int_equal(journal_create(b, &v, &id, &fd), 0);
	assert_int_equal(spool_write(fd, text, strlen(text), 0), 0);
	close(fd);
	assert_int_equal(journal_publish(b, id, &row), 0);
	return id;
}

/* --- what the flusher does --- */

bool changed_get(struct changed *t, uint64_t id, struct journal_entry *ret)
{
	struct journal_list *list;
	int r = journal_get(t->s->c, id, &list);

	if (r == -ENOENT)
		return false;
	assert_int_equal(r, 0);
	*ret = list->v[0];
	ret->add_keywords = ret->remove_keywords = NULL;
	ret->add_labels = ret->remove_labels = NULL;
	free(list);
	return true;
}

void changed_expect(struct changed *t, uint64_t id, unsigned what)
{
	struct journal_entry e;

	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, what);
}

void changed_expect_none(struct changed *t, uint64_t id)
{
	struct journal_entry e;

	assert_false(changed_get(t, id, &e));
}

void changed_send(struct changed *t, uint64_t id, unsigned parts)
{
	struct journal_mark m = {.id = id, .parts = parts, .uidnext = 500};
	struct journal_entry e;

	assert_true(changed_get(t, id, &e));
	m.gen = e.gen;
	assert_int_equal(journal_mark_sent(t->s->c, &m, 1), 0);
	assert_true(m.marked);
}

void changed_settle(struct changed *t, struct journal_result r)
{
	assert_int_equal(journal_settle(t->s->c, &r, 1, NULL), 0);
}

void changed_done(struct changed *t, uint64_t id, unsigned parts,
		  uint32_t uidvalidity, uint32_t uid)
{
	changed_settle(t, (struct journal_result){.id = id,
						  .done = parts,
						  .uidvalidity = uidvalidity,
						  .uid = uid});
}

void changed_undo(struct changed *t, uint64_t id)
{
	const struct journal_failure why = {"move", "NO [NOPERM]", "x"};

	changed_settle(t, (struct journal_result){
				  .id = id, .rest = JOURNAL_UNDO, .why = &why});
}

/* --- looking --- */

struct cache_msg row_named(struct box *b, const char *name)
{
	struct cache_msg m;

	assert_int_equal(box_find_name(b, name, &m), 0);
	return m;
}

struct cache_msg row_of(struct box *b, uint64_t id)
{
	struct cache_msg m;

	assert_int_equal(box_find_id(b, id, &m), 0);
	assert_false(m.dead);
	return m;
}

bool has_row(struct box *b, uint64_t id)
{
	struct cache_msg m;

	return box_find_id(b, id, &m) == 0 && !m.dead;
}

void expect_words(struct box *b, uint64_t id, const char *words)
{
	struct cache_details *d;

	assert_int_equal(box_details(b, id, &d), 0);
	assert_int_equal(cache_keywords_hash(d->keywords),
			 cache_keywords_hash(words));
	assert_int_equal(strlen(d->keywords), strlen(words));
	assert_string_equal(d->gm_labels, d->keywords);
	free(d);
	assert_int_equal(box_keywords_hash(b, id), cache_keywords_hash(words));
}

/* --- labels --- */

const char *const changed_labels[LABELS] = {"",  "a",   "b",   "a b",
					    "c", "a c", "b c", "a b c"};

unsigned changed_label_bits(const char *words)
{
	unsigned bits = 0;

	for (; *words; words++)
		bits |= *words == ' ' ? 0 : 1u << (*words - 'a');
	return bits;
}

void expect_labels(struct box *b, uint64_t id, unsigned labels)
{
	struct cache_details *d;

	assert_int_equal(box_details(b, id, &d), 0);
	assert_int_equal(changed_label_bits(d->gm_labels), labels);
	free(d);
}

size_t count_state_files(struct changed *t, const char *folder)
{
	char path[400];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", t->s->state_dir, folder);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) /* NOLINT(concurrency-mt-unsafe) */
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

int64_t sql_number(struct changed *t, const char *sql)
{
	if (t->s->c)
		assert_int_equal(cache_sync(t->s->c), 0);
	return scene_sql_number(t->s, sql);
}
