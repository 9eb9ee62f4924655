/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/etpan.h"

#include <errno.h>
#include <libetpan/libetpan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "imap/names.h"
#include "imap/scan.h"

/*
 * libetpan, kept in a box. It parses a response that was made for it here, out
 * of one item that it is known to survive, through a connection that is a piece
 * of memory; its result is walked and freed before the next one, and no pointer
 * into it leaves this file. Status lines, numbers and unknown items never
 * reach it: several of those crash it, or wrap. What is exactly as most servers
 * write it does not either, for the sake of speed (item.h).
 *
 * Literals never reach it: it trusts the number in front of one. One thread at
 * a time for each box; the library itself has no state that these items touch.
 */

struct memory {
	const char *p;
	size_t n;
};

struct etpan {
	mailimap *parser;
	struct memory in; /* what the parser's stream reads */
	char *text;       /* the response made for it */
	size_t size;
};

/* Where the result of a parse goes. */
struct target {
	struct item_store *store;
	struct mail_row *row;
};

static ssize_t memory_read(mailstream_low *s, void *buf, size_t n)
{
	struct memory *in = s->data;

	/* The end is -1: at 0 libetpan asks again for ever. */
	if (in->n == 0)
		return -1;
	if (n > in->n)
		n = in->n;
	memcpy(buf, in->p, n);
	in->p += n;
	in->n -= n;
	return (ssize_t)n;
}

static ssize_t memory_write(mailstream_low *s, const void *buf, size_t n)
{
	(void)s;
	(void)buf;
	return (ssize_t)n;
}

static int memory_close(mailstream_low *s)
{
	(void)s;
	return 0;
}

static int memory_fd(mailstream_low *s)
{
	(void)s;
	return -1;
}

static void memory_free(mailstream_low *s)
{
	free(s);
}

static void memory_cancel(mailstream_low *s)
{
	(void)s;
}

static mailstream_low_driver memory_driver = {
	.mailstream_read = memory_read,
	.mailstream_write = memory_write,
	.mailstream_close = memory_close,
	.mailstream_get_fd = memory_fd,
	.mailstream_free = memory_free,
	.mailstream_cancel = memory_cancel,
};

static mailstream *memory_open(struct memory *in)
{
	mailstream_low *low = mailstream_low_new(in, &memory_driver);
	mailstream *s;

	if (!low)
		return NULL;
	s = mailstream_new(low, 16384);
	if (!s)
		mailstream_low_free(low);
	return s;
}

int etpan_new(struct etpan **ret)
{
	struct etpan *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->parser = mailimap_new(0, NULL);
	if (!e->parser)
		goto fail;
	e->parser->imap_stream = memory_open(&e->in);
	e->parser->imap_state = MAILIMAP_STATE_SELECTED;
	e->parser->imap_selection_info = mailimap_selection_info_new();
	e->parser->imap_connection_info = mailimap_connection_info_new();
	if (!e->parser->imap_stream || !e->parser->imap_selection_info ||
	    !e->parser->imap_connection_info)
		goto fail;
	*ret = e;
	return 0;

fail:
	etpan_free(e);
	return -ENOMEM;
}

void etpan_free(struct etpan *e)
{
	if (!e)
		return;
	if (e->parser && e->parser->imap_stream) {
		/* Else mailimap_free() would say LOGOUT and wait. */
		mailstream_close(e->parser->imap_stream);
		e->parser->imap_stream = NULL;
	}
	if (e->parser)
		mailimap_free(e->parser);
	free(e->text);
	free(e);
}

static void take_flag(const struct target *to,
		      const struct mailimap_flag_fetch *f)
{
	struct mail_row *row = to->row;
	const char *word = NULL;

	if (f->fl_type != MAILIMAP_FLAG_FETCH_OTHER || !f->fl_flag)
		return;
	switch (f->fl_flag->fl_type) {
	case MAILIMAP_FLAG_ANSWERED:
		row->flags |= MAIL_ANSWERED;
		break;
	case MAILIMAP_FLAG_FLAGGED:
		row->flags |= MAIL_FLAGGED;
		break;
	case MAILIMAP_FLAG_DELETED:
		row->flags |= MAIL_DELETED;
		break;
	case MAILIMAP_FLAG_SEEN:
		row->flags |= MAIL_SEEN;
		break;
	case MAILIMAP_FLAG_DRAFT:
		row->flags |= MAIL_DRAFT;
		break;
	case MAILIMAP_FLAG_KEYWORD:
		word = f->fl_flag->fl_data.fl_keyword;
		break;
	default: /* \Something that we do not know is no keyword */
		break;
	}
	if (word)
		item_add_word(to->store->keywords, sizeof(to->store->keywords),
			      word, strlen(word));
}

static void take_flags(const struct target *to,
		       const struct mailimap_msg_att_dynamic *d)
{
	to->store->keywords[0] = '\0';
	to->row->keywords = to->store->keywords;
	to->row->flags = 0;
	for (clistiter *i = d->att_list ? clist_begin(d->att_list) : NULL; i;
	     i = clist_next(i))
		take_flag(to, clist_content(i));
	to->row->has |= ROW_FLAGS;
}

/*
 * What has the form of a date and is none (Domino says 00-Jan-0000 of some
 * messages), or one before there was mail, is no reason to hide a message.
 */
static void take_date(struct mail_row *row, const struct mailimap_date_time *d)
{
	struct tm tm = {
		.tm_year = d->dt_year - 1900,
		.tm_mon = d->dt_month - 1,
		.tm_mday = d->dt_day,
		.tm_hour = d->dt_hour,
		.tm_min = d->dt_min,
		.tm_sec = d->dt_sec,
	};
	int zone = d->dt_zone;

	row->internaldate = 0;
	row->has |= ROW_DATE;
	if (d->dt_year < 1900 || d->dt_year > 9999 || d->dt_month < 1 ||
	    d->dt_month > 12 || d->dt_day < 1 || d->dt_day > 31 ||
	    d->dt_hour < 0 || d->dt_hour > 23 || d->dt_min < 0 ||
	    d->dt_min > 59 || d->dt_sec < 0 || d->dt_sec > 60 || zone < -9999 ||
	    zone > 9999)
		return;
	row->internaldate = timegm(&tm) - (zone / 100 * 3600 + zone % 100 * 60);
}

static void take_static(const struct target *to,
			const struct mailimap_msg_att_static *st)
{
	const struct mailimap_msg_att_body_section *sec;

	if (st->att_type == MAILIMAP_MSG_ATT_INTERNALDATE &&
	    st->att_data.att_internal_date) {
		take_date(to->row, st->att_data.att_internal_date);
	} else if (st->att_type == MAILIMAP_MSG_ATT_BODY_SECTION &&
		   st->att_data.att_body_section) {
		sec = st->att_data.att_body_section;
		header_fields(sec->sec_body_part ? sec->sec_body_part : "",
			      sec->sec_body_part ? sec->sec_length : 0,
			      to->store->fields, to->row->field);
		to->row->has |= ROW_FIELDS;
	}
}

static void take_items(const struct etpan *e, const struct target *to)
{
	clist *list = e->parser->imap_response_info->rsp_fetch_list;
	clistiter *first = list ? clist_begin(list) : NULL;
	const struct mailimap_msg_att *att;

	if (!first)
		return;
	att = clist_content(first);
	for (clistiter *i = clist_begin(att->att_list); i; i = clist_next(i)) {
		const struct mailimap_msg_att_item *item = clist_content(i);

		if (item->att_type == MAILIMAP_MSG_ATT_ITEM_DYNAMIC &&
		    item->att_data.att_dyn)
			take_flags(to, item->att_data.att_dyn);
		else if (item->att_type == MAILIMAP_MSG_ATT_ITEM_STATIC &&
			 item->att_data.att_static)
			take_static(to, item->att_data.att_static);
	}
}

/* Words of atom characters, each perhaps behind one backslash. */
static bool are_flags(const char *p, size_t n)
{
	bool in_word = false;

	if (n < 2 || p[0] != '(' || p[n - 1] != ')')
		return false;
	for (size_t i = 1; i < n - 1; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == ' ') {
			/* One blank, between two words. */
			if (!in_word)
				return false;
			in_word = false;
		} else if (c == '\\') {
			if (in_word || p[i + 1] == ' ' || p[i + 1] == ')')
				return false;
		} else if (c < 0x20 || c > 0x7e || strchr("(){%*\"]", c)) {
			return false;
		} else {
			in_word = true;
		}
	}
	return n == 2 || in_word;
}

/* " 1-Feb-2026 03:04:05 +0130", in its quotes. */
static bool is_date(const char *p, size_t n)
{
	static const char shape[] = "\"00-aaa-0000 00:00:00 +0000\"";

	if (n != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool ok = p[i] == shape[i];

		if (shape[i] == '0')
			ok = (p[i] >= '0' && p[i] <= '9') ||
			     (i == 1 && p[i] == ' ');
		else if (shape[i] == 'a')
			ok = (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z';
		else if (shape[i] == '+')
			ok = p[i] == '+' || p[i] == '-';
		if (!ok)
			return false;
	}
	return true;
}

/* NIL, or a string in quotes: one that has something would be a literal. */
static bool is_section(const char *p, size_t n)
{
	struct scan s = {.p = p, .end = p + n};
	struct scan_string str;

	if (!scan_string(&s, &str) || !scan_at_end(&s))
		return false;
	if (str.kind != SCAN_NIL && str.kind != SCAN_QUOTED)
		return false;
	for (size_t i = 0; i < str.n; i++) {
		if (str.p[i] < 0x20 || str.p[i] > 0x7e || str.p[i] == '\\')
			return false;
	}
	return true;
}

static const struct {
	const char *name; /* as libetpan is to see it */
	bool (*may_have)(const char *p, size_t n);
} items[] = {
	[ETPAN_FLAGS] = {"FLAGS", are_flags},
	[ETPAN_DATE] = {"INTERNALDATE", is_date},
	[ETPAN_HEADER] = {"BODY[HEADER]", is_section},
};

static const char made_head[] = "* 1 FETCH (";
/* A response needs a tagged end, and that a text. */
static const char made_tail[] = ")\r\n1 OK x\r\n";

static int build(struct etpan *e, const char *name, const char *value, size_t n)
{
	size_t need =
		sizeof(made_head) + strlen(name) + 1 + n + sizeof(made_tail);
	char *p;

	if (need > e->size) {
		p = realloc(e->text, need + 1024);
		if (!p)
			return -ENOMEM;
		e->text = p;
		e->size = need + 1024;
	}

	p = stpcpy(e->text, made_head);
	p = stpcpy(p, name);
	*p++ = ' ';
	p = mempcpy(p, value, n);
	p = stpcpy(p, made_tail);
	e->in.p = e->text;
	e->in.n = (size_t)(p - e->text);
	return 0;
}

bool etpan_parse(struct etpan *e, enum etpan_item item, const char *p, size_t n,
		 struct item_store *store, struct mail_row *row)
{
	const struct target to = {store, row};
	struct mailimap_response *done = NULL;
	int r;

	if (!items[item].may_have(p, n) || build(e, items[item].name, p, n) < 0)
		return false;
	e->parser->imap_stream->read_buffer_len = 0;
	e->parser->imap_tag = 1;
	if (!mailimap_read_line(e->parser))
		return false;
	r = mailimap_parse_response(e->parser, &done);
	if (r != MAILIMAP_NO_ERROR)
		return false;
	mailimap_response_free(done);
	take_items(e, &to);
	return true;
}
