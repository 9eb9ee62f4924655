/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/marks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/keywords.h"
#include "imap/names.h"

/*
 * Three ways to write the same marks. Keywords are kept as IMAP has them
 * (keywords.h); what a list becomes is written by a stream that grows, and
 * checked at its end.
 */

/* --- modes --- */

#define MODE_READ 0044
#define MODE_STARRED 0100

mode_t marks_to_mode(uint32_t flags)
{
	/* The owner may always write, or rm and mv would ask every time. */
	return 0600 | (flags & MAIL_SEEN ? MODE_READ : 0) |
	       (flags & MAIL_FLAGGED ? MODE_STARRED : 0);
}

uint32_t marks_from_mode(mode_t mode)
{
	return (mode & MODE_READ ? MAIL_SEEN : 0u) |
	       (mode & MODE_STARRED ? MAIL_FLAGGED : 0u);
}

/* --- words --- */

void marks_finish(struct marks *m)
{
	free(m->keywords);
	*m = (struct marks){0};
}

/* A list that is being written. */
struct words {
	FILE *out;
	char *text;
	size_t n;
};

static int words_begin(struct words *w)
{
	w->out = open_memstream(&w->text, &w->n);
	return w->out ? 0 : -ENOMEM;
}

static void words_add(struct words *w, const char *text, size_t n)
{
	if (ftell(w->out) > 0)
		fputc(' ', w->out);
	fwrite(text, 1, n, w->out);
}

/*
 * -ENOMEM; -EINVAL: too many, or one that no server would take. With an error
 * given, that one.
 */
static int words_end(struct words *w, int error, char **ret)
{
	bool failed = ferror(w->out) != 0;

	failed |= fclose(w->out) != 0;
	if (error == 0 && failed)
		error = -ENOMEM;
	if (error == 0 && w->n > 0 && !keywords_are_valid(w->text))
		error = -EINVAL;
	if (error != 0)
		free(w->text);
	else
		*ret = w->text;
	return error;
}

/* Words of `from` that are not in `without`. */
static int pick(const char *from, const char *without, char **ret)
{
	struct words list;
	const char *w;
	int r = words_begin(&list);
	size_t n;

	if (r != 0)
		return r;
	while (keywords_next(&from, &w, &n))
		if (!keywords_have(without, w, n))
			words_add(&list, w, n);
	return words_end(&list, 0, ret);
}

/* --- flags --- */

static const struct {
	enum mail_flag bit;
	const char *name;
} flag_names[] = {
	{MAIL_SEEN, "\\Seen"},       {MAIL_ANSWERED, "\\Answered"},
	{MAIL_FLAGGED, "\\Flagged"}, {MAIL_DELETED, "\\Deleted"},
	{MAIL_DRAFT, "\\Draft"},
};
#define N_FLAGS (sizeof(flag_names) / sizeof(flag_names[0]))

int marks_to_text(const struct marks *m, char **ret)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	const char *gap = "";

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < N_FLAGS; i++) {
		if (!(m->flags & flag_names[i].bit))
			continue;
		fprintf(out, "%s%s", gap, flag_names[i].name);
		gap = " ";
	}
	if (m->keywords[0])
		fprintf(out, "%s%s", gap, m->keywords);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static bool is_equal(const char *w, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(w, name, n) == 0;
}

static int read_flag(const char *w, size_t n, uint32_t *flags)
{
	if (is_equal(w, n, "\\Recent"))
		return 0;
	for (size_t i = 0; i < N_FLAGS; i++) {
		if (is_equal(w, n, flag_names[i].name)) {
			*flags |= flag_names[i].bit;
			return 0;
		}
	}
	return -EINVAL;
}

static int read_words(const char *text, uint32_t *flags, struct words *list)
{
	const char *w;
	size_t n;
	int r = 0;

	while (r == 0 && keywords_next(&text, &w, &n)) {
		if (n > 0 && w[0] == '\\')
			r = read_flag(w, n, flags);
		else if (n > 0)
			words_add(list, w, n);
	}
	return r;
}

/* Values of attributes may have a NUL anywhere. */
static int copy_value(const char *text, size_t n, char **ret)
{
	if (memchr(text, '\0', n))
		return -EINVAL;
	*ret = strndup(text, n);
	return *ret ? 0 : -ENOMEM;
}

int marks_from_text(const char *text, size_t n, struct marks *ret)
{
	struct words list;
	uint32_t flags = 0;
	char *copy;
	int r = copy_value(text, n, &copy);

	if (r != 0)
		return r;
	r = words_begin(&list);
	if (r == 0) {
		r = read_words(copy, &flags, &list);
		r = words_end(&list, r, &ret->keywords);
	}
	if (r == 0)
		ret->flags = flags;
	free(copy);
	return r;
}

/* --- tags --- */

static void replace(char *s, char from, char to)
{
	for (; *s; s++)
		if (*s == from)
			*s = to;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

/* The tag that a keyword stands for; -EILSEQ: it is not one. */
static int tag_of(const char *word, size_t n, char **ret)
{
	char *copy, *tag = NULL;
	int r;

	if (word[0] == '$')
		return -EILSEQ;
	copy = strndup(word, n);
	if (!copy)
		return -ENOMEM;
	r = utf7_decode(copy, &tag);
	if (r == -EILSEQ) {
		/* Somebody else's way of writing: as it is. */
		tag = copy;
		copy = NULL;
		r = 0;
	}
	free(copy);
	if (r == 0 &&
	    (tag[0] == '\0' || strchr(tag, ',') || has_control(tag))) {
		free(tag);
		return -EILSEQ;
	}
	if (r != 0)
		return r;
	replace(tag, '_', ' ');
	*ret = tag;
	return 0;
}

int marks_to_tags(const struct marks *m, char **ret)
{
	const char *list = m->keywords, *w;
	char *text = NULL, *tag;
	size_t n = 0, len;
	FILE *out = open_memstream(&text, &n);
	int r = 0;

	if (!out)
		return -ENOMEM;
	while (r != -ENOMEM && keywords_next(&list, &w, &len)) {
		r = tag_of(w, len, &tag);
		if (r != 0)
			continue;
		fprintf(out, "%s%s", ftell(out) > 0 ? "," : "", tag);
		free(tag);
	}
	if (fclose(out) != 0 || r == -ENOMEM)
		r = -ENOMEM;
	else
		r = n > 0 ? 0 : -ENODATA;
	if (r != 0)
		free(text);
	else
		*ret = text;
	return r;
}

/* One tag, as a keyword, onto the list. Changes `tag`. */
static int add_tag(struct words *list, char *tag)
{
	char *wire;
	int r;

	if (has_control(tag))
		return -EINVAL;
	replace(tag, ' ', '_');
	r = utf7_encode(tag, &wire);
	if (r != 0)
		return r == -EILSEQ ? -EINVAL : r;
	/* One with a dollar would not be shown as a tag again. */
	if (wire[0] == '$')
		r = -EINVAL;
	else
		words_add(list, wire, strlen(wire));
	free(wire);
	return r;
}

/* Those that are no tags stay; then the new tags. */
static int write_tags(struct words *list, char *text, const char *old)
{
	char *rest = NULL, *tag;
	const char *w;
	size_t n;
	int r = 0;

	while (r == 0 && keywords_next(&old, &w, &n)) {
		r = tag_of(w, n, &tag);
		if (r == -EILSEQ) {
			words_add(list, w, n);
			r = 0;
		} else if (r == 0) {
			free(tag);
		}
	}
	for (tag = strtok_r(text, ",", &rest); r == 0 && tag;
	     tag = strtok_r(NULL, ",", &rest)) {
		tag += strspn(tag, " ");
		n = strlen(tag);
		while (n > 0 && tag[n - 1] == ' ')
			tag[--n] = '\0';
		if (n > 0)
			r = add_tag(list, tag);
	}
	return r;
}

int marks_from_tags(const char *text, size_t n, const struct marks *old,
		    struct marks *ret)
{
	struct words list;
	char *copy;
	int r = copy_value(text, n, &copy);

	if (r != 0)
		return r;
	r = words_begin(&list);
	if (r == 0) {
		r = write_tags(&list, copy, old->keywords);
		r = words_end(&list, r, &ret->keywords);
	}
	if (r == 0)
		ret->flags = old->flags;
	free(copy);
	return r;
}

/* --- differences --- */

void marks_delta_finish(struct marks_delta *d)
{
	marks_finish(&d->add);
	marks_finish(&d->remove);
}

bool marks_delta_is_empty(const struct marks_delta *d)
{
	return !d->add.flags && !d->remove.flags && !d->add.keywords[0] &&
	       !d->remove.keywords[0];
}

int marks_compare(const struct marks *from, const struct marks *to,
		  struct marks_delta *ret)
{
	struct marks_delta d = {
		.add.flags = to->flags & ~from->flags,
		.remove.flags = from->flags & ~to->flags,
	};
	int r = pick(to->keywords, from->keywords, &d.add.keywords);

	if (r == 0)
		r = pick(from->keywords, to->keywords, &d.remove.keywords);
	if (r != 0)
		marks_delta_finish(&d);
	else
		*ret = d;
	return r;
}
