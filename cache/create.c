/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/changes.h"
#include "cache/spool.h"

/*
 * New messages and scratch files: from their creation to the moment when they
 * may be sent, or cannot be.
 *
 * The row of a new message has its flags as those of a delta against nothing,
 * so that a change of flags is the same for it as for any other message.
 */

/* --- creating --- */

/* A row of its own and a record with a file. Takes `name`, of the file. */
static int plan_create(struct plan *p, struct box *b,
		       const struct journal_new *v, uint64_t id,
		       const char *name) REQUIRES(p->c->journal.lock)
{
	uint32_t flags = v->flags & RECORD_FLAGS;
	struct change *c;
	struct step *s;
	int r = plan_step_locked(p, id, NULL, &s);

	if (r != 0)
		return r;
	c = plan_new_change_locked(p, s);
	if (!c)
		return -ENOMEM;
	c->phase = v->is_scratch ? JOURNAL_SCRATCH : JOURNAL_WRITING;
	c->delta.add.flags = flags;
	c->spool = strdup(name);
	s->was = ROW_NONE;
	s->hide = !v->announced;
	s->is_new_key = false;
	s->row = (struct record){
		.id = (uint32_t)id,
		.state = flags,
		.internaldate = v->internaldate,
	};
	memcpy(s->name, v->name, strlen(v->name) + 1);
	step_row_to(s, ROW_BOX, b);
	return c->spool ? 0 : -ENOMEM;
}

static int create_row(struct box *b, const struct journal_new *v, uint64_t id,
		      const char *name)
{
	struct cache *c = b->c;
	struct plan p;
	size_t pos;
	int r;

	plan_init(&p, c);
	lock_take(&p.c->journal.lock);
	lock_take(&b->lock);
	pos = index_find_name(&b->index, v->name, strlen(v->name));
	lock_drop(&b->lock);
	r = pos == INDEX_NONE ? plan_create(&p, b, v, id, name) : -EEXIST;
	if (r == 0)
		r = plan_commit_locked(&p);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}

int journal_create(struct box *b, const struct journal_new *v, uint64_t *ret_id,
		   int *ret_fd)
{
	struct cache *c = b->c;
	uint64_t id = 0;
	char *name;
	int fd, r = journal_ready(c);

	if (r == 0 && !index_name_is_valid(v->name, strlen(v->name)))
		r = -EINVAL;
	if (r == 0)
		r = cache_new_ids(c, 1, &id);
	if (r != 0)
		return r;
	name = spool_name(id);
	if (!name)
		return -ENOMEM;
	/* Order matters: the file is there before anybody knows of it. */
	r = spool_create(c, name, v->is_scratch, &fd);
	if (r == 0) {
		r = create_row(b, v, id, name);
		if (r != 0) {
			close(fd);
			spool_unlink(c, name);
		}
	}
	free(name);
	if (r != 0)
		return r;
	*ret_id = id;
	*ret_fd = fd;
	return 0;
}

/* --- one that is not sent --- */

/* -ENOENT: there is no such unsent message here. -EBUSY: it was sent. */
static int load_unsent(struct plan *p, struct box *b, uint64_t id,
		       struct step **ret) REQUIRES(p->c->journal.lock)
{
	struct change *old = journal_find_locked(&p->c->journal, id);
	int r;

	if (!old || !old->spool || old->at != b->folder)
		return -ENOENT;
	/* In doubt, too: what may have arrived is the text as it was. */
	if (change_unanswered(old) != 0)
		return -EBUSY;
	r = plan_step_locked(p, id, old, ret);
	return r == 0 ? step_load_row(*ret, b) : r;
}

static size_t text_bytes(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static struct texts *copy_fields(const struct mail_row *row)
{
	size_t bytes = sizeof(struct texts);
	struct texts *t;
	char *pool;

	for (int i = 0; i < N_FIELDS; i++)
		bytes += text_bytes(row->field[i]);
	t = calloc(1, bytes);
	if (!t)
		return NULL;
	pool = (char *)(t + 1);
	for (int i = 0; i < N_FIELDS; i++) {
		size_t n = text_bytes(row->field[i]);

		if (n == 0)
			continue;
		memcpy(pool, row->field[i], n);
		t->field[i] = pool;
		pool += n;
	}
	return t;
}

/* All its flags are news to the server. */
static int set_flags(struct step *s, const struct mail_row *row)
{
	struct flagset all;
	const struct flagset none = {0};
	/* The words are borrowed. */
	const struct flagset now = {row->flags & RECORD_FLAGS,
				    (char *)row->keywords, NULL};
	int r = flagset_combine(&now, SET_PLUS, &none, &all);

	if (r != 0)
		return r;
	/* Labels are not in the file: those that were set stay. */
	all.labels = s->next->delta.add.labels;
	s->next->delta.add.labels = NULL;
	delta_finish(&s->next->delta);
	s->next->delta.add = all;
	s->row.state = (s->row.state & ~(uint64_t)RECORD_FLAGS) | all.flags;
	s->row.keywords = cache_keywords_hash(all.words);
	s->keywords = strdup(all.words ? all.words : "");
	return s->keywords ? 0 : -ENOMEM;
}

static int plan_publish(struct plan *p, struct box *b, uint64_t id,
			const struct mail_row *row, uint64_t size)
	REQUIRES(p->c->journal.lock)
{
	struct step *s;
	int r = load_unsent(p, b, id, &s);

	if (r == 0 && s->next->phase == JOURNAL_SCRATCH)
		r = -EINVAL;
	if (r == 0 && (row->has & ROW_FLAGS))
		r = set_flags(s, row);
	if (r == 0 && (row->has & ROW_FIELDS)) {
		s->texts = copy_fields(row);
		r = s->texts ? 0 : -ENOMEM;
	}
	if (r != 0)
		return r;
	if (row->has & ROW_DATE)
		s->row.internaldate = row->internaldate;
	s->row.size = size;
	s->is_new_key = true;
	s->next->phase = JOURNAL_QUEUED;
	s->next->queued_at = time(NULL);
	return 0;
}

/* The name of the file, if nothing of it was sent. */
static int find_spool(struct box *b, uint64_t id, char **ret)
{
	const struct change *v;
	int r = 0;

	lock_take(&b->c->journal.lock);
	v = journal_find_locked(&b->c->journal, id);
	if (!v || !v->spool || v->at != b->folder)
		r = -ENOENT;
	else if (change_unanswered(v) != 0)
		r = -EBUSY;
	else if (v->phase == JOURNAL_SCRATCH)
		r = -EINVAL;
	if (r == 0) {
		*ret = strdup(v->spool);
		r = *ret ? 0 : -ENOMEM;
	}
	lock_drop(&b->c->journal.lock);
	return r;
}

int journal_publish(struct box *b, uint64_t id, const struct mail_row *row)
{
	struct cache *c = b->c;
	uint64_t size = 0;
	struct plan p;
	char *name;
	int r = journal_ready(c);

	if (r == 0)
		r = find_spool(b, id, &name);
	if (r != 0)
		return r;
	/* Order matters (J6): the bytes are on disk before the record says so.
	 */
	r = spool_harden(c, name, &size);
	free(name);
	if (r == 0 && size == 0)
		r = -EINVAL;
	if (r == 0 && size > MAIL_SIZE_MAX)
		r = -EOVERFLOW;
	if (r != 0)
		return r;
	plan_init(&p, c);
	lock_take(&p.c->journal.lock);
	r = plan_publish(&p, b, id, row, size);
	if (r == 0)
		r = plan_commit_locked(&p);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}

/* --- changes before it is sent --- */

/* One step of an unsent message, and what is to be changed in it. */
static int edit(struct box *b, uint64_t id,
		int (*change)(struct step *s, const void *arg), const void *arg)
{
	struct cache *c = b->c;
	struct step *s;
	struct plan p;
	int r = journal_ready(c);

	if (r != 0)
		return r;
	plan_init(&p, c);
	lock_take(&p.c->journal.lock);
	r = load_unsent(&p, b, id, &s);
	if (r == 0)
		r = change(s, arg);
	if (r == 0)
		r = plan_commit_locked(&p);
	plan_finish_locked(&p);
	lock_drop(&p.c->journal.lock);
	return r;
}

static int do_reopen(struct step *s, const void *arg)
{
	(void)arg;
	if (s->next->phase == JOURNAL_QUEUED)
		s->next->phase = JOURNAL_WRITING;
	return 0;
}

int journal_reopen(struct box *b, uint64_t id)
{
	return edit(b, id, do_reopen, NULL);
}

static int do_set_date(struct step *s, const void *arg)
{
	s->row.internaldate = *(const int64_t *)arg;
	s->row.changed_at = (uint32_t)time(NULL);
	s->is_new_key = s->next->phase == JOURNAL_QUEUED;
	return 0;
}

int journal_set_date(struct box *b, uint64_t id, int64_t internaldate)
{
	return edit(b, id, do_set_date, &internaldate);
}

/* --- refusing --- */

int step_fail(struct step *s, const struct journal_failure *why)
{
	char text[1024];
	struct journal_failure f = *why;

	if (s->rejected) {
		snprintf(text, sizeof(text), "%s (kept as rejected/%s)",
			 why->why ? why->why : "", s->rejected);
		f.why = text;
	}
	free(s->failure);
	s->failure = failure_new(&f);
	return s->failure ? 0 : -ENOMEM;
}

int step_drop(struct step *s, const char *rejected)
{
	char *name = rejected ? strdup(rejected) : NULL;

	if (rejected && !name)
		return -ENOMEM;
	if (s->next->spool) {
		s->fate = rejected ? SPOOL_REJECTED : SPOOL_DELETED;
		s->spool = s->next->spool;
		s->rejected = name;
		s->next->spool = NULL;
	} else {
		free(name);
	}
	step_row_to(s, ROW_NONE, NULL);
	change_free(s->next);
	s->next = NULL;
	return 0;
}
