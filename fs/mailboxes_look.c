/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mailboxes_private.h"

#include <errno.h>
#include <string.h>

#include "imap/log.h"

/*
 * A command was sent and its answer did not come. LIST shows what became of it:
 * it was done, or it was not and may be sent once more, or (nobody knows who
 * did what) neither is certain. Who waits waits on, as long as he likes.
 */

#define REPEATS 2 /* of one command, after its answer was lost */
#define LOOKS 3   /* that fail though the account is connected */

/* Can it be opened, or (one that never could) is it named at all? */
static bool is_there(const struct mail_folder *v, size_t n, const char *wire,
		     bool selectable)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].wire, wire) == 0)
			return !selectable || !(v[i].attrs & FOLDER_NOSELECT);
	return false;
}

enum seen { SEEN_DONE, SEEN_NOT_DONE, SEEN_UNCLEAR };

static enum seen moved(const struct mail_folder *v, size_t n, const char *from,
		       const char *to)
{
	bool is_old = is_there(v, n, from, true);
	bool is_new = is_there(v, n, to, true);

	if (is_old == is_new)
		return SEEN_UNCLEAR;
	return is_new ? SEEN_DONE : SEEN_NOT_DONE;
}

static enum seen see(const struct mailbox_op *o, const struct mail_folder *v,
		     size_t n)
{
	switch (o->step) {
	case STEP_CREATE:
		return is_there(v, n, o->wire, true) ? SEEN_DONE
						     : SEEN_NOT_DONE;
	case STEP_DELETE:
		if (!o->aside)
			return is_there(v, n, o->was, false) ? SEEN_NOT_DONE
							     : SEEN_DONE;
		return is_there(v, n, o->aside, true) ? SEEN_NOT_DONE
						      : SEEN_DONE;
	case STEP_ASIDE:
		/* Nobody else would make such a name. */
		return is_there(v, n, o->aside, true) ? SEEN_DONE
						      : SEEN_NOT_DONE;
	case STEP_BACK:
		return is_there(v, n, o->aside, true) ? SEEN_NOT_DONE
						      : SEEN_DONE;
	case STEP_PARTS:
		return moved(v, n, o->parts[o->part].from,
			     o->parts[o->part].to);
	case STEP_RENAME:
		if (!(o->f->attrs & FOLDER_NOSELECT))
			return moved(v, n, o->f->wire, o->wire);
		return is_there(v, n, o->wire, false) ? SEEN_DONE
						      : SEEN_NOT_DONE;
	default:
		return SEEN_UNCLEAR;
	}
}

static void ignored(void *ctx, const struct imap_outcome *end)
{
	(void)ctx;
	(void)end;
}

/* What RENAME and CREATE do beside, and may not have done. */
static void subscribe(const struct mailbox_op *o)
{
	struct imap *im = o->fs->imap;
	imap_job job;

	if (o->step != STEP_CREATE && o->step != STEP_RENAME)
		return;
	(void)!imap_subscribe(im, o->wire, true, ignored, NULL, &job);
	if (o->step == STEP_RENAME)
		(void)!imap_subscribe(im, o->f->wire, false, ignored, NULL,
				      &job);
}

enum wait { LOOK_AGAIN, LOOK_LATER, LOOK_NO_MORE };

static enum wait how_to_wait(struct mailbox_op *o)
{
	struct mailboxes *m = o->fs->mailboxes;
	enum wait wait = LOOK_NO_MORE;

	lock_take(&m->lock);
	if (o->fs->online && !o->fs->stopping) {
		if (o->looks < LOOKS)
			wait = LOOK_AGAIN;
	} else if (!o->fs->stopping && o->kind != MAILBOX_HEAL) {
		o->stalled = true;
		wait = LOOK_LATER;
	}
	lock_drop(&m->lock);
	return wait;
}

/* It cannot be looked up now, but when the account is connected again. */
static void wait_for_line(struct mailbox_op *o)
{
	struct fs *fs = o->fs;

	switch (how_to_wait(o)) {
	case LOOK_AGAIN:
		mailbox_look(o);
		break;
	case LOOK_LATER:
		/* Was it connected just now? Then nobody will say so again. */
		if (fs->online)
			mailboxes_online(fs);
		break;
	case LOOK_NO_MORE:
		mailbox_stepped(o, -ENOTCONN);
		break;
	}
}

static void listed(void *ctx, int result, const struct mail_folder *v, size_t n)
{
	struct mailbox_op *o = ctx;

	if (result != 0) {
		wait_for_line(o);
		return;
	}
	o->looks = 0;
	switch (see(o, v, n)) {
	case SEEN_DONE:
		log_info("mailboxes: it was done, though no answer came");
		subscribe(o);
		mailbox_stepped(o, 0);
		break;
	case SEEN_NOT_DONE:
		if (o->tries++ < REPEATS)
			mailbox_repeat(o);
		else
			mailbox_stepped(o, -ENOTCONN);
		break;
	case SEEN_UNCLEAR:
		mailbox_stepped(o, -EIO);
		break;
	}
}

static const struct imap_folders_ops look_ops = {listed};

void mailbox_look(struct mailbox_op *o)
{
	const struct imap_folders_request req = {0};
	imap_job job;
	int r;

	o->looks++;
	r = imap_list_folders(o->fs->imap, IMAP_PRIO_LISTING, &req, &look_ops,
			      o, &job);
	if (r != 0)
		wait_for_line(o);
}
