/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/account.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The name under which an account is kept on disk. It must be one path
 * component whatever the user and host are, and never be the same for two
 * accounts: what is escaped is unambiguous, and what is too long for a file
 * name ends in a digest of all of it.
 */

#define KEY_LENGTH_MAX 200
#define DIGEST_BYTES 16U
#define TAIL_BYTES (2 + 2 * DIGEST_BYTES)

static size_t append_escaped(char *to, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x80 && (isalnum(c) || strchr(".-_@+", c))) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '%';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	return n;
}

/* Cut `key` so that `%~` and a digest of the whole fit. */
static bool shorten(char *key)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char *end = key + KEY_LENGTH_MAX - TAIL_BYTES;

	if (!EVP_Digest(key, strlen(key), digest, &n, EVP_sha256(), NULL))
		return false;
	*end++ = '%';
	*end++ = '~';
	for (unsigned i = 0; i < DIGEST_BYTES; i++, end += 2)
		snprintf(end, 3, "%02x", digest[i]);
	return true;
}

char *account_key(const struct account *a)
{
	uint16_t standard = a->tls == IMAP_TLS_IMPLICIT ? 993 : 143;
	char *key = malloc(3 * (strlen(a->user) + strlen(a->host)) + 16);
	size_t n;

	if (!key)
		return NULL;
	n = append_escaped(key, a->user);
	key[n++] = '@';
	n += append_escaped(key + n, a->host);
	key[n] = '\0';
	if (a->port != standard)
		snprintf(key + n, 8, ":%u", a->port);
	if (strlen(key) > KEY_LENGTH_MAX && !shorten(key)) {
		free(key);
		return NULL;
	}
	return key;
}
