/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * What all jobs share: how they begin, and how they end. The kinds of jobs are
 * in listing.c, fetch.c and folder.c; who runs them, in conn.c.
 */

int job_init(struct job *j, const struct job_class *class, const char *mailbox)
{
	*j = (struct job){.class = class};
	if (!mailbox)
		return 0;
	if (!*mailbox || strlen(mailbox) > MAIL_WIRE_NAME_MAX ||
	    strpbrk(mailbox, "\r\n"))
		return -EINVAL;

	j->mailbox = strdup(mailbox);
	if (!j->mailbox)
		return -ENOMEM;
	if (strcasecmp(j->mailbox, "INBOX") == 0)
		memcpy(j->mailbox, "INBOX", 5);
	return 0;
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

void job_refuse(struct job *j, const struct status *st)
{
	struct imap_error why = {.fault = FAULT_NONE};
	int n = st->n_text < 300 ? (int)st->n_text : 300;
	int r = session_errno(st);

	if (r == -EACCES)
		why.fault = FAULT_AUTH;
	else if (r == -EDQUOT)
		why.fault = FAULT_LIMIT;
	else if (r == -EIO)
		why.fault = FAULT_PROTOCOL;
	(void)snprintf(why.text, sizeof(why.text),
		       "the server refuses%s%s: %.*s", j->mailbox ? " in " : "",
		       j->mailbox ? j->mailbox : "", n, n > 0 ? st->text : "");
	for (char *p = why.text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	job_finish(j, r, &why);
}
