/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetched.h"

#include "imap/etpan.h"

/*
 * What responses come to, and that a bad one costs itself only. Texts are as
 * the framer hands them on.
 */

#define HEADER_ITEM                                                            \
	"BODY[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID)] {25}\r\n"    \
	"Subject: x\r\nFrom: a@b\r\n\r\n"

static void a_whole_row_is_read(void **state)
{
	struct fetch f =
		fetch("* 12 FETCH (UID 345 FLAGS (\\Seen \\flagged "
		      "$Work \\Recent) RFC822.SIZE 4711 INTERNALDATE "
		      "\" 1-Feb-2026 03:04:05 +0130\" " HEADER_ITEM ")\r\n");

	(void)state;
	assert_false(f.damaged);
	assert_int_equal(f.row.has, ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE |
					    ROW_FIELDS);
	assert_int_equal(f.row.seq, 12);
	assert_int_equal(f.row.uid, 345);
	assert_int_equal(f.row.flags, MAIL_SEEN | MAIL_FLAGGED);
	assert_string_equal(f.row.keywords, "$Work");
	assert_int_equal(f.row.size, 4711);
	assert_int_equal(f.row.internaldate, 1769909645);
	assert_string_equal(f.row.field[FIELD_SUBJECT], "x");
	assert_string_equal(f.row.field[FIELD_FROM], "a@b");
	assert_null(f.row.field[FIELD_CC]);
}

static void gmail_items_are_read(void **state)
{
	struct fetch f =
		fetch("* 1 FETCH (X-GM-THRID 18446744073709551615 X-GM-MSGID 2 "
		      "X-GM-LABELS (\"\\\\Inbox\" \\Sent plain \"two words\" "
		      "\"\" \"a\\\"b%\" {3}\r\nx y) "
		      "UID 1 MODSEQ (99))\r\n");

	(void)state;
	assert_false(f.damaged);
	assert_int_equal(f.row.has, ROW_GM | ROW_LABELS | ROW_UID | ROW_MODSEQ);
	assert_true(f.row.gm_thrid == UINT64_MAX);
	assert_int_equal(f.row.gm_msgid, 2);
	assert_int_equal(f.row.modseq, 99);
	assert_string_equal(f.row.gm_labels,
			    "\\Inbox \\Sent plain two%20words a\"b%25 x%20y");
}

static void sizes_over_32_bits_do_not_wrap(void **state)
{
	struct fetch f = fetch("* 1 FETCH (UID 1 RFC822.SIZE 4294967297)\r\n");

	(void)state;
	assert_int_equal(f.row.has, ROW_UID | ROW_SIZE);
	assert_true(f.row.size == 4294967297ULL);
}

static void nonsense_numbers_are_left_out(void **state)
{
	struct fetch f = fetch("* 1 FETCH (UID 4294967297 RFC822.SIZE "
			       "99999999999999999999)\r\n");

	(void)state;
	assert_true(f.damaged);
	assert_int_equal(f.row.has, 0);
	f = fetch("* 1 FETCH (UID 0 RFC822.SIZE -1 FLAGS ())\r\n");
	assert_true(f.damaged);
	assert_int_equal(f.row.has, ROW_FLAGS);
	f = fetch("* 1 FETCH (UID 5 RFC822.SIZE 9.37e+06)\r\n");
	assert_int_equal(f.row.has, ROW_UID);
}

static void a_bad_item_costs_only_itself(void **state)
{
	struct fetch f = fetch("* 1 FETCH (UID 9 FLAGS (\\Seen a%b c*) "
			       "INTERNALDATE NIL RFC822.SIZE 3)\r\n");

	(void)state;
	assert_true(f.damaged);
	assert_int_equal(f.row.has, ROW_UID | ROW_FLAGS | ROW_SIZE);
	assert_int_equal(f.row.flags, MAIL_SEEN);
	assert_string_equal(f.row.keywords, "a%b c*");
}

/* Values that have two readers, ours and libetpan's; how ours takes them. */
static const struct {
	enum etpan_item item;
	const char *text;
	bool ours;
} both[] = {
	{ETPAN_FLAGS, "()", true},
	{ETPAN_FLAGS, "(\\Seen)", true},
	{ETPAN_FLAGS, "(\\SEEN \\answered \\Flagged \\Deleted \\draft)", true},
	{ETPAN_FLAGS, "(\\Recent NonJunk $Forwarded a-b_c.9 Seen NIL)", true},
	{ETPAN_FLAGS, "(a b c \\Seen \\Seen a)", true},
	{ETPAN_FLAGS, "(\\Seen \\X-Other a'b +c d/e [f)", false},
	{ETPAN_DATE, "\"01-Jan-1970 00:00:00 +0000\"", true},
	{ETPAN_DATE, "\" 1-feb-2026 03:04:05 +0130\"", true},
	{ETPAN_DATE, "\"29-FEB-2028 23:59:60 -1200\"", true},
	{ETPAN_DATE, "\"31-Feb-2027 00:00:00 -0000\"", true},
	{ETPAN_DATE, "\"01-Mar-1900 00:00:00 +0000\"", true},
	{ETPAN_DATE, "\"31-Dec-9999 23:59:59 -9959\"", true},
	{ETPAN_DATE, "\"31-Dec-9999 23:59:59 -9960\"", false},
};

static void what_has_two_readers_is_read_alike(void **state)
{
	static struct item_store a_store, b_store;
	struct etpan *e;

	(void)state;
	assert_int_equal(etpan_new(&e), 0);
	for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++) {
		const char *text = both[i].text;
		struct scan s = {.p = text, .end = text + strlen(text)};
		struct mail_row a = {.keywords = ""}, b = a;
		bool ours = both[i].item == ETPAN_FLAGS
				    ? item_flags(&s, &a_store, &a)
				    : item_date(&s, &a);

		assert_int_equal(ours, both[i].ours);
		assert_true(etpan_parse(e, both[i].item, text, strlen(text),
					&b_store, &b));
		if (!ours)
			continue;
		assert_true(scan_at_end(&s));
		assert_int_equal(a.has, b.has);
		assert_int_equal(a.flags, b.flags);
		assert_string_equal(a.keywords, b.keywords);
		assert_int_equal(a.internaldate, b.internaldate);
	}
	etpan_free(e);
}

static void odd_values_are_not_read_by_us(void **state)
{
	static const char *const texts[] = {
		"",
		"( \\Seen)",
		"(\\Seen  \\Draft)",
		"(\\)",
		"(\\Seen",
		"(a%b)",
		"(a (b))",
		"\"01-Foo-2026 00:00:00 +0000\"",
		"\"00-Jan-2026 00:00:00 +0000\"",
		"\"32-Jan-2026 00:00:00 +0000\"",
		"\"01-Jan-1899 00:00:00 +0000\"",
		"\"01-Jan-2026 24:00:00 +0000\"",
		"\"01-Jan-2026 00:60:00 +0000\"",
		"\"01-Jan-2026 00:00:61 +0000\"",
		"\"01-Jan-2026 00:00:00 00000\"",
		"\"01-Jan-2026 00:00:00 +000x\"",
		"\"01-Jan-2026 00:00:00 +0000",
	};
	static struct item_store store;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct scan s = {.p = texts[i],
				 .end = texts[i] + strlen(texts[i])};
		struct mail_row row = {0};

		assert_false(item_flags(&s, &store, &row));
		assert_false(item_date(&s, &row));
		assert_ptr_equal(s.p, texts[i]);
		assert_int_equal(row.has, 0);
	}
}

static void a_date_that_is_none_hides_no_message(void **state)
{
	static const char *const dates[] = {
		"00-Jan-0000 00:00:00 +0000",
		"01-Jan-1601 00:00:00 +0000",
		"32-Jan-2026 24:60:61 +0000",
	};
	char text[100];

	(void)state;
	for (size_t i = 0; i < sizeof(dates) / sizeof(*dates); i++) {
		struct fetch f;

		(void)snprintf(text, sizeof(text),
			       "* 1 FETCH (INTERNALDATE \"%s\" UID 2)\r\n",
			       dates[i]);
		f = fetch(text);
		assert_false(f.damaged);
		assert_int_equal(f.row.has, ROW_DATE | ROW_UID);
		assert_int_equal(f.row.internaldate, 0);
	}
}

static void a_header_section_comes_in_every_form(void **state)
{
	struct fetch f = fetch("* 1 FETCH (BODY[HEADER] NIL UID 2)\r\n");

	(void)state;
	assert_int_equal(f.row.has, ROW_UID);
	assert_true(f.no_header);
	assert_false(f.damaged);
	f = fetch("* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] \"Subject: q\")"
		  "\r\n");
	assert_int_equal(f.row.has, ROW_FIELDS);
	assert_string_equal(f.row.field[FIELD_SUBJECT], "q");
	f = fetch("* 1 FETCH (BODY[HEADER] {12}\r\nSubject: l\r\n UID 2)\r\n");
	assert_int_equal(f.row.has, ROW_FIELDS | ROW_UID);
	assert_string_equal(f.row.field[FIELD_SUBJECT], "l");
	f = fetch("* 1 FETCH (BODY[HEADER] (x) UID 2)\r\n");
	assert_true(f.damaged);
	assert_int_equal(f.row.has, ROW_UID);
}

static void unknown_items_are_skipped(void **state)
{
	struct fetch f = fetch("* 1 FETCH (SAVEDATE NIL THREADID (M1) X-NEW "
			       "((a (b {3}\r\n(x)) \"q)\") 5) PREVIEW \"p\" "
			       "UID 3 FLAGS ())\r\n");

	(void)state;
	assert_false(f.damaged);
	assert_int_equal(f.row.has, ROW_UID | ROW_FLAGS);
	assert_int_equal(f.row.uid, 3);
}

static void empty_and_torn_lists_are_harmless(void **state)
{
	static const char *const texts[] = {
		"* 6 FETCH ()\r\n",       "* 6 FETCH\r\n",
		"* 6 FETCH (UID\r\n",     "* 6 FETCH (UID 5 FLAGS (\r\n",
		"* 6 FETCH NIL\r\n",      "* 6 FETCH (BODY[\r\n",
		"* 6 FETCH (BODY[]<\r\n", "* 6 FETCH (UID 5 {3}\r\nab\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		(void)fetch(texts[i]);
	assert_int_equal(fetch(texts[0]).row.has, 0);
}

static void bodies_are_found_in_every_form(void **state)
{
	struct fetch f = fetch("* 1 FETCH (UID 4 BODY[] NIL)\r\n");

	(void)state;
	assert_int_equal(f.body, BODY_NIL);
	f = fetch("* 1 FETCH (BODY[]<10> \"a\\\"b\" UID 4)\r\n");
	assert_int_equal(f.body, BODY_STRING);
	assert_true(f.has_origin);
	assert_int_equal(f.origin, 10);
	assert_int_equal(f.body_text.n, 4);
	f = fetch("* 1 FETCH (UID 4 BODY[] ~{3}\r\na)b)\r\n");
	assert_int_equal(f.body, BODY_STRING);
	assert_memory_equal(f.body_text.p, "a)b", 3);
	f = fetch("* 1 FETCH (UID 4 FLAGS ())\r\n");
	assert_int_equal(f.body, BODY_ABSENT);
}

static int head(const char *text, struct body_head *h)
{
	return grammar_body_head(text, strlen(text), h);
}

static void the_head_of_a_body_tells_whose_it_is(void **state)
{
	struct body_head h;

	(void)state;
	assert_int_equal(head("* 3 FETCH (UID 77 BODY[]<512> ", &h), 0);
	assert_int_equal(h.uid, 77);
	assert_true(h.has_origin);
	assert_int_equal(h.origin, 512);
	assert_int_equal(head("* 3 FETCH (FLAGS (\\Seen) BODY[] ", &h), 0);
	assert_int_equal(h.uid, 0);
	assert_false(h.has_origin);
	assert_int_equal(head("* 3 FETCH (UID 7 BODY[] ~", &h), 0);
	assert_int_equal(head("* 3 FETCH (UID 7 BODY[1] ", &h), -EBADMSG);
	assert_int_equal(head("* 3 EXPUNGE ", &h), -EBADMSG);
	assert_int_equal(head("* 3 FETCH (UID 7 ", &h), -EBADMSG);
}

static int list(const char *text, size_t n, struct mail_folder *f)
{
	struct response r;

	grammar_classify(text, n, &r);
	if (r.kind != RESPONSE_LIST)
		return -EIO;
	return grammar_list(&r, f);
}

#define LIST(text, f) list(text, sizeof(text) - 1, f)

static char *old_name(const char *text)
{
	struct response r;
	char *name = NULL;

	grammar_classify(text, strlen(text), &r);
	assert_int_equal(r.kind, RESPONSE_LIST);
	return grammar_oldname(&r, &name) == 0 ? name : NULL;
}

static void the_name_before_a_rename_is_read(void **state)
{
	char *name = old_name("* LIST (\\Marked) \"/\" {1}\r\nx (\"OLDNAME\" "
			      "(\"a \\\"b\"))\r\n");

	(void)state;
	assert_string_equal(name, "a \"b");
	free(name);
	name = old_name("* LIST () NIL x (CHILDINFO (\"SUBSCRIBED\") oldname "
			"(inbox))\r\n");
	assert_string_equal(name, "INBOX");
	free(name);
	assert_null(old_name("* LIST () \"/\" x\r\n"));
	assert_null(old_name("* LIST () \"/\" x ()\r\n"));
	assert_null(old_name("* LIST () \"/\" x (\"OLDNAME\" ())\r\n"));
	assert_null(old_name("* LIST () \"/\" x (\"OLDNAME\"\r\n"));
	assert_null(old_name("* LIST () \"/\"\r\n"));
}

static void mailboxes_are_read_in_every_form(void **state)
{
	struct mail_folder f;

	(void)state;
	assert_int_equal(LIST("* LIST (\\HasNoChildren \\trash) \"/\" "
			      "\"a \\\"b\\\\c\" (\"OLDNAME\" (x))\r\n",
			      &f),
			 0);
	assert_string_equal(f.wire, "a \"b\\c");
	assert_int_equal(f.delimiter, '/');
	assert_int_equal(f.attrs, FOLDER_TRASH);
	free(f.wire);
	assert_int_equal(LIST("* LIST () NIL {4}\r\na\r\nb\r\n", &f), 0);
	assert_string_equal(f.wire, "a\r\nb");
	assert_int_equal(f.delimiter, 0);
	free(f.wire);
	assert_int_equal(LIST("* list (\\) \"\\\\\" inbox\r\n", &f), 0);
	assert_string_equal(f.wire, "INBOX");
	assert_int_equal(f.delimiter, '\\');
	free(f.wire);
	assert_int_equal(LIST("* LIST () \".\" NIL\r\n", &f), 0);
	assert_string_equal(f.wire, "NIL");
	free(f.wire);
}

static void impossible_mailboxes_are_refused(void **state)
{
	struct mail_folder f;

	(void)state;
	assert_int_equal(LIST("* LIST () \"/\" {3}\r\na\0b\r\n", &f), -EBADMSG);
	assert_int_equal(LIST("* LIST () \"/\" \"\"\r\n", &f), -EBADMSG);
	assert_int_equal(LIST("* LIST () \"/\"\r\n", &f), -EBADMSG);
	assert_int_equal(LIST("* LIST x\r\n", &f), -EBADMSG);
}

static void status_is_whole_or_not_there(void **state)
{
	static const char whole[] =
		"* STATUS \"a b\" (MESSAGES 3 SIZE 99999999999 MAILBOXID () "
		"UIDNEXT 9 UIDVALIDITY 4294967295 HIGHESTMODSEQ 7)\r\n";
	static const char half[] = "* STATUS a (MESSAGES 4294967296 UIDNEXT 9 "
				   "UIDVALIDITY 5)\r\n";
	struct mail_folder f;
	struct response r;

	(void)state;
	grammar_classify(whole, sizeof(whole) - 1, &r);
	assert_int_equal(grammar_status(&r, &f), 0);
	assert_true(f.has_status);
	assert_int_equal(f.messages, 3);
	assert_int_equal(f.uidnext, 9);
	assert_true(f.uidvalidity == UINT32_MAX);
	assert_int_equal(f.highestmodseq, 7);
	free(f.wire);
	grammar_classify(half, sizeof(half) - 1, &r);
	assert_int_equal(grammar_status(&r, &f), 0);
	assert_false(f.has_status);
	free(f.wire);
}

static void responses_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		enum response_kind kind;
		uint32_t number;
	} cases[] = {
		{"* 23 EXISTS\r\n", RESPONSE_EXISTS, 23},
		{"* 0 exists\r\n", RESPONSE_EXISTS, 0},
		{"* 1 EXPUNGE\r\n", RESPONSE_EXPUNGE, 1},
		{"* 0 EXPUNGE\r\n", RESPONSE_OTHER, 0},
		{"* 4294967296 EXISTS\r\n", RESPONSE_OTHER, 0},
		{"* LISTING x\r\n", RESPONSE_OTHER, 0},
		{"* 5 FETCHING (x)\r\n", RESPONSE_OTHER, 5},
		{"*  2   FETCH (UID 1)\r\n", RESPONSE_FETCH, 2},
		{"* VANISHED 1:3\r\n", RESPONSE_VANISHED, 0},
		{"*\r\n", RESPONSE_OTHER, 0},
		{"", RESPONSE_OTHER, 0},
	};
	struct response r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		grammar_classify(cases[i].text, strlen(cases[i].text), &r);
		assert_int_equal(r.kind, cases[i].kind);
		assert_int_equal(r.number, cases[i].number);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_row_is_read),
		cmocka_unit_test(gmail_items_are_read),
		cmocka_unit_test(sizes_over_32_bits_do_not_wrap),
		cmocka_unit_test(nonsense_numbers_are_left_out),
		cmocka_unit_test(a_bad_item_costs_only_itself),
		cmocka_unit_test(what_has_two_readers_is_read_alike),
		cmocka_unit_test(odd_values_are_not_read_by_us),
		cmocka_unit_test(a_date_that_is_none_hides_no_message),
		cmocka_unit_test(a_header_section_comes_in_every_form),
		cmocka_unit_test(unknown_items_are_skipped),
		cmocka_unit_test(empty_and_torn_lists_are_harmless),
		cmocka_unit_test(bodies_are_found_in_every_form),
		cmocka_unit_test(the_head_of_a_body_tells_whose_it_is),
		cmocka_unit_test(the_name_before_a_rename_is_read),
		cmocka_unit_test(mailboxes_are_read_in_every_form),
		cmocka_unit_test(impossible_mailboxes_are_refused),
		cmocka_unit_test(status_is_whole_or_not_there),
		cmocka_unit_test(responses_are_told_apart),
	};

	return cmocka_run_group_tests(tests, fetched_setup, fetched_teardown);
}
