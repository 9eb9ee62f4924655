/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/secret_private.h"

#include <errno.h>
#include <string.h>

/*
 * Another token in place of one that was refused. One thread runs the command,
 * the others wait for it and take what it printed: a command may ask somebody,
 * or be limited by the provider.
 */

static bool is_same(const struct secret *s, const char *token, size_t n)
{
	return n == s->n && memcmp(s->bytes, token, n) == 0;
}

/*
 * Wait until nobody runs tokencmd. Is the token another one than was refused?
 * If not, it is now on the caller to run the command.
 */
static bool renewed_by_another(struct secret *s, const char *refused)
{
	int64_t deadline_ms = clock_now_ms() + INT64_C(2) * SECRET_COMMAND_MS;
	bool is_new;

	lock_take(&s->lock);
	while (s->renewing &&
	       lock_cond_wait(&s->renewed, &s->lock, deadline_ms))
		;
	is_new = !is_same(s, refused, strlen(refused));
	if (!is_new)
		s->renewing = true;
	lock_drop(&s->lock);
	return is_new;
}

/* The command has ended; `fresh` is what it printed, NULL if it failed. */
static void end_renewal(struct secret *s, const struct secret *fresh)
{
	lock_take(&s->lock);
	if (fresh) {
		s->is_refused =
			s->is_refused && is_same(s, fresh->bytes, fresh->n);
		memcpy(s->bytes, fresh->bytes, sizeof(s->bytes));
		s->n = fresh->n;
	}
	s->renewing = false;
	lock_cond_wake_all(&s->renewed);
	lock_drop(&s->lock);
}

/*
 * The command has failed: it may have met a network that was just coming up.
 * No server has refused what it would have printed, so it is no reason to stop.
 */
static int fail_for_now(struct imap_error *why)
{
	why->code = -ENOTCONN;
	why->fault = FAULT_LIMIT;
	return -ENOTCONN;
}

int secret_renew(struct secret *s, const char *refused, bool *ret_is_new,
		 struct imap_error *why)
{
	struct secret *fresh;
	bool is_new = true;
	int r;

	lock_assert_none();
	if (s->kind != SECRET_TOKEN || !s->tokencmd)
		return secret_refuse(why,
				     "There is no tokencmd= to renew the token "
				     "with.");
	fresh = secret_make(SECRET_TOKEN);
	if (!fresh)
		return -ENOMEM;
	if (renewed_by_another(s, refused)) {
		r = 0;
		goto out;
	}
	r = secret_run(fresh, "tokencmd=", s->tokencmd, why);
	if (r == 0)
		is_new = !is_same(fresh, refused, strlen(refused));
	else
		r = fail_for_now(why);
	end_renewal(s, r == 0 ? fresh : NULL);
out:
	secret_free(fresh);
	if (r == 0)
		*ret_is_new = is_new;
	return r;
}

void secret_note_refused(struct secret *s, const char *token)
{
	lock_take(&s->lock);
	if (is_same(s, token, strlen(token)))
		s->is_refused = true;
	lock_drop(&s->lock);
}

bool secret_is_refused(struct secret *s)
{
	bool is_refused;

	lock_take(&s->lock);
	is_refused = s->is_refused;
	lock_drop(&s->lock);
	return is_refused;
}
