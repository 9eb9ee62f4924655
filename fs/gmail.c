/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/gmail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/keywords.h"
#include "imap/labels.h"
#include "imap/names.h"

/*
 * The text of labels, and what a change of it asks for. A label that is shown
 * already is found by what is shown of it, so that whatever a server calls its
 * labels, what was read can be set again.
 */

#define STARRED "\\Starred"

/* Labels of the system; `can_be_set` with X-GM-LABELS. */
static const struct {
	const char *word;
	uint32_t attr; /* of its mailbox; 0: INBOX */
	bool can_be_set;
} systems[] = {
	{"\\Inbox", 0, true},
	{STARRED, FOLDER_FLAGGED, false}, /* but with FLAGS */
	{"\\Important", FOLDER_IMPORTANT, true},
	{"\\Sent", FOLDER_SENT, false},
	{"\\Draft", FOLDER_DRAFTS, false},
};
#define N_SYSTEMS (sizeof(systems) / sizeof(systems[0]))

static bool is_word(const char *word, size_t n, const char *other)
{
	return strlen(other) == n && strncasecmp(word, other, n) == 0;
}

static bool can_be_set(const char *word, size_t n)
{
	if (word[0] != '\\')
		return true;
	for (size_t i = 0; i < N_SYSTEMS; i++)
		if (is_word(word, n, systems[i].word))
			return systems[i].can_be_set;
	return false;
}

/* --- lists --- */

/* Room for all words that a message can have; NULL: no memory. */
static char *new_list(void)
{
	return calloc(1, MAIL_KEYWORDS_MAX + 1);
}

/* False: it does not fit any more. */
static bool add_word(char *list, const char *word, size_t n)
{
	size_t at = strlen(list);

	if (at + (at > 0) + n > MAIL_KEYWORDS_MAX)
		return false;
	if (at > 0)
		list[at++] = ' ';
	memcpy(list + at, word, n);
	list[at + n] = '\0';
	return true;
}

int gmail_labels_shown(const char *words, uint32_t flags, char **ret)
{
	char *list = new_list();
	const char *word;
	size_t n;

	if (!list)
		return -ENOMEM;
	if (flags & MAIL_FLAGGED)
		(void)add_word(list, STARRED, strlen(STARRED));
	while (keywords_next(&words, &word, &n))
		if (!is_word(word, n, STARRED))
			(void)add_word(list, word, n);
	*ret = list;
	return 0;
}

/* --- as text --- */

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

/* What is shown of a label, without quotes; yours to free. */
static int text_of(const char *word, size_t n, char **ret)
{
	char *wire = malloc(n + 1), *text = NULL;
	int r = wire ? 0 : -ENOMEM;

	if (r != 0)
		return r;
	(void)labels_text(word, n, wire);
	r = utf7_decode(wire, &text);
	if (r == 0 && has_control(text)) {
		free(text);
		r = -EILSEQ;
	}
	/* Somebody else's way of writing: as it is. */
	if (r == -EILSEQ) {
		*ret = wire;
		return 0;
	}
	free(wire);
	if (r == 0)
		*ret = text;
	return r;
}

static void print_label(FILE *out, const char *text)
{
	if (ftell(out) > 0)
		fputc(' ', out);
	if (text[0] && !strpbrk(text, " ,\"") && !strchr(text + 1, '\\')) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

int gmail_labels_to_text(const char *words, char **ret)
{
	char *all = NULL, *text;
	const char *word;
	size_t size = 0, n;
	FILE *out = open_memstream(&all, &size);
	int r = 0;

	if (!out)
		return -ENOMEM;
	while (r == 0 && keywords_next(&words, &word, &n)) {
		r = text_of(word, n, &text);
		if (r == 0) {
			print_label(out, text);
			free(text);
		}
	}
	if (fclose(out) != 0)
		r = -ENOMEM;
	if (r != 0)
		free(all);
	else
		*ret = all;
	return r;
}

/* --- from text --- */

static bool is_gap(char c)
{
	return c == ' ' || c == ',';
}

/*
 * The next label of a text, without quotes, written over what was read. 0:
 * there is none any more. -EINVAL: a quote that is not closed, or in the
 * middle.
 */
static int next_label(char **p, char **ret)
{
	char *at = *p, *to;

	at += strspn(at, " ,");
	if (!*at)
		return 0;
	*ret = to = at;
	if (*at != '"') {
		at += strcspn(at, " ,\"");
		if (*at == '"')
			return -EINVAL;
		*p = *at ? at + 1 : at;
		*at = '\0';
		return 1;
	}
	for (at++; *at && *at != '"'; at++) {
		if (*at == '\\' && at[1])
			at++;
		*to++ = *at;
	}
	if (*at != '"' || (at[1] && !is_gap(at[1])))
		return -EINVAL;
	*p = at + 1;
	*to = '\0';
	return **ret ? 1 : -EINVAL;
}

/*
 * Which of the words that are shown is it? Of two that look alike one each
 * time. 1: `*ret` is it, and not in the list. 0: none is, or the list has it.
 */
static int find_shown(const char *text, const char *shown, const char *list,
		      bool any_case, const char **ret, size_t *ret_n)
{
	const char *word;
	bool is_it;
	char *look;
	size_t n;
	int r;

	while (keywords_next(&shown, &word, &n)) {
		r = text_of(word, n, &look);
		if (r != 0)
			return r;
		is_it = any_case ? strcasecmp(look, text) == 0
				 : strcmp(look, text) == 0;
		free(look);
		if (!is_it)
			continue;
		*ret = word;
		*ret_n = n;
		if (!labels_have(list, word, n))
			return 1;
	}
	return 0;
}

/* A label that the message has not; one of the system as Google writes it. */
static int add_new(const char *text, char *list)
{
	char word[MAIL_KEYWORDS_MAX + 1] = "", *wire;
	int r;

	if (has_control(text))
		return -EINVAL;
	for (size_t i = 0; i < N_SYSTEMS; i++)
		if (strcasecmp(text, systems[i].word) == 0)
			text = systems[i].word;
	r = utf7_encode(text, &wire);
	if (r != 0)
		return r == -EILSEQ ? -EINVAL : r;
	if (!labels_add(word, sizeof(word), wire, strlen(wire)) ||
	    (!labels_have(list, word, strlen(word)) &&
	     !add_word(list, word, strlen(word))))
		r = -EINVAL;
	free(wire);
	return r;
}

static int add_label(const char *text, const char *shown, char *list)
{
	const char *word = NULL;
	size_t n = 0;
	int r = find_shown(text, shown, list, false, &word, &n);

	if (r == 0 && !word)
		r = find_shown(text, shown, list, true, &word, &n);
	if (r == 0 && !word)
		return add_new(text, list);
	if (r == 1)
		r = word && add_word(list, word, n) ? 0 : -EINVAL;
	return r;
}

int gmail_labels_from_text(const char *text, size_t n, const char *shown,
			   char **ret)
{
	char *list, *copy, *at, *label;
	int r = 0;

	if (memchr(text, '\0', n))
		return -EINVAL;
	at = copy = strndup(text, n);
	list = new_list();
	if (!copy || !list)
		r = -ENOMEM;
	while (r == 0) {
		r = next_label(&at, &label);
		if (r <= 0)
			break;
		r = add_label(label, shown, list);
	}
	free(copy);
	if (r != 0)
		free(list);
	else
		*ret = list;
	return r;
}

/* --- differences --- */

void gmail_delta_finish(struct gmail_delta *d)
{
	free(d->add);
	free(d->remove);
	*d = (struct gmail_delta){0};
}

static int want(const char *word, size_t n, const char *own,
		struct gmail_delta *d)
{
	if (is_word(word, n, STARRED)) {
		d->add_flags |= MAIL_FLAGGED;
		return 0;
	}
	/* It is seen there, so it has that one. */
	if (own && is_word(word, n, own))
		return 0;
	return can_be_set(word, n) && add_word(d->add, word, n) ? 0 : -EINVAL;
}

static void take(const char *word, size_t n, const char *own,
		 struct gmail_delta *d)
{
	if (is_word(word, n, STARRED))
		d->remove_flags |= MAIL_FLAGGED;
	else if (!can_be_set(word, n))
		return;
	else if (own && is_word(word, n, own))
		d->leaves = true;
	else
		(void)add_word(d->remove, word, n);
}

int gmail_labels_compare(const char *shown, const char *wanted, const char *own,
			 struct gmail_delta *ret)
{
	struct gmail_delta d = {.add = new_list(), .remove = new_list()};
	const char *at = wanted, *word;
	int r = d.add && d.remove ? 0 : -ENOMEM;
	size_t n;

	while (r == 0 && keywords_next(&at, &word, &n))
		if (!labels_have(shown, word, n))
			r = want(word, n, own, &d);
	while (r == 0 && keywords_next(&shown, &word, &n))
		if (!labels_have(wanted, word, n))
			take(word, n, own, &d);
	if (r != 0)
		gmail_delta_finish(&d);
	else
		*ret = d;
	return r;
}

/* --- mailboxes --- */

int gmail_label_of(const char *wire, uint32_t attrs, char **ret)
{
	char *list;

	if (attrs & (FOLDER_ALL | FOLDER_TRASH | FOLDER_JUNK)) {
		*ret = NULL;
		return 0;
	}
	list = new_list();
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < N_SYSTEMS && !list[0]; i++)
		if (systems[i].attr ? (attrs & systems[i].attr) != 0
				    : strcasecmp(wire, "INBOX") == 0)
			(void)add_word(list, systems[i].word,
				       strlen(systems[i].word));
	/* A name that is too long has no label that could be set. */
	if (!list[0])
		(void)labels_add(list, MAIL_KEYWORDS_MAX + 1, wire,
				 strlen(wire));
	*ret = list;
	return 0;
}

uint32_t gmail_mailbox_of(const char *word, size_t n, char *ret_wire)
{
	(void)labels_text(word, n, ret_wire);
	if (ret_wire[0] != '\\')
		return 0;
	for (size_t i = 0; i < N_SYSTEMS; i++) {
		if (strcasecmp(ret_wire, systems[i].word) != 0)
			continue;
		if (systems[i].attr)
			ret_wire[0] = '\0';
		else
			memcpy(ret_wire, "INBOX", sizeof("INBOX"));
		return systems[i].attr;
	}
	ret_wire[0] = '\0';
	return 0;
}
