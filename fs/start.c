/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/start.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/ahead.h"
#include "fs/budget.h"
#include "fs/control.h"
#include "fs/draft.h"
#include "fs/flush.h"
#include "fs/helper.h"
#include "fs/keep.h"
#include "fs/load.h"
#include "fs/mailboxes.h"
#include "fs/mountpoint.h"
#include "fs/notify.h"
#include "fs/offline.h"
#include "fs/park.h"
#include "fs/places.h"
#include "fs/quota.h"
#include "fs/replay.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "imap/log.h"
#include "imap/secret.h"

/*
 * The order of things. Up: helper process (before any thread), cache, engine,
 * account, list of folders, mount, threads that tell the kernel. Down: nothing
 * new is asked, what is queued is sent, jobs end, waiting requests are answered
 * and new ones refused, the helper is told goodbye, the mount goes, the cache
 * is closed. Each part is
 * made before what uses it and freed after it.
 */

/* No answer for so long is 'no network', if there is a cache to mount from. */
#define CONNECT_WAIT_CACHED_MS 5000
/* The previous mount of the account may still be closing its cache. */
#define CACHE_WAIT_MS 3000

struct start {
	struct fs fs;
	struct mountpoint *mountpoint;
	int helper_fd;
	pid_t helper_pid;
	char *state_dir, *cache_dir;
	int report_fd;
	void (*ready)(int report_fd);
	struct lock lock; /* RANK_KEEP: of who sets fs.online */
};

static void complain(const char *text)
{
	fprintf(stderr, "mount.imapfs: %s\n", text);
}

/* --- the cache --- */

static int check_place(const struct start *s, const char *dir)
{
	int r = places_check(dir, s->fs.opt->mountpoint);

	if (r == -EBUSY)
		fprintf(stderr,
			"mount.imapfs: the cache in '%s' would be hidden by "
			"the mount on '%s': give another folder with cache=\n",
			dir, s->fs.opt->mountpoint);
	else if (r != 0)
		complain(strerrordesc_np(-r));
	return r;
}

static int open_cache(struct start *s)
{
	struct cache_config cfg = {.max_bytes = s->fs.opt->cache_bytes};
	struct cache_report report = {0};
	int r;

	r = places_find(s->fs.opt, s->fs.account, &s->state_dir, &s->cache_dir);
	if (r == 0)
		r = check_place(s, s->state_dir);
	if (r == 0)
		r = check_place(s, s->cache_dir);
	if (r != 0)
		return r;
	cfg.state_dir = s->state_dir;
	cfg.cache_dir = s->cache_dir;
	r = cache_open(&cfg, CACHE_WAIT_MS, &s->fs.cache, &report);
	if (r == -EBUSY && report.is_ending) {
		complain("waiting for the last mount of this account, which "
			 "is still sending changes");
		r = cache_open(&cfg, CACHE_WAIT_MS + FLUSH_AT_END_MS,
			       &s->fs.cache, &report);
	}
	if (report.set_aside[0])
		fprintf(stderr,
			"mount.imapfs: the index of this account was damaged; "
			"it is kept as '%s' and made anew\n",
			report.set_aside);
	if (r != 0)
		complain(report.text[0] ? report.text : strerrordesc_np(-r));
	return r;
}

/* --- the account --- */

/* These events come on several threads: what counts is how it is now. */
static bool note_online(struct start *s)
{
	struct imap_state now;
	bool was;

	lock_take(&s->lock);
	imap_get_state(s->fs.imap, &now);
	was = s->fs.online;
	if (now.online && !was)
		s->fs.online_ms = clock_now_ms();
	s->fs.online = now.online;
	lock_drop(&s->lock);
	flush_online(&s->fs);
	return was;
}

static void on_online(void *ctx)
{
	struct start *s = ctx;

	(void)note_online(s);
	if (!s->fs.serving)
		return; /* the start asks by itself */
	log_info("start: connected again");
	keep_online(&s->fs);
}

static void on_offline(void *ctx, const struct imap_error *why)
{
	struct start *s = ctx;

	if (note_online(s))
		log_info("start: offline: %s", why->text);
}

static const struct imap_events events = {on_online, on_offline};

/* It failed. Mount from the cache? Else it was said why not. */
static bool do_without(struct start *s, int error, bool known,
		       const struct imap_error *why)
{
	const struct account *a = s->fs.account;

	if (s->fs.imap && known && why->fault != FAULT_AUTH &&
	    why->fault != FAULT_NONE) {
		fprintf(stderr,
			"mount.imapfs: %s%s; mounting what is in the cache\n",
			why->fault == FAULT_TLS ? "warning: " : "", why->text);
		return true;
	}
	complain(why->text[0] ? why->text : strerrordesc_np(-error));
	if (a->suggested)
		fprintf(stderr,
			"mount.imapfs: DNS names '%s' as the server of this "
			"domain: if you trust that, give it in a URL\n",
			a->suggested);
	return false;
}

/* Connect and list; offline is no failure for an account that is known. */
static int bring_up_account(struct start *s, struct secret *secret)
{
	const struct options *opt = s->fs.opt;
	const struct account *a = s->fs.account;
	bool known = keep_is_known(&s->fs);
	unsigned timeout_ms = opt->timeout_s * 1000;
	struct imap_config cfg = {
		.host = a->host,
		.port = a->port,
		.tls = a->tls,
		.user = a->user,
		.cafile = opt->cafile,
		.pin_sha256 = opt->pin_sha256,
		.version = IMAPFS_VERSION,
		.connections = opt->connections,
		.timeout_ms = timeout_ms,
		.connect_timeout_ms = timeout_ms,
		.secret = secret,
	};
	struct imap_error why = {0};
	int r;

	if (known && timeout_ms > CONNECT_WAIT_CACHED_MS)
		cfg.connect_timeout_ms = CONNECT_WAIT_CACHED_MS;
	r = imap_new(&cfg, &events, s, &s->fs.imap, &why);
	if (r == 0)
		r = keep_watch(&s->fs);
	if (r == 0)
		r = imap_connect(s->fs.imap, &why);
	if (r != 0)
		return do_without(s, r, known, &why) ? 0 : r;

	s->fs.online = true;
	r = keep_ask_folders(&s->fs, IMAP_PRIO_LISTING);
	if (r == 0)
		r = keep_wait_folders(&s->fs);
	if (r != 0 && !known) {
		fprintf(stderr,
			"mount.imapfs: the server does not list its folders: "
			"%s\n",
			strerrordesc_np(-r));
		return r;
	}
	return 0;
}

/* --- up and down --- */

static int build_engine(struct start *s)
{
	struct fs *fs = &s->fs;
	int r;

	r = park_new(&fs->park);
	if (r == 0)
		r = notify_new(&fs->notify);
	if (r == 0)
		r = control_new(fs, &fs->control);
	if (r == 0)
		r = budget_new(fs, &fs->budget);
	if (r == 0)
		r = load_new(fs, &fs->load);
	if (r == 0)
		r = ahead_new(fs, &fs->ahead);
	if (r == 0)
		r = store_new(fs, &fs->store);
	if (r == 0)
		r = tree_new(fs, &fs->tree);
	if (r == 0)
		r = mailboxes_new(fs, &fs->mailboxes);
	if (r == 0)
		r = quota_new(fs, &fs->quota);
	if (r == 0)
		r = offline_new(fs, &fs->offline);
	if (r == 0)
		r = drafts_new(fs, &fs->drafts);
	if (r == 0)
		r = replay_new(fs, s->helper_fd, &fs->replay);
	if (r == 0)
		r = keep_new(fs, &fs->keep);
	if (r == 0)
		r = flush_new(fs, &fs->flush);
	if (r != 0)
		fprintf(stderr, "mount.imapfs: cannot start: %s\n",
			strerrordesc_np(-r));
	return r;
}

/*
 * Signals that end the program are for the main thread, which waits in
 * libfuse's loop and must be woken by them: threads are born with them blocked.
 */
static void block_signals(bool block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static int build(struct start *s)
{
	int r;

	block_signals(true);
	r = open_cache(s);
	if (r == 0)
		r = build_engine(s);
	block_signals(false);
	return r;
}

static int choose_root(struct start *s)
{
	int r;

	if (!s->fs.account->mailbox)
		return 0;
	r = tree_set_root(s->fs.tree, s->fs.account->mailbox);
	if (r != 0)
		fprintf(stderr, "mount.imapfs: there is no mailbox '%s'\n",
			s->fs.account->mailbox);
	return r;
}

static int mount_it(struct start *s)
{
	char why[OPTIONS_ERROR] = "";
	int r;

	r = mountpoint_open(&s->fs, &s->mountpoint, why);
	if (r != 0) {
		complain(why[0] ? why : strerrordesc_np(-r));
		return r;
	}
	block_signals(true);
	r = notify_start(s->fs.notify, mountpoint_session(s->mountpoint),
			 s->fs.park);
	if (r == 0)
		r = store_start(s->fs.store, mountpoint_session(s->mountpoint));
	block_signals(false);
	return r;
}

static int start_drafts(struct start *s)
{
	int r;

	block_signals(true);
	r = drafts_start(&s->fs);
	block_signals(false);
	if (r != 0)
		complain(strerrordesc_np(-r));
	return r;
}

static void take_down(struct start *s)
{
	struct fs *fs = &s->fs;

	fs->stopping = true;
	if (fs->cache)
		cache_say_ending(fs->cache);
	mountpoint_refuse(s->mountpoint);
	drafts_stop(fs);
	if (fs->keep)
		keep_stop(fs->keep);
	if (fs->flush)
		flush_stop(fs->flush);
	if (fs->budget)
		(void)budget_save(fs, 0);
	imap_free(fs->imap); /* no job's callback runs after this */
	if (fs->park)
		park_close(fs->park);
	if (fs->replay)
		replay_stop(fs->replay);
	mountpoint_end(s->mountpoint);
	if (fs->notify)
		notify_stop(fs->notify);
	if (fs->store)
		store_stop(fs->store);
	mountpoint_close(s->mountpoint);
	load_free(fs->load);
	ahead_free(fs->ahead);
	offline_free(fs->offline);
	drafts_free(fs->drafts);
	keep_free(fs->keep);
	mailboxes_free(fs->mailboxes);
	quota_free(fs->quota);
	budget_free(fs->budget);
	flush_free(fs->flush);
	tree_free(fs->tree);
	cache_close(fs->cache);
	replay_free(fs->replay);
	notify_free(fs->notify);
	store_free(fs->store);
	control_free(fs->control);
	park_free(fs->park);
	free(s->state_dir);
	free(s->cache_dir);
}

/* Came the connection only after the start had done without it? Then ask. */
static void begin_serving(struct start *s)
{
	struct fs *fs = &s->fs;

	fs->serving = true;
	if (fs->online && !keep_has_folders(fs))
		(void)keep_ask_folders(fs, IMAP_PRIO_SYNC);
	keep_offline_due(fs);
	keep_budget_due(fs);
	quota_refresh(fs);
}

/*
 * The helper has touched the mount and left it: who is told now may unmount it
 * at once.
 */
static void say_ready(void *ctx)
{
	struct start *s = ctx;

	log_info("start: '%s' is mounted on '%s'", s->fs.opt->source,
		 s->fs.opt->mountpoint);
	s->ready(s->report_fd);
}

int start_and_serve(const struct options *opt, const struct account *account,
		    struct secret *secret, int report_fd,
		    void (*ready)(int report_fd))
{
	struct start s = {.fs = {.opt = opt, .account = account},
			  .report_fd = report_fd,
			  .ready = ready};
	struct fs *fs = &s.fs;
	int status = EXIT_MOUNT;

	fs->uid = opt->has_uid ? opt->uid : getuid();
	fs->gid = opt->has_gid ? opt->gid : getgid();
	fs->umask = opt->has_umask ? opt->umask : 022;
	fs->timeout_ms = (int64_t)opt->timeout_s * 1000;
	fs->mounted_at = time(NULL);

	secret_stay(secret); /* the helper needs no password */
	if (helper_start(report_fd, &s.helper_fd, &s.helper_pid) != 0) {
		complain("cannot start the helper process");
		return EXIT_SYSTEM;
	}
	lock_init(&s.lock, RANK_KEEP);
	if (build(&s) != 0 || bring_up_account(&s, secret) != 0 ||
	    choose_root(&s) != 0 || mount_it(&s) != 0 || start_drafts(&s) != 0)
		goto out;

	begin_serving(&s);
	replay_mounted(fs->replay, say_ready, &s);
	status = mountpoint_serve(s.mountpoint) == 0 ? EXIT_OK : EXIT_SYSTEM;
	log_info("start: '%s' is unmounted", opt->mountpoint);

out:
	take_down(&s);
	lock_finish(&s.lock);
	return status;
}
