/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fs: shows a cached IMAP account as a file system.
 *
 * Two halves. The FUSE edge (ops*.c, park.c, notify.c, store.c, mountpoint.c)
 * is all that sees libfuse: it turns requests into questions to the engine, and
 * replies. The engine (tree, folder, sync, load, change, draft, flush, control)
 * knows folders, messages and jobs, asks imap/ and cache/, and neither sees
 * libfuse nor libetpan.
 *
 *  read:  ops_file -> load -> cache (hit) or imap -> cache -> park_wake()
 *  list:  ops_dir -> folder -> cache, or imap -> cache -> park_wake()
 *  event: imap -> sync -> cache -> replay (inotify) or notify (kernel)
 *  write: ops_change, ops_write -> change, draft -> cache (journal) -> reply;
 *         flush -> imap -> cache (settled) -> effects, if it was refused
 *  mkdir: ops_folder -> mailboxes -> imap -> tree -> park_wake()
 *
 * No FUSE worker ever waits for the network: what is not here is -EAGAIN from
 * the engine; the edge parks the request (park.h) and the thread that brings
 * the data resumes it. Each thing that can be waited for is known by a key (an
 * inode number), and has a generation: read the generation, look, park, and
 * look again if the generation has moved.
 *
 * Inode numbers: 1 is the root; 2 is no inode, but the key of who waits for the
 * flusher; ids of cache/ are folders and messages; from CONTROL_INO_FIRST on
 * they are `.imapfs` and its snapshots. None is ever used twice.
 */
#ifndef IMAPFS_FS_FS_H
#define IMAPFS_FS_FS_H

#include "cache/cache.h"
#include "fs/options.h"
#include "imap/account.h"
#include "imap/imap.h"
#include "imap/lock.h"

#include <stdatomic.h>

#define FS_ROOT_INO 1u

/* Longest wait for a window of a listing, without progress (DESIGN B8). */
#define FS_LISTING_WAIT_MS 5000
/* How long entering waits for what changed: the first time, and again. */
#define FS_FIRST_SYNC_WAIT_MS 5000
#define FS_SYNC_WAIT_MS 1000
/*
 * So many changes of one folder (or of the tree, by one LIST) are replayed by
 * the helper, 54 microseconds each; beyond it the kernel is only told to look
 * again, which takes a tenth of that, and inotify sees nothing. More come at
 * once only after a long absence, when no program waits for each of them.
 */
#define FS_REPLAY_MAX 2000
/*
 * So many bodies of messages that are gone stay open for who may be reading
 * them: each has a descriptor, of which a process has a thousand. Of what the
 * kernel holds, little is open.
 */
#define FS_GHOSTS_MAX 256
/* What just failed fails again at once for so long (the kernel asks twice), or
 * until the account is online again: fs_failed_just_now(). */
#define FS_FAIL_AGAIN_MS 1000

struct tree;
struct load;
struct ahead;
struct store;
struct park;
struct notify;
struct replay;
struct control;
struct keep;
struct offline;
struct drafts;
struct mailboxes;
struct quota;
struct budget;
struct flush;

struct fs {
	/* Fixed before the first thread is started. */
	const struct options *opt;
	const struct account *account;
	struct cache *cache;
	struct imap *imap;
	struct tree *tree;
	struct load *load;
	struct ahead *ahead;
	struct store *store;
	struct park *park;
	struct notify *notify;
	struct replay *replay;
	struct control *control;
	struct keep *keep;
	struct offline *offline;
	struct drafts *drafts;
	struct mailboxes *mailboxes;
	struct quota *quota;
	struct budget *budget;
	struct flush *flush;
	uid_t uid;
	gid_t gid;
	mode_t umask; /* of directories, with allow_other */
	int64_t timeout_ms;
	int64_t mounted_at; /* time(2) */

	_Atomic bool online;       /* only told to people: no lock needed */
	_Atomic int64_t online_ms; /* since when, or was it once */
	_Atomic bool serving;      /* the mount is there; set once */
	_Atomic bool stopping;     /* no new jobs; set once */
	_Atomic unsigned n_ghosts; /* settle.c; only counted */
};

static inline bool fs_failed_just_now(const struct fs *fs, int64_t failed_ms)
{
	return failed_ms >= fs->online_ms &&
	       clock_now_ms() - failed_ms < FS_FAIL_AGAIN_MS;
}

#endif
