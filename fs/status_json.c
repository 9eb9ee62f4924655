/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <unistd.h>

#include "fs/park.h"
#include "fs/status_private.h"
#include "fs/store.h"

/*
 * The same report as JSON. Names never change their meaning; new ones may come.
 */

static const char *const request_names[N_REQUESTS] = {
	[REQ_LOOKUP] = "lookup",     [REQ_FORGET] = "forget",
	[REQ_GETATTR] = "getattr",   [REQ_SETATTR] = "setattr",
	[REQ_OPEN] = "open",         [REQ_READ] = "read",
	[REQ_CREATE] = "create",     [REQ_WRITE] = "write",
	[REQ_OPENDIR] = "opendir",   [REQ_READDIR] = "readdir",
	[REQ_GETXATTR] = "getxattr", [REQ_LISTXATTR] = "listxattr",
	[REQ_STATFS] = "statfs",     [REQ_REFUSED] = "refused",
	[REQ_REPLAY] = "replay",
};

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

static void json_folder(FILE *out, struct fs *fs, struct folder *f)
{
	struct folder_report fr;

	(void)folder_report_make(fs, f, &fr);
	json_member(out, "path", f->path);
	fputc(',', out);
	json_member(out, "state", fr.state);
	fprintf(out,
		",\"listed\":%s,\"messages\":%llu,\"expected\":%llu,"
		"\"limit\":%u,\"error\":%d,",
		strcmp(fr.state, "known") == 0 ? "true" : "false",
		(unsigned long long)fr.messages,
		(unsigned long long)fr.expected, fr.limit, -fr.error);
	json_member(out, "kept_up", fr.kept_up);
	fputc(',', out);
	json_member(out, "method", fr.method);
	fprintf(out, ",\"synced_at\":%lld", (long long)fr.synced_at);
	if (!fr.kept)
		return;
	fputs(",\"offline\":{", out);
	json_member(out, "state", fr.offline.state);
	fputc(',', out);
	json_member(out, "why", fr.offline.why);
	fprintf(out, ",\"missing\":%llu}",
		(unsigned long long)fr.offline.missing);
}

static void json_folders(FILE *out, struct report *r)
{
	fputs("\"folders\":[", out);
	for (size_t i = 0; i < r->n_folders; i++) {
		fputs(i ? ",{" : "{", out);
		json_folder(out, r->fs, r->folders[i]);
		fputc('}', out);
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

static void json_budget(FILE *out, const struct report *r)
{
	const struct budget_report *b = &r->budget;

	fprintf(out,
		"\"budget\":{\"counted\":%s,\"down\":%llu,\"up\":%llu,"
		"\"down_limit\":%llu,\"up_limit\":%llu,\"begun_at\":%lld,",
		r->has_budget ? "true" : "false",
		(unsigned long long)b->day.down, (unsigned long long)b->day.up,
		(unsigned long long)b->down_limit,
		(unsigned long long)b->up_limit, (long long)b->day.begun_at);
	fprintf(out,
		"\"near_limits\":%s,\"ahead_stops\":%s,\"reads_stop\":%s,"
		"\"sends_stop\":%s,\"until\":%lld},",
		b->near_limits ? "true" : "false",
		b->ahead_stops ? "true" : "false",
		b->reads_stop ? "true" : "false",
		b->sends_stop ? "true" : "false", (long long)b->until);
}

void status_print_json(FILE *out, struct report *r)
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
	fprintf(out, ",\"retry_in_ms\":%lld,",
		(long long)(r->imap.online ? -1 : r->imap.retry_in_ms));
	json_member(out, "server", r->imap.server);
	fputc(',', out);
	json_connections(out, &r->imap);
	json_folders(out, r);
	json_budget(out, r);
	fprintf(out,
		"\"read_only\":%s,\"queue\":{\"queued\":%zu,\"sent\":%zu,"
		"\"writing\":%zu,\"scratch\":%zu,\"oldest\":%lld},",
		r->fs->opt->read_only ? "true" : "false", r->queue.queued,
		r->queue.sent, r->queue.writing, r->queue.scratch,
		(long long)r->queue.oldest);
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
