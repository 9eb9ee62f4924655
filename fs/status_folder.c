/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "fs/folder.h"
#include "fs/keep.h"
#include "fs/status_private.h"

/*
 * How one folder stands: what is known of it, how it is kept up, and what is
 * still missing if its bodies are to be here.
 */

static const char *method_word(enum imap_sync_method method)
{
	switch (method) {
	case IMAP_SYNC_QRESYNC:
		return "qresync";
	case IMAP_SYNC_CONDSTORE:
		return "condstore";
	case IMAP_SYNC_FLAGS:
		return "flags";
	}
	return "";
}

static const char *watch_word(struct fs *fs, const struct folder *f)
{
	int64_t since_ms;

	switch (keep_watched(fs, f, &since_ms)) {
	case IMAP_WATCHED_IDLE:
		return "idle";
	case IMAP_WATCHED_NOTIFY:
		return "notify";
	case IMAP_WATCHED_NOT:
		break;
	}
	return "polling";
}

bool folder_report_make(struct fs *fs, struct folder *f,
			struct folder_report *ret)
{
	struct cache_state s;

	*ret = (struct folder_report){
		.state = "new", .kept_up = "", .method = ""};
	if (f->attrs & FOLDER_NOSELECT)
		return false;
	if (folder_is_entered(f))
		ret->kept_up = watch_word(fs, f);
	ret->kept = offline_get(fs, f, &ret->offline);
	folder_state(f, &s);
	ret->synced_at = s.synced_at;

	lock_take(&f->lock);
	if (f->box) {
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
	else if (f->busy == FOLDER_MOORING)
		ret->state = "matching";
	ret->error = f->error;
	ret->limit = f->limit;
	if (f->has_synced)
		ret->method = method_word(f->method);
	lock_drop(&f->lock);
	return ret->state[0] != 'n' || ret->kept;
}
