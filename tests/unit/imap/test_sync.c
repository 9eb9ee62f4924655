/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "script.h"

/*
 * How a sync asks, of servers that can do more or less, and what it tells. The
 * messages below UID 100 are known, up to HIGHESTMODSEQ 50. Where a script
 * reads all commands before it answers one, they came in one flight.
 */

/* A server behind a login without ENABLE: A1; the mailbox is opened by A2. */
#define CONDSTORE LOGIN_WITH("CONDSTORE ESEARCH")
#define QRESYNC                                                                \
	LOGIN_WITH("ENABLE CONDSTORE QRESYNC ESEARCH"),                        \
		"C: A2 ENABLE CONDSTORE QRESYNC",                              \
		"S: * ENABLED CONDSTORE QRESYNC", "S: A2 OK enabled"

/* The numbers of the mailbox. */
#define NUMBERS(exists, uidnext, modseq)                                       \
	"S: * " exists " EXISTS", "S: * OK [UIDVALIDITY 7] ok",                \
		"S: * OK [UIDNEXT " uidnext "] ok",                            \
		"S: * OK [HIGHESTMODSEQ " modseq "] ok"
#define NEW(seq, uid) "S: " ROW(seq, uid) ")"

static struct seen sync_since(script steps, uint64_t modseq)
{
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	seen_sync(im, &seen, modseq);
	seen_wait(&seen);
	account_end(im, s);
	assert_true(seen.has_end == (seen.result == 0));
	return seen;
}

static struct seen sync_on(script steps)
{
	return sync_since(steps, 50);
}

/* --- the methods --- */

static void qresync_is_one_flight(void **state)
{
	struct seen seen = sync_on(STEPS(
		QRESYNC, "C: A3 EXAMINE INBOX (QRESYNC (7 50 1:99))",
		"C: A4 UID FETCH 100:* (UID FLAGS RFC822.SIZE",
		NUMBERS("90", "102", "60"), "S: * VANISHED (EARLIER) 3:4,9",
		"S: * 8 FETCH (UID 10 FLAGS (\\Seen) MODSEQ (55))",
		"S: A3 OK [READ-ONLY] done", NEW("89", "100"), NEW("90", "101"),
		"S: A4 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told,
			    "open gone(3:4,9) rows(10) new(100,101)");
	assert_int_equal(seen.box.messages, 90);
	assert_int_equal(seen.box.uidnext, 102);
	assert_int_equal(seen.end.method, IMAP_SYNC_QRESYNC);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void qresync_without_news_asks_nothing_more(void **state)
{
	struct seen seen =
		sync_on(STEPS(QRESYNC, "C: EXAMINE", "C: A4 UID FETCH 100:*",
			      NUMBERS("90", "100", "50"), "S: A3 OK done",
			      NEW("90", "99"), "S: A4 OK done"));

	(void)state;
	/* The last message comes in any case; its flags are true. */
	assert_string_equal(seen.told, "open rows(99)");
	assert_int_equal(seen.end.method, IMAP_SYNC_QRESYNC);
	assert_int_equal(seen.end.highestmodseq, 50);
}

static void a_tagged_highestmodseq_counts(void **state)
{
	struct seen seen = sync_on(
		STEPS(QRESYNC, "C: EXAMINE", "C: A4 UID FETCH 100:*",
		      NUMBERS("90", "100", "60"), "S: * VANISHED (EARLIER) 3",
		      "S: A3 OK [HIGHESTMODSEQ 61] done", "S: A4 OK done"));

	(void)state;
	assert_int_equal(seen.end.highestmodseq, 61);
}

static void condstore_is_one_flight(void **state)
{
	struct seen seen = sync_on(STEPS(
		CONDSTORE, "C: A2 EXAMINE INBOX (CONDSTORE)",
		"C: A3 UID FETCH 1:99 (UID FLAGS) (CHANGEDSINCE 50)",
		"C: A4 UID SEARCH RETURN (ALL) UID 1:99",
		"C: A5 UID FETCH 100:* (UID FLAGS RFC822.SIZE",
		NUMBERS("90", "102", "60"), "S: A2 OK done",
		"S: * 8 FETCH (UID 10 MODSEQ (55) FLAGS ())",
		"S: * ESEARCH (TAG \"A4\") UID ALL 1:80,90:99", "S: A4 OK done",
		"S: A3 OK done", NEW("90", "101"), "S: A5 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told,
			    "open rows(10) here(1:80,90:99) new(101)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void without_esearch_a_search_says_who_is_there(void **state)
{
	struct seen seen = sync_on(STEPS(
		LOGIN_WITH("CONDSTORE"), "C: A2 EXAMINE INBOX (CONDSTORE)",
		"C: A3 UID FETCH 1:99 ", "C: A4 UID SEARCH UID 1:99",
		"C: A5 UID FETCH 100:*", NUMBERS("5", "100", "50"),
		"S: A2 OK done", "S: A3 OK done",
		"S: * SEARCH 1 2 3 9 (MODSEQ 4)", "S: * SEARCH 11",
		"S: A4 OK done", "S: A5 OK done"));

	(void)state;
	assert_string_equal(seen.told, "open here(1:3,9) here(11)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void without_condstore_all_flags_are_asked(void **state)
{
	struct seen seen = sync_on(STEPS(
		LOGIN, "C: A2 EXAMINE INBOX",
		"C: A3 UID FETCH 1:99 (UID FLAGS)", "C: A4 UID FETCH 100:*",
		"S: * 3 EXISTS", "S: * OK [UIDVALIDITY 7] ok", "S: A2 OK done",
		"S: * 1 FETCH (FLAGS (\\Seen a%b) UID 4)",
		"S: * 3 FETCH (FLAGS ())", "S: A3 OK done", NEW("1", "4"),
		NEW("3", "112"), "S: A4 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4) rows(4) new(112)");
	assert_int_equal(seen.has[0], ROW_UID | ROW_FLAGS);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 0);
}

/* The first sync: all flags, and a HIGHESTMODSEQ for the next one. */
static void without_a_modseq_all_flags_are_asked(void **state)
{
	struct seen seen = sync_since(
		STEPS(QRESYNC, "C: A3 EXAMINE INBOX (CONDSTORE)",
		      "C: A4 UID FETCH 1:99 (UID FLAGS)",
		      "C: A5 UID FETCH 100:*", NUMBERS("1", "100", "60"),
		      "S: A3 OK done", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: A4 OK done", "S: A5 OK done"),
		0);

	(void)state;
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void a_doubted_answer_is_asked_for_plainly(void **state)
{
	const struct imap_sync_request req = {.uidvalidity = 7,
					      .uidnext = 100,
					      .highestmodseq = 50,
					      .plain = true};
	struct server *s = SERVER(
		STEPS(QRESYNC, "C: EXAMINE INBOX (CONDSTORE)",
		      "C: A4 UID FETCH 1:99 (UID FLAGS)",
		      "C: A5 UID FETCH 100:*", NUMBERS("1", "100", "60"),
		      "S: A3 OK done", "S: A4 OK done", "S: A5 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req,
				   &seen_sync_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
}

static void a_mailbox_that_was_empty_is_only_asked_for_news(void **state)
{
	const struct imap_sync_request req = {
		.uidvalidity = 7, .uidnext = 1, .highestmodseq = 50};
	struct server *s =
		SERVER(STEPS(QRESYNC, "C: EXAMINE INBOX (CONDSTORE)",
			     "C: A4 UID FETCH 1:*", NUMBERS("1", "6", "60"),
			     "S: A3 OK done", NEW("1", "5"), "S: A4 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};
	imap_job job;

	(void)state;
	assert_int_equal(imap_sync(im, "INBOX", IMAP_PRIO_SYNC, &req,
				   &seen_sync_ops, &seen, &job),
			 0);
	seen_wait(&seen);
	account_end(im, s);
	assert_string_equal(seen.told, "open new(5)");
	assert_int_equal(seen.end.highestmodseq, 60);
}

/* --- what makes it another method --- */

static void another_uidvalidity_is_estale(void **state)
{
	struct seen seen = sync_on(STEPS(
		QRESYNC, "C: EXAMINE", "C: A4 UID FETCH 100:*",
		"S: * 90 EXISTS", "S: * OK [UIDVALIDITY 8] ok",
		"S: * OK [UIDNEXT 102] ok", "S: * OK [HIGHESTMODSEQ 60] ok",
		"S: * VANISHED (EARLIER) 1:99", "S: A3 OK done",
		NEW("1", "100"), "S: A4 OK done"));

	(void)state;
	assert_int_equal(seen.result, -ESTALE);
	assert_string_equal(seen.told, "open");
	assert_int_equal(seen.box.uidvalidity, 8);
}

/* All flags, behind whatever was asked before; the answers are A6 and on. */
#define ALL_FLAGS(tag)                                                         \
	"C: " tag " UID FETCH 1:99 (UID FLAGS)",                               \
		"S: * 1 FETCH (UID 4 FLAGS ())", "S: " tag " OK done"

static void nomodseq_needs_all_flags(void **state)
{
	struct seen seen = sync_on(
		STEPS(CONDSTORE, "C: EXAMINE INBOX (CONDSTORE)",
		      "C: A3 UID FETCH 1:99 ", "C: A4 UID SEARCH ",
		      "C: A5 UID FETCH 100:*", "S: * 3 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "S: * OK [NOMODSEQ] none",
		      "S: A2 OK done", "S: A3 BAD no CHANGEDSINCE",
		      "S: * ESEARCH (TAG \"A4\") UID ALL 4", "S: A4 OK done",
		      "S: A5 OK done", ALL_FLAGS("A6")));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 0);
	assert_true(seen.box.no_modseq);
}

/* A mailbox that was restored, or whose index was made anew. */
static void a_modseq_that_went_back_needs_all_flags(void **state)
{
	struct seen seen = sync_on(
		STEPS(QRESYNC, "C: EXAMINE INBOX (QRESYNC",
		      "C: A4 UID FETCH 100:*", NUMBERS("3", "100", "20"),
		      "S: A3 OK done", "S: A4 OK done", ALL_FLAGS("A5")));

	(void)state;
	assert_string_equal(seen.told, "open rows(4)");
	assert_int_equal(seen.end.method, IMAP_SYNC_FLAGS);
	assert_int_equal(seen.end.highestmodseq, 20);
}

#define CONDSTORE_FLIGHT(a, b, c, d)                                           \
	"C: " a " EXAMINE INBOX (CONDSTORE)", "C: " b " UID FETCH 1:99 ",      \
		"C: " c " UID SEARCH ", "C: " d " UID FETCH 100:*",            \
		NUMBERS("3", "100", "60"), "S: " a " OK done",                 \
		"S: " b " OK done",                                            \
		"S: * ESEARCH (TAG \"" c "\") UID ALL 1:99",                   \
		"S: " c " OK done", "S: " d " OK done"

static void what_is_not_to_be_asked_by_qresync_is_not(void **state)
{
	static const char *const signs[] = {
		"S: $T OK [CAPABILITY IMAP4rev1 ENABLE QRESYNC ESEARCH "
		"XAPPLEPUSHSERVICE] in",
		"S: $T OK [CAPABILITY IMAP4rev1 ENABLE QRESYNC ESEARCH "
		"UIDONLY] in",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++) {
		struct seen seen = sync_on(
			STEPS(GREETING, "C: AUTHENTICATE", signs[i],
			      "C: A2 ENABLE CONDSTORE", "S: A2 OK nothing",
			      CONDSTORE_FLIGHT("A3", "A4", "A5", "A6")));

		assert_int_equal(seen.result, 0);
		assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	}
}

static void a_refused_enable_and_qresync_cost_a_round_trip(void **state)
{
	struct seen seen = sync_on(STEPS(
		LOGIN_WITH("ENABLE QRESYNC ESEARCH"), "C: A2 ENABLE",
		"C: A3 EXAMINE INBOX (QRESYNC", "C: A4 UID FETCH 100:*",
		"S: A2 BAD no", "S: A3 BAD not enabled", "S: A4 BAD no mailbox",
		CONDSTORE_FLIGHT("A5", "A6", "A7", "A8")));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open here(1:99)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
}

static void a_refused_condstore_is_not_asked_again(void **state)
{
	struct server *s = SERVER(STEPS(
		CONDSTORE, "C: A2 EXAMINE INBOX (CONDSTORE)",
		"C: A3 UID FETCH 1:99 ", "C: A4 UID SEARCH ",
		"C: A5 UID FETCH 100:*", "S: A2 NO Error in IMAP command",
		"S: A3 NO x", "S: A4 NO x", "S: A5 NO x", "C: A6 EXAMINE INBOX",
		ALL_FLAGS("A7"), "C: A8 UID FETCH 100:*",
		NUMBERS("3", "100", "60"), "S: A6 OK done", "S: A8 OK done",
		"C: A9 EXAMINE INBOX", "C: UID FETCH 1:99 (UID FLAGS)",
		"C: UID FETCH 100:*", NUMBERS("3", "100", "60"),
		"S: A9 OK done", "S: A10 OK done", "S: A11 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen first = {0};
	struct seen second = {0};

	(void)state;
	seen_sync(im, &first, 50);
	seen_wait(&first);
	/* ALL_FLAGS answers in front of EXAMINE: that server is a liar. */
	assert_int_equal(first.result, -EPROTO);
	seen_sync(im, &second, 50);
	seen_wait(&second);
	account_end(im, s);
	assert_int_equal(second.result, 0);
	assert_int_equal(second.end.method, IMAP_SYNC_FLAGS);
}

/* One that takes the parameter, and then does not know what to do with it. */
static void a_change_that_nobody_names_is_asked_for(void **state)
{
	struct seen seen = sync_on(STEPS(
		QRESYNC, "C: A3 EXAMINE INBOX (QRESYNC",
		"C: A4 UID FETCH 100:*", NUMBERS("3", "100", "60"),
		"S: A3 OK done", "S: A4 OK done",
		"C: A5 UID FETCH 1:99 (UID FLAGS) (CHANGEDSINCE 50)",
		"C: A6 UID SEARCH RETURN (ALL) UID 1:99",
		"S: * 2 FETCH (UID 5 FLAGS ())", "S: A5 OK done",
		"S: * ESEARCH (TAG \"A6\") UID ALL 4:6", "S: A6 OK done"));

	(void)state;
	assert_string_equal(seen.told, "open rows(5) here(4:6)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 60);
}

/* Hostinger: the number stands still, the mail does not. */
static void news_are_told_though_the_modseq_stands_still(void **state)
{
	struct seen seen =
		sync_on(STEPS(QRESYNC, "C: EXAMINE", "C: A4 UID FETCH 100:*",
			      NUMBERS("4", "101", "50"), "S: A3 OK done",
			      NEW("4", "100"), "S: A4 OK done"));

	(void)state;
	assert_string_equal(seen.told, "open new(100)");
	assert_int_equal(seen.end.highestmodseq, 50);
}

static void gmail_is_believed_a_minute_later(void **state)
{
	struct seen first = sync_since(
		STEPS(LOGIN_WITH("CONDSTORE ESEARCH X-GM-EXT-1"),
		      "C: A2 EXAMINE", "C: A3 UID FETCH 1:99 (UID FLAGS)",
		      "C: A4 UID FETCH 100:*", NUMBERS("1", "100", "5000"),
		      "S: A2 OK done", "S: A3 OK done", "S: A4 OK done"),
		0);
	struct seen later =
		sync_on(STEPS(LOGIN_WITH("CONDSTORE ESEARCH X-GM-EXT-1"),
			      CONDSTORE_FLIGHT("A2", "A3", "A4", "A5")));

	(void)state;
	/* Nothing is known to have settled: some of it is asked twice. */
	assert_int_equal(first.end.highestmodseq, 4000);
	assert_int_equal(later.end.highestmodseq, 50);
}

/* --- while it runs --- */

static void what_vanishes_in_the_middle_is_told(void **state)
{
	struct seen seen = sync_since(
		STEPS(QRESYNC, "C: EXAMINE", "C: A4 UID FETCH 1:99 ",
		      "C: A5 UID FETCH 100:*", NUMBERS("3", "102", "60"),
		      "S: A3 OK done", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: * VANISHED 4", "S: A4 OK done", NEW("2", "101"),
		      "S: * VANISHED 101", "S: A5 OK done"),
		0);

	(void)state;
	assert_string_equal(seen.told,
			    "open rows(4) gone(4) new(101) gone(101)");
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void expunge_and_changes_in_the_middle_are_harmless(void **state)
{
	struct seen seen = sync_on(STEPS(
		CONDSTORE, "C: EXAMINE", "C: A3 UID FETCH 1:99 ",
		"C: A4 UID SEARCH ", "C: A5 UID FETCH 100:*",
		NUMBERS("3", "100", "60"), "S: A2 OK done",
		"S: * 1 FETCH (FLAGS () MODSEQ (61))",
		"S: * 2 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (62))",
		"S: A3 OK done", "S: * ESEARCH (TAG \"A4\") UID ALL 4:6",
		"S: * 1 EXPUNGE", "S: * 3 EXISTS", "S: A4 OK done",
		"S: * 3 FETCH (FLAGS (\\Recent) UID 100)", "S: A5 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(5) here(4:6)");
	assert_int_equal(seen.end.method, IMAP_SYNC_CONDSTORE);
	assert_int_equal(seen.end.highestmodseq, 60);
}

static void an_empty_mailbox_may_refuse(void **state)
{
	struct seen seen =
		sync_on(STEPS(LOGIN, "C: EXAMINE", "C: A3 UID FETCH 1:99 ",
			      "C: A4 UID FETCH 100:*", "S: * 0 EXISTS",
			      "S: * OK [UIDVALIDITY 7] ok", "S: A2 OK done",
			      "S: A3 NO no matching messages",
			      "S: A4 BAD invalid messageset"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open");
}

static void refusing_to_list_nothing_new_is_an_answer(void **state)
{
	struct seen seen = sync_on(
		STEPS(LOGIN, "C: EXAMINE", "C: A3 UID FETCH 1:99 ",
		      "C: A4 UID FETCH 100:*", "S: * 1 EXISTS",
		      "S: * OK [UIDVALIDITY 7] ok", "S: * OK [UIDNEXT 100] ok",
		      "S: A2 OK done", "S: * 1 FETCH (UID 4 FLAGS ())",
		      "S: A3 OK done", "S: A4 NO no matching messages"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told, "open rows(4)");
}

static void half_an_answer_is_asked_for_in_halves(void **state)
{
	struct seen seen = sync_on(
		STEPS(CONDSTORE, "C: EXAMINE", "C: A3 UID FETCH 1:99 ",
		      "C: A4 UID SEARCH ", "C: A5 UID FETCH 100:*",
		      NUMBERS("90", "104", "60"), "S: A2 OK done",
		      "S: * 8 FETCH (UID 60 FLAGS ())",
		      "S: A3 OK [MESSAGELIMIT 10 60] partial",
		      "S: * ESEARCH (TAG \"A4\") UID ALL 60:99",
		      "S: A4 OK [MESSAGELIMIT 10 60] partial",
		      "S: A5 OK [MESSAGELIMIT 10 103] partial",
		      "C: A6 UID FETCH 100:101 (UID FLAGS RFC822.SIZE",
		      NEW("87", "100"), "S: A6 OK done",
		      "C: A7 UID FETCH 102:* (UID FLAGS RFC822.SIZE",
		      "S: A7 OK done", "C: A8 UID SEARCH RETURN (ALL) UID 1:50",
		      "S: * ESEARCH (TAG \"A8\") UID ALL 2:49", "S: A8 OK done",
		      "C: A9 UID SEARCH RETURN (ALL) UID 51:99",
		      "S: * ESEARCH (TAG \"A9\") UID", "S: A9 OK done",
		      "C: A10 UID FETCH 1:50 (UID FLAGS) (CHANGEDSINCE 50)",
		      "S: A10 OK done", "C: A11 UID FETCH 51:99 (UID FLAGS) (",
		      "S: A11 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.told,
			    "open rows(60) here(60:99) new(100) here(2:49)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qresync_is_one_flight),
		cmocka_unit_test(qresync_without_news_asks_nothing_more),
		cmocka_unit_test(a_tagged_highestmodseq_counts),
		cmocka_unit_test(condstore_is_one_flight),
		cmocka_unit_test(without_esearch_a_search_says_who_is_there),
		cmocka_unit_test(without_condstore_all_flags_are_asked),
		cmocka_unit_test(without_a_modseq_all_flags_are_asked),
		cmocka_unit_test(a_doubted_answer_is_asked_for_plainly),
		cmocka_unit_test(
			a_mailbox_that_was_empty_is_only_asked_for_news),
		cmocka_unit_test(another_uidvalidity_is_estale),
		cmocka_unit_test(nomodseq_needs_all_flags),
		cmocka_unit_test(a_modseq_that_went_back_needs_all_flags),
		cmocka_unit_test(what_is_not_to_be_asked_by_qresync_is_not),
		cmocka_unit_test(
			a_refused_enable_and_qresync_cost_a_round_trip),
		cmocka_unit_test(a_refused_condstore_is_not_asked_again),
		cmocka_unit_test(a_change_that_nobody_names_is_asked_for),
		cmocka_unit_test(news_are_told_though_the_modseq_stands_still),
		cmocka_unit_test(gmail_is_believed_a_minute_later),
		cmocka_unit_test(what_vanishes_in_the_middle_is_told),
		cmocka_unit_test(
			expunge_and_changes_in_the_middle_are_harmless),
		cmocka_unit_test(an_empty_mailbox_may_refuse),
		cmocka_unit_test(refusing_to_list_nothing_new_is_an_answer),
		cmocka_unit_test(half_an_answer_is_asked_for_in_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
