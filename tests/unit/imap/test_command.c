/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/command.h"

static struct command c;

static void begin(void)
{
	command_finish(&c);
	command_init(&c, "a1");
}

static void expect(const char *want)
{
	assert_int_equal(command_end(&c), 0);
	assert_int_equal(c.n, strlen(want));
	assert_memory_equal(c.bytes, want, c.n);
	command_finish(&c);
}

static void refused(void)
{
	/* The first failure sticks, whatever comes after it. */
	command_text(&c, " x");
	assert_int_equal(command_end(&c), -EINVAL);
	command_finish(&c);
}

static void pieces_make_one_line(void **state)
{
	(void)state;
	begin();
	command_text(&c, "FETCH %u:%s (", 3u, "*");
	command_text(&c, "%s)", "");
	expect("a1 FETCH 3:* ()\r\n");
}

static void line_ends_never_pass(void **state)
{
	static const char *const bad[] = {"a\rb", "a\nb", "\r\nb2 NOOP",
					  "x\"\r\ny"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		command_text(&c, "%s", bad[i]);
		refused();
		begin();
		command_astring(&c, bad[i]);
		refused();
		begin();
		c.literal_plus = true;
		command_mailbox(&c, bad[i]);
		refused();
		command_init(&c, bad[i]);
		refused();
	}
	begin();
	command_text(&c, "a%cb", 0);
	refused();
	begin();
	command_text(&c, "%s", "\xc3\xa4");
	refused();
}

static void strings_take_their_simplest_form(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{"abc]", "a1 abc]\r\n"},           {"", "a1 \"\"\r\n"},
		{"nil", "a1 \"nil\"\r\n"},         {"a b", "a1 \"a b\"\r\n"},
		{"q\"\\", "a1 \"q\\\"\\\\\"\r\n"}, {"a{3}", "a1 \"a{3}\"\r\n"},
		{"50%*()", "a1 \"50%*()\"\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin();
		command_astring(&c, rows[i].in);
		expect(rows[i].out);
	}
}

static void mailboxes_are_quoted_and_inbox_is_in_capitals(void **state)
{
	(void)state;
	begin();
	command_mailbox(&c, "inBox");
	expect("a1 INBOX\r\n");
	begin();
	command_mailbox(&c, "Entw&APw-rfe");
	expect("a1 \"Entw&APw-rfe\"\r\n");
	begin();
	command_mailbox(&c, "");
	refused();
}

static void a_name_over_the_limit_is_refused(void **state)
{
	char *name = calloc(1, MAIL_WIRE_NAME_MAX + 2);

	(void)state;
	assert_non_null(name);
	memset(name, 'a', MAIL_WIRE_NAME_MAX);
	begin();
	command_mailbox(&c, name);
	assert_int_equal(command_end(&c), 0);
	name[MAIL_WIRE_NAME_MAX] = 'a';
	begin();
	command_mailbox(&c, name);
	refused();
	free(name);
}

static void eight_bit_goes_as_a_literal_that_waits(void **state)
{
	(void)state;
	begin();
	command_text(&c, "LOGIN ");
	command_astring(&c, "m\xc3\xa4x");
	command_text(&c, " ");
	command_astring(&c, "tab\there");
	assert_int_equal(c.n_waits, 2);
	assert_memory_equal(c.bytes + c.wait_at[0], "m\xc3\xa4x {8}\r\n", 10);
	assert_memory_equal(c.bytes + c.wait_at[1], "tab\there", 8);
	expect("a1 LOGIN {4}\r\nm\xc3\xa4x {8}\r\ntab\there\r\n");
}

static void literal_plus_never_waits_and_minus_up_to_4096(void **state)
{
	char *s = calloc(1, 4098);

	(void)state;
	assert_non_null(s);
	memset(s, 'a', 4096);
	begin();
	c.literal_minus = true;
	command_astring(&c, s);
	assert_int_equal(c.n_waits, 0);
	assert_memory_equal(c.bytes, "a1 {4096+}\r\n", 12);
	s[4096] = 'b';
	begin();
	c.literal_minus = true;
	command_astring(&c, s);
	assert_int_equal(c.n_waits, 1);
	assert_memory_equal(c.bytes, "a1 {4097}\r\nab", 12);
	begin();
	c.literal_plus = true;
	command_astring(&c, s);
	assert_int_equal(c.n_waits, 0);
	assert_memory_equal(c.bytes, "a1 {4097+}\r\n", 12);
	command_finish(&c);
	free(s);
}

static void a_fifth_wait_is_refused(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 4; i++)
		command_astring(&c, "\x80");
	assert_int_equal(c.error, 0);
	command_astring(&c, "\x80");
	refused();
}

static void uids_are_joined_into_ranges(void **state)
{
	static const uint32_t uids[] = {1, 2,  3,           3,          7,
					9, 10, 4294967294u, 4294967295u};

	(void)state;
	begin();
	command_uids(&c, uids, 9);
	expect("a1 1:3,7,9:10,4294967294:4294967295\r\n");
	begin();
	command_uids(&c, uids + 3, 2);
	expect("a1 3,7\r\n");
}

static void sets_that_are_none_are_refused(void **state)
{
	static const uint32_t down[] = {7, 3};
	static const uint32_t zero[] = {0, 1};
	static const uint32_t wrap[] = {4294967295u, 0};

	(void)state;
	begin();
	command_uids(&c, down, 2);
	refused();
	begin();
	command_uids(&c, zero, 2);
	refused();
	begin();
	command_uids(&c, wrap, 2);
	refused();
	begin();
	command_uids(&c, down, 0);
	refused();
}

static void flags_are_a_list(void **state)
{
	(void)state;
	begin();
	command_flags(&c, 0, NULL);
	command_flags(&c, MAIL_SEEN, "");
	command_flags(&c, MAIL_DRAFT | MAIL_ANSWERED, "$x y");
	command_flags(&c, 0, "NIL");
	expect("a1 ()(\\Seen)(\\Answered \\Draft $x y)(NIL)\r\n");
}

static void a_keyword_that_is_no_atom_is_refused(void **state)
{
	static const char *const bad[] = {
		" a", "a ", "a  b", "a\r\nb",   "a(b",  "\\Seen", "a\"",
		"a]", "a%", "a*",   "\303\244", "a{1}", "\177"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		command_flags(&c, 0, bad[i]);
		refused();
	}
}

static void labels_are_written_as_the_server_calls_them(void **state)
{
	(void)state;
	begin();
	command_labels(&c, "\\Inbox work two%20words 5%25 a\"b a]b");
	expect("a1 (\"\\\\Inbox\" work \"two words\" \"5%\" \"a\\\"b\" "
	       "a]b)\r\n");
}

static void what_is_no_list_of_labels_is_refused(void **state)
{
	static const char *const bad[] = {"",     "a ",   " a",    "a  b",
					  "a%",   "a%2",  "a%00",  "a\r\nb",
					  "a%0a", "%25%", "a\177", "\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		command_labels(&c, bad[i]);
		refused();
	}
}

static void as_many_uids_as_fit_are_counted(void **state)
{
	static const uint32_t uids[] = {1, 2, 3, 9, 10, 4294967294, 4294967295};

	(void)state;
	/* 1:3,9:10,4294967294:4294967295 */
	assert_int_equal(command_uids_fit(uids, 7, 30), 7);
	assert_int_equal(command_uids_fit(uids, 7, 29), 5);
	assert_int_equal(command_uids_fit(uids, 7, 8), 5);
	assert_int_equal(command_uids_fit(uids, 7, 7), 3);
	assert_int_equal(command_uids_fit(uids, 7, 2), 0);
	assert_int_equal(command_uids_fit(uids, 2, 3), 2);
}

static void a_file_is_read_while_it_is_sent(void **state)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	char buf[8];

	(void)state;
	assert_int_equal(write(fd, "0123456789", 10), 10);
	begin();
	command_file(&c, fd, 2, 7);
	close(fd);
	assert_int_equal(command_end(&c), 0);
	assert_memory_equal(c.bytes, "a1 {7}\r\n\r\n", c.n);
	assert_int_equal(c.n, 10);
	assert_int_equal(c.n_waits, 1);
	assert_int_equal(c.wait_at[0], 8);
	assert_int_equal(c.file_at, 8);
	assert_int_equal(command_file_read(&c, buf, 4), 4);
	assert_memory_equal(buf, "2345", 4);
	assert_int_equal(command_file_read(&c, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "678", 3);
	assert_int_equal(c.file_left, 0);
	command_finish(&c);
}

static void a_file_that_is_too_short_cannot_be_sent(void **state)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	char buf[8];

	(void)state;
	assert_int_equal(write(fd, "01", 2), 2);
	begin();
	c.literal_minus = true;
	command_file(&c, fd, 0, 3);
	close(fd);
	assert_int_equal(command_end(&c), 0);
	assert_int_equal(c.n_waits, 0);
	assert_int_equal(command_file_read(&c, buf, sizeof(buf)), 2);
	assert_int_equal(command_file_read(&c, buf, sizeof(buf)), -EIO);
	command_finish(&c);
	begin();
	command_file(&c, -1, 0, 3);
	assert_int_equal(command_end(&c), -ENOMEM);
	command_finish(&c);
}

static void done_waits_behind_idle(void **state)
{
	(void)state;
	begin();
	command_idle(&c);
	assert_int_equal(c.n_waits, 1);
	assert_int_equal(c.wait_at[0], strlen("a1 IDLE\r\n"));
	expect("a1 IDLE\r\nDONE\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_make_one_line),
		cmocka_unit_test(line_ends_never_pass),
		cmocka_unit_test(strings_take_their_simplest_form),
		cmocka_unit_test(mailboxes_are_quoted_and_inbox_is_in_capitals),
		cmocka_unit_test(a_name_over_the_limit_is_refused),
		cmocka_unit_test(eight_bit_goes_as_a_literal_that_waits),
		cmocka_unit_test(literal_plus_never_waits_and_minus_up_to_4096),
		cmocka_unit_test(a_fifth_wait_is_refused),
		cmocka_unit_test(uids_are_joined_into_ranges),
		cmocka_unit_test(sets_that_are_none_are_refused),
		cmocka_unit_test(flags_are_a_list),
		cmocka_unit_test(a_keyword_that_is_no_atom_is_refused),
		cmocka_unit_test(labels_are_written_as_the_server_calls_them),
		cmocka_unit_test(what_is_no_list_of_labels_is_refused),
		cmocka_unit_test(as_many_uids_as_fit_are_counted),
		cmocka_unit_test(a_file_is_read_while_it_is_sent),
		cmocka_unit_test(a_file_that_is_too_short_cannot_be_sent),
		cmocka_unit_test(done_waits_behind_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
