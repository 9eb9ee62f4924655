/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/folder.h"
#include "fs/keep_private.h"
#include "fs/mailboxes.h"
#include "imap/log.h"

/*
 * LIST with STATUS: asked for, one at a time; when it comes, on a connection's
 * thread, the tree becomes as it says, and each folder hears its numbers.
 */

/* An account that was listed once can be mounted without its server. */
#define KEY_LISTED "folders-listed"

static void hear_all(struct fs *fs, const struct mail_folder *v, size_t n,
		     int64_t asked_ms)
{
	struct folder *f;

	for (size_t i = 0; i < n; i++) {
		f = tree_by_wire(fs->tree, v[i].wire);
		if (!f)
			continue;
		if (!(v[i].attrs & FOLDER_NOSELECT))
			folder_hear_named(f, asked_ms);
		folder_hear_status(fs, f, &v[i], asked_ms);
		keep_make_due(fs->keep, f, 0);
	}
}

/*
 * INBOX at least is always there (RFC 9051 section 5.1): a server that names
 * nothing at all has a bad day, and all that is known would be forgotten.
 */
static int check_names(struct fs *fs, size_t n)
{
	struct folder **known;
	size_t n_known;
	int r;

	if (n > 0)
		return 0;
	r = tree_all(fs->tree, &known, &n_known);
	if (r != 0)
		return r;
	free(known);
	return n_known == 0 ? 0 : -ENODATA;
}

/* What the watch has named before it was listed is watched, too. */
static void name_early(struct keep *k)
{
	struct folder *f;
	char **v;
	size_t n;

	lock_take(&k->lock);
	v = k->early;
	n = k->n_early;
	k->early = NULL;
	k->n_early = 0;
	lock_drop(&k->lock);
	for (size_t i = 0; i < n; i++) {
		f = tree_by_wire(k->fs->tree, v[i]);
		if (f)
			f->notified = true;
		free(v[i]);
	}
	free(v);
}

/* Mailboxes were changed from here meanwhile: it is worth nothing. */
static void list_overtaken(struct keep *k)
{
	lock_take(&k->lock);
	k->list_running = false;
	k->list_again = false;
	lock_drop(&k->lock);
	(void)keep_ask_folders(k->fs, IMAP_PRIO_SYNC);
}

static void list_done(void *ctx, int result, const struct mail_folder *v,
		      size_t n)
{
	struct keep *k = ctx;
	struct fs *fs = k->fs;
	int64_t asked_ms;
	uint64_t epoch;
	bool again;

	lock_take(&k->lock);
	asked_ms = k->list_asked_ms;
	epoch = k->list_epoch;
	lock_drop(&k->lock);
	if (result == 0)
		result = check_names(fs, n);
	if (result == 0 && !mailboxes_believe(fs, epoch, v, n)) {
		list_overtaken(k);
		return;
	}
	if (result == 0)
		result = tree_apply(fs->tree, v, n);
	if (result == 0) {
		name_early(k);
		hear_all(fs, v, n, asked_ms);
		if (cache_set_value(fs->cache, KEY_LISTED, "1") != 0)
			log_warn("keep: cannot note that the folders are "
				 "known");
	} else if (result != -ECANCELED) {
		log_warn("keep: the list of folders did not come: %s",
			 strerrordesc_np(-result));
	}

	lock_take(&k->lock);
	k->list_running = false;
	k->list_came = true;
	k->list_result = result;
	k->listed |= result == 0;
	k->poll_ms =
		clock_now_ms() + (result == 0 ? KEEP_POLL_MS : KEEP_RETRY_MS);
	again = k->list_again && result == 0;
	k->list_again = false;
	lock_cond_wake_all(&k->cond);
	lock_drop(&k->lock);
	if (again)
		(void)keep_ask_folders(fs, IMAP_PRIO_SYNC);
}

static const struct imap_folders_ops list_ops = {list_done};

/* Folders that somebody has entered, or that are kept: their wire names. */
static const char **entered_wires(struct fs *fs, size_t *ret_n)
{
	const char **wires = NULL;
	struct folder **v;
	size_t n, used = 0;

	*ret_n = 0;
	if (!fs->serving || tree_all(fs->tree, &v, &n) != 0)
		return NULL;
	wires = calloc(n + 1, sizeof(*wires));
	for (size_t i = 0; wires && i < n; i++)
		if (folder_is_entered(v[i]))
			wires[used++] = v[i]->wire;
	free(v);
	*ret_n = wires ? used : 0;
	return wires;
}

int keep_ask_folders(struct fs *fs, enum imap_priority prio)
{
	struct keep *k = fs->keep;
	struct imap_folders_request req = {0};
	const char **wires;
	uint64_t epoch;
	bool running;
	imap_job job;
	int r;

	if (fs->stopping)
		return -ECANCELED;
	if (!mailboxes_are_quiet(fs, &epoch))
		return 0; /* the last of them asks */
	lock_take(&k->lock);
	running = k->list_running;
	k->list_again = running;
	if (!running) {
		k->list_epoch = epoch;
		k->list_running = true;
		k->list_came = false;
		k->list_asked_ms = clock_now_ms();
	}
	lock_drop(&k->lock);
	if (running)
		return 0;

	/* Without memory for it: without their STATUS. */
	wires = entered_wires(fs, &req.n_status_of);
	req.status_of = wires;
	r = imap_list_folders(fs->imap, prio, &req, &list_ops, k, &job);
	free(wires);
	if (r != 0) {
		lock_take(&k->lock);
		k->list_running = false;
		k->list_came = true;
		k->list_result = r;
		lock_cond_wake_all(&k->cond);
		lock_drop(&k->lock);
		log_debug("keep: cannot ask for the folders: %s",
			  strerrordesc_np(-r));
	}
	return r;
}

void keep_entered_folders(struct fs *fs)
{
	struct keep *k = fs->keep;
	bool due;

	lock_take(&k->lock);
	due = fs->serving && fs->online && !k->list_running &&
	      clock_now_ms() - k->list_asked_ms >= keep_interval_ms(fs);
	lock_drop(&k->lock);
	if (due)
		(void)keep_ask_folders(fs, IMAP_PRIO_SYNC);
}

int keep_wait_folders(struct fs *fs)
{
	struct keep *k = fs->keep;
	int r;

	lock_take(&k->lock);
	while (!k->list_came)
		(void)lock_cond_wait(&k->cond, &k->lock, CLOCK_NEVER);
	r = k->list_result;
	lock_drop(&k->lock);
	return r;
}

bool keep_has_folders(struct fs *fs)
{
	struct keep *k = fs->keep;
	bool listed;

	lock_take(&k->lock);
	listed = k->listed;
	lock_drop(&k->lock);
	return listed;
}

bool keep_is_known(struct fs *fs)
{
	char *value = NULL;
	bool known = cache_get_value(fs->cache, KEY_LISTED, &value) == 0;

	free(value);
	return known;
}
