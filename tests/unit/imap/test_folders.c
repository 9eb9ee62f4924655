/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "imap/pool.h"
#include "script.h"

/* STATUS of mailboxes one by one, on servers whose LIST does not give it. */

static void start_folders(struct imap *im, const char *const *names, size_t n,
			  struct seen *seen)
{
	const struct imap_folders_request req = {names, n};
	imap_job job;

	assert_int_equal(imap_list_folders(im, IMAP_PRIO_LISTING, &req,
					   &seen_folders_ops, seen, &job),
			 0);
}

static struct mail_folder find(const struct seen *s, const char *wire)
{
	for (unsigned i = 0; i < s->n_folders; i++) {
		if (strcmp(s->folder[i].wire, wire) == 0)
			return s->folder[i];
	}
	fail_msg("'%s' is not listed", wire);
	return (struct mail_folder){0};
}

#define NUMBERS "(MESSAGES UIDNEXT UIDVALIDITY)"

static void mailboxes_that_are_named_get_their_numbers(void **state)
{
	static const char *const names[] = {"INBOX", "a b", "Gone", "Top",
					    "Secret"};
	struct server *s = SERVER(STEPS(
		LOGIN, "C: LIST \"\" \"*\"", "S: * LIST () \"/\" inbox",
		"S: * LIST () \"/\" \"a b\"",
		"S: * LIST (\\Noselect) \"/\" Top", "S: * LIST () \"/\" Secret",
		"S: * LIST () \"/\" Other", "S: $T OK done",
		"C: A3 STATUS INBOX " NUMBERS, "C: A4 STATUS \"a b\" " NUMBERS,
		"C: A5 STATUS \"Secret\" " NUMBERS,
		"S: * STATUS \"a b\" (MESSAGES 2 UIDNEXT 9 "
		"UIDVALIDITY 8)",
		"S: A4 OK done", "S: A5 NO [NOPERM] not you",
		"S: * STATUS INBOX (MESSAGES 1 UIDNEXT 5 UIDVALIDITY 4)",
		"S: A3 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	start_folders(im, names, 5, &seen);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.n_folders, 5);
	assert_true(find(&seen, "INBOX").has_status);
	assert_int_equal(find(&seen, "INBOX").uidnext, 5);
	assert_int_equal(find(&seen, "a b").uidvalidity, 8);
	assert_int_equal(find(&seen, "a b").messages, 2);
	assert_false(find(&seen, "Top").has_status);
	assert_false(find(&seen, "Secret").has_status);
	assert_false(find(&seen, "Other").has_status);
}

/* What EXAMINE said of it may be old by now. */
static void the_selected_mailbox_gets_its_numbers_too(void **state)
{
	static const char *const inbox = "INBOX";
	struct server *s = SERVER(STEPS(
		LOGIN, EXAMINE("0"), "C: LIST", "S: * LIST () \"/\" INBOX",
		"S: $T OK done", "C: STATUS INBOX " NUMBERS,
		"S: * STATUS INBOX (MESSAGES 3 UIDNEXT 5 UIDVALIDITY 7)",
		"S: $T OK [CLIENTBUG] done"));
	struct imap *im = account_connected(s, 1);
	struct seen listed = {0};
	struct seen seen = {0};

	(void)state;
	seen_list(im, &listed, 0);
	seen_wait(&listed);
	start_folders(im, &inbox, 1, &seen);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(find(&seen, "INBOX").messages, 3);
}

static void what_list_has_told_is_not_asked_again(void **state)
{
	static const char *const names[] = {"INBOX", "Closed"};
	struct server *s = SERVER(STEPS(
		GREETING, "C: AUTHENTICATE PLAIN",
		"S: $T OK [CAPABILITY IMAP4rev1 LIST-EXTENDED LIST-STATUS] in",
		"C: LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES",
		"S: * LIST () \"/\" INBOX",
		"S: * STATUS INBOX (MESSAGES 3 UIDNEXT 5 UIDVALIDITY 7)",
		"S: * LIST () \"/\" Closed", "S: $T OK done",
		"C: STATUS \"Closed\" " NUMBERS, "S: $T NO no"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	start_folders(im, names, 2, &seen);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(find(&seen, "INBOX").messages, 3);
}

#define LONG_LIST "C: LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)"
#define TRASH "S: * LIST (\\Trash) \"/\" Bin", "S: $T OK done"
#define REFUSED "S: $T NO [UNAVAILABLE] not now"

static void list_folders(struct imap *im, int result, uint32_t attrs)
{
	struct seen seen = {0};

	start_folders(im, NULL, 0, &seen);
	seen_wait(&seen);
	assert_int_equal(seen.result, result);
	if (result == 0)
		assert_int_equal(find(&seen, "Bin").attrs, attrs);
}

/* The plain form need not say which one it is. */
static void the_trash_is_known_behind_a_refusal(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("LIST-EXTENDED SPECIAL-USE"), LONG_LIST,
			     REFUSED, "C: LIST \"\" \"*\"", REFUSED, LONG_LIST,
			     TRASH, LONG_LIST, REFUSED, LONG_LIST, TRASH));
	struct imap *im = account_connected(s, 1);

	(void)state;
	list_folders(im, -EIO, 0);
	list_folders(im, 0, FOLDER_TRASH);
	list_folders(im, -EIO, 0);
	list_folders(im, 0, FOLDER_TRASH);
	account_end(im, s);
}

/* What is refused for good is not asked for each time. */
static void what_only_the_plain_form_brings_is_asked_for_plainly(void **state)
{
	struct server *s =
		SERVER(STEPS(LOGIN_WITH("LIST-EXTENDED SPECIAL-USE"), LONG_LIST,
			     "S: $T BAD what?", "C: LIST \"\" \"*\"",
			     "S: * LIST () \"/\" Bin", "S: $T OK done",
			     "C: A4 LIST \"\" \"*\"", "S: * LIST () \"/\" Bin",
			     "S: $T OK done"));
	struct imap *im = account_connected(s, 1);

	(void)state;
	list_folders(im, 0, 0);
	list_folders(im, 0, 0);
	account_end(im, s);
}

static unsigned in_flight(struct imap *im)
{
	unsigned n;

	lock_take(&im->lock);
	n = im->conn[0].in_flight;
	lock_drop(&im->lock);
	return n;
}

#define MANY 30
#define AT_A_TIME 25

/* A busy server: it reads as many as may come at a time, waits, answers. */
struct many {
	const char *steps[4 * MANY];
	char text[2 * MANY][32];
	const char *names[MANY];
};

static const char **add(const char **at, const char *const *more)
{
	while (more && *more)
		*at++ = *more++;
	*at = NULL;
	return at;
}

static void play_many(struct many *m, const char *const *then)
{
	const char **at = add(m->steps, STEPS(LOGIN, "C: LIST"));

	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(m->text[i], 32, "S: * LIST () \"/\" m%u", i);
		(void)snprintf(m->text[MANY + i], 32, "S: A%u OK", i + 3);
		m->names[i] = strrchr(m->text[i], 'm');
		*at++ = m->text[i];
	}
	*at++ = "S: $T OK done";
	for (unsigned i = 0; i < AT_A_TIME; i++)
		*at++ = "C: STATUS";
	at = add(at, STEPS("S: * OK I am busy", "W:"));
	for (unsigned i = 0; i < AT_A_TIME; i++)
		*at++ = m->text[MANY + i];
	at = add(at, then);
	for (unsigned i = AT_A_TIME; i < MANY; i++)
		at = add(at, STEPS("C: STATUS", "S: $T OK"));
}

static void wait_for_many(struct imap *im)
{
	int64_t until_ms = clock_now_ms() + PATIENCE_MS;

	while (in_flight(im) < AT_A_TIME)
		wait_a_bit(until_ms);
}

static void only_so_many_are_asked_for_at_a_time(void **state)
{
	static struct many many;
	struct seen seen = {0};
	struct server *s;
	struct imap *im;

	(void)state;
	play_many(&many, NULL);
	s = SERVER(many.steps);
	im = account_connected(s, 1);
	start_folders(im, many.names, MANY, &seen);
	wait_for_many(im);
	assert_int_equal(in_flight(im), AT_A_TIME);
	server_go(s);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
}

/* It may be hundreds of them, and somebody waits in read(2). */
static void a_reader_need_not_wait_for_all_of_them(void **state)
{
	static const uint32_t four = 4;
	static struct many many;
	struct seen seen = {0};
	struct seen body = {0};
	struct server *s;
	struct imap *im;

	(void)state;
	play_many(&many, STEPS(EXAMINE("3"), "C: UID FETCH 4 ",
			       "S: * 1 FETCH (UID 4 BODY[] {3}", "R: abc)\r\n",
			       "S: $T OK done"));
	s = SERVER(many.steps);
	im = account_connected(s, 1);
	start_folders(im, many.names, MANY, &seen);
	wait_for_many(im);
	(void)seen_fetch(im, &body, &four, 1);
	server_go(s);
	seen_wait(&body);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(body.result, 0);
	assert_int_equal(seen.result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailboxes_that_are_named_get_their_numbers),
		cmocka_unit_test(the_selected_mailbox_gets_its_numbers_too),
		cmocka_unit_test(what_list_has_told_is_not_asked_again),
		cmocka_unit_test(the_trash_is_known_behind_a_refusal),
		cmocka_unit_test(
			what_only_the_plain_form_brings_is_asked_for_plainly),
		cmocka_unit_test(only_so_many_are_asked_for_at_a_time),
		cmocka_unit_test(a_reader_need_not_wait_for_all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
