/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is known of a message before its header fields have come: those that it
 * has under another label of the same account (X-GM-MSGID). Errors and threads
 * are as in cache.h.
 */
#ifndef IMAPFS_CACHE_RECALL_H
#define IMAPFS_CACHE_RECALL_H

#include "cache/cache.h"

/* May cache_recall() find something? Not if no message has an X-GM-MSGID. */
bool cache_may_recall(struct cache *c);

/*
 * The details of a message with the same X-GM-MSGID and the same size as each
 * row (ROW_GM, ROW_SIZE), in any folder; free() each. NULL: none is known, the
 * row says too little, or the disk or memory fails: such a message is asked
 * for. With `settled` what was added before this call is sure to be found, and
 * the writer may be waited for.
 */
void cache_recall(struct cache *c, const struct mail_row *rows, size_t n,
		  bool settled, struct cache_details **ret);

/*
 * Has the folder a message with this X-GM-MSGID? What was added before is sure
 * to be found, and the writer may be waited for; true if that cannot be told.
 */
bool cache_has_gm(struct cache *c, uint64_t folder, uint64_t gm_msgid);

#endif
