/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mailboxes_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "imap/log.h"

/*
 * Names that a mailbox has for a moment, while it is looked whether it may go:
 * nothing is delivered to them. If that moment does not end as it should (the
 * program dies, the line is cut for good), a mailbox would stay where nobody
 * finds it. So each such name is a setting of the account before it is given,
 * and until it is known to be past; whoever reads a LIST looks for them.
 *
 * The setting is lines, two for each: the name it had, the name aside. Names
 * with line breaks are refused by imap/ before.
 */

#define KEY_ASIDE "mailboxes-aside"
#define LETTERS 10
#define TAIL "imapfs-removing-"

int aside_name(const char *wire, char delimiter, char **ret)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	const char *cut = delimiter ? strrchr(wire, delimiter) : NULL;
	size_t n = cut ? (size_t)(cut - wire) + 1 : 0;
	unsigned char random[LETTERS];
	char *name;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -ENOMEM;
	name = malloc(n + strlen(TAIL) + LETTERS + 1);
	if (!name)
		return -ENOMEM;
	memcpy(name, wire, n);
	memcpy(name + n, TAIL, strlen(TAIL));
	n += strlen(TAIL);
	for (size_t i = 0; i < LETTERS; i++)
		name[n++] = letters[random[i] & 31];
	name[n] = '\0';
	*ret = name;
	return 0;
}

/* --- the setting --- */

/* Two lines of it; false: there are no more. They are cut in place. */
static bool next_pair(char **at, const char **ret_was, const char **ret_aside)
{
	char *was = strsep(at, "\n");
	char *aside = strsep(at, "\n");

	*ret_was = was;
	*ret_aside = aside;
	return aside != NULL;
}

/*
 * The text without the pair of this name aside, with room for one more;
 * free(). NULL: no memory.
 */
static char *without(char *text, const char *aside, size_t more)
{
	char *left = malloc(strlen(text) + more + 1), *end = left;
	const char *old_was, *old_aside;

	if (!left)
		return NULL;
	*end = '\0';
	while (next_pair(&text, &old_was, &old_aside)) {
		if (strcmp(old_aside, aside) == 0)
			continue;
		end = stpcpy(end, old_was);
		*end++ = '\n';
		end = stpcpy(end, old_aside);
		*end++ = '\n';
		*end = '\0';
	}
	return left;
}

/* Operations may run side by side: one of these at a time. */
static int change_locked(struct fs *fs, const char *was, const char *aside)
	REQUIRES(fs->mailboxes->aside)
{
	size_t more = was ? strlen(was) + strlen(aside) + 2 : 0;
	char *text = NULL, *left, *end;
	int r = cache_get_value(fs->cache, KEY_ASIDE, &text);

	if (r == -ENOENT) {
		text = strdup("");
		r = text ? 0 : -ENOMEM;
	}
	if (r != 0)
		return r;
	left = without(text, aside, more);
	free(text);
	if (!left)
		return -ENOMEM;
	if (was) {
		end = stpcpy(left + strlen(left), was);
		*end++ = '\n';
		end = stpcpy(end, aside);
		*end++ = '\n';
		*end = '\0';
	}
	r = cache_set_value(fs->cache, KEY_ASIDE, left);
	free(left);
	return r;
}

int aside_note(struct fs *fs, const char *was, const char *aside)
{
	int r;

	if (strpbrk(was, "\r\n"))
		return -EINVAL;
	lock_take(&fs->mailboxes->aside);
	r = change_locked(fs, was, aside);
	lock_drop(&fs->mailboxes->aside);
	return r == 0 ? cache_sync(fs->cache) : r;
}

void aside_forget(struct fs *fs, const char *aside)
{
	int r;

	lock_take(&fs->mailboxes->aside);
	r = change_locked(fs, NULL, aside);
	lock_drop(&fs->mailboxes->aside);
	/* It will be looked for once more, and not be found. */
	if (r != 0)
		log_warn("mailboxes: cannot note that a name is not in use: %s",
			 strerrordesc_np(-r));
}

/* --- what was left over --- */

static const struct mail_folder *find(const struct mail_folder *v, size_t n,
				      const char *wire)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].wire, wire) == 0)
			return &v[i];
	return NULL;
}

/*
 * It gets its name back. If another has that by now: it was to go, and goes if
 * it is empty; else both stay, and the user sees them.
 */
static bool heal_one(struct mailboxes *m, const struct mail_folder *v, size_t n,
		     const char *was, const char *aside)
{
	const struct mail_folder *it = find(v, n, aside);
	const struct mail_folder *other = find(v, n, was);
	struct mailbox_op *o;

	if (other && (other->attrs & FOLDER_NOSELECT))
		other = NULL;
	if (it && other && !(it->has_status && it->messages == 0)) {
		log_error("mailboxes: '%s' was to be removed, but is not "
			  "empty, and another '%s' has come: it stays as '%s'",
			  was, was, aside);
		it = NULL;
	}
	if (!it) {
		aside_forget(m->fs, aside);
		return false;
	}
	o = mailbox_op_new(m->fs, MAILBOX_HEAL, 0);
	if (!o)
		return false;
	o->abandoned = true; /* nobody waits for it */
	o->error = other ? 0 : -ECANCELED;
	o->was = strdup(was);
	o->aside = strdup(aside);
	if (!o->was || !o->aside) {
		mailbox_op_free(o);
		return false;
	}
	log_warn("mailboxes: '%s' was being removed: %s", was,
		 other ? "that is ended" : "it gets its name back");
	o->holds = true;
	(void)mailbox_submit(o);
	mailbox_run(o);
	return true;
}

bool aside_heal(struct mailboxes *m, const struct mail_folder *v, size_t n)
{
	const char *was, *aside;
	char *text = NULL, *at;
	bool healed = false;

	if (cache_get_value(m->fs->cache, KEY_ASIDE, &text) != 0)
		return false;
	at = text;
	while (next_pair(&at, &was, &aside))
		healed |= heal_one(m, v, n, was, aside);
	free(text);
	return healed;
}
