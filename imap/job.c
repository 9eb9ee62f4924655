/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * What all jobs share: how they begin, and how they end. The kinds of jobs are
 * in list.c, sync.c, fetch.c, folder.c, change.c, append.c, admin.c, rename.c
 * and ask.c; who runs them, in conn.c.
 */

int job_copy_name(const char *wire, char **ret)
{
	char *name;

	if (!*wire || strlen(wire) > MAIL_WIRE_NAME_MAX ||
	    strpbrk(wire, "\r\n"))
		return -EINVAL;

	name = strdup(wire);
	if (!name)
		return -ENOMEM;
	if (strcasecmp(name, "INBOX") == 0)
		memcpy(name, "INBOX", 5);
	*ret = name;
	return 0;
}

int job_init(struct job *j, const struct job_class *class, const char *mailbox)
{
	*j = (struct job){.class = class};
	return mailbox ? job_copy_name(mailbox, &j->mailbox) : 0;
}

void jobs_push(struct job_list *l, struct job *j)
{
	j->next = NULL;
	if (l->last)
		l->last->next = j;
	else
		l->first = j;
	l->last = j;
}

void jobs_push_front(struct job_list *l, struct job *j)
{
	j->next = l->first;
	l->first = j;
	if (!l->last)
		l->last = j;
}

bool jobs_remove(struct job_list *l, struct job *j)
{
	struct job *before = NULL;

	for (struct job *i = l->first; i; before = i, i = i->next) {
		if (i != j)
			continue;
		if (before)
			before->next = j->next;
		else
			l->first = j->next;
		if (l->last == j)
			l->last = before;
		j->next = NULL;
		return true;
	}
	return false;
}

struct job *jobs_pop(struct job_list *l)
{
	struct job *j = l->first;

	if (j)
		(void)jobs_remove(l, j);
	return j;
}

void job_finish(struct job *j, int result, const struct imap_error *why)
{
	if (j->finished)
		return;
	j->finished = true;
	j->result = result;
	if (why)
		j->why = *why;
	j->why.code = result < 0 ? result : 0;
}

int job_retry(struct job *j, const char *mailbox)
{
	char *name;
	int r = job_copy_name(mailbox, &name);

	if (r < 0)
		return r;
	free(j->mailbox);
	j->mailbox = name;
	j->again = true;
	job_finish(j, -EAGAIN, NULL);
	return 0;
}

bool job_reopen(struct job *j, const struct session *s)
{
	if (s->opened_ms >= j->taken_ms)
		return false;
	j->since_ms = s->opened_ms;
	j->again = true;
	job_finish(j, -EAGAIN, NULL);
	return true;
}

void job_begin_anew(struct job *j)
{
	if (!j->again)
		(void)j->class->repeat(j);
	j->finished = false;
	j->started = false;
	j->again = false;
	j->sent = false;
}

void job_explain(const struct job *j, const char *where,
		 const struct status *st, struct imap_error *ret)
{
	struct imap_error why = {.fault = FAULT_NONE};
	int n = st->n_text < 300 ? (int)st->n_text : 300;

	why.code = j->class->changes ? session_change_errno(st)
				     : session_errno(st);
	if (why.code == -EACCES && !j->class->changes)
		why.fault = FAULT_AUTH;
	else if (why.code == -EDQUOT || why.code == -EAGAIN)
		why.fault = FAULT_LIMIT;
	else if (why.code == -EIO)
		why.fault = FAULT_PROTOCOL;
	(void)snprintf(why.text, sizeof(why.text),
		       "the server refuses%s%s: %.*s", where ? " in " : "",
		       where ? where : "", n, n > 0 ? st->text : "");
	for (char *p = why.text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	*ret = why;
}

void job_refuse(struct job *j, const struct status *st)
{
	struct imap_error why;

	job_explain(j, j->mailbox, st, &why);
	job_finish(j, why.code, &why);
}
