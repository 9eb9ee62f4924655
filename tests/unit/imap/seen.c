/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "script.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "imap/pool.h"
#include "imap/secret.h"

/*
 * What a job did is written down by its callbacks, on threads of the account,
 * under one mutex; the test waits for the end and reads it then.
 */

static pthread_mutex_t seen_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t seen_cond = PTHREAD_COND_INITIALIZER;

static int on_opened(void *ctx, const struct imap_mailbox *box)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	s->opened++;
	s->box = *box;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
	return s->opened_returns;
}

static int on_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	for (size_t i = 0; i < n && s->n < SEEN_MAX; i++) {
		s->uid[s->n] = rows[i].uid;
		s->has[s->n] = rows[i].has;
		s->size[s->n++] = rows[i].size;
	}
	s->begun++;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
	return 0;
}

static void finish(struct seen *s, int result, const struct imap_error *why)
{
	pthread_mutex_lock(&seen_mutex);
	s->result = result;
	if (why)
		s->why = *why;
	s->done = true;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
}

static void on_done(void *ctx, int result, const struct imap_error *why)
{
	finish(ctx, result, why);
}

/* --- what a sync tells --- */

/* "word(a:b,c)", behind a blank; "open" alone. Mutex held. */
static void note(struct seen *s, const char *word, const struct mail_range *v,
		 size_t n)
{
	char text[sizeof(s->told)];
	size_t at;

	at = (size_t)snprintf(text, sizeof(text), "%s%s%s",
			      s->told[0] ? " " : "", word, n > 0 ? "(" : "");
	for (size_t i = 0; i < n && at < sizeof(text) - 32; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u",
				       i > 0 ? "," : "", v[i].first);
		if (v[i].last != v[i].first)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       ":%u", v[i].last);
	}
	if (n > 0)
		at += (size_t)snprintf(text + at, sizeof(text) - at, ")");
	if (strlen(s->told) + at < sizeof(s->told))
		strcat(s->told, text);
}

static int on_sync_opened(void *ctx, const struct imap_mailbox *box)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	note(s, "open", NULL, 0);
	pthread_mutex_unlock(&seen_mutex);
	return on_opened(ctx, box);
}

static int on_sync_rows(void *ctx, const struct mail_row *rows, size_t n)
{
	struct mail_range v[64];
	struct seen *s = ctx;
	bool is_new = n > 0 && (rows[0].has & ROW_SIZE);

	for (size_t i = 0; i < n; i++) {
		assert_true(is_new == ((rows[i].has & ROW_SIZE) != 0));
		if (i < 64)
			v[i] = (struct mail_range){rows[i].uid, rows[i].uid};
	}
	pthread_mutex_lock(&seen_mutex);
	note(s, is_new ? "new" : "rows", v, n < 64 ? n : 64);
	pthread_mutex_unlock(&seen_mutex);
	return on_rows(ctx, rows, n);
}

static int on_ranges(struct seen *s, const char *word,
		     const struct mail_range *v, size_t n)
{
	pthread_mutex_lock(&seen_mutex);
	note(s, word, v, n);
	s->n_ranges += (unsigned)n;
	pthread_mutex_unlock(&seen_mutex);
	return 0;
}

static int on_present(void *ctx, const struct mail_range *v, size_t n)
{
	return on_ranges(ctx, "here", v, n);
}

static int on_vanished(void *ctx, const struct mail_range *v, size_t n)
{
	return on_ranges(ctx, "gone", v, n);
}

static void on_synced(void *ctx, int result, const struct imap_error *why,
		      const struct imap_sync_end *end)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	s->has_end = end != NULL;
	if (end)
		s->end = *end;
	pthread_mutex_unlock(&seen_mutex);
	finish(ctx, result, why);
}

/* --- bodies, folders --- */

static int on_begin(void *ctx, uint32_t uid, uint64_t offset, uint64_t size)
{
	struct seen *s = ctx;

	(void)uid;
	(void)offset;
	(void)size;
	pthread_mutex_lock(&seen_mutex);
	s->begun++;
	s->n_body = 0;
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
	return 0;
}

static int on_data(void *ctx, uint32_t uid, const void *bytes, size_t n)
{
	struct seen *s = ctx;

	(void)uid;
	pthread_mutex_lock(&seen_mutex);
	if (s->n_body + n < sizeof(s->body)) {
		memcpy(s->body + s->n_body, bytes, n);
		s->n_body += n;
		s->body[s->n_body] = '\0';
	}
	pthread_cond_broadcast(&seen_cond);
	pthread_mutex_unlock(&seen_mutex);
	return 0;
}

static void on_end(void *ctx, uint32_t uid, int result)
{
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	s->ended++;
	if (result < 0)
		s->end_result = result;
	else if (s->n < SEEN_MAX)
		s->uid[s->n++] = uid;
	pthread_mutex_unlock(&seen_mutex);
}

static void on_folders(void *ctx, int result, const struct mail_folder *folders,
		       size_t n)
{
	static char names[16][64];
	struct seen *s = ctx;

	pthread_mutex_lock(&seen_mutex);
	for (size_t i = 0; i < n && i < 16; i++) {
		s->folder[i] = folders[i];
		(void)snprintf(names[i], sizeof(names[i]), "%s",
			       folders[i].wire);
		s->folder[i].wire = names[i];
		s->n_folders++;
	}
	pthread_mutex_unlock(&seen_mutex);
	finish(s, result, NULL);
}

const struct imap_list_ops seen_list_ops = {on_opened, on_rows, NULL, on_done};
const struct imap_sync_ops seen_sync_ops = {on_sync_opened, on_sync_rows,
					    on_present, on_vanished, on_synced};
const struct imap_body_ops seen_body_ops = {on_begin, on_data, on_end, on_done};
const struct imap_folders_ops seen_folders_ops = {on_folders};
const struct imap_folders_request seen_no_status = {0};

enum until { DONE, BEGUN, BODY };

/* Mutex held. */
static bool is_there(const struct seen *s, enum until until)
{
	if (s->done)
		return true;
	if (until == BEGUN)
		return s->begun + s->opened > 0;
	return until == BODY && s->n_body > 0;
}

static void wait_for(struct seen *s, enum until until)
{
	struct timespec at;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&seen_mutex);
	while (!is_there(s, until) && r == 0)
		r = pthread_cond_clockwait(&seen_cond, &seen_mutex,
					   CLOCK_MONOTONIC, &at);
	pthread_mutex_unlock(&seen_mutex);
	if (r != 0)
		fail_msg("the job does not end");
}

void seen_wait(struct seen *s)
{
	wait_for(s, DONE);
}

void seen_wait_begun(struct seen *s)
{
	wait_for(s, BEGUN);
}

void seen_wait_body(struct seen *s)
{
	wait_for(s, BODY);
}

/* --- jobs --- */

void seen_list(struct imap *im, struct seen *seen, uint32_t below)
{
	const struct imap_list_request req = {.below_uid = below};
	imap_job job;

	assert_int_equal(imap_list(im, "INBOX", IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, seen, &job),
			 0);
}

imap_job seen_list_of(struct imap *im, const char *wire, struct seen *seen)
{
	const struct imap_list_request req = {0};
	imap_job job;

	assert_int_equal(imap_list(im, wire, IMAP_PRIO_LISTING, &req,
				   &seen_list_ops, seen, &job),
			 0);
	return job;
}

void seen_sync(struct imap *im, struct seen *seen, uint64_t modseq)
{
	const struct imap_sync_request req = {
		.uidvalidity = 7, .uidnext = 100, .highestmodseq = modseq};
	imap_job job;

	assert_int_equal(imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req,
				   &seen_sync_ops, seen, &job),
			 0);
}

imap_job seen_fetch(struct imap *im, struct seen *seen, const uint32_t *uids,
		    size_t n)
{
	const struct imap_body_request req = {
		.uidvalidity = 7, .uids = uids, .n_uids = n};
	imap_job job;

	assert_int_equal(imap_fetch(im, "INBOX", IMAP_PRIO_READER, &req,
				    &seen_body_ops, seen, &job),
			 0);
	return job;
}

struct seen seen_synced(script steps, uint64_t modseq)
{
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	seen_sync(im, &seen, modseq);
	seen_wait(&seen);
	account_end(im, s);
	assert_true(seen.has_end == (seen.result == 0));
	return seen;
}
