/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "imap/status.h"

/* One line in, all members of the result written down as one string. */
static const char *show(const char *line)
{
	static char out[512];
	struct status st;

	if (!status_parse(line, strlen(line), &st))
		return "no";
	(void)snprintf(out, sizeof(out), "%s %d %d %llu <%.*s> <%.*s>",
		       st.tagged ? st.tag : "*", st.kind, st.code,
		       (unsigned long long)st.number, (int)st.n_words, st.words,
		       (int)st.n_text, st.text);
	return out;
}

static void expect(const char *line, const char *tag, int kind, int code,
		   unsigned long long number, const char *words_and_text)
{
	char want[512];

	(void)snprintf(want, sizeof(want), "%s %d %d %llu %s", tag, kind, code,
		       number, words_and_text);
	assert_string_equal(show(line), want);
}

static void kinds_and_tags_are_told_apart(void **state)
{
	(void)state;
	expect("* OK hi\r\n", "*", STATUS_OK, CODE_NONE, 0, "<> <hi>");
	expect("* bye\r\n", "*", STATUS_BYE, CODE_NONE, 0, "<> <>");
	expect("* PREAUTH  x y\n", "*", STATUS_PREAUTH, CODE_NONE, 0,
	       "<> <x y>");
	expect("a12 NO no\r\n", "a12", STATUS_NO, CODE_NONE, 0, "<> <no>");
	expect("x BAD", "x", STATUS_BAD, CODE_NONE, 0, "<> <>");
}

static void other_lines_are_no_status(void **state)
{
	static const char *const lines[] = {
		"",
		"\r\n",
		"* 3 EXISTS\r\n",
		"+ OK x\r\n",
		"* OKAY x\r\n",
		"*\r\n",
		"OK\r\n",
		"* \r\n",
		"a1 BYE x\r\n",
		"a1 FETCH x",
		"* LIST () x",
		"aaaaaaaaaaaaaaaa OK x\r\n",
		"*{3}\r\n OK x\r\n",
		"a\x80 OK x\r\n",
		"*a OK x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_string_equal(show(lines[i]), "no");
}

static void a_code_may_stand_without_ok(void **state)
{
	(void)state;
	expect("* [COPYUID 1 2 3] x\r\n", "*", STATUS_OK, CODE_COPYUID, 1,
	       "<2 3> <x>");
	expect("* [ALERT\r\n", "*", STATUS_OK, CODE_NONE, 0, "<> <[ALERT>");
	assert_string_equal(show("a1 [COPYUID 1 2 3] x\r\n"), "no");
}

static void codes_carry_their_arguments(void **state)
{
	(void)state;
	expect("a1 OK [MESSAGELIMIT 1000 23221] part\r\n", "a1", STATUS_OK,
	       CODE_MESSAGELIMIT, 1000, "<23221> <part>");
	expect("* OK [UIDNEXT 4294967295] x\r\n", "*", STATUS_OK, CODE_UIDNEXT,
	       4294967295u, "<> <x>");
	expect("* OK [uidvalidity 7]\r\n", "*", STATUS_OK, CODE_UIDVALIDITY, 7,
	       "<> <>");
	expect("* OK [HIGHESTMODSEQ 18446744073709551615] x\r\n", "*",
	       STATUS_OK, CODE_HIGHESTMODSEQ, 18446744073709551615ull,
	       "<> <x>");
	expect("a OK [COPYUID 38505 304,319:320 3956:3958] Done\r\n", "a",
	       STATUS_OK, CODE_COPYUID, 38505,
	       "<304,319:320 3956:3958> <Done>");
	expect("a OK [APPENDUID 1 2] Done\r\n", "a", STATUS_OK, CODE_APPENDUID,
	       1, "<2> <Done>");
	expect("* OK [CAPABILITY IMAP4rev1 IDLE] x\r\n", "*", STATUS_OK,
	       CODE_CAPABILITY, 0, "<IMAP4rev1 IDLE> <x>");
	expect("* NO [WEBALERT https://x/] Log in\r\n", "*", STATUS_NO,
	       CODE_WEBALERT, 0, "<https://x/> <Log in>");
	expect("a NO [AUTHENTICATIONFAILED] x\r\n", "a", STATUS_NO,
	       CODE_AUTHENTICATIONFAILED, 0, "<> <x>");
	expect("* OK [READ-ONLY] x\r\n", "*", STATUS_OK, CODE_READ_ONLY, 0,
	       "<> <x>");
	expect("* OK [ALERT]\r\n", "*", STATUS_OK, CODE_ALERT, 0, "<> <>");
	expect("* OK [X-NEW a b] x\r\n", "*", STATUS_OK, CODE_OTHER, 0,
	       "<a b> <x>");
}

static void brackets_inside_of_lists_do_not_end_a_code(void **state)
{
	(void)state;
	expect("* OK [PERMANENTFLAGS (\\* a]b)] x\r\n", "*", STATUS_OK,
	       CODE_PERMANENTFLAGS, 0, "<(\\* a]b)> <x>");
	expect("* NO [BADCHARSET (\"]\\\"]\" b)] x\r\n", "*", STATUS_NO,
	       CODE_BADCHARSET, 0, "<(\"]\\\"]\" b)> <x>");
	/* Nothing closes the list: the first bracket has to do. */
	expect("* OK [PERMANENTFLAGS (] x\r\n", "*", STATUS_OK,
	       CODE_PERMANENTFLAGS, 0, "<(> <x>");
}

static void malformed_codes_are_text(void **state)
{
	static const char *const rest[] = {
		"[UIDNEXT 4294967296] x",
		"[UIDNEXT] x",
		"[UIDNEXT -1] x",
		"[UIDNEXT 1x] x",
		"[ALERT",
		"[] x",
		"[ ALERT] x",
		"[UNSEEN abc] x",
		"[HIGHESTMODSEQ 18446744073709551616] x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
		char line[128];
		char want[160];

		(void)snprintf(line, sizeof(line), "* OK %s\r\n", rest[i]);
		(void)snprintf(want, sizeof(want), "<> <%s>", rest[i]);
		expect(line, "*", STATUS_OK, CODE_NONE, 0, want);
	}
}

static bool throttled(const char *line)
{
	struct status st;

	assert_true(status_parse(line, strlen(line), &st));
	return st.throttled;
}

static void only_the_last_word_of_an_answer_throttles(void **state)
{
	(void)state;
	assert_true(throttled("A1 OK Success [THROTTLED]\r\n"));
	assert_true(throttled("A1 OK [READ-ONLY] in. (Success) [throttled]"));
	assert_false(throttled("A1 OK Success\r\n"));
	assert_false(throttled("A1 OK [THROTTLED] Success\r\n"));
	assert_false(throttled("A1 OK [THROTTLED]\r\n"));
	assert_false(throttled("A1 OK Success [THROTTLED] now\r\n"));
	assert_false(throttled("A1 OK Success un[THROTTLED]\r\n"));
	assert_false(throttled("A1 OK THROTTLED]\r\n"));
	assert_false(throttled("A1 NO Failure [THROTTLED]\r\n"));
	assert_false(throttled("* OK Success [THROTTLED]\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_and_tags_are_told_apart),
		cmocka_unit_test(other_lines_are_no_status),
		cmocka_unit_test(a_code_may_stand_without_ok),
		cmocka_unit_test(codes_carry_their_arguments),
		cmocka_unit_test(brackets_inside_of_lists_do_not_end_a_code),
		cmocka_unit_test(malformed_codes_are_text),
		cmocka_unit_test(only_the_last_word_of_an_answer_throttles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
