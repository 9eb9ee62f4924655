/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "cache/blob.h"

/*
 * Which message is which when UIDs say nothing: keys of what is in a message
 * and stays, and the comparison of two lists of them. Nothing here waits, and
 * nothing is guessed: a key that stands twice in a list says nothing.
 */

bool cache_key_of(struct cache *c, const struct mail_row *row,
		  struct cache_key *ret)
{
	const char *id = row->field[FIELD_MESSAGE_ID];
	char buf[MAIL_FIELD_MAX + 32];
	uint64_t n[2] = {row->gm_msgid, 0};
	size_t len;

	if ((row->has & ROW_GM) && row->gm_msgid != 0) {
		/* No other key has this length. */
		memcpy(buf, n, sizeof(n[0]));
		blob_hash_bytes(c, buf, sizeof(n[0]), ret->hash);
		ret->of = row->uid;
		return true;
	}
	if (!(row->has & ROW_FIELDS))
		return false;
	n[0] = row->size;
	n[1] = (uint64_t)row->internaldate;
	/*
	 * Of a message that we have sent nobody tells the EMAILID before it is
	 * listed, so a Message-ID comes before it.
	 */
	if (!id || !id[0]) {
		if (!(row->has & ROW_EMAILID) || !row->emailid)
			return false;
		id = row->emailid;
		/* No message has this date. */
		n[1] = 1ULL << 63;
	}
	len = strnlen(id, MAIL_FIELD_MAX);
	memcpy(buf, n, sizeof(n));
	memcpy(buf + sizeof(n), id, len);
	blob_hash_bytes(c, buf, sizeof(n) + len, ret->hash);
	ret->of = row->uid;
	return true;
}

static int by_hash(const void *a, const void *b)
{
	const struct cache_key *x = a, *y = b;

	return memcmp(x->hash, y->hash, sizeof(x->hash));
}

/* From `at` on, how many have the same key? */
static size_t run_of(const struct cache_key *v, size_t n, size_t at)
{
	size_t end = at + 1;

	while (end < n && by_hash(&v[end], &v[at]) == 0)
		end++;
	return end - at;
}

size_t cache_match(struct cache_key *ids, size_t n_ids, struct cache_key *uids,
		   size_t n_uids, struct cache_moor *ret)
{
	size_t i = 0, k = 0, found = 0, run_i, run_k;

	if (n_ids == 0 || n_uids == 0)
		return 0;
	qsort(ids, n_ids, sizeof(ids[0]), by_hash);
	qsort(uids, n_uids, sizeof(uids[0]), by_hash);
	run_i = run_of(ids, n_ids, 0);
	run_k = run_of(uids, n_uids, 0);
	while (i < n_ids && k < n_uids) {
		int order = by_hash(&ids[i], &uids[k]);

		if (order == 0 && run_i == 1 && run_k == 1)
			ret[found++] = (struct cache_moor){
				ids[i].of, (uint32_t)uids[k].of};
		if (order <= 0) {
			i += run_i;
			run_i = run_of(ids, n_ids, i);
		}
		if (order >= 0) {
			k += run_k;
			run_k = run_of(uids, n_uids, k);
		}
	}
	return found;
}
