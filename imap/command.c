/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "imap/keywords.h"
#include "imap/labels.h"

/*
 * Every piece is checked before its first byte is added, and the first
 * failure sticks, so a command that came through command_end() is whole and
 * is one command. CR and LF are refused even in literals, where the protocol
 * would allow them: no mailbox, user name or search word of ours has them.
 *
 * The buffer of a secret command is wiped whenever it moves.
 */

#define LITERAL_MINUS_MAX 4096 /* RFC 7888 section 5 */
#define QUOTED_MAX 1024        /* longer strings go as literals */

static void fail(struct command *c, int error)
{
	if (c->error == 0)
		c->error = error;
}

static bool reserve(struct command *c, size_t more)
{
	size_t size = c->size ? c->size : 256;
	char *p;

	if (c->error != 0)
		return false;
	if (more <= c->size - c->n)
		return true;

	while (size - c->n < more)
		size *= 2;
	p = malloc(size);
	if (!p) {
		fail(c, -ENOMEM);
		return false;
	}
	if (c->n > 0)
		memcpy(p, c->bytes, c->n);
	if (c->secret && c->bytes)
		explicit_bzero(c->bytes, c->size);
	free(c->bytes);
	c->bytes = p;
	c->size = size;
	return true;
}

static void add(struct command *c, const char *bytes, size_t n)
{
	if (!reserve(c, n))
		return;
	memcpy(c->bytes + c->n, bytes, n);
	c->n += n;
}

static bool is_printable(const char *s)
{
	for (; *s; s++) {
		if (*s < 0x20 || *s > 0x7e)
			return false;
	}
	return true;
}

/* ASTRING-CHAR of RFC 9051: what needs no quotes. */
static bool is_atom(const char *s)
{
	if (!*s || strcasecmp(s, "NIL") == 0 || strlen(s) > QUOTED_MAX)
		return false;
	for (; *s; s++) {
		if (*s <= 0x20 || *s > 0x7e || strchr("(){%*\"\\", *s))
			return false;
	}
	return true;
}

static void add_quoted(struct command *c, const char *s)
{
	add(c, "\"", 1);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			add(c, "\\", 1);
		add(c, s, 1);
	}
	add(c, "\"", 1);
}

/* What stands in front of the bytes of a literal. */
static void announce(struct command *c, uint64_t n)
{
	const unsigned max_waits = sizeof(c->wait_at) / sizeof(c->wait_at[0]);
	bool plus =
		c->literal_plus || (c->literal_minus && n <= LITERAL_MINUS_MAX);

	if (!plus && c->n_waits == max_waits) {
		fail(c, -EINVAL);
		return;
	}
	command_text(c, plus ? "{%llu+}" : "{%llu}", (unsigned long long)n);
	add(c, "\r\n", 2);
	if (!plus && c->error == 0)
		c->wait_at[c->n_waits++] = c->n;
}

/* A quoted string, or a literal where a quoted string cannot hold `s`. */
static void add_string(struct command *c, const char *s)
{
	if (strpbrk(s, "\r\n"))
		fail(c, -EINVAL);
	else if (is_printable(s) && strlen(s) <= QUOTED_MAX)
		add_quoted(c, s);
	else {
		announce(c, strlen(s));
		add(c, s, strlen(s));
	}
}

void command_init(struct command *c, const char *tag)
{
	memset(c, 0, sizeof(*c));
	if (!is_atom(tag) || *tag == '+') {
		fail(c, -EINVAL);
		return;
	}
	command_text(c, "%s ", tag);
}

void command_finish(struct command *c)
{
	if (c->secret && c->bytes)
		explicit_bzero(c->bytes, c->size);
	free(c->bytes);
	if (c->has_file)
		close(c->file);
	memset(c, 0, sizeof(*c));
}

void command_text(struct command *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		fail(c, -EINVAL);
		return;
	}
	if (!reserve(c, (size_t)n + 1))
		return;

	va_start(ap, fmt);
	(void)vsnprintf(c->bytes + c->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	/* %c of 0 would end the string before its length is over. */
	if (strlen(c->bytes + c->n) != (size_t)n ||
	    !is_printable(c->bytes + c->n))
		fail(c, -EINVAL);
	else
		c->n += (size_t)n;
}

void command_astring(struct command *c, const char *s)
{
	if (is_atom(s))
		add(c, s, strlen(s));
	else
		add_string(c, s);
}

void command_mailbox(struct command *c, const char *wire)
{
	if (!*wire || strlen(wire) > MAIL_WIRE_NAME_MAX)
		fail(c, -EINVAL);
	else if (strcasecmp(wire, "INBOX") == 0)
		add(c, "INBOX", 5);
	else
		add_string(c, wire);
}

void command_idle(struct command *c)
{
	command_text(c, "IDLE");
	add(c, "\r\n", 2);
	if (c->error != 0)
		return;
	c->wait_at[c->n_waits++] = c->n;
	command_text(c, "DONE");
}

void command_uids(struct command *c, const uint32_t *uids, size_t n)
{
	size_t i = 0;

	if (n == 0 || uids[0] == 0)
		fail(c, -EINVAL);
	while (i < n && c->error == 0) {
		size_t first = i;

		while (i + 1 < n && uids[i + 1] >= uids[i] &&
		       uids[i + 1] - uids[i] <= 1)
			i++;
		if (i + 1 < n && uids[i + 1] < uids[i]) {
			fail(c, -EINVAL);
			return;
		}
		if (first > 0)
			add(c, ",", 1);
		command_text(c, "%u", uids[first]);
		if (uids[i] != uids[first])
			command_text(c, ":%u", uids[i]);
		i++;
	}
}

/* The run of numbers that begins at `i` ends at the number returned. */
static size_t run_end(const uint32_t *uids, size_t n, size_t i)
{
	while (i + 1 < n && uids[i + 1] == uids[i] + 1)
		i++;
	return i;
}

static size_t digits(uint32_t v)
{
	size_t n = 1;

	while (v >= 10) {
		v /= 10;
		n++;
	}
	return n;
}

size_t command_uids_fit(const uint32_t *uids, size_t n, size_t room)
{
	size_t used = 0;
	size_t i = 0;

	while (i < n) {
		size_t last = run_end(uids, n, i);
		size_t need = digits(uids[i]) + (i > 0);

		if (last > i)
			need += 1 + digits(uids[last]);
		if (used + need > room)
			break;
		used += need;
		i = last + 1;
	}
	return i;
}

/* --- flags --- */

static const struct {
	enum mail_flag flag;
	const char *name;
} flag_names[] = {
	{MAIL_SEEN, "\\Seen"},       {MAIL_ANSWERED, "\\Answered"},
	{MAIL_FLAGGED, "\\Flagged"}, {MAIL_DELETED, "\\Deleted"},
	{MAIL_DRAFT, "\\Draft"},
};

void command_flags(struct command *c, unsigned flags, const char *keywords)
{
	bool has_keywords = keywords && *keywords;
	bool first = true;

	if (!keywords_are_valid(keywords)) {
		fail(c, -EINVAL);
		return;
	}
	add(c, "(", 1);
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(*flag_names); i++) {
		if (!(flags & flag_names[i].flag))
			continue;
		command_text(c, first ? "%s" : " %s", flag_names[i].name);
		first = false;
	}
	if (has_keywords && !first)
		add(c, " ", 1);
	if (has_keywords)
		add(c, keywords, strlen(keywords));
	add(c, ")", 1);
}

void command_labels(struct command *c, const char *words)
{
	char label[MAIL_KEYWORDS_MAX + 1];
	const char *word, *gap = "(";
	size_t n;

	if (!words || !*words || !labels_are_valid(words)) {
		fail(c, -EINVAL);
		return;
	}
	while (keywords_next(&words, &word, &n)) {
		(void)labels_text(word, n, label);
		add(c, gap, 1);
		command_astring(c, label);
		gap = " ";
	}
	add(c, ")", 1);
}

/* --- a file --- */

void command_file(struct command *c, int fd, uint64_t offset, uint64_t size)
{
	announce(c, size);
	if (c->error != 0)
		return;
	c->file = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (c->file < 0) {
		fail(c, -ENOMEM);
		return;
	}
	c->has_file = true;
	c->file_at = c->n;
	c->file_offset = offset;
	c->file_left = size;
}

long command_file_read(struct command *c, char *buf, size_t room)
{
	ssize_t n;

	if (room > c->file_left)
		room = (size_t)c->file_left;
	do
		n = pread(c->file, buf, room, (off_t)c->file_offset);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -EIO;
	c->file_offset += (uint64_t)n;
	c->file_left -= (uint64_t)n;
	return n;
}

int command_end(struct command *c)
{
	add(c, "\r\n", 2);
	return c->error;
}
