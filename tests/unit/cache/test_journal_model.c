/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model.h"

#include "cache/heard.h"

/*
 * A user, a server and another client do what comes to their minds; the server
 * refuses some, answers of others are lost and what they were for is done, or
 * will be, or not; and the program starts anew now and then. Whenever
 * everything was sent, what is here is what is there: each message once, with
 * the same UID, flags and labels. JOURNAL_SEED repeats a run, JOURNAL_STEPS
 * makes it longer.
 */

#define BATCH 6

static struct box *box_in(struct world *w, uint64_t folder)
{
	return folder == w->t->in_a   ? w->t->a
	       : folder == w->t->in_b ? w->t->b
				      : w->t->trash;
}

static struct box *any_box(struct world *w)
{
	unsigned k = roll(w, 3);

	return k == 0 ? w->t->a : k == 1 ? w->t->b : w->t->trash;
}

/* --- the user --- */

static bool any_row(struct world *w, struct box *b, struct cache_msg *ret)
{
	struct cache_msg m[40];
	size_t n = box_read(b, 0, m, 40);

	if (n == 0)
		return false;
	*ret = m[roll(w, (unsigned)n)];
	return true;
}

static void user_creates(struct world *w, struct box *b)
{
	char name[32];

	snprintf(name, sizeof(name), "new%u.eml", w->next_uid++);
	(void)change_create(b, name, "X: 1\r\n\r\n");
}

/* One that went to the Trash is shown there when the kernel was told. */
static void user_replaces(struct world *w, struct box *from, uint64_t id,
			  struct box *to, const char *name)
{
	struct journal_move how = {to, name, JOURNAL_REPLACE,
				   roll(w, 2) ? w->t->trash : NULL, true};
	struct journal_moved moved;

	assert_int_equal(journal_move(from, id, &how, &moved), 0);
	if (moved.replaced_to != 0)
		box_announce(box_in(w, moved.replaced_to), moved.replaced);
}

static void user_labels(struct world *w, struct box *b, uint64_t id)
{
	unsigned add = roll(w, LABELS), remove = roll(w, LABELS) & ~add;
	struct journal_flags v = {.id = id,
				  .add_labels = changed_labels[add],
				  .remove_labels = changed_labels[remove]};

	assert_int_equal(journal_change_flags(b, &v, 1), 0);
}

static void user_acts(struct world *w)
{
	struct box *b = any_box(w), *to = any_box(w);
	struct journal_copy copy = {.to = to, .name = "copy.eml"};
	struct cache_msg m, other;
	uint64_t id;

	if (!any_row(w, b, &m)) {
		user_creates(w, b);
		return;
	}
	switch (roll(w, 9)) {
	case 0:
		change_flags(b, m.id, roll(w, 32), roll(w, 32) & 5);
		break;
	case 1:
		if (any_row(w, to, &other) && other.id != m.id)
			user_replaces(w, b, m.id, to, other.name);
		break;
	case 2:
		if (roll(w, 2))
			assert_int_equal(journal_remove(b, m.id), 0);
		break;
	case 3:
		if (roll(w, 2))
			assert_int_equal(journal_copy(b, m.id, &copy, &id), 0);
		break;
	case 4:
		if (roll(w, 2))
			user_creates(w, b);
		break;
	case 5:
		user_labels(w, b, m.id);
		break;
	default:
		change_move(b, m.id, to, "moved.eml");
	}
}

/* --- keeping up --- */

/* Every flag of the server is heard, as a sync would. */
static void sync_flags(struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct mail *m = &w->mail[i];
		struct cache_flags v = {.flags = m->flags,
					.labels = changed_labels[m->labels]};
		struct cache_msg row;

		if (m->folder == 0 ||
		    box_find_uid(box_in(w, m->folder), m->uid, &row) != 0)
			continue;
		v.id = row.id;
		assert_int_equal(box_set_flags(box_in(w, m->folder), &v, 1), 0);
	}
}

/* Another client removes a message. */
static void other_removes(struct world *w, struct mail *m)
{
	struct journal_place at = {m->folder, validity_of(w, m->folder),
				   m->uid};
	struct box *b = box_in(w, m->folder);
	struct cache_msg row;
	uint64_t id;
	int r;

	if (is_late(w, m))
		return; /* nobody knows it yet */
	m->folder = 0;
	r = journal_find_uid(w->t->s->c, at, &id);
	if (box_find_uid(b, at.uid, &row) == 0)
		assert_int_equal(box_remove(b, &row.id, 1), 0);
	else if (r == 0)
		changed_settle(w->t, (struct journal_result){
					     .id = id, .rest = JOURNAL_GONE});
	else if (r != -EBUSY) /* who looks for it finds out */
		fail_msg("nobody knows UID %u", at.uid);
}

static void other_acts(struct world *w)
{
	struct mail *m = w->n ? &w->mail[roll(w, (unsigned)w->n)] : NULL;

	if (!m || m->folder == 0)
		return;
	if (roll(w, 4) == 0)
		other_removes(w, m);
	else
		m->flags = roll(w, 32);
	if (roll(w, 2))
		m->labels = roll(w, LABELS);
	sync_flags(w);
}

/* --- sending --- */

/* Is it in doubt, and not to go there any more? */
static bool is_only_looked_for(const struct journal_entry *e)
{
	return e->doubt != 0 && e->sent_to != e->at;
}

static bool is_ready(const struct journal_entry *e)
{
	return is_only_looked_for(e) || (e->what != 0 && e->waits_for == 0);
}

static unsigned parts_of(const struct journal_entry *e)
{
	if (e->doubt)
		return e->doubt;
	return e->what & JOURNAL_COPY ? JOURNAL_COPY : e->what;
}

static void note_place(struct world *w, const struct mail *m,
		       struct journal_result *r)
{
	r->uid = m->uid;
	r->uidvalidity = validity_of(w, m->folder);
}

/* What becomes of one that is looked for. True: that was the answer. */
static bool answer_doubt(struct world *w, const struct journal_entry *e,
			 struct journal_result *r)
{
	struct doubt *d = find_doubt(w, e->id);
	struct mail *m = d ? end_doubt(w, d) : NULL;

	if (!m)
		return is_only_looked_for(e);
	r->done = e->doubt;
	note_place(w, m, r);
	return true;
}

/* One that has but one place to go to. */
static bool may_be_lost(struct world *w, const struct journal_entry *e,
			unsigned parts)
{
	return (parts == JOURNAL_APPEND || parts == JOURNAL_COPY ||
		parts == JOURNAL_MOVE) &&
	       w->n_doubts < DOUBTS_MAX && !find_doubt(w, e->id);
}

/* One answer: done, in part, refused, or lost (and done, or not). */
static void answer(struct world *w, const struct outgoing *o, unsigned parts,
		   struct journal_result *r)
{
	const struct journal_entry *e = &o->e;
	unsigned luck = roll(w, w->may_refuse ? 10 : 5);
	struct mail *m = NULL;

	*r = (struct journal_result){.id = e->id, .rest = JOURNAL_AGAIN};
	if (e->doubt && answer_doubt(w, e, r))
		return;
	if (!(parts & JOURNAL_APPEND) && !find_mail(w, e->origin)) {
		r->rest = JOURNAL_GONE; /* another client was faster */
		return;
	}
	if (luck == 3 && may_be_lost(w, e, parts)) {
		r->doubt = true;
		begin_doubt(w, o, parts);
		return;
	}
	if (luck >= 8)
		r->rest = JOURNAL_UNDO;
	if (luck == 4 || luck >= 8)
		parts &= roll(w, 2) ? JOURNAL_STORE : 0;
	if (parts == JOURNAL_STORE && (e->what & JOURNAL_COPY))
		parts = 0; /* there is no copy yet */
	r->done = parts;
	if (parts != 0)
		m = execute(w, o, parts);
	if (m && (parts & (JOURNAL_APPEND | JOURNAL_COPY | JOURNAL_MOVE)))
		note_place(w, m, r);
}

/* What comes back is shown when the kernel was told. */
static void settle(struct world *w, const struct journal_result *r, size_t n)
{
	struct journal_effects *effects;

	assert_int_equal(journal_settle(w->t->s->c, r, n, &effects), 0);
	for (size_t i = 0; i < effects->n; i++) {
		if (effects->v[i].to != 0)
			box_announce(box_in(w, effects->v[i].to),
				     effects->v[i].id);
	}
	free(effects);
}

/* Send some of what is ready: how many. */
static size_t flush_some(struct world *w)
{
	struct journal_filter f = {.phases = 1u << JOURNAL_QUEUED};
	struct journal_mark m[BATCH] = {{0}};
	struct outgoing out[BATCH];
	struct journal_result r[BATCH];
	struct journal_list *list;
	size_t n = 0;

	assert_int_equal(journal_read(w->t->s->c, &f, &list), 0);
	for (size_t i = 0; i < list->n && n < BATCH; i++) {
		const struct journal_entry *v = &list->v[i];

		if (!is_ready(v))
			continue;
		out[n] =
			(struct outgoing){*v, changed_label_bits(v->add_labels),
					  changed_label_bits(v->remove_labels)};
		m[n++] =
			(struct journal_mark){.id = v->id,
					      .gen = v->gen,
					      .parts = parts_of(v),
					      .is_look = is_only_looked_for(v)};
	}
	free(list);
	assert_int_equal(journal_mark_sent(w->t->s->c, m, n), 0);
	for (unsigned k = roll(w, 4); k > 0; k--)
		user_acts(w);
	for (size_t i = 0; i < w->n_doubts; i++)
		if (roll(w, 4) == 0)
			do_late(w, &w->doubt[i]);
	if (roll(w, 6) == 0)
		changed_reopen(w->t);
	for (size_t i = 0; i < n; i++) {
		r[i] = (struct journal_result){.id = 0};
		/* One of the batch may have had to wait for another. */
		if (m[i].marked)
			answer(w, &out[i], m[i].parts, &r[i]);
	}
	settle(w, r, n);
	sync_flags(w);
	return n;
}

/* --- the same here and there --- */

static size_t living(struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->mail[i].folder != 0;
	return n;
}

static void expect_same(struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct mail *m = &w->mail[i];
		struct cache_msg row;

		if (m->folder == 0)
			continue;
		if (box_find_uid(box_in(w, m->folder), m->uid, &row) != 0)
			fail_msg("UID %u is not here", m->uid);
		assert_int_equal(row.flags, m->flags);
		expect_labels(box_in(w, m->folder), row.id, m->labels);
	}
	assert_int_equal(box_count(w->t->a) + box_count(w->t->b) +
				 box_count(w->t->trash),
			 living(w));
	assert_int_equal(sql_number(w->t, "SELECT count(*) FROM messages"),
			 living(w));
	assert_int_equal(sql_number(w->t, "SELECT count(*) FROM details"),
			 living(w));
	assert_int_equal(count_state_files(w->t, "spool"), 0);
}

static void flush_all(struct world *w)
{
	struct journal_counts n;
	unsigned rounds = 0;

	do {
		(void)flush_some(w);
		journal_count(w->t->s->c, &n);
		assert_true(++rounds < 10000);
		w->may_refuse = false;
	} while (n.queued + n.sent > 0);
	w->may_refuse = true;
	expect_same(w);
}

static void here_is_what_is_there_when_all_was_sent(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const char *seed = getenv("JOURNAL_SEED");
	const char *steps = getenv("JOURNAL_STEPS");
	long n = steps ? strtol(steps, NULL, 10) : 600;

	assert_non_null(w);
	w->t = *state;
	w->random = seed ? (unsigned)strtoul(seed, NULL, 10)
			 : (unsigned)time(NULL) ^ (unsigned)getpid();
	print_message("JOURNAL_SEED=%u\n", w->random);
	w->next_uid = 1;
	w->may_refuse = true;
	for (int i = 0; i < 12; i++) {
		struct mail *m = new_mail(w, w->t->in_a, MAIL_SEEN);

		(void)changed_add(w->t->a, m->uid, "m.eml");
		sync_flags(w);
	}
	for (long i = 0; i < n && w->n < MAIL_MAX - 500; i++) {
		unsigned what = roll(w, 20);

		if (what < 12)
			user_acts(w);
		else if (what < 17)
			(void)flush_some(w);
		else if (what < 19)
			other_acts(w);
		else
			changed_reopen(w->t);
		if (i % 60 == 59)
			flush_all(w);
	}
	flush_all(w);
	changed_reopen(w->t);
	expect_same(w);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			here_is_what_is_there_when_all_was_sent, changed_setup,
			changed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
