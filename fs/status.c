/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unictype.h>
#include <unistd.h>
#include <unistr.h>

#include "fs/flush.h"
#include "fs/park.h"
#include "fs/status_private.h"
#include "fs/store.h"

/*
 * `.imapfs/status` and `status.json`: every part of the program is asked how it
 * stands, then it is written down, here for people. No lock of ours is held
 * while others are asked.
 */

/*
 * Some of it is as the server has said it. Terminals and readers of JSON want
 * UTF-8, and nothing that commands them.
 */
static void make_readable(char *text)
{
	uint8_t *s = (uint8_t *)text;
	size_t n = strlen(text), len;
	ucs4_t c;

	for (size_t i = 0; i < n; i += len) {
		int r = u8_mbtoucr(&c, s + i, n - i);

		len = r > 0 ? (size_t)r : 1;
		if (r <= 0 || uc_is_property_bidi_control(c) ||
		    uc_is_general_category_withtable(
			    c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Zl |
				       UC_CATEGORY_MASK_Zp))
			memset(s + i, '?', len);
	}
}

static int report_make(struct fs *fs, struct report *ret)
{
	ret->fs = fs;
	imap_get_state(fs->imap, &ret->imap);
	make_readable(ret->imap.server);
	make_readable(ret->imap.last_error.text);
	for (unsigned i = 0; i < ret->imap.n_connections; i++)
		make_readable(ret->imap.conn[i].mailbox);
	cache_get_stats(fs->cache, &ret->cache);
	load_get_stats(fs, &ret->load);
	ahead_get_stats(fs, &ret->ahead);
	journal_count(fs->cache, &ret->queue);
	ret->has_budget = budget_get(fs, &ret->budget);
	if (flush_waits_for_day(fs)) {
		ret->budget.sends_stop = true;
		ret->budget.until = ret->budget.day.begun_at + BUDGET_DAY_S;
	}
	return tree_all(fs->tree, &ret->folders, &ret->n_folders);
}

static void print_error(FILE *out, const struct imap_error *e)
{
	if (e->code != 0)
		fprintf(out, "last error:   %s\n", e->text);
}

static void print_queue(FILE *out, const struct journal_counts *q)
{
	fprintf(out, "queue:        %zu waiting, %zu sent", q->queued, q->sent);
	if (q->writing + q->scratch > 0)
		fprintf(out, ", %zu being written, %zu that stay here",
			q->writing, q->scratch);
	if (q->oldest > 0)
		fprintf(out, "; the oldest since %lld s",
			(long long)(time(NULL) - q->oldest));
	fputc('\n', out);
}

static void print_direction(FILE *out, uint64_t n, uint64_t limit,
			    const char *word)
{
	fprintf(out, "%llu bytes %s", (unsigned long long)n, word);
	if (limit > 0)
		fprintf(out, " of at most %llu", (unsigned long long)limit);
}

static void print_budget(FILE *out, const struct budget_report *b)
{
	char at[BUDGET_TIME];

	fputs("today:        ", out);
	print_direction(out, b->day.down, b->down_limit, "down");
	fputs(", ", out);
	print_direction(out, b->day.up, b->up_limit, "up");
	if (b->day.begun_at != 0) {
		budget_print_time(b->day.begun_at, at);
		fprintf(out, ", since %s", at);
	}
	fputc('\n', out);
	if (b->until == 0)
		return;
	budget_print_time(b->until, at);
	fprintf(out, "              until %s:%s%s%s%s\n", at,
		b->near_limits ? " the server says that its limits are near;"
			       : "",
		b->ahead_stops ? " nothing is fetched before it is read;" : "",
		b->reads_stop ? " what is not in the cache cannot be read;"
			      : "",
		b->sends_stop ? " new messages wait;" : "");
}

static void print_folder(FILE *out, struct fs *fs, struct folder *f)
{
	struct folder_report fr;

	if (!folder_report_make(fs, f, &fr))
		return;
	fprintf(out, "  %-9s %llu", fr.state, (unsigned long long)fr.messages);
	if (strcmp(fr.state, "listing") == 0)
		fprintf(out, " of %llu", (unsigned long long)fr.expected);
	fprintf(out, " messages  %s%s%s\n", f->path, fr.error ? ": " : "",
		fr.error ? strerrordesc_np(-fr.error) : "");
	if (fr.limit > 0)
		fprintf(out,
			"            older ones are hidden if Gmail is set to "
			"show %u in a folder\n",
			fr.limit);
	if (fr.kept_up[0]) {
		fprintf(out, "            kept up to date by %s", fr.kept_up);
		if (fr.method[0])
			fprintf(out, ", last asked by %s", fr.method);
		if (fr.synced_at > 0)
			fprintf(out, ", %lld s ago",
				(long long)(time(NULL) - fr.synced_at));
		fputc('\n', out);
	}
	if (fr.kept)
		fprintf(out, "            offline: %s%s%s, %llu missing\n",
			fr.offline.state, fr.offline.why[0] ? ", " : "",
			fr.offline.why, (unsigned long long)fr.offline.missing);
}

static void print_status(FILE *out, struct report *r)
{
	fprintf(out, "mount.imapfs %s, process %d\n", IMAPFS_VERSION,
		(int)getpid());
	fprintf(out, "account:      %s on %s, port %u\n", r->fs->account->user,
		r->fs->account->host, r->fs->account->port);
	fprintf(out, "state:        %s%s\n",
		r->imap.online ? "online" : "offline",
		r->fs->opt->read_only ? ", read-only" : "");
	if (r->imap.server[0])
		fprintf(out, "server:       %s\n", r->imap.server);
	for (unsigned i = 0; i < r->imap.n_connections; i++) {
		struct imap_connection_state *c = &r->imap.conn[i];

		fprintf(out,
			"connection %u: %s%s%s, %llu bytes in, %llu out%s\n",
			i + 1, c->state, c->mailbox[0] ? ", " : "", c->mailbox,
			(unsigned long long)c->bytes_in,
			(unsigned long long)c->bytes_out,
			c->compressed ? ", compressed" : "");
	}
	if (!r->imap.online && r->imap.retry_in_ms >= 0)
		fprintf(out, "next try:     in %lld s\n",
			(long long)(r->imap.retry_in_ms + 999) / 1000);
	print_error(out, &r->imap.last_error);
	fprintf(out, "jobs:         %u running, %u waiting\n",
		r->imap.jobs_running, r->imap.jobs_queued);
	fprintf(out, "requests:     %u waiting\n", park_count(r->fs->park));
	print_queue(out, &r->queue);
	if (r->has_budget)
		print_budget(out, &r->budget);
	fprintf(out,
		"cache:        %llu bodies, %llu bytes of at most %llu; %llu "
		"reads from it, %llu waited\n",
		(unsigned long long)r->cache.bodies,
		(unsigned long long)r->cache.body_bytes,
		(unsigned long long)r->cache.max_bytes,
		(unsigned long long)r->load.hits,
		(unsigned long long)r->load.misses);
	fprintf(out,
		"read-ahead:   %llu messages, %llu bytes fetched, "
		"%llu given to the kernel\n",
		(unsigned long long)r->ahead.fetched,
		(unsigned long long)r->ahead.bytes,
		(unsigned long long)store_count(r->fs->store));
	fprintf(out, "folders:      %zu\n", r->n_folders);
	for (size_t i = 0; i < r->n_folders; i++)
		print_folder(out, r->fs, r->folders[i]);
}

int status_render(struct fs *fs, bool json, char **ret, size_t *ret_n)
{
	struct report r = {0};
	FILE *out;
	int error;

	error = report_make(fs, &r);
	if (error != 0)
		return error;
	out = open_memstream(ret, ret_n);
	if (!out) {
		free(r.folders);
		return -ENOMEM;
	}
	if (json)
		status_print_json(out, &r);
	else
		print_status(out, &r);
	free(r.folders);
	if (fclose(out) != 0) {
		free(*ret);
		return -ENOMEM;
	}
	return 0;
}
