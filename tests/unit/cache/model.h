/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server of the journal's model: which messages there are, and commands
 * whose answers were lost.
 */
#ifndef IMAPFS_TESTS_CACHE_MODEL_H
#define IMAPFS_TESTS_CACHE_MODEL_H

#include "changed.h"

#define MAIL_MAX 4000
#define DOUBTS_MAX 50

/* A message on the server. */
struct mail {
	uint64_t folder; /* 0: it is gone */
	uint32_t uid, flags;
	unsigned labels; /* as bits (changed.h) */
};

/* A record that is sent: what is to be done with the labels, too. */
struct outgoing {
	struct journal_entry e;
	unsigned add_labels, remove_labels;
};

/* A command whose answer was lost: it is done when `mail` says where. */
struct doubt {
	struct outgoing out;
	unsigned part;
	struct mail *mail;
	bool never;
};

struct world {
	struct changed *t;
	struct mail mail[MAIL_MAX];
	size_t n;
	struct doubt doubt[DOUBTS_MAX];
	size_t n_doubts;
	uint32_t next_uid;
	unsigned random;
	bool may_refuse;
};

/* A number below `n`. */
unsigned roll(struct world *w, unsigned n);
uint32_t validity_of(struct world *w, uint64_t folder);

struct mail *new_mail(struct world *w, uint64_t folder, uint32_t flags);
/* NULL: it is not there. */
struct mail *find_mail(struct world *w, struct journal_place at);
/* Do these parts: the message as it is then. */
struct mail *execute(struct world *w, const struct outgoing *o, unsigned parts);

/* Nobody will know what became of this command; it may have been done. */
void begin_doubt(struct world *w, const struct outgoing *o, unsigned part);
/* NULL: there is none of this record. */
struct doubt *find_doubt(struct world *w, uint64_t id);
/* It is done now, if it is to be done at all and can be. */
void do_late(struct world *w, struct doubt *d);
/* It is looked for: done (where?), or it will never be (NULL). */
struct mail *end_doubt(struct world *w, struct doubt *d);
/* Has it arrived by a command of which nobody knows? */
bool is_late(struct world *w, const struct mail *m);

#endif
