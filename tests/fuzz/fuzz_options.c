/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/options.h"
#include "imap/account.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * Options and sources: nothing crashes, what is accepted keeps its limits, and
 * no password is accepted or repeated. The input is split at its first LF:
 * the argument of -o, then the source.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                               \
	do {                                                                   \
		if (!(x))                                                      \
			abort();                                               \
	} while (0)

static bool is_clean(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	if (n == 0 || n == size)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

static void fuzz_list(char *list)
{
	char *argv[] = {(char *)"x", (char *)"a@b.c", (char *)"/", (char *)"-o",
			list};
	char why[OPTIONS_ERROR] = "";
	struct options o;
	int r = options_parse(5, argv, &o, why);

	if (r < 0) {
		CHECK(is_clean(why, sizeof(why)));
		return;
	}
	CHECK(o.connections >= 1 && o.connections <= 15);
	CHECK(o.timeout_s >= 1 && o.timeout_s <= 3600);
	CHECK(o.cache_bytes >= 1U << 20 && o.umask <= 0777);
	CHECK(!o.cafile || o.cafile[0] == '/');
	CHECK(!o.passfile || o.passfile[0] == '/');
	CHECK(!o.cache_dir || o.cache_dir[0] == '/');
	(void)options_show_folder(&o, list);
	options_finish(&o);
}

static void check_account(const char *source, struct account *a)
{
	const char *scheme = strstr(source, "://");
	const char *user = scheme ? scheme + 3 : source;
	size_t n = scheme ? strcspn(user, "/?#") : strlen(user);
	const char *at = memrchr(user, '@', n);
	char *key;

	/* user:password@ never passes. */
	CHECK(at && !memchr(user, ':', (size_t)(at - user)));
	CHECK(a->user[0] && a->host[0] && a->port);
	CHECK(a->tls != IMAP_TLS_NONE && !strpbrk(a->host, "/ @%\r\n"));
	key = account_key(a);
	CHECK(key && strlen(key) <= 200 && !strchr(key, '/'));
	CHECK(strcmp(key, ".") != 0 && strcmp(key, "..") != 0);
	free(key);
	account_finish(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct imap_error why = {0};
	struct account account;
	char *text = malloc(n + 1);
	char *source;
	int r;

	CHECK(text);
	if (n)
		memcpy(text, data, n);
	text[n] = '\0';
	source = strchr(text, '\n');
	if (source)
		*source++ = '\0';
	fuzz_list(text);
	if (source) {
		r = account_parse(source, &account, &why);
		CHECK(r == 0 || is_clean(why.text, sizeof(why.text)));
		if (r == 0)
			check_account(source, &account);
	}
	free(text);
	return 0;
}
