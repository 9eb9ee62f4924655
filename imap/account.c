/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/account.h"
#include "imap/log.h"
#include "imap/provider.h"
#include "imap/srv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistr.h>

/*
 * From what the user wrote to a server. Pure but for account_resolve(), which
 * asks DNS. Messages never repeat a piece of the source other than a checked
 * scheme, host or mechanism: whoever mistypes a URL may have a password in it.
 */

#define HOST_LENGTH_MAX 253
#define TEXT_LENGTH_MAX 1024

static const uint16_t port_imaps = 993, port_imap = 143;

__attribute__((format(printf, 2, 3))) static int refuse(struct imap_error *why,
							const char *fmt, ...)
{
	va_list ap;

	why->code = -EINVAL;
	why->fault = FAULT_NONE;
	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int refuse_password(struct imap_error *why)
{
	return refuse(why,
		      "A password does not belong in the source, where "
		      "others can read it: leave it out, and use passcmd=, "
		      "passfile=, ~/.authinfo, ~/.netrc or the prompt.");
}

/* UTF-8 without control characters, of a sensible length. */
static int check_text(const char *s, const char *what, struct imap_error *why)
{
	if (strlen(s) > TEXT_LENGTH_MAX)
		return refuse(why, "The %s is too long.", what);
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return refuse(why,
				      "The %s has a control character in it.",
				      what);
	if (u8_check((const uint8_t *)s, strlen(s)))
		return refuse(why, "The %s is not valid UTF-8.", what);
	return 0;
}

/*
 * Check and take a host name, in lower case, without a trailing dot. Names
 * beyond ASCII are refused: what would have to be looked up is their `xn--`
 * form, and the certificate is made out to that one, too.
 */
static int take_host(const char *s, size_t n, char **ret,
		     struct imap_error *why)
{
	size_t label = 0;

	if (n > 1 && s[n - 1] == '.')
		n--;
	if (n == 0 || n > HOST_LENGTH_MAX)
		return refuse(why, "The host name is %s.",
			      n ? "too long" : "missing");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x80)
			return refuse(why, "A host name beyond ASCII must be "
					   "written in its xn-- form.");
		if (c == '.' ? label == 0 : !isalnum(c) && c != '-' && c != '_')
			return refuse(why, "The host name is not valid.");
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return refuse(why, "The host name is not valid.");
	}
	if (label == 0)
		return refuse(why, "The host name is not valid.");
	*ret = strndup(s, n);
	if (!*ret)
		return -ENOMEM;
	for (char *c = *ret; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return 0;
}

static int find_provider(struct account *a, struct imap_error *why)
{
	static const char *const proton[] = {"proton.me", "protonmail.com",
					     "protonmail.ch", "pm.me"};
	const char *host;
	char *server;
	int n;

	for (size_t i = 0; i < sizeof(proton) / sizeof(proton[0]); i++)
		if (strcmp(a->host, proton[i]) == 0)
			return refuse(why,
				      "Proton has IMAP only through Proton "
				      "Bridge on this machine: mount "
				      "imap://user@127.0.0.1:1143/ with the "
				      "name and password that Bridge shows.");
	host = provider_of_domain(a->host);
	a->lookup_srv = !host;
	n = host ? asprintf(&server, "%s", host)
		 : asprintf(&server, "imap.%s", a->host);
	if (n < 0)
		return -ENOMEM;

	free(a->host);
	a->host = server;
	return 0;
}

static int parse_address(const char *source, struct account *a,
			 struct imap_error *why)
{
	const char *at = strrchr(source, '@');
	int r;

	if (!at || at == source)
		return refuse(why, "The source is neither an e-mail address "
				   "nor a URL such as imaps://user@host/.");
	if (memchr(source, ':', (size_t)(at - source)))
		return refuse_password(why);
	r = check_text(source, "address", why);
	if (r < 0)
		return r;
	if (strpbrk(source, " /"))
		return refuse(why, "The source is neither an e-mail address "
				   "nor a URL such as imaps://user@host/.");

	r = take_host(at + 1, strlen(at + 1), &a->host, why);
	if (r < 0)
		return r;

	a->user = strdup(source);
	if (!a->user)
		return -ENOMEM;

	a->tls = IMAP_TLS_IMPLICIT;
	a->port = port_imaps;
	return find_provider(a, why);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decode `n` bytes and check the text that comes out. */
static int take_encoded(const char *s, size_t n, const char *what, char **ret,
			struct imap_error *why)
{
	char *text = malloc(n + 1);
	size_t len = 0;
	int r;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int high, low;

		if (s[i] != '%') {
			text[len++] = s[i];
			continue;
		}
		high = n - i > 2 ? hex_digit(s[i + 1]) : -1;
		low = n - i > 2 ? hex_digit(s[i + 2]) : -1;
		if (high < 0 || low < 0 || (high == 0 && low == 0)) {
			free(text);
			return refuse(why,
				      "The %s has a %% that two digits "
				      "other than 00 must follow.",
				      what);
		}
		text[len++] = (char)(high << 4 | low);
		i += 2;
	}
	text[len] = '\0';
	r = check_text(text, what, why);
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}

/* ;AUTH=MECHANISM: which one is tried is for the login to decide. */
static int check_auth(const char *s, size_t n, struct imap_error *why)
{
	static const char *const fine[] = {"*", "PLAIN", "LOGIN", "XOAUTH2",
					   "OAUTHBEARER"};
	char name[32];

	if (n < 5 || strncasecmp(s, "AUTH=", 5) != 0)
		return refuse(why, "Behind the user name of the URL only "
				   ";AUTH= is known.");
	s += 5;
	n -= 5;
	if (n == 0 || n >= sizeof(name))
		return refuse(why, "The URL's ;AUTH= names no mechanism.");
	memcpy(name, s, n);
	name[n] = '\0';
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (strcasecmp(name, fine[i]) == 0)
			return 0;
	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			*c = '?';
	return refuse(why,
		      "The URL's mechanism ;AUTH=%s is not known: leave "
		      "it out.",
		      name);
}

static int take_user(const char *s, size_t n, struct account *a,
		     struct imap_error *why)
{
	const char *params = memchr(s, ';', n);
	size_t n_user = params ? (size_t)(params - s) : n;
	int r;

	/* A colon of the user's name itself is written %3A. */
	if (memchr(s, ':', n))
		return refuse_password(why);
	if (params) {
		r = check_auth(params + 1, n - n_user - 1, why);
		if (r < 0)
			return r;
	}
	r = take_encoded(s, n_user, "user name", &a->user, why);
	if (r == 0 && a->user && a->user[0] == '\0')
		return refuse(why, "The URL names no user: write "
				   "imaps://user@host/.");
	return r;
}

static int take_port(const char *s, size_t n, struct account *a,
		     struct imap_error *why)
{
	unsigned port = 0;

	if (n == 0) /* `host:` is the standard port (RFC 3986 section 3.2.3) */
		return 0;
	for (size_t i = 0; i < n && port <= UINT16_MAX; i++) {
		if (s[i] < '0' || s[i] > '9')
			return refuse(why, "The port is no number.");
		port = port * 10 + (unsigned)(s[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return refuse(why, "The port is not from 1 to 65535.");
	a->port = (uint16_t)port;
	return 0;
}

/* host, host:port, [address] or [address]:port. */
static int take_server(const char *s, size_t n, struct account *a,
		       struct imap_error *why)
{
	struct in6_addr address;
	const char *colon;
	size_t n_host;
	int r;

	if (n == 0 || s[0] != '[') {
		colon = memchr(s, ':', n);
		n_host = colon ? (size_t)(colon - s) : n;
		r = take_host(s, n_host, &a->host, why);
	} else {
		const char *close = memchr(s, ']', n);

		if (!close)
			return refuse(why, "The address has no closing `]`.");
		n_host = (size_t)(close + 1 - s);
		colon = n_host < n ? close + 1 : NULL;
		if (colon && *colon != ':')
			return refuse(why, "Behind `]` only a port may stand.");
		a->host = strndup(s + 1, n_host - 2);
		r = a->host ? 0 : -ENOMEM;
		if (a->host && inet_pton(AF_INET6, a->host, &address) != 1)
			return refuse(why, "Between `[` and `]` stands no "
					   "IPv6 address.");
	}
	if (r == 0 && colon)
		r = take_port(colon + 1, n - n_host - 1, a, why);
	return r;
}

static int take_mailbox(const char *s, struct account *a,
			struct imap_error *why)
{
	size_t n = strlen(s);

	if (strpbrk(s, ";?#"))
		return refuse(why, "The URL names a message or a search: only "
				   "a mailbox can be mounted.");
	while (n > 0 && s[0] == '/') {
		s++;
		n--;
	}
	while (n > 0 && s[n - 1] == '/')
		n--;
	return n == 0 ? 0
		      : take_encoded(s, n, "mailbox name", &a->mailbox, why);
}

/* RFC 5092 section 3; `s` is what follows the `://`. */
static int parse_url(const char *s, bool implicit, struct account *a,
		     struct imap_error *why)
{
	size_t n = strcspn(s, "/?#");
	/* The last one: a bare @ in a user name is forgiven. */
	const char *at = memrchr(s, '@', n);
	const char *server = at ? at + 1 : s;
	int r;

	a->tls = implicit ? IMAP_TLS_IMPLICIT : IMAP_TLS_STARTTLS;
	a->port = implicit ? port_imaps : port_imap;
	/* `user:pass/word@host`: no slash could stand in a user's name. */
	if (!at && strchr(s + n, '@') && memchr(s, ':', n))
		return refuse_password(why);
	if (!at)
		return refuse(why, "The URL names no user: write "
				   "imaps://user@host/.");
	r = take_user(s, (size_t)(at - s), a, why);
	if (r < 0)
		return r;
	r = take_server(server, n - (size_t)(server - s), a, why);
	if (r < 0)
		return r;
	return take_mailbox(s + n, a, why);
}

static int parse(const char *source, struct account *a, struct imap_error *why)
{
	size_t n = strspn(source, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	if (n == 0 || strncmp(source + n, "://", 3) != 0)
		return parse_address(source, a, why);
	if (n == 5 && strncasecmp(source, "imaps", n) == 0)
		return parse_url(source + n + 3, true, a, why);
	if (n == 4 && strncasecmp(source, "imap", n) == 0)
		return parse_url(source + n + 3, false, a, why);
	return refuse(why,
		      "URLs of the scheme '%.*s' are not known: write "
		      "imaps://user@host/.",
		      n < 32 ? (int)n : 32, source);
}

int account_parse(const char *source, struct account *ret,
		  struct imap_error *why)
{
	struct account a = {0};
	int r = parse(source, &a, why);

	if (r < 0) {
		account_finish(&a);
		return r;
	}
	assert(a.host && a.user);
	*ret = a;
	return 0;
}

/*
 * May a password go where DNS says? Without DNSSEC an answer may be forged,
 * and the certificate is then checked against the forged name: so it is
 * believed only within the mail domain itself, for a provider of the table,
 * or when the resolver vouches for it (RFC 6186 section 6).
 */
static bool is_believable(const struct srv_answer *answer, const char *domain)
{
	size_t n_host = strlen(answer->host), n = strlen(domain);

	if (answer->is_authentic || provider_has_host(answer->host))
		return true;
	return n_host >= n &&
	       strcasecmp(answer->host + n_host - n, domain) == 0 &&
	       (n_host == n || answer->host[n_host - n - 1] == '.');
}

void account_take_srv(struct account *a, const struct srv_answer *answer)
{
	const char *domain = strrchr(a->user, '@') + 1;
	struct imap_error ignored;
	char *host = NULL;

	if (take_host(answer->host, strlen(answer->host), &host, &ignored) < 0)
		return;
	assert(host);
	if (!is_believable(answer, domain)) {
		free(a->suggested);
		a->suggested = host;
		log_debug("account: DNS names '%s' for '%s', without proof",
			  host, domain);
		return;
	}
	free(a->host);
	a->host = host;
	a->port = answer->port;
	a->tls = answer->is_starttls ? IMAP_TLS_STARTTLS : IMAP_TLS_IMPLICIT;
}

void account_resolve(struct account *a, unsigned timeout_ms)
{
	struct srv_answer answer;

	if (!a->lookup_srv)
		return;

	a->lookup_srv = false;
	if (srv_lookup(strrchr(a->user, '@') + 1, timeout_ms, &answer) == 0)
		account_take_srv(a, &answer);
}

void account_finish(struct account *a)
{
	free(a->host);
	free(a->user);
	free(a->mailbox);
	free(a->suggested);
	memset(a, 0, sizeof(*a));
}
