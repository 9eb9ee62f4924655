/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "told.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Callbacks run on threads of the account; what they are told is copied under
 * one mutex, and the test waits for it.
 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void copy(struct told *t, const struct imap_outcome *end)
{
	pthread_mutex_lock(&mutex);
	t->end = *end;
	t->end.pairs = NULL;
	t->end.left_keywords = NULL;
	for (size_t i = 0; i < end->n_pairs && i < 64; i++)
		t->pair[t->n_pairs++] = end->pairs[i];
	if (end->left_keywords)
		(void)snprintf(t->left_keywords, sizeof(t->left_keywords), "%s",
			       end->left_keywords);
	t->calls++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
}

void told_change(void *ctx, const struct imap_outcome *end)
{
	copy(ctx, end);
}

void told_uidnext(void *ctx, int result, const struct imap_mailbox *box,
		  const struct imap_error *why)
{
	struct told *t = ctx;

	t->box = *box;
	copy(t, &(struct imap_outcome){.result = result, .why = *why});
}

void told_quota(void *ctx, int result, const struct imap_quota *quota,
		const struct imap_error *why)
{
	struct told *t = ctx;

	t->quota = *quota;
	copy(t, &(struct imap_outcome){.result = result, .why = *why});
}

void told_rights(void *ctx, int result, unsigned rights,
		 const struct imap_error *why)
{
	struct told *t = ctx;

	t->rights = rights;
	copy(t, &(struct imap_outcome){.result = result, .why = *why});
}

void told_wait(struct told *t)
{
	struct timespec at;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&mutex);
	while (t->calls == 0 && r == 0)
		r = pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &at);
	pthread_mutex_unlock(&mutex);
	if (r != 0)
		fail_msg("the change does not end");
}

const char *told_pairs(const struct told *t)
{
	static char text[1024];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < t->n_pairs; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u>%u",
				      i > 0 ? " " : "", t->pair[i].from,
				      t->pair[i].to);
	return text;
}

struct told told_run(told_starter start, script steps)
{
	struct server *s = SERVER(steps, STEPS(LOGIN_WITH("MOVE"), "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};
	imap_job job;

	assert_int_equal(start(im, &t, &job), 0);
	told_wait(&t);
	account_end(im, s);
	return t;
}

void told_expect(const struct told *t, int result, bool unknown,
		 const char *pairs)
{
	assert_int_equal(t->end.result, result);
	assert_int_equal(t->end.why.code, result);
	assert_int_equal(t->end.unknown, unknown);
	assert_string_equal(told_pairs(t), pairs);
	assert_int_equal(t->calls, 1);
}

static const uint32_t three[] = {4, 5, 9};

const struct imap_messages told_messages = {
	.wire = "A", .uidvalidity = 7, .uids = three, .n_uids = 3};

int told_flag(struct imap *im, struct told *t, imap_job *ret)
{
	const struct imap_flag_delta delta = {.add_flags = MAIL_FLAGGED,
					      .remove_flags = MAIL_SEEN};

	return imap_store(im, &told_messages, &delta, told_change, t, ret);
}

int told_copy(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_copy(im, &told_messages, "B", told_change, t, ret);
}

int told_move(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_move(im, &told_messages, "B", told_change, t, ret);
}

int told_remove(struct imap *im, struct told *t, imap_job *ret)
{
	return imap_remove(im, &told_messages, told_change, t, ret);
}

/* --- messages --- */

int told_file(const char *bytes, size_t n)
{
	int fd = memfd_create("mail", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

int told_append_file(struct imap *im, struct told *t, int fd, uint64_t size,
		     imap_job *job)
{
	const struct imap_append_request req = {
		.wire = "A",
		.flags = MAIL_SEEN | MAIL_FLAGGED,
		.keywords = "$x y",
		.internaldate = 1769915045, /* 2026-02-01 03:04:05 */
		.fd = fd,
		.size = size,
	};

	return imap_append(im, &req, told_change, t, job);
}

char *told_mail(size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i / 64 % 26);
	for (size_t i = 62; i + 1 < n; i += 64)
		memcpy(text + i, "\r\n", 2);
	text[n] = '\0';
	return text;
}

imap_job told_append(struct imap *im, struct told *t, size_t n)
{
	char *text = n > 0 ? told_mail(n) : strdup(MAIL);
	int fd = told_file(text, strlen(text));
	imap_job job;

	assert_int_equal(told_append_file(im, t, fd, strlen(text), &job), 0);
	close(fd); /* it was duplicated */
	free(text);
	return job;
}

struct told told_run_append(script steps, size_t n)
{
	struct server *s = SERVER(steps, STEPS(LOGIN, "N:"));
	struct imap *im = account_connected(s, 1);
	struct told t = {0};

	(void)told_append(im, &t, n);
	told_wait(&t);
	account_end(im, s);
	return t;
}
