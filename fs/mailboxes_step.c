/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mailboxes_private.h"

#include <errno.h>
#include <string.h>

#include "imap/log.h"

/*
 * The steps of an operation, one command each (see mailboxes_private.h). The
 * callbacks run on connections' threads, with no lock held.
 *
 * From ASIDE on the mailbox that is to go has a name that nobody must find it
 * under: whatever goes wrong then ends in BACK, and if that goes wrong, the
 * name is on disk (M2).
 */

static void start_step(struct mailbox_op *o, enum mailbox_step step);

/* --- what was answered --- */

static void on_change(void *ctx, const struct imap_outcome *end)
{
	struct mailbox_op *o = ctx;

	if (end->result != 0)
		log_info("mailboxes: the server: %s", end->why.text);
	if (end->unknown)
		mailbox_look(o);
	else
		mailbox_stepped(o, end->result);
}

static void on_count(void *ctx, int result, const struct imap_mailbox *box,
		     const struct imap_error *why)
{
	struct mailbox_op *o = ctx;

	if (result != 0)
		log_info("mailboxes: the server: %s", why->text);
	if (result == 0 && box->messages > 0)
		result = -ENOTEMPTY;
	mailbox_stepped(o, result);
}

/* --- what is sent --- */

static int send_aside(struct mailbox_op *o)
{
	imap_job job;
	int r = 0;

	if (o->tries == 0)
		r = aside_note(o->fs, o->was, o->aside);
	if (r == 0)
		r = imap_rename(o->fs->imap, o->was, o->aside, on_change, o,
				&job);
	return r;
}

static int send(struct mailbox_op *o)
{
	struct imap *im = o->fs->imap;
	imap_job job;

	switch (o->step) {
	case STEP_COUNT:
		return imap_uidnext(im, o->was, on_count, o, &job);
	case STEP_ASIDE:
		return send_aside(o);
	case STEP_RECOUNT:
		return imap_uidnext(im, o->aside, on_count, o, &job);
	case STEP_RENAME:
		return imap_rename(im, o->f->wire, o->wire, on_change, o, &job);
	case STEP_PARTS:
		return imap_rename(im, o->parts[o->part].from,
				   o->parts[o->part].to, on_change, o, &job);
	case STEP_DELETE:
		return imap_delete_mailbox(im, o->aside ? o->aside : o->was,
					   on_change, o, &job);
	case STEP_BACK:
		return imap_rename(im, o->aside, o->was, on_change, o, &job);
	case STEP_CREATE:
		return imap_create(im, o->wire, on_change, o, &job);
	case STEP_WAIT:
		break;
	}
	return -EINVAL;
}

void mailbox_repeat(struct mailbox_op *o)
{
	int r = send(o);

	/* No callback will run. */
	if (r < 0)
		mailbox_stepped(o, r);
}

static void start_step(struct mailbox_op *o, enum mailbox_step step)
{
	o->step = step;
	o->tries = 0;
	o->looks = 0;
	mailbox_repeat(o);
}

void mailbox_run(struct mailbox_op *o)
{
	switch (o->kind) {
	case MAILBOX_MKDIR:
		start_step(o, STEP_CREATE);
		break;
	case MAILBOX_HEAL:
		start_step(o, o->error == 0 ? STEP_DELETE : STEP_BACK);
		break;
	default:
		if (!o->victim)
			start_step(o, STEP_RENAME);
		else
			start_step(o, o->aside ? STEP_COUNT : STEP_DELETE);
	}
}

/* --- what follows --- */

/* The victim has a name aside, and is to have its own again. */
static void go_back(struct mailbox_op *o, int error)
{
	o->error = error;
	start_step(o, STEP_BACK);
}

static void counted(struct mailbox_op *o, int result)
{
	if (result == -ENOENT && o->kind == MAILBOX_RMDIR)
		mailbox_finish(o, 0); /* somebody else has removed it */
	else if (result == -ENOENT)
		start_step(o, STEP_RENAME);
	else if (result != 0 && result != -EPROTO)
		mailbox_finish(o, result);
	else
		start_step(o, STEP_ASIDE);
}

static void put_aside(struct mailbox_op *o, int result)
{
	if (result == 0) {
		start_step(o, STEP_RECOUNT);
		return;
	}
	/* Not for certain if it is not for good: then a LIST shows it. */
	if (!imap_is_for_now(result))
		aside_forget(o->fs, o->aside);
	mailbox_finish(o, result);
}

static void recounted(struct mailbox_op *o, int result)
{
	if (result != 0)
		go_back(o, result);
	else
		start_step(o, o->f ? STEP_RENAME : STEP_DELETE);
}

/*
 * Not all servers rename what is no mailbox but only the way to some. Then
 * those are renamed one by one; if that ends on the way, LIST says how far it
 * went.
 */
static bool rename_parts(struct mailbox_op *o, int result)
{
	if (result != -ENOENT || !(o->f->attrs & FOLDER_NOSELECT) || o->parts ||
	    tree_names_below(o->fs->tree, o->f, o->wire, &o->parts,
			     &o->n_parts) != 0 ||
	    o->n_parts == 0)
		return false;
	start_step(o, STEP_PARTS);
	return true;
}

static void renamed(struct mailbox_op *o, int result)
{
	if (rename_parts(o, result))
		return;
	if (!o->aside)
		mailbox_finish(o, result);
	else if (result != 0)
		go_back(o, result);
	else
		start_step(o, STEP_DELETE);
}

static void part_renamed(struct mailbox_op *o, int result)
{
	if (result == 0 && ++o->part < o->n_parts)
		start_step(o, STEP_PARTS);
	else
		renamed(o, result);
}

/* One that had no messages, and so no name aside. */
static void deleted_plain(struct mailbox_op *o, int result)
{
	if (result == 0 && o->f)
		start_step(o, STEP_RENAME);
	else
		mailbox_finish(o, result);
}

static void deleted(struct mailbox_op *o, int result)
{
	/* It is gone, whoever did it. */
	if (result == -ENOENT)
		result = 0;
	if (!o->aside) {
		deleted_plain(o, result);
	} else if (result == 0) {
		aside_forget(o->fs, o->aside);
		mailbox_finish(o, 0);
	} else if (o->f || o->kind == MAILBOX_HEAL) {
		/* The renaming is done; the next LIST sees to this. */
		log_warn("mailboxes: an empty mailbox is left over: '%s'",
			 o->aside);
		mailbox_finish(o, 0);
	} else {
		go_back(o, result);
	}
}

static void gone_back(struct mailbox_op *o, int result)
{
	if (result == 0) {
		aside_forget(o->fs, o->aside);
	} else if (!imap_is_for_now(result)) {
		log_error("mailboxes: '%s' is called '%s' now, and the server "
			  "does not give its name back",
			  o->was, o->aside);
		aside_forget(o->fs, o->aside);
	}
	mailbox_finish(o, o->error);
}

void mailbox_stepped(struct mailbox_op *o, int result)
{
	switch (o->step) {
	case STEP_COUNT:
		counted(o, result);
		break;
	case STEP_ASIDE:
		put_aside(o, result);
		break;
	case STEP_RECOUNT:
		recounted(o, result);
		break;
	case STEP_RENAME:
		renamed(o, result);
		break;
	case STEP_PARTS:
		part_renamed(o, result);
		break;
	case STEP_DELETE:
		deleted(o, result);
		break;
	case STEP_BACK:
		gone_back(o, result);
		break;
	case STEP_CREATE:
		mailbox_finish(o, result);
		break;
	case STEP_WAIT:
		break;
	}
}
