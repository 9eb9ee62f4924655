/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/name.h"

#include "imap/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <unistr.h>
#include <xxhash.h>

/*
 * The names of folders. They were chosen by the account's owner, so blanks,
 * brackets and emoji stay as they are; only what a file system cannot hold, or
 * what would make a terminal lie, is written %XX. The database maps a name
 * back to the mailbox; only of a name for a new one this is undone, and then
 * the mailbox must be shown under the very name that was asked for.
 */

#define HASH_LETTERS 8
#define TAIL_BYTES (2 + HASH_LETTERS) /* %~ and the hash */

/* What is being written: `cut` is where a tail could go. */
struct writer {
	char text[NAME_BUFFER];
	size_t n;
	size_t cut;
	bool is_full; /* over NAME_MAX_BYTES: the rest was left out */
};

/* One character, whole or not at all. */
static void write_bytes(struct writer *w, const uint8_t *s, size_t n,
			bool escaped)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t need = escaped ? 3 * n : n;

	if (w->is_full || w->n + need > NAME_MAX_BYTES) {
		w->is_full = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (!escaped) {
			w->text[w->n++] = (char)s[i];
			continue;
		}
		w->text[w->n++] = '%';
		w->text[w->n++] = hex[s[i] >> 4];
		w->text[w->n++] = hex[s[i] & 15];
	}
	if (w->n <= NAME_MAX_BYTES - TAIL_BYTES)
		w->cut = w->n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* Could this `%` be taken for one of ours? */
static bool is_like_ours(const uint8_t *s, size_t n)
{
	return (n > 1 && s[1] == '~') || (n > 2 && hex_digit((char)s[1]) >= 0 &&
					  hex_digit((char)s[2]) >= 0);
}

/* The character `c` begins at `s`, where `n` bytes are left. */
static bool must_escape(ucs4_t c, const uint8_t *s, size_t n, bool is_first)
{
	return c == '/' || (c == '%' && is_like_ours(s, n)) ||
	       (c == '.' && is_first) || uc_is_property_bidi_control(c) ||
	       uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc |
							   UC_CATEGORY_MASK_Zl |
							   UC_CATEGORY_MASK_Zp);
}

static void write_utf8(struct writer *w, const uint8_t *s, size_t n)
{
	size_t len;
	ucs4_t c;

	for (size_t i = 0; i < n; i += len) {
		int r = u8_mbtoucr(&c, s + i, n - i);

		len = r > 0 ? (size_t)r : 1;
		write_bytes(w, s + i, len,
			    r <= 0 || must_escape(c, s + i, n - i, i == 0));
	}
}

/*
 * Not modified UTF-7: byte by byte. `&` is escaped too, or the name could be
 * that of a valid one.
 */
static void write_raw(struct writer *w, const uint8_t *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		write_bytes(w, s + i, 1,
			    s[i] >= 0x7f || s[i] == '&' ||
				    must_escape(s[i], s + i, n - i, i == 0));
}

static void write_tail(struct writer *w, const char *wire, size_t n)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint64_t hash = XXH3_64bits(wire, n);

	w->n = w->cut;
	w->text[w->n++] = '%';
	w->text[w->n++] = '~';
	for (unsigned i = 0; i < HASH_LETTERS; i++, hash >>= 5)
		w->text[w->n++] = digits[hash & 31];
}

static int make_name(const char *wire, size_t n, bool is_twin,
		     char ret[NAME_BUFFER])
{
	static const uint8_t nothing[] = {0};
	struct writer w = {.n = 0};
	char *copy = strndup(wire, n);
	char *utf8 = NULL;
	int r;

	if (!copy)
		return -ENOMEM;
	/* A NUL inside would hide what follows it from the decoder. */
	r = strlen(copy) == n ? utf7_decode(copy, &utf8) : -EILSEQ;
	free(copy);
	if (r == -ENOMEM)
		return r;

	if (r < 0)
		write_raw(&w, (const uint8_t *)wire, n);
	else
		write_utf8(&w, (const uint8_t *)utf8, strlen(utf8));
	free(utf8);
	if (n == 0)
		write_bytes(&w, nothing, 1, true);
	if (w.is_full || is_twin)
		write_tail(&w, wire, n);
	memcpy(ret, w.text, w.n);
	ret[w.n] = '\0';
	return 0;
}

int name_of_folder(const char *wire, size_t n, char ret[NAME_BUFFER])
{
	return make_name(wire, n, false, ret);
}

int name_of_folder_twin(const char *wire, size_t n, char ret[NAME_BUFFER])
{
	return make_name(wire, n, true, ret);
}

/* `%XX` becomes the byte it stands for. A NUL cannot be in a mailbox's name. */
static int undo_escapes(const char *name, char ret[NAME_BUFFER])
{
	size_t n = 0;

	for (const char *p = name; *p; n++) {
		int high = *p == '%' ? hex_digit(p[1]) : -1;
		int low = high >= 0 ? hex_digit(p[2]) : -1;

		ret[n] = *p;
		if (low >= 0)
			ret[n] = (char)(unsigned char)(high * 16 + low);
		if (ret[n] == '\0')
			return -EINVAL;
		p += low >= 0 ? 3 : 1;
	}
	ret[n] = '\0';
	return 0;
}

int name_to_wire(const char *name, char **ret)
{
	char text[NAME_BUFFER], again[NAME_BUFFER];
	char *wire = NULL;
	int r;

	if (strlen(name) > NAME_MAX_BYTES)
		return -ENAMETOOLONG;
	r = undo_escapes(name, text);
	if (r == 0)
		r = utf7_encode(text, &wire);
	if (r == 0)
		r = name_of_folder(wire, strlen(wire), again);
	if (r == 0 && (strcmp(again, name) != 0 || name_is_possible(name)))
		r = -EINVAL;
	if (r == 0)
		*ret = wire;
	else
		free(wire);
	return r == -EILSEQ ? -EINVAL : r;
}
