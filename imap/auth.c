/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/auth.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/log.h"
#include "imap/secret.h"

/*
 * SASL (RFC 4616 PLAIN, RFC 7628 OAUTHBEARER, Google's XOAUTH2) and LOGIN.
 *
 * The exchange is written as one command whose later lines wait for the
 * server's `+`, as a synchronising literal does; lines that turn out not to be
 * needed are never sent. With SASL-IR (RFC 4959) the first answer stands in
 * the command itself and a round trip is saved.
 *
 * Secrets stand in locked memory, in the buffer of the command (wiped) and in
 * the session's buffer (wiped here, as soon as the answer is in).
 */

#define USER_MAX 1024
#define MESSAGE_MAX (SECRET_MAX + USER_MAX * 4)

struct credentials {
	char secret[SECRET_MAX + 1];
	char message[MESSAGE_MAX];
	size_t n;
	char base64[MESSAGE_MAX * 4 / 3 + 8];
};

/* --- the sentences for those who were refused --- */

#define APP_PASSWORD_PAGE "https://support.google.com/accounts/answer/185833"

/* `signs` ends with NULL. */
static bool says_one_of(const struct answer *a, const char *const *signs)
{
	for (; *signs; signs++) {
		if (strcasestr(a->text, *signs))
			return true;
	}
	return false;
}

bool auth_is_limit(const struct answer *a)
{
	static const char *const signs[] = {
		"Too many simultaneous connections",
		"Maximum number of connections",
		"too many connections",
		NULL,
	};

	return a->code == CODE_LIMIT || says_one_of(a, signs);
}

/* Gmail: the traffic of a day is used up; it passes within a day. */
static bool is_over_limits(const struct answer *a)
{
	static const char *const signs[] = {
		"bandwidth limits",
		"throttled",
		NULL,
	};

	return a->code == CODE_OVERQUOTA || a->code == CODE_THROTTLED ||
	       says_one_of(a, signs);
}

/* The server's own trouble; the login may be a good one. */
static bool is_unwell(const struct answer *a)
{
	static const char *const signs[] = {
		"System Error",
		"Server Unavailable",
		NULL,
	};

	return a->code == CODE_UNAVAILABLE || a->code == CODE_INUSE ||
	       a->code == CODE_SERVERBUG || says_one_of(a, signs);
}

static bool is_disabled(const struct answer *a)
{
	static const char *const signs[] = {
		"not enabled for IMAP",
		"IMAP access is disabled",
		"IMAP is disabled",
		NULL,
	};

	return says_one_of(a, signs);
}

static bool wants_browser(const struct session *s)
{
	static const char *const signs[] = {
		"log in via your web browser",
		"Web login required",
		NULL,
	};

	return s->web_page[0] || says_one_of(&s->answer, signs);
}

static bool wants_app_password(const struct answer *a)
{
	static const char *const signs[] = {"Application-specific password",
					    NULL};

	return says_one_of(a, signs);
}

/* May the same login be good later? Then no password or token is at fault. */
static bool is_passing(const struct answer *a)
{
	return auth_is_limit(a) || is_over_limits(a) || is_unwell(a);
}

static int refused_for_now(struct session *s)
{
	const struct answer *a = &s->answer;
	const char *host = s->cfg->host;

	if (auth_is_limit(a))
		return session_fail(s, -ENOTCONN, FAULT_LIMIT,
				    "the server '%s' allows no more "
				    "connections: %s",
				    host, a->text);
	if (is_over_limits(a))
		return session_fail(s, -ENOTCONN, FAULT_LIMIT,
				    "'%s' has used up what the server '%s' "
				    "allows, and is let in again later: %s",
				    s->cfg->user, host, a->text);
	return session_fail(s, -ENOTCONN, FAULT_LIMIT,
			    "the server '%s' cannot log anybody in now: %s",
			    host, a->text);
}

static int refused_password(struct session *s)
{
	const char *host = s->cfg->host;
	const char *user = s->cfg->user;
	const char *text = s->answer.text;

	if (wants_app_password(&s->answer))
		return session_fail(s, -EACCES, FAULT_AUTH,
				    "the server '%s' takes no password of the "
				    "account '%s': Google needs an app "
				    "password, see " APP_PASSWORD_PAGE,
				    host, user);
	if (s->quirks.is_google)
		return session_fail(
			s, -EACCES, FAULT_AUTH,
			"the server '%s' refuses the password of "
			"'%s' (%s): Google needs an app password, "
			"which is void once the password of the "
			"account is changed, see " APP_PASSWORD_PAGE,
			host, user, text);
	return session_fail(s, -EACCES, FAULT_AUTH,
			    "the server '%s' refuses the password of '%s': "
			    "%s%s",
			    host, user, text, *text ? "" : "no reason given");
}

static int refused(struct session *s)
{
	const struct answer *a = &s->answer;

	if (is_passing(a))
		return refused_for_now(s);
	if (wants_browser(s))
		return session_fail(s, -EACCES, FAULT_AUTH,
				    "the server '%s' wants '%s' to log in with "
				    "a web browser first: %s",
				    s->cfg->host, s->cfg->user,
				    s->web_page[0] ? s->web_page : a->text);
	if (is_disabled(a))
		return session_fail(s, -EACCES, FAULT_AUTH,
				    "IMAP is switched off for '%s' at '%s': %s",
				    s->cfg->user, s->cfg->host, a->text);
	if (secret_kind(s->cfg->secret) == SECRET_PASSWORD)
		return refused_password(s);
	return session_fail(s, -EACCES, FAULT_AUTH,
			    "the server '%s' refuses the token of '%s': %s%s",
			    s->cfg->host, s->cfg->user, a->text,
			    *a->text ? "" : "no reason given");
}

/* --- building the messages --- */

static void add(struct credentials *c, const char *bytes, size_t n)
{
	if (c->n + n > sizeof(c->message))
		n = sizeof(c->message) - c->n;
	memcpy(c->message + c->n, bytes, n);
	c->n += n;
}

static void add_text(struct credentials *c, const char *s)
{
	add(c, s, strlen(s));
}

/* A saslname of GS2 (RFC 5801 section 4): `,` and `=` are written =2C, =3D. */
static void add_saslname(struct credentials *c, const char *s)
{
	for (; *s; s++) {
		if (*s == ',')
			add_text(c, "=2C");
		else if (*s == '=')
			add_text(c, "=3D");
		else
			add(c, s, 1);
	}
}

static void build_plain(struct session *s, struct credentials *c)
{
	add(c, "", 1);
	add_text(c, s->cfg->user);
	add(c, "", 1);
	add_text(c, c->secret);
}

static void build_oauthbearer(struct session *s, struct credentials *c)
{
	char port[16];

	(void)snprintf(port, sizeof(port), "%u", s->cfg->port);
	add_text(c, "n,a=");
	add_saslname(c, s->cfg->user);
	add_text(c, ",\001host=");
	add_text(c, s->cfg->host);
	add_text(c, "\001port=");
	add_text(c, port);
	add_text(c, "\001auth=Bearer ");
	add_text(c, c->secret);
	add_text(c, "\001\001");
}

static void build_xoauth2(struct session *s, struct credentials *c)
{
	add_text(c, "user=");
	add_text(c, s->cfg->user);
	add_text(c, "\001auth=Bearer ");
	add_text(c, c->secret);
	add_text(c, "\001\001");
}

struct mechanism {
	const char *name;
	void (*build)(struct session *s, struct credentials *c);
	/* The answer to an error challenge; NULL: there is none. */
	const char *give_up;
};

static const struct mechanism plain = {"PLAIN", build_plain, NULL};
/* RFC 7628 section 3.2.3: a single 0x01, in base64. */
static const struct mechanism oauthbearer = {"OAUTHBEARER", build_oauthbearer,
					     "AQ=="};
static const struct mechanism xoauth2 = {"XOAUTH2", build_xoauth2, ""};

/* The end of a line; what follows waits for the server's `+`. */
static void end_line(struct command *c)
{
	char *p;

	if (c->error != 0)
		return;
	p = malloc(c->n + 256);
	if (!p) {
		c->error = -ENOMEM;
		return;
	}
	memcpy(p, c->bytes, c->n);
	p[c->n] = '\r';
	p[c->n + 1] = '\n';
	secret_wipe(c->bytes, c->n);
	free(c->bytes);
	c->bytes = p;
	c->size = c->n + 256;
	c->n += 2;
	c->wait_at[c->n_waits++] = c->n;
}

static int authenticate(struct session *s, const struct mechanism *m,
			struct credentials *cred)
{
	struct command c;

	m->build(s, cred);
	(void)EVP_EncodeBlock((unsigned char *)cred->base64,
			      (const unsigned char *)cred->message,
			      (int)cred->n);

	session_begin(s, &c);
	c.secret = true;
	command_text(&c, "AUTHENTICATE %s", m->name);
	if (session_has(s, CAP_SASL_IR))
		command_text(&c, " ");
	else
		end_line(&c);
	command_text(&c, "%s", cred->base64);
	if (m->give_up) {
		end_line(&c);
		command_text(&c, "%s", m->give_up);
	}
	return session_ask(s, &c);
}

static int say_login(struct session *s, struct credentials *cred)
{
	struct command c;

	if (session_has(s, CAP_LOGINDISABLED) && !net_is_tls(s->net))
		return session_fail(s, -EACCES, FAULT_AUTH,
				    "the server '%s' allows no login without "
				    "TLS",
				    s->cfg->host);
	session_begin(s, &c);
	c.secret = true;
	command_text(&c, "LOGIN ");
	command_astring(&c, s->cfg->user);
	command_text(&c, " ");
	command_astring(&c, cred->secret);
	return session_ask(s, &c);
}

static int try_once(struct session *s, struct credentials *cred)
{
	bool token = secret_kind(s->cfg->secret) == SECRET_TOKEN;
	size_t n;

	cred->n = 0;
	secret_get(s->cfg->secret, cred->secret, &n);
	if (!token && session_has(s, CAP_AUTH_PLAIN))
		return authenticate(s, &plain, cred);
	if (!token)
		return say_login(s, cred);
	if (session_has(s, CAP_AUTH_OAUTHBEARER))
		return authenticate(s, &oauthbearer, cred);
	if (session_has(s, CAP_AUTH_XOAUTH2))
		return authenticate(s, &xoauth2, cred);
	return session_fail(s, -EACCES, FAULT_AUTH,
			    "the server '%s' takes no tokens (neither "
			    "OAUTHBEARER nor XOAUTH2)",
			    s->cfg->host);
}

/* A token was refused, and that may be its own fault. */
static bool is_worth_renewing(const struct session *s)
{
	return secret_kind(s->cfg->secret) == SECRET_TOKEN &&
	       !is_passing(&s->answer) && !wants_browser(s) &&
	       !is_disabled(&s->answer);
}

/* An earlier login was refused with the token: another one, if there is one. */
static int renew_first(struct session *s, char *buf, bool *ret_renewed)
{
	struct secret *secret = s->cfg->secret;
	bool is_new;
	size_t n;
	int r;

	if (!secret_is_refused(secret))
		return 0;
	secret_get(secret, buf, &n);
	r = secret_renew(secret, buf, &is_new, &s->why);
	*ret_renewed = r == 0;
	return r;
}

/* One answer. *ret_in: it lets us in. */
static int try_token(struct session *s, struct credentials *cred, unsigned caps,
		     bool *ret_in)
{
	int r;

	s->caps = caps;
	s->caps_fresh = false;
	s->web_page[0] = '\0';
	r = try_once(s, cred);
	if (r < 0)
		return r;
	*ret_in = s->answer.kind == STATUS_OK;
	if (*ret_in && !s->caps_fresh)
		s->caps = 0;
	return 0;
}

/*
 * Try; a token that is refused is renewed, and tried once more if it is another
 * one then. So a token is never tried twice, but when somebody has asked for
 * it (imap_retry()) and the command has no other one.
 */
static int try_login(struct session *s, struct credentials *cred)
{
	/* Capabilities of a client that is not logged in are void behind it. */
	unsigned caps = s->caps;
	bool is_last = false;
	int r = renew_first(s, cred->secret, &is_last);

	while (r == 0) {
		bool is_new = false;
		bool in = false;

		r = try_token(s, cred, caps, &in);
		if (r < 0 || in)
			return r;
		if (!is_worth_renewing(s))
			return refused(s);
		secret_note_refused(s->cfg->secret, cred->secret);
		if (is_last)
			return refused(s);
		is_last = true;
		r = secret_renew(s->cfg->secret, cred->secret, &is_new,
				 &s->why);
		if (r == 0 && !is_new)
			return refused(s);
	}
	return r;
}

int auth_login(struct session *s)
{
	struct credentials *cred;
	int r;

	if (strlen(s->cfg->user) > USER_MAX)
		return session_fail(s, -EACCES, FAULT_AUTH,
				    "the user name is too long");
	cred = malloc(sizeof(*cred));
	if (!cred)
		return -ENOMEM;
	r = try_login(s, cred);
	secret_wipe(cred, sizeof(*cred));
	free(cred);
	/* Nothing is in flight: `out` holds only what was sent. */
	secret_wipe(s->out, SESSION_OUT_MAX);
	s->out_n = 0;
	s->out_sent = 0;
	return r;
}
