/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model.h"

/* See model.h. */

unsigned roll(struct world *w, unsigned n)
{
	w->random = w->random * 1103515245 + 12345;
	return (w->random >> 8) % n;
}

uint32_t validity_of(struct world *w, uint64_t folder)
{
	return folder == w->t->in_a   ? VALID_A
	       : folder == w->t->in_b ? VALID_B
				      : VALID_TRASH;
}

struct mail *new_mail(struct world *w, uint64_t folder, uint32_t flags)
{
	struct mail *m = &w->mail[w->n++];

	assert_true(w->n < MAIL_MAX);
	*m = (struct mail){folder, w->next_uid++, flags, 0};
	return m;
}

struct mail *find_mail(struct world *w, struct journal_place at)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->mail[i].folder != 0 && w->mail[i].folder == at.folder &&
		    w->mail[i].uid == at.uid &&
		    at.uidvalidity == validity_of(w, at.folder))
			return &w->mail[i];
	}
	return NULL;
}

struct mail *execute(struct world *w, const struct outgoing *o, unsigned parts)
{
	const struct journal_entry *e = &o->e;
	struct mail *m = find_mail(w, e->origin), *copy;

	if (parts & JOURNAL_APPEND)
		return new_mail(w, e->at, e->add);
	assert_non_null(m); /* never a command for what is not there */
	if (parts & JOURNAL_COPY) {
		copy = new_mail(w, e->at, m->flags);
		copy->labels = m->labels;
		return copy;
	}
	if (parts & JOURNAL_STORE) {
		m->flags = (m->flags | e->add) & ~e->remove;
		m->labels = (m->labels | o->add_labels) & ~o->remove_labels;
	}
	if (parts & JOURNAL_MOVE) {
		m->folder = e->at;
		m->uid = w->next_uid++;
	}
	if (parts & JOURNAL_REMOVE)
		m->folder = 0;
	return m;
}

/* --- answers that are lost --- */

struct doubt *find_doubt(struct world *w, uint64_t id)
{
	for (size_t i = 0; i < w->n_doubts; i++) {
		if (w->doubt[i].out.e.id == id)
			return &w->doubt[i];
	}
	return NULL;
}

void do_late(struct world *w, struct doubt *d)
{
	if (d->mail || d->never ||
	    (d->part != JOURNAL_APPEND && !find_mail(w, d->out.e.origin)))
		return;
	d->mail = execute(w, &d->out, d->part);
}

void begin_doubt(struct world *w, const struct outgoing *o, unsigned part)
{
	struct doubt *d = &w->doubt[w->n_doubts++];

	*d = (struct doubt){.out = *o, .part = part, .never = roll(w, 3) == 0};
	if (roll(w, 2))
		do_late(w, d);
}

struct mail *end_doubt(struct world *w, struct doubt *d)
{
	struct mail *m;

	do_late(w, d);
	m = d->mail;
	*d = w->doubt[--w->n_doubts];
	return m;
}

bool is_late(struct world *w, const struct mail *m)
{
	for (size_t i = 0; i < w->n_doubts; i++) {
		if (w->doubt[i].mail == m)
			return true;
	}
	return false;
}
