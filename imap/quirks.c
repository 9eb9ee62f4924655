/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/quirks.h"

#include <string.h>

/*
 * The table of servers. Everything here makes us more careful, nothing makes
 * us less strict; a server that falsely claims a name only slows itself down.
 * If you add a row, say what was seen and where it hurts.
 */

#define COMMANDS_IN_FLIGHT 32
#define COMMAND_LINE_MAX 8000

enum quirk {
	QUIRK_WINDOW,
	QUIRK_LINE,
	QUIRK_PLAIN_LIST,
	QUIRK_GOOGLE,
	QUIRK_NO_QRESYNC,
	QUIRK_MODSEQ_AHEAD,
};

static const struct {
	const char *sign; /* stands somewhere in the text */
	enum quirk quirk;
	unsigned value;
} table[] = {
	/* Some fifty outstanding commands made it drop the connection. */
	{"Microsoft Exchange", QUIRK_WINDOW, 20},
	/* Lines over 4096 bytes are answered `BAD Command Error. 10`. */
	{"Microsoft Exchange", QUIRK_LINE, 4000},
	/* Its limit is 1000 bytes a line, by its own documentation. */
	{"Yahoo", QUIRK_LINE, 1000},
	{"UIDONLY", QUIRK_LINE, 1000},
	/* Versions before 8.0.3 crash on LIST with selection options. */
	{"Zimbra", QUIRK_PLAIN_LIST, 1},
	/* App passwords and their web page; no other server gives these. */
	{"X-GM-EXT-1", QUIRK_GOOGLE, 1},
	/*
	 * iCloud, which lost mail in clients that believed its VANISHED. Others
	 * push to Apple's phones too; asking with CONDSTORE costs them little.
	 */
	{"XAPPLEPUSHSERVICE", QUIRK_NO_QRESYNC, 1},
	/*
	 * Yahoo shows the newest 10000 messages of a mailbox: what slips out of
	 * sight was not expunged, and nobody knows what its VANISHED says.
	 */
	{"UIDONLY", QUIRK_NO_QRESYNC, 1},
	/* "HIGHESTMODSEQ is updated immediately", the changes come later. */
	{"X-GM-EXT-1", QUIRK_MODSEQ_AHEAD, 1},
};

void quirks_init(struct quirks *q)
{
	*q = (struct quirks){
		.window = COMMANDS_IN_FLIGHT,
		.line_max = COMMAND_LINE_MAX,
	};
}

static void apply(struct quirks *q, enum quirk quirk, unsigned value)
{
	switch (quirk) {
	case QUIRK_WINDOW:
		if (value < q->window)
			q->window = value;
		break;
	case QUIRK_LINE:
		if (value < q->line_max)
			q->line_max = value;
		break;
	case QUIRK_PLAIN_LIST:
		q->plain_list = true;
		break;
	case QUIRK_GOOGLE:
		q->is_google = true;
		break;
	case QUIRK_NO_QRESYNC:
		q->no_qresync = true;
		break;
	case QUIRK_MODSEQ_AHEAD:
		q->modseq_ahead = true;
		break;
	}
}

void quirks_apply(struct quirks *q, const char *text, size_t n)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (memmem(text, n, table[i].sign, strlen(table[i].sign)))
			apply(q, table[i].quirk, table[i].value);
	}
}
