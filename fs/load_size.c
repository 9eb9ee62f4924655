/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/load_private.h"

#include <errno.h>
#include <stdatomic.h>

#include "fs/attr.h"
#include "fs/folder.h"
#include "fs/notify.h"
#include "imap/log.h"

/*
 * Sizes that the server said wrong, and that a body has shown.
 *
 * A reader of the kernel stops at the end that the kernel knows of: once it has
 * all the bytes up to there it asks for the size again only if it was told that
 * there is another one. So it must be told before the last of these bytes are
 * answered. But first the new size must be there to be asked for, and then it
 * cannot be seen any more which bytes are the last ones for the kernel. So no
 * READ of the message is answered from just before the new size can be seen
 * until the kernel has been told.
 */

static bool is_correcting_locked(const struct load *l, uint64_t id)
	REQUIRES(l->lock)
{
	const struct correction *c = l->corrections;

	while (c && c->id != id)
		c = c->next;
	return c != NULL;
}

bool load_is_correcting(struct fs *fs, uint64_t id)
{
	struct load *l = fs->load;
	bool yes;

	lock_take(&l->lock);
	yes = is_correcting_locked(l, id);
	lock_drop(&l->lock);
	return yes;
}

void load_correction_begin(struct fs *fs, struct correction *c, uint64_t id)
{
	struct load *l = fs->load;

	c->id = id;
	lock_assert_none();
	lock_take(&l->lock);
	while (is_correcting_locked(l, c->id))
		(void)lock_cond_wait(&l->corrected, &l->lock, CLOCK_NEVER);
	c->next = l->corrections;
	l->corrections = c;
	lock_drop(&l->lock);
}

void load_correction_end(struct fs *fs, const struct correction *c)
{
	struct load *l = fs->load;
	struct correction **at = &l->corrections;

	lock_take(&l->lock);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	lock_cond_wake_all(&l->corrected);
	lock_drop(&l->lock);
}

/*
 * Shorter: the short answer tells the kernel, and telling it before would make
 * it fill up with zeros. 0: it asks at every read anyway, and takes the answer
 * for stale if it was told of a change meanwhile.
 */
static bool is_to_be_told(uint64_t before, uint64_t now)
{
	return now > before && before > 0;
}

void load_tell_size(struct fs *fs, uint64_t id)
{
	uint64_t i = id % LOAD_UNTOLD;

	/*
	 * An answer with the old size may be on its way, to a kernel that does
	 * not know the message before. It has it when it asks for its bytes.
	 */
	if (notify_size(fs->notify, id) == -ENOENT)
		fs->load->untold[i / 64] |= 1ULL << i % 64;
}

void load_tell_late(struct fs *fs, uint64_t id)
{
	uint64_t i = id % LOAD_UNTOLD, bit = 1ULL << i % 64;
	_Atomic uint64_t *at = &fs->load->untold[i / 64];

	if ((*at & bit) && (atomic_fetch_and(at, ~bit) & bit))
		load_tell_size(fs, id);
}

static void correct(struct fs *fs, uint64_t id, uint64_t size)
{
	struct cache_msg m;
	struct folder *f;
	struct box *box;

	if (attr_find_message(fs, id, &m, &f) != 0 || m.size == size ||
	    folder_get(fs, f, &box) != 0)
		return;
	log_debug("load: '%s' has %llu bytes, not %llu", m.name,
		  (unsigned long long)size, (unsigned long long)m.size);
	if (box_set_size(box, id, size) == 0 && is_to_be_told(m.size, size))
		load_tell_size(fs, id);
	folder_put(fs, f);
}

void load_correct_size(struct fs *fs, uint64_t id, uint64_t size)
{
	struct correction c;

	load_correction_begin(fs, &c, id);
	correct(fs, id, size);
	load_correction_end(fs, &c);
}
