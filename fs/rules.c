/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/rules.h"

/*
 * What the rules rest on: servers push what they like, count what they like
 * (Gmail's STATUS has chats that EXAMINE has not; HIGHESTMODSEQ stands still
 * somewhere while UIDNEXT moves), and answer with half a mailbox on a bad day.
 * So any difference is a reason to ask, and no single answer is a reason to
 * forget much.
 */

bool rules_must_ask(const struct rules_enter *e)
{
	if (e->known_ms == 0)
		return true;
	if (e->moved_ms != 0 && e->moved_ms >= e->known_ms)
		return true;
	if (e->watched)
		return false;
	return e->now_ms - e->known_ms >= e->interval_ms;
}

enum rules_moved rules_compare(const struct cache_state *known,
			       const struct mail_folder *now)
{
	if (!now->has_status || now->uidvalidity == 0 || now->uidnext == 0)
		return RULES_UNKNOWN;
	if (known->uidvalidity != now->uidvalidity ||
	    known->uidnext != now->uidnext || known->messages != now->messages)
		return RULES_MOVED;
	/* Without one, changed flags show nowhere. */
	if (now->highestmodseq == 0)
		return RULES_UNKNOWN;
	return known->highestmodseq == now->highestmodseq ? RULES_UNMOVED
							  : RULES_MOVED;
}

bool rules_is_limit(uint32_t messages)
{
	return messages == 1000 || messages == 2000 || messages == 5000 ||
	       messages == 10000;
}

/*
 * A message that goes between EXAMINE and the answer makes the answer short by
 * one; so does a message that the server forgot to name. A few of the second
 * kind are told from the first by a later sync, which names them again.
 *
 * One that vanished and was not named as such never will be: it is missed by
 * nothing but the count.
 */
enum rules_verdict rules_judge(const struct rules_gone *g)
{
	bool mass = g->gone > RULES_MASS && g->gone > g->known / 2;
	bool is_short = g->by_absence && g->named < g->messages;
	bool has_ghosts = !g->by_absence && g->here > g->messages;

	if (mass && !g->second)
		return RULES_ASK_AGAIN;
	if (has_ghosts && !g->miscounts)
		return RULES_RECOUNT;
	if (g->gone == 0)
		return RULES_BELIEVE;
	if (mass && is_short)
		return RULES_REFUSE;
	if (is_short && !g->doubted)
		return RULES_DOUBT;
	return RULES_BELIEVE;
}
