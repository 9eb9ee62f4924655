/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/session.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "imap/change.h"

/*
 * What a NO or BAD comes to: by its response code (RFC 5530 and others), else
 * by words that servers without codes are known to use. When reading, an error
 * says what the one who waits is told; when changing, also whether the same
 * again may work later (imap_is_for_now()). In one table, so that both can be
 * seen side by side.
 *
 * Pure functions; any thread.
 */

static const struct {
	enum status_code code;
	int reading;
	int changing;
} codes[] = {
	/* The login: whoever mounted it has to act, then it will work. */
	{CODE_AUTHENTICATIONFAILED, -EACCES, -EAGAIN},
	{CODE_AUTHORIZATIONFAILED, -EACCES, -EAGAIN},
	{CODE_EXPIRED, -EACCES, -EAGAIN},
	{CODE_PRIVACYREQUIRED, -EACCES, -EAGAIN},
	{CODE_WEBALERT, -EACCES, -EAGAIN},
	/* Not now. */
	{CODE_LIMIT, -EDQUOT, -EAGAIN},
	{CODE_THROTTLED, -EDQUOT, -EAGAIN},
	{CODE_UNAVAILABLE, -EIO, -EAGAIN},
	{CODE_SERVERBUG, -EIO, -EAGAIN},
	{CODE_INUSE, -EIO, -EBUSY},
	/* Messages went while we asked. */
	{CODE_EXPUNGEISSUED, -EIO, -EAGAIN},
	/* Not ever. */
	{CODE_NONEXISTENT, -ENOENT, -ENOENT},
	{CODE_TRYCREATE, -ENOENT, -ENOENT},
	{CODE_NOPERM, -EACCES, -EACCES},
	{CODE_OVERQUOTA, -EDQUOT, -EDQUOT},
	{CODE_TOOBIG, -EIO, -EFBIG},
	{CODE_READ_ONLY, -EIO, -EROFS},
	{CODE_ALREADYEXISTS, -EIO, -EEXIST},
	{CODE_HASCHILDREN, -EIO, -ENOTEMPTY},
	{CODE_CANNOT, -EIO, -EPERM},
	{CODE_CLIENTBUG, -EIO, -EPERM},
	{CODE_PARSE, -EIO, -EPERM},
	{CODE_CONTACTADMIN, -EIO, -EPERM},
	{CODE_USEATTR, -EIO, -EPERM},
};

/* In the order in which they count; `stronger` than the code. */
static const struct {
	const char *sign;
	bool stronger;
	int reading;
	int changing;
} words[] = {
	/* Gmail says OVERQUOTA of its limits of traffic, too. */
	{"bandwidth limits", true, -EDQUOT, -EAGAIN},
	/* Exchange: `Request is throttled. Suggested Backoff Time: ...` */
	{"throttled", true, -EDQUOT, -EAGAIN},
	/* Yahoo: `[LIMIT] UID STORE Rate limit hit`. */
	{"rate limit", true, -EDQUOT, -EAGAIN},
	/* Gmail: `System Error (Failure)`. */
	{"System Error", false, -EIO, -EAGAIN},
	/* Exchange: `Server Unavailable. 15`. */
	{"Server Unavailable", false, -EIO, -EAGAIN},
	/* Exchange: the access token is over. */
	{"Command Error. 12", false, -EIO, -EAGAIN},
	{"authenticated but not connected", false, -EIO, -EAGAIN},
	{"doesn't exist", false, -ENOENT, -ENOENT},
	{"does not exist", false, -ENOENT, -ENOENT},
	{"Unknown Mailbox", false, -ENOENT, -ENOENT},
	{"No such mailbox", false, -ENOENT, -ENOENT},
	/* Dovecot, of EXAMINE, while another session deletes or renames it. */
	{"Mailbox was deleted under us", false, -ENOENT, -ENOENT},
	{"already exists", false, -EIO, -EEXIST},
	/* Courier, of RENAME. */
	{"File exists", false, -EIO, -EEXIST},
	{"quota", false, -EIO, -EDQUOT},
	{"read-only", false, -EIO, -EROFS},
	{"permission denied", false, -EIO, -EACCES},
	/* Cyrus and Courier, of names, and of places where nobody may make one.
	 */
	{"Invalid mailbox name", false, -EIO, -EPERM},
	{"too large", false, -EIO, -EFBIG},
	{"too big", false, -EIO, -EFBIG},
	/* Courier says this NO to whatever it does not understand. */
	{"Error in IMAP command", false, -EIO, -EPERM},
};

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* The first row of words that stands in the text; -1: none does. */
static int find_words(const struct status *st, bool stronger)
{
	char text[256];
	size_t n = st->n_text < sizeof(text) ? st->n_text : sizeof(text) - 1;

	memcpy(text, st->text, n);
	text[n] = '\0';
	for (size_t i = 0; i < N_OF(words); i++) {
		if (words[i].stronger == stronger &&
		    strcasestr(text, words[i].sign))
			return (int)i;
	}
	return -1;
}

static int refusal(const struct status *st, bool changing)
{
	int strong = find_words(st, true);
	int weak = find_words(st, false);

	if (strong >= 0)
		return changing ? words[strong].changing
				: words[strong].reading;
	for (size_t i = 0; i < N_OF(codes); i++) {
		if (codes[i].code == st->code)
			return changing ? codes[i].changing : codes[i].reading;
	}
	if (weak >= 0)
		return changing ? words[weak].changing : words[weak].reading;
	return changing && st->kind == STATUS_BAD ? -EPERM : -EIO;
}

int session_errno(const struct status *st)
{
	return refusal(st, false);
}

int session_change_errno(const struct status *st)
{
	return refusal(st, true);
}

bool session_is_full(const struct status *st)
{
	return st->code == CODE_LIMIT && find_words(st, true) < 0;
}

bool imap_is_for_now(int result)
{
	static const int for_now[] = {
		-EAGAIN,   -EBUSY,  -ECANCELED, -ENOMEM,
		-ENOTCONN, -EPROTO, -ETIMEDOUT,
	};

	for (size_t i = 0; i < N_OF(for_now); i++) {
		if (result == for_now[i])
			return true;
	}
	return false;
}
