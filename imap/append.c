/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "imap/keywords.h"
#include "imap/pairs.h"

/*
 * imap_append(): a new message, out of a file. The command is one line with a
 * literal at its end, whose bytes the session reads as it sends them; so a
 * message never stands in memory, and other commands wait behind it.
 *
 * Runs on the thread of the connection that has the job.
 */

struct append {
	struct change c;
	unsigned flags;
	char *keywords;
	char date[32];
	int fd;
	uint64_t offset;
	struct imap_pair pair;
	bool is_out;
};

static void start(struct job *job, struct session *s)
{
	struct append *j = (struct append *)job;

	j->is_out = false;
	j->c.in_flight = 0;
	if (s->append_limit > 0 && job->upload > s->append_limit)
		change_fail(&j->c, -EFBIG,
			    "does not take a message of this size");
}

static void pump(struct job *job, struct session *s)
{
	struct append *j = (struct append *)job;
	const struct call call = {.job = job};
	struct command cmd;

	if (j->is_out || !session_has_room(s))
		return;
	j->is_out = true;
	session_begin(s, &cmd);
	command_text(&cmd, "APPEND ");
	command_mailbox(&cmd, j->c.wire);
	command_text(&cmd, " ");
	command_flags(&cmd, j->flags, j->keywords);
	command_text(&cmd, " \"%s\" ", j->date);
	command_file(&cmd, j->fd, j->offset, job->upload);
	(void)change_send(&j->c, s, &cmd, &call);
}

/*
 * Courier does not append to a mailbox that the same connection has open with
 * EXAMINE: "Current box is selected READ-ONLY". With SELECT it does.
 */
static bool is_only_examined(const struct append *j, const struct session *s)
{
	return s->mailbox && !s->writable && strcmp(s->mailbox, j->c.wire) == 0;
}

static void answer(struct job *job, struct session *s, const struct call *call,
		   const struct status *st)
{
	struct append *j = (struct append *)job;

	(void)call;
	j->c.in_flight--;
	j->pair.to = pairs_appended(st);
	if (st->kind == STATUS_NO && is_only_examined(j, s) &&
	    job_retry(job, j->c.wire) == 0)
		return;
	if (st->kind != STATUS_OK) {
		change_refuse(&j->c, st);
	} else if (j->pair.to > 0) {
		j->c.end.uidvalidity = (uint32_t)st->number;
		j->c.end.pairs = &j->pair;
		j->c.end.n_pairs = 1;
	}
	change_finish(&j->c);
}

static void append_free(struct job *job)
{
	struct append *j = (struct append *)job;

	if (j->fd >= 0)
		close(j->fd);
	free(j->keywords);
	change_job_free(job);
}

static const struct job_class append_class = {
	.name = "append",
	.changes = true,
	.writes = true, /* if it needs a mailbox to be open at all */
	.start = start,
	.pump = pump,
	.answer = answer,
	.repeat = change_repeat,
	.done = change_done,
	.free = append_free,
};

/* date-time of RFC 9051 section 9, without the quotes. */
static bool write_date(char *to, size_t size, int64_t date)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)date;
	struct tm tm;
	int n;

	if (!gmtime_r(&t, &tm) || tm.tm_year < 1 - 1900 ||
	    tm.tm_year > 9999 - 1900)
		return false;
	n = snprintf(to, size, "%2d-%.3s-%04d %02d:%02d:%02d +0000", tm.tm_mday,
		     months + (size_t)3 * (size_t)tm.tm_mon, tm.tm_year + 1900,
		     tm.tm_hour, tm.tm_min, tm.tm_sec);
	return n > 0 && (size_t)n < size;
}

static bool is_valid(const struct imap_append_request *req)
{
	struct stat st;

	if (req->size == 0 || req->size > MAIL_SIZE_MAX ||
	    req->offset > INT64_MAX - req->size ||
	    (req->flags & ~CHANGE_FLAGS) != 0 ||
	    !keywords_are_valid(req->keywords))
		return false;
	return fstat(req->fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size >= req->offset + req->size;
}

static int fill(struct append *j, const struct imap_append_request *req)
{
	int r = change_init(&j->c, &append_class, req->wire, NULL);

	if (r < 0)
		return r;
	if (!write_date(j->date, sizeof(j->date), req->internaldate))
		return -EINVAL;
	j->flags = req->flags;
	j->offset = req->offset;
	j->c.job.upload = req->size;
	j->keywords = strdup(req->keywords ? req->keywords : "");
	j->fd = fcntl(req->fd, F_DUPFD_CLOEXEC, 0);
	return j->keywords && j->fd >= 0 ? 0 : -ENOMEM;
}

int imap_append(struct imap *im, const struct imap_append_request *req,
		imap_change_fn done, void *ctx, imap_job *ret)
{
	struct append *j;
	int r;

	if (!is_valid(req))
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->fd = -1;
	r = fill(j, req);
	if (r < 0) {
		append_free(&j->c.job);
		return r;
	}
	return change_submit(im, &j->c, done, ctx, ret);
}
