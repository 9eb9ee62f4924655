/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/frame.h"

/*
 * The framer is fed in one piece and byte by byte; what comes out is written
 * down as text: responses as they are with CRLF shown as `|`, bodies as
 * `<size:bytes>`.
 */

static char seen[8192];
static size_t n_seen;
static size_t most_at_once;
static uint64_t body_bytes;
static size_t longest; /* response */
static unsigned n_responses;
static int stop_at; /* 1: in response(), 2: body_begin(), 3: body_data() */

static void note(const void *bytes, size_t n)
{
	const char *p = bytes;

	for (size_t i = 0; i < n && n_seen + 1 < sizeof(seen); i++) {
		if (p[i] == '\r')
			continue;
		seen[n_seen] = p[i];
		if (p[i] == '\0')
			seen[n_seen] = '0';
		if (p[i] == '\n')
			seen[n_seen] = '|';
		n_seen++;
	}
	seen[n_seen] = '\0';
}

static int on_response(void *ctx, char *text, size_t n)
{
	(void)ctx;
	assert_memory_equal(text + n - 2, "\r\n\0", 3);
	memset(text + n, 'x', FRAME_SLACK);
	n_responses++;
	if (n > longest)
		longest = n;
	note(text, n);
	return stop_at == 1 ? -EIO : 0;
}

static int on_begin(void *ctx, const char *head, size_t n, uint64_t size)
{
	char text[32];

	(void)ctx;
	assert_int_equal(strlen(head), n);
	(void)snprintf(text, sizeof(text), "<%llu:", (unsigned long long)size);
	note(text, strlen(text));
	return stop_at == 2 ? -EIO : 0;
}

static int on_data(void *ctx, const void *bytes, size_t n)
{
	(void)ctx;
	if (n > most_at_once)
		most_at_once = n;
	body_bytes += n;
	if (n_seen < 4096)
		note(bytes, n);
	return stop_at == 3 ? -EIO : 0;
}

static int on_end(void *ctx)
{
	(void)ctx;
	note(">", 1);
	return 0;
}

static const struct frame_ops ops = {on_response, on_begin, on_data, on_end};

static struct frame *fresh(void)
{
	struct frame *f = NULL;

	n_seen = 0;
	seen[0] = '\0';
	most_at_once = 0;
	body_bytes = 0;
	n_responses = 0;
	assert_int_equal(frame_new(&ops, NULL, &f), 0);
	return f;
}

static void expect_n(const char *in, size_t n, int result, const char *out)
{
	struct frame *f = fresh();

	assert_int_equal(frame_feed(f, in, n), result);
	assert_string_equal(seen, out);
	if (result == 0)
		assert_true(frame_is_idle(f));
	frame_free(f);

	f = fresh();
	for (size_t i = 0; i < n; i++) {
		int r = frame_feed(f, in + i, 1);

		if (r != 0 || i + 1 == n)
			assert_int_equal(r, result);
		if (r != 0)
			break;
	}
	assert_string_equal(seen, out);
	if (result == -EPROTO)
		assert_true(frame_why(f)[0] != '\0');
	frame_free(f);
}

static void expect(const char *in, const char *out)
{
	expect_n(in, strlen(in), 0, out);
}

static void refused(const char *in, const char *before)
{
	expect_n(in, strlen(in), -EPROTO, before);
}

static void lines_are_responses(void **state)
{
	(void)state;
	expect("* OK hi\r\na1 NO x\r\n+ go\r\n", "* OK hi|a1 NO x|+ go|");
}

static void bare_lf_is_completed_and_blank_lines_are_skipped(void **state)
{
	(void)state;
	expect("\n\r\n* OK a\n\n* 3 EXISTS\n\r\n", "* OK a|* 3 EXISTS|");
}

static void small_literals_stay_inside(void **state)
{
	(void)state;
	expect("* LIST () \"/\" {4}\r\na(\"\n\r\n* OK x\r\n",
	       "* LIST () \"/\" {4}|a(\"|"
	       "|* OK x|");
	expect("* 1 FETCH (X {0}\r\n Y {2}\r\nab)\r\n",
	       "* 1 FETCH (X {0}| Y {2}|ab)|");
}

static void every_form_of_literal_is_one_form_behind(void **state)
{
	(void)state;
	expect("* 1 FETCH (X ~{2}\r\nab Y {003+}\r\nabc)\r\n",
	       "* 1 FETCH (X {2}|ab Y {3}|abc)|");
}

static void nul_is_fine_inside_a_literal_only(void **state)
{
	static const char in[] = "* 1 FETCH (X {3}\r\na\0b)\r\n";
	static const char bad[] = "* OK a\0b\r\n";

	(void)state;
	expect_n(in, sizeof(in) - 1, 0, "* 1 FETCH (X {3}|a0b)|");
	expect_n(bad, sizeof(bad) - 1, -EPROTO, "");
}

static void bodies_go_to_the_sink(void **state)
{
	(void)state;
	expect("* 1 FETCH (UID 7 BODY[] {5}\r\nhe\nlo X 1)\r\n",
	       "<5:he|lo>* 1 FETCH (UID 7 BODY[] {0}| X 1)|");
	expect("* 1 FETCH (BODY[]<0> {2}\r\nab BODY[TEXT] {1}\r\nc)\r\n",
	       "<2:ab><1:c>* 1 FETCH (BODY[]<0> {0}| BODY[TEXT] {0}|)|");
	expect("* 1 fetch (binary[1.2]<9> ~{2}\r\nab)\r\n",
	       "<2:ab>* 1 fetch (binary[1.2]<9> {0}|)|");
	expect("* 1 FETCH (RFC822 {2}\r\nab RFC822.TEXT {1}\r\nc)\r\n",
	       "<2:ab><1:c>* 1 FETCH (RFC822 {0}| RFC822.TEXT {0}|)|");
}

static void what_is_no_body_stays_inside(void **state)
{
	(void)state;
	expect("* 1 FETCH (BODY[HEADER.FIELDS (A \"X]Y\")] {2}\r\nab)\r\n",
	       "* 1 FETCH (BODY[HEADER.FIELDS (A \"X]Y\")] {2}|ab)|");
	expect("* 1 FETCH (body[header] {2}\r\nab)\r\n",
	       "* 1 FETCH (body[header] {2}|ab)|");
	expect("* 1 FETCH (RFC822.HEADER {2}\r\nab)\r\n",
	       "* 1 FETCH (RFC822.HEADER {2}|ab)|");
	expect("* 1 FETCH (X-GM-LABELS (RFC822 {2}\r\nab))\r\n",
	       "* 1 FETCH (X-GM-LABELS (RFC822 {2}|ab))|");
	expect("* LIST (BODY[] {2}\r\nab)\r\n", "* LIST (BODY[] {2}|ab)|");
	expect("* 1 FETCH (NOBODY[] {2}\r\nab)\r\n",
	       "* 1 FETCH (NOBODY[] {2}|ab)|");
	expect("* 1 FETCH (BODY[] NIL)\r\n* 2 FETCH (BODY[] \"x\")\r\n",
	       "* 1 FETCH (BODY[] NIL)|* 2 FETCH (BODY[] \"x\")|");
	expect("* 1 FETCH (BODY[] {0}\r\n)\r\n", "* 1 FETCH (BODY[] {0}|)|");
}

static void status_lines_have_no_literals(void **state)
{
	(void)state;
	expect("* OK {5}\r\n* no {99999999999999999999}\r\n* BYE ((({1}\r\n"
	       "a1 BAD {3}\r\n+ {2}\r\n* PREAUTH {1}\r\n",
	       "* OK {5}|* no {99999999999999999999}|* BYE ((({1}|"
	       "a1 BAD {3}|+ {2}|* PREAUTH {1}|");
}

static void quotes_hide_braces_and_parentheses(void **state)
{
	(void)state;
	expect("* LIST () \"/\" \"a{5}\"\r\n* OK x\r\n",
	       "* LIST () \"/\" \"a{5}\"|* OK x|");
	expect("* LIST () \"\\\\\" \"\\\"{50}\r\n* OK x\r\n",
	       "* LIST () \"\\\\\" \"\\\"{50}|* OK x|");
}

static void bad_literal_lengths_are_refused(void **state)
{
	(void)state;
	refused("* LIST () \"/\" {}\r\n", "");
	refused("* LIST () \"/\" {1x}\r\n", "");
	refused("* LIST () \"/\" {-1}\r\n", "");
	refused("* LIST () \"/\" {18446744073709551616}\r\n", "");
	refused("* LIST () \"/\" {1048577}\r\n", "");
	refused("* 1 FETCH (BODY[] {1099511627777}\r\n", "");
}

static void nesting_has_a_limit_over_all_lines(void **state)
{
	char in[600];
	char *p;

	(void)state;
	p = in + sprintf(in, "* 1 FETCH ");
	memset(p, '(', FRAME_DEPTH_MAX);
	p += FRAME_DEPTH_MAX;
	(void)sprintf(p, "X {1}\r\n()\r\n");
	expect_n(in, strlen(in), 0,
		 "* 1 FETCH ((((((((((((((((((((((((((((((((((("
		 "(((((((((((((((((((((((((((((X {1}|()|");
	(void)sprintf(p, "X {1}\r\n((\r\n");
	refused(in, "");
}

static void a_long_response_is_refused_in_bounded_memory(void **state)
{
	struct frame *f = fresh();
	char block[65536];
	size_t fed = 2;
	int r = frame_feed(f, "* ", 2);

	(void)state;
	memset(block, 'a', sizeof(block));
	while (r == 0 && fed < FRAME_LINE_MAX + 4 * sizeof(block)) {
		r = frame_feed(f, block, sizeof(block));
		fed += sizeof(block);
	}
	assert_int_equal(r, -EPROTO);
	assert_true(fed <= FRAME_LINE_MAX + 2 * sizeof(block));
	/* It is of no use from now on. */
	assert_int_equal(frame_feed(f, "\r\n", 2), -EPROTO);
	frame_free(f);
}

static void a_large_body_passes_in_pieces(void **state)
{
	struct frame *f = fresh();
	size_t n = 1 << 20;
	char *block = calloc(1, n);

	(void)state;
	assert_non_null(block);
	assert_int_equal(frame_feed(f, "* 1 FETCH (BODY[] {10485760}\r\n", 30),
			 0);
	for (int i = 0; i < 10; i++) {
		assert_false(frame_is_idle(f));
		assert_int_equal(frame_feed(f, block, n), 0);
	}
	assert_int_equal(body_bytes, 10 * n);
	assert_true(most_at_once <= FRAME_PIECE_MAX);
	assert_int_equal(frame_feed(f, ")\r\n", 3), 0);
	assert_true(frame_is_idle(f));
	free(block);
	frame_free(f);
}

static void a_long_header_is_cut_and_costs_nothing_else(void **state)
{
	static const char head[] =
		"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (TO)] {3000000}\r\n";
	struct frame *f = fresh();
	size_t n = 1000000;
	char *block = malloc(n);

	(void)state;
	assert_non_null(block);
	memset(block, 'a', n);
	longest = 0;
	assert_int_equal(frame_feed(f, head, sizeof(head) - 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(frame_feed(f, block, n), 0);
	assert_int_equal(frame_feed(f, " FLAGS ())\r\n* 2 EXISTS\r\n", 24), 0);
	assert_true(frame_is_idle(f));
	assert_true(longest > FRAME_LITERAL_MAX);
	assert_true(longest < FRAME_LITERAL_MAX + sizeof(head) + 24);
	assert_non_null(strstr(seen, "* 1 FETCH (UID 7 BODY[HEADER.FIELDS "
				     "(TO)] {1048576}|aaaa"));
	assert_int_equal(n_responses, 2);
	free(block);
	frame_free(f);
}

static void many_literals_behind_a_long_number_are_no_hanging(void **state)
{
	struct frame *f = fresh();
	size_t n = 2 << 20;
	char *zeros = malloc(n);
	int r = frame_feed(f, "* ", 2);

	(void)state;
	assert_non_null(zeros);
	memset(zeros, '0', n);
	assert_int_equal(r, 0);
	assert_int_equal(frame_feed(f, zeros, n), 0);
	assert_int_equal(frame_feed(f, "1 FETCH (X", 10), 0);
	for (int i = 0; i < 400000; i++)
		assert_int_equal(frame_feed(f, " {1}\r\nx", 7), 0);
	assert_int_equal(frame_feed(f, ")\r\n", 3), 0);
	assert_int_equal(n_responses, 1);
	free(zeros);
	frame_free(f);
}

static void a_callback_can_stop_the_stream(void **state)
{
	(void)state;
	for (stop_at = 1; stop_at <= 3; stop_at++) {
		struct frame *f = fresh();

		assert_int_equal(frame_feed(f,
					    "* 1 FETCH (BODY[] {2}\r\nab)\r\n"
					    "* OK x\r\n",
					    36),
				 -EIO);
		assert_null(strstr(seen, "* OK x"));
		frame_free(f);
	}
	stop_at = 0;
}

static void a_partial_line_is_not_idle(void **state)
{
	struct frame *f = fresh();

	(void)state;
	assert_true(frame_is_idle(f));
	assert_int_equal(frame_feed(f, "* OK", 4), 0);
	assert_false(frame_is_idle(f));
	frame_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_responses),
		cmocka_unit_test(
			bare_lf_is_completed_and_blank_lines_are_skipped),
		cmocka_unit_test(small_literals_stay_inside),
		cmocka_unit_test(every_form_of_literal_is_one_form_behind),
		cmocka_unit_test(nul_is_fine_inside_a_literal_only),
		cmocka_unit_test(bodies_go_to_the_sink),
		cmocka_unit_test(what_is_no_body_stays_inside),
		cmocka_unit_test(status_lines_have_no_literals),
		cmocka_unit_test(quotes_hide_braces_and_parentheses),
		cmocka_unit_test(bad_literal_lengths_are_refused),
		cmocka_unit_test(nesting_has_a_limit_over_all_lines),
		cmocka_unit_test(a_long_response_is_refused_in_bounded_memory),
		cmocka_unit_test(a_large_body_passes_in_pieces),
		cmocka_unit_test(a_long_header_is_cut_and_costs_nothing_else),
		cmocka_unit_test(
			many_literals_behind_a_long_number_are_no_hanging),
		cmocka_unit_test(a_callback_can_stop_the_stream),
		cmocka_unit_test(a_partial_line_is_not_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
