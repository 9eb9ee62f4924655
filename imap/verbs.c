/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/verbs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The set is cut into portions that a command line can hold; the verbs of a
 * portion go out one behind the other, and as many portions as the window has
 * room for. Nothing new is sent behind a refusal, but all that was sent is
 * waited for: each answer may tell of messages that were copied.
 */

#define LINE_MIN 200 /* bytes for UIDs in a line, whatever else is in it */

static bool is_valid(const struct imap_messages *which)
{
	if (which->n_uids == 0 || which->n_uids > IMAP_CHANGE_UIDS_MAX)
		return false;
	for (size_t i = 0; i < which->n_uids; i++) {
		if (which->uids[i] == 0 ||
		    (i > 0 && which->uids[i] <= which->uids[i - 1]))
			return false;
	}
	return true;
}

int verbs_new(const struct job_class *class, size_t size,
	      const struct imap_messages *which, struct uid_change **ret)
{
	struct uid_change *j;
	int r;

	if (!is_valid(which))
		return -EINVAL;
	j = calloc(1, size);
	if (!j)
		return -ENOMEM;
	r = change_init(&j->c, class, which->wire, which->wire);
	j->uidvalidity = which->uidvalidity;
	j->c.job.since_ms = which->since_ms;
	j->n_uids = which->n_uids;
	j->uids = malloc(which->n_uids * sizeof(*j->uids));
	if (r == 0 && !j->uids)
		r = -ENOMEM;
	if (r < 0) {
		verbs_free(&j->c.job);
		return r;
	}
	memcpy(j->uids, which->uids, which->n_uids * sizeof(*j->uids));
	*ret = j;
	return 0;
}

void verbs_free(struct job *job)
{
	struct uid_change *j = (struct uid_change *)job;

	pairs_finish(&j->pairs);
	free(j->set.keywords);
	free(j->take.keywords);
	free(j->set.labels);
	free(j->take.labels);
	free(j->to);
	free(j->uids);
	change_job_free(job);
}

void verbs_add(struct uid_change *j, enum verb verb)
{
	assert(j->n_verbs < VERBS_MAX);
	j->verb[j->n_verbs++] = verb;
}

static void fail_read_only(struct uid_change *j, const char *words)
{
	j->c.end.is_read_only = true;
	change_fail(&j->c, -EROFS, words);
}

bool verbs_begin(struct uid_change *j, const struct session *s)
{
	j->n_verbs = 0;
	j->next = 0;
	j->step = 0;
	j->c.in_flight = 0;
	if (s->box.uidvalidity != j->uidvalidity && job_reopen(&j->c.job, s))
		return false;
	if (s->box.uidvalidity != j->uidvalidity)
		change_fail(&j->c, -ESTALE,
			    "is not the mailbox that it was (UIDVALIDITY)");
	else if (j->c.job.class->writes && s->box.read_only)
		fail_read_only(j, "can only be read");
	else if (s->box.uids_not_sticky)
		fail_read_only(j, "can only be read: its UIDs do not last");
	return !j->c.job.finished;
}

static size_t bytes_of(const char *s)
{
	return s ? strlen(s) : 0;
}

/* Bytes that the UIDs of a portion may have. */
static size_t line_room(const struct uid_change *j, const struct session *s)
{
	size_t used = 128;

	used += bytes_of(j->set.keywords) + bytes_of(j->take.keywords);
	/* Each byte of a name may get a backslash. */
	used += 2 * (bytes_of(j->set.labels) + bytes_of(j->take.labels));
	used += 2 * bytes_of(j->to);
	return s->quirks.line_max > used + LINE_MIN ? s->quirks.line_max - used
						    : LINE_MIN;
}

static void write_verb(const struct uid_change *j, enum verb verb,
		       struct command *cmd)
{
	static const char *const names[] = {
		[VERB_SET] = "UID STORE ",       [VERB_TAKE] = "UID STORE ",
		[VERB_COPY] = "UID COPY ",       [VERB_MOVE] = "UID MOVE ",
		[VERB_EXPUNGE] = "UID EXPUNGE ", [VERB_LABEL] = "UID STORE ",
		[VERB_UNLABEL] = "UID STORE ",
	};
	bool sets = verb == VERB_SET || verb == VERB_LABEL;
	const struct verb_flags *f = sets ? &j->set : &j->take;

	command_text(cmd, "%s", names[verb]);
	command_uids(cmd, j->uids + j->next, j->portion);
	if (verb == VERB_SET || verb == VERB_TAKE) {
		command_text(cmd, sets ? " +FLAGS.SILENT " : " -FLAGS.SILENT ");
		command_flags(cmd, f->flags, f->keywords);
	} else if (verb == VERB_LABEL || verb == VERB_UNLABEL) {
		command_text(cmd, sets ? " +X-GM-LABELS.SILENT "
				       : " -X-GM-LABELS.SILENT ");
		command_labels(cmd, f->labels);
	} else if (verb != VERB_EXPUNGE) {
		command_text(cmd, " ");
		command_mailbox(cmd, j->to);
	}
}

static void send_verb(struct uid_change *j, struct session *s)
{
	const struct call call = {.job = &j->c.job, .kind = j->verb[j->step]};
	struct command cmd;

	if (j->step == 0)
		j->portion =
			command_uids_fit(j->uids + j->next, j->n_uids - j->next,
					 line_room(j, s));
	session_begin(s, &cmd);
	write_verb(j, j->verb[j->step], &cmd);
	if (!change_send(&j->c, s, &cmd, &call) || ++j->step < j->n_verbs)
		return;
	j->step = 0;
	j->next += j->portion;
}

void verbs_pump(struct job *job, struct session *s)
{
	struct uid_change *j = (struct uid_change *)job;

	while (!job->finished && j->next < j->n_uids &&
	       j->c.refused.code == 0 && session_has_room(s))
		send_verb(j, s);
}

/* More keywords than a message or a mailbox can have: no time changes that. */
static bool are_too_many(const struct uid_change *j, const struct call *call,
			 const struct status *st)
{
	return call->kind == VERB_SET && j->set.keywords &&
	       j->set.keywords[0] && session_is_full(st);
}

void verbs_answer(struct job *job, struct session *s, const struct call *call,
		  const struct status *st)
{
	struct uid_change *j = (struct uid_change *)job;
	bool is_first = j->c.refused.code == 0;

	(void)s;
	j->c.in_flight--;
	if (st->kind != STATUS_OK) {
		if (call->kind == VERB_EXPUNGE && j->c.refused.code == 0)
			j->c.end.only_flagged = true;
		change_refuse(&j->c, st);
		if (is_first && are_too_many(j, call, st))
			j->c.refused.code = -EPERM;
		j->c.end.is_read_only = !j->to && j->c.refused.code == -EROFS;
	} else if (st->code == CODE_COPYUID && j->to) {
		pairs_take(&j->pairs, st);
	}
	if (j->c.in_flight == 0 &&
	    (j->next == j->n_uids || j->c.refused.code < 0))
		change_finish(&j->c);
}
