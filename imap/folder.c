/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/job.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "imap/change.h"
#include "imap/lock.h"
#include "imap/log.h"

/*
 * imap_list_folders(): LIST, with STATUS of each mailbox in the same answer
 * where the server can do that. A server that refuses the long form, or
 * answers it with nothing, is asked in the plain one; on this connection it is
 * never asked in the long one again, if the plain one tells more. But the plain
 * one may not say which mailbox is the Trash: so what was granted before is not
 * given up for a refusal, and what cannot be had now is asked for the next
 * time.
 *
 * Then, one STATUS for each mailbox that the caller named and that has no
 * numbers yet; also for the one that is selected here, which servers advise
 * against (RFC 9051 section 6.3.11) but answer: what EXAMINE said may be old.
 * What is refused just stays without. In between, the job makes room.
 *
 * Some servers list a mailbox twice (a special one again at the end); it
 * counts once, with the attributes of both.
 */

/* More of them at a time, and a server may take it for an attack. */
#define STATUS_IN_FLIGHT 25

enum { CALL_LONG, CALL_PLAIN, CALL_STATUS };

struct folders_job {
	struct job job;
	struct imap_folders_ops ops;
	void *ctx;
	struct mail_folder *folder;
	size_t n;
	size_t size;
	void *by_name; /* tree of indices, kept as struct node */
	char **status_of;
	size_t n_status_of;
	size_t next_status;
	unsigned in_flight; /* commands of this job */
	bool sent;
	bool listed; /* LIST is answered */
	bool too_many;
	bool too_deep;
	bool can_only_plain; /* if that names any mailbox */
};

struct node {
	const char *name;
	size_t index;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->name,
		      ((const struct node *)b)->name);
}

static void clear(struct folders_job *j)
{
	tdestroy(j->by_name, free);
	j->by_name = NULL;
	for (size_t i = 0; i < j->n; i++)
		free(j->folder[i].wire);
	j->n = 0;
	j->too_many = false;
	j->too_deep = false;
}

static void start(struct job *job, struct session *s)
{
	struct folders_job *j = (struct folders_job *)job;

	(void)s;
	j->in_flight = 0;
	j->sent = j->listed;
}

static void sent(struct folders_job *j, int r)
{
	if (r < 0)
		job_finish(&j->job, r, NULL);
	else
		j->in_flight++;
}

static const char *status_items(const struct session *s)
{
	return session_has(s, CAP_CONDSTORE)
		       ? "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ"
		       : "MESSAGES UIDNEXT UIDVALIDITY";
}

static void send_list(struct folders_job *j, struct session *s, int kind)
{
	const struct call call = {.job = &j->job, .kind = kind};
	struct command c;

	session_begin(s, &c);
	command_text(&c, "LIST \"\" \"*\"");
	if (kind == CALL_LONG) {
		command_text(&c, " RETURN (SUBSCRIBED");
		if (session_has(s, CAP_SPECIAL_USE))
			command_text(&c, " SPECIAL-USE");
		if (session_has(s, CAP_LIST_STATUS))
			command_text(&c, " STATUS (%s)", status_items(s));
		command_text(&c, ")");
	}
	sent(j, session_send(s, &c, &call));
}

/* The folder of that name; with `add`, a new one if there is none. */
static struct mail_folder *
/* NOLINTNEXTLINE(readability-non-const-parameter): it becomes the folder's. */
find(struct folders_job *j, char *wire, bool add)
{
	struct node key = {.name = wire};
	struct node **at = tfind(&key, &j->by_name, compare);
	struct node *node;

	if (at)
		return &j->folder[(*at)->index];
	if (!add)
		return NULL;
	if (j->n == j->size) {
		size_t size = j->size ? j->size * 2 : 64;
		void *p = realloc(j->folder, size * sizeof(*j->folder));

		if (!p)
			return NULL;
		j->folder = p;
		j->size = size;
	}
	node = malloc(sizeof(*node));
	if (!node)
		return NULL;
	*node = (struct node){.name = wire, .index = j->n};
	if (!tsearch(node, &j->by_name, compare)) {
		free(node);
		return NULL;
	}
	j->folder[j->n] = (struct mail_folder){.wire = wire};
	return &j->folder[j->n++];
}

static void send_status(struct folders_job *j, struct session *s,
			const char *wire)
{
	const struct call call = {.job = &j->job, .kind = CALL_STATUS};
	struct command c;

	session_begin(s, &c);
	command_text(&c, "STATUS ");
	command_mailbox(&c, wire);
	command_text(&c, " (%s)", status_items(s));
	sent(j, session_send(s, &c, &call));
}

static bool may_send_status(const struct folders_job *j,
			    const struct session *s)
{
	return !j->job.finished && !j->job.yield && session_has_room(s) &&
	       j->next_status < j->n_status_of &&
	       j->in_flight < STATUS_IN_FLIGHT;
}

static void pump_status(struct folders_job *j, struct session *s)
{
	while (may_send_status(j, s)) {
		char *wire = j->status_of[j->next_status++];
		const struct mail_folder *f = find(j, wire, false);

		if (f && !f->has_status && !(f->attrs & FOLDER_NOSELECT))
			send_status(j, s, wire);
	}
	if (j->in_flight == 0 && j->next_status == j->n_status_of)
		job_finish(&j->job, 0, NULL);
}

static void pump(struct job *job, struct session *s)
{
	struct folders_job *j = (struct folders_job *)job;
	bool can = session_has(s, CAP_LIST_EXTENDED) && !s->quirks.plain_list;

	if (j->listed)
		pump_status(j, s);
	if (j->sent || !session_has_room(s))
		return;
	j->sent = true;
	send_list(j, s, can ? CALL_LONG : CALL_PLAIN);
}

/* The long form was refused, or named no mailbox. */
static void answer_long(struct folders_job *j, struct session *s,
			const struct status *st)
{
	bool refused = st->kind != STATUS_OK;

	if (refused && s->quirks.long_list) {
		job_refuse(&j->job, st);
		return;
	}
	j->can_only_plain =
		!refused || !imap_is_for_now(session_change_errno(st));
	clear(j);
	send_list(j, s, CALL_PLAIN);
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct folders_job *j = (struct folders_job *)job;
	bool is_empty = st->kind != STATUS_OK || j->n == 0;

	j->in_flight--;
	if (call->kind == CALL_STATUS)
		return;
	if (call->kind == CALL_LONG && is_empty) {
		answer_long(j, s, st);
	} else if (st->kind != STATUS_OK) {
		job_refuse(job, st);
	} else {
		j->listed = true;
		if (call->kind == CALL_LONG)
			s->quirks.long_list = true;
		else if (j->can_only_plain && !is_empty)
			s->quirks.plain_list = true;
	}
}

static void take_list(struct folders_job *j, struct mail_folder *f)
{
	struct mail_folder *to;

	if (j->n >= MAIL_FOLDERS_MAX) {
		if (!j->too_many)
			log_warn("imap: more than %d mailboxes: the rest is "
				 "left out",
				 MAIL_FOLDERS_MAX);
		j->too_many = true;
		free(f->wire);
		return;
	}
	to = find(j, f->wire, true);
	if (!to) {
		free(f->wire);
		job_finish(&j->job, -ENOMEM, NULL);
		return;
	}
	to->attrs |= f->attrs;
	to->delimiter = f->delimiter;
	if (to->wire != f->wire)
		free(f->wire);
}

static void take_status(struct folders_job *j, struct mail_folder *f)
{
	struct mail_folder *to = find(j, f->wire, false);

	if (to && f->has_status) {
		to->has_status = true;
		to->uidvalidity = f->uidvalidity;
		to->uidnext = f->uidnext;
		to->messages = f->messages;
		to->highestmodseq = f->highestmodseq;
	}
	free(f->wire);
}

/* Each level is a folder to us, whether or not it is listed. Frees it then. */
static bool is_too_deep(struct folders_job *j, struct mail_folder *f)
{
	if (mail_levels(f->wire, f->delimiter) <= MAIL_LEVELS_MAX)
		return false;
	if (!j->too_deep)
		log_warn("imap: mailboxes that are more than %d levels deep "
			 "are left out",
			 MAIL_LEVELS_MAX);
	j->too_deep = true;
	free(f->wire);
	return true;
}

/* No command can name a mailbox with a line end in its name. Frees it then. */
static bool is_usable(struct mail_folder *f)
{
	if (!strpbrk(f->wire, "\r\n"))
		return true;
	free(f->wire);
	return false;
}

static void data(struct job *job, struct session *s, const struct response *r)
{
	struct folders_job *j = (struct folders_job *)job;
	struct mail_folder f;
	int err;

	(void)s;
	if (r->kind == RESPONSE_LIST) {
		err = grammar_list(r, &f);
		if (err == 0 && is_too_deep(j, &f))
			return;
		if (err == 0 && is_usable(&f))
			take_list(j, &f);
		else if (err == -ENOMEM) /* left out, it would count as gone */
			job_finish(job, -ENOMEM, NULL);
		else
			log_warn("imap: a mailbox is left out: its name or "
				 "description makes no sense");
	} else if (r->kind == RESPONSE_STATUS && grammar_status(r, &f) == 0) {
		take_status(j, &f);
	}
}

static bool repeat(struct job *job)
{
	struct folders_job *j = (struct folders_job *)job;

	clear(j);
	j->listed = false;
	j->can_only_plain = false;
	j->next_status = 0;
	return true;
}

static bool folders_pause(struct job *job)
{
	struct folders_job *j = (struct folders_job *)job;

	return j->listed && j->in_flight == 0;
}

static void done(struct job *job)
{
	struct folders_job *j = (struct folders_job *)job;

	lock_assert_none();
	j->ops.done(j->ctx, job->result, job->result == 0 ? j->folder : NULL,
		    job->result == 0 ? j->n : 0);
}

static void folders_free(struct job *job)
{
	struct folders_job *j = (struct folders_job *)job;

	clear(j);
	free(j->folder);
	for (size_t i = 0; i < j->n_status_of; i++)
		free(j->status_of[i]);
	free(j->status_of);
	free(j);
}

static const struct job_class folders_class = {
	.name = "folders",
	.start = start,
	.pump = pump,
	.answer = answer,
	.data = data,
	.repeat = repeat,
	.pause = folders_pause,
	.done = done,
	.free = folders_free,
};

static int copy_names(struct folders_job *j,
		      const struct imap_folders_request *req)
{
	if (req->n_status_of == 0)
		return 0;
	j->status_of = calloc(req->n_status_of, sizeof(*j->status_of));
	if (!j->status_of)
		return -ENOMEM;
	while (j->n_status_of < req->n_status_of) {
		char *name = strdup(req->status_of[j->n_status_of]);

		if (!name)
			return -ENOMEM;
		j->status_of[j->n_status_of++] = name;
	}
	return 0;
}

int imap_list_folders(struct imap *im, enum imap_priority prio,
		      const struct imap_folders_request *req,
		      const struct imap_folders_ops *ops, void *ctx,
		      imap_job *ret)
{
	struct folders_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->ops = *ops;
	j->ctx = ctx;
	r = job_init(&j->job, &folders_class, NULL);
	if (r == 0)
		r = copy_names(j, req);
	if (r < 0) {
		folders_free(&j->job);
		return r;
	}
	return pool_submit(im, &j->job, prio, ret);
}
