/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/ahead.h"
#include "fs/control.h"
#include "fs/folder.h"
#include "fs/load.h"
#include "fs/park.h"
#include "fs/store.h"

/*
 * `.imapfs/status` and `status.json`: every part of the program is asked how it
 * stands, then it is written down. No lock of ours is held while others are
 * asked.
 */

static const char *const request_names[N_REQUESTS] = {
	[REQ_LOOKUP] = "lookup",     [REQ_FORGET] = "forget",
	[REQ_GETATTR] = "getattr",   [REQ_SETATTR] = "setattr",
	[REQ_OPEN] = "open",         [REQ_READ] = "read",
	[REQ_OPENDIR] = "opendir",   [REQ_READDIR] = "readdir",
	[REQ_GETXATTR] = "getxattr", [REQ_LISTXATTR] = "listxattr",
	[REQ_STATFS] = "statfs",     [REQ_REFUSED] = "refused",
	[REQ_REPLAY] = "replay",
};

struct report {
	struct fs *fs;
	struct imap_state imap;
	struct cache_stats cache;
	struct load_stats load;
	struct ahead_stats ahead;
	struct folder **folders;
	size_t n_folders;
};

static int report_make(struct fs *fs, struct report *ret)
{
	ret->fs = fs;
	imap_get_state(fs->imap, &ret->imap);
	cache_get_stats(fs->cache, &ret->cache);
	load_get_stats(fs, &ret->load);
	ahead_get_stats(fs, &ret->ahead);
	return tree_all(fs->tree, &ret->folders, &ret->n_folders);
}

/* How a folder stands, in words and numbers. */
struct folder_report {
	const char *state; /* "new", "listing", "partial", "syncing", "known" */
	uint64_t messages; /* shown */
	uint64_t expected; /* of a running listing */
	int error;
};

static bool folder_report_make(struct folder *f, struct folder_report *ret)
{
	struct cache_state s = {0};

	*ret = (struct folder_report){.state = "new"};
	if (f->attrs & FOLDER_NOSELECT)
		return false;

	lock_take(&f->lock);
	if (f->box) {
		box_state(f->box, &s);
		ret->messages = box_count(f->box);
		ret->expected = f->n_expected;
		ret->state = s.complete       ? "known"
			     : s.low_uid != 0 ? "partial"
					      : "new";
	}
	if (f->busy == FOLDER_LISTING)
		ret->state = "listing";
	else if (f->busy == FOLDER_SYNCING)
		ret->state = "syncing";
	ret->error = f->error;
	lock_drop(&f->lock);
	return ret->state[0] != 'n';
}

static void print_error(FILE *out, const struct imap_error *e)
{
	if (e->code != 0)
		fprintf(out, "last error:   %s\n", e->text);
}

static void print_status(FILE *out, struct report *r)
{
	struct folder_report fr;

	fprintf(out, "mount.imapfs %s, process %d\n", IMAPFS_VERSION,
		(int)getpid());
	fprintf(out, "account:      %s on %s, port %u\n", r->fs->account->user,
		r->fs->account->host, r->fs->account->port);
	fprintf(out, "state:        %s, read-only\n",
		r->imap.online ? "online" : "offline");
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
	for (size_t i = 0; i < r->n_folders; i++) {
		if (!folder_report_make(r->folders[i], &fr))
			continue;
		fprintf(out, "  %-9s %llu", fr.state,
			(unsigned long long)fr.messages);
		if (strcmp(fr.state, "listing") == 0)
			fprintf(out, " of %llu",
				(unsigned long long)fr.expected);
		fprintf(out, " messages  %s%s%s\n", r->folders[i]->path,
			fr.error ? ": " : "",
			fr.error ? strerrordesc_np(-fr.error) : "");
	}
}

/* A JSON string (RFC 8259); the input is UTF-8 or ASCII. */
static void json_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void json_member(FILE *out, const char *name, const char *value)
{
	fprintf(out, "\"%s\":", name);
	json_string(out, value);
}

static void json_folders(FILE *out, struct report *r)
{
	struct folder_report fr;

	fputs("\"folders\":[", out);
	for (size_t i = 0; i < r->n_folders; i++) {
		(void)folder_report_make(r->folders[i], &fr);
		fputs(i ? ",{" : "{", out);
		json_member(out, "path", r->folders[i]->path);
		fputc(',', out);
		json_member(out, "state", fr.state);
		fprintf(out, ",\"listed\":%s,\"messages\":%llu,\"error\":%d}",
			strcmp(fr.state, "known") == 0 ? "true" : "false",
			(unsigned long long)fr.messages, -fr.error);
	}
	fputs("],", out);
}

static void json_connections(FILE *out, const struct imap_state *s)
{
	fputs("\"connections\":[", out);
	for (unsigned i = 0; i < s->n_connections; i++) {
		fputs(i ? ",{" : "{", out);
		json_member(out, "state", s->conn[i].state);
		fputc(',', out);
		json_member(out, "mailbox", s->conn[i].mailbox);
		fprintf(out,
			",\"bytes_in\":%llu,\"bytes_out\":%llu,"
			"\"compressed\":%s}",
			(unsigned long long)s->conn[i].bytes_in,
			(unsigned long long)s->conn[i].bytes_out,
			s->conn[i].compressed ? "true" : "false");
	}
	fputs("],", out);
}

static void print_status_json(FILE *out, struct report *r)
{
	const struct account *a = r->fs->account;

	fprintf(out, "{\"pid\":%d,", (int)getpid());
	json_member(out, "version", IMAPFS_VERSION);
	fputc(',', out);
	json_member(out, "account", a->user);
	fputc(',', out);
	json_member(out, "host", a->host);
	fprintf(out, ",\"port\":%u,", a->port);
	json_member(out, "state", r->imap.online ? "online" : "offline");
	fputc(',', out);
	json_member(out, "server", r->imap.server);
	fputc(',', out);
	json_connections(out, &r->imap);
	json_folders(out, r);
	fprintf(out,
		"\"jobs\":{\"running\":%u,\"queued\":%u},\"parked\":%u,"
		"\"cache\":{\"bodies\":%llu,\"bytes\":%llu,\"max_bytes\":%llu,"
		"\"hits\":%llu,\"misses\":%llu,\"evicted\":%llu,"
		"\"damaged\":%llu},\"ahead\":{\"fetched\":%llu,\"bytes\":%llu,"
		"\"stored\":%llu},\"requests\":{",
		r->imap.jobs_running, r->imap.jobs_queued,
		park_count(r->fs->park), (unsigned long long)r->cache.bodies,
		(unsigned long long)r->cache.body_bytes,
		(unsigned long long)r->cache.max_bytes,
		(unsigned long long)r->load.hits,
		(unsigned long long)r->load.misses,
		(unsigned long long)r->cache.evicted,
		(unsigned long long)r->cache.damaged,
		(unsigned long long)r->ahead.fetched,
		(unsigned long long)r->ahead.bytes,
		(unsigned long long)store_count(r->fs->store));
	for (int i = 0; i < N_REQUESTS; i++)
		fprintf(out, "%s\"%s\":%llu", i ? "," : "", request_names[i],
			(unsigned long long)control_counted(
				r->fs->control, (enum control_request)i));
	fputs("},", out);
	json_member(out, "last_error",
		    r->imap.last_error.code ? r->imap.last_error.text : "");
	fputs("}\n", out);
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
		print_status_json(out, &r);
	else
		print_status(out, &r);
	free(r.folders);
	if (fclose(out) != 0) {
		free(*ret);
		return -ENOMEM;
	}
	return 0;
}
