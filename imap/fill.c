/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/session.h"

#include <string.h>

#include "imap/log.h"

/*
 * What is sent next: bytes of the commands that wait in slots, in their order,
 * up to the first one that must wait for the server. A message that is appended
 * stands in a file, and is read piece by piece as there is room in `out`, so it
 * is never in memory as a whole; whatever the server says meanwhile, it waits
 * for all of it (RFC 9051 section 4.3).
 *
 * One thread, no locks, as session.c.
 */

void session_drop_slot(struct session *s, unsigned i)
{
	command_finish(&s->slots[i].cmd);
	s->n_slots--;
	memmove(&s->slots[i], &s->slots[i + 1],
		(s->n_slots - i) * sizeof(s->slots[0]));
}

/* Up to where may this command's bytes go, before its file? */
static size_t sendable(const struct session *s, const struct slot *slot)
{
	if (slot->waits < slot->cmd.n_waits)
		return slot->cmd.wait_at[slot->waits];
	if (slot->idle && !s->idle_over)
		return slot->cmd.wait_at[0];
	if (slot->cmd.file_left > 0)
		return slot->cmd.file_at;
	return slot->cmd.n;
}

static void log_piece(const struct session *s, const struct slot *slot,
		      size_t n)
{
	if (!slot->cmd.secret)
		log_wire(s->name, '>', slot->cmd.bytes + slot->queued, n);
	else if (slot->queued == 0)
		log_wire(s->name, '>', "(login)", 7);
}

static void fill_from_bytes(struct session *s, struct slot *slot)
{
	size_t n = sendable(s, slot) - slot->queued;
	size_t room = SESSION_OUT_MAX - s->out_n;

	if (n > room)
		n = room;
	if (n > 0)
		log_piece(s, slot, n);
	memcpy(s->out + s->out_n, slot->cmd.bytes + slot->queued, n);
	s->out_n += n;
	slot->queued += n;
}

static int fill_from_file(struct session *s, struct slot *slot)
{
	size_t room = SESSION_OUT_MAX - s->out_n;
	long n;

	if (slot->waits < slot->cmd.n_waits || slot->cmd.file_left == 0 ||
	    slot->queued < slot->cmd.file_at || room == 0)
		return 0;
	n = command_file_read(&slot->cmd, s->out + s->out_n, room);
	if (n < 0) {
		/* The server waits for bytes that will never come. */
		slot->cmd.error = (int)n;
		return (int)n;
	}
	s->out_n += (size_t)n;
	s->out_bulk = true;
	return 0;
}

int session_fill(struct session *s)
{
	unsigned i = 0;

	if (s->out_sent == s->out_n) {
		s->out_sent = 0;
		s->out_n = 0;
		s->out_bulk = false;
	}
	while (i < s->n_slots) {
		struct slot *slot = &s->slots[i];
		int r;

		fill_from_bytes(s, slot);
		r = fill_from_file(s, slot);
		if (r < 0)
			return r;
		fill_from_bytes(s, slot);
		if (slot->queued < slot->cmd.n)
			return 0;
		if (slot->answered)
			session_drop_slot(s, i);
		else
			i++;
	}
	return 0;
}
