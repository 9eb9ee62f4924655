/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/log.h"

/* How often `word` stands in the ring. */
static unsigned count(const char *word)
{
	char *copy = log_snapshot(NULL);
	unsigned n = 0;

	assert_non_null(copy);
	for (char *p = strstr(copy, word); p; p = strstr(p + 1, word))
		n++;
	free(copy);
	return n;
}

static void the_ring_keeps_info_and_above(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_TO_NOWHERE);
	log_error("t1: e %d", 1);
	log_warn("t1: w");
	log_info("t1: i");
	log_debug("t1: d");
	log_wire("t1", '<', "w", 1);
	assert_int_equal(count("Z error: t1: e 1\n"), 1);
	assert_int_equal(count("Z warn: t1: w\n"), 1);
	assert_int_equal(count("Z info: t1: i\n"), 1);
	assert_int_equal(count("t1: "), 3);

	log_setup(LOG_LEVEL_WIRE, LOG_TO_NOWHERE);
	assert_int_equal(log_max_level(), LOG_LEVEL_WIRE);
	log_debug("t1: d");
	log_wire("t1", '<', "w", 1);
	assert_int_equal(count("debug: t1: d\n"), 1);
	assert_int_equal(count("wire: t1: < w\n"), 1);
}

static void control_characters_are_escaped(void **state)
{
	(void)state;
	log_info("t2: a\nb\033[2J\x7f%s", "\r");
	assert_int_equal(count("t2: a\\nb\\x1b[2J\\x7f\\r\n"), 1);
	log_wire("t2", '>', "a\0\xff\r\n", 5);
	assert_int_equal(count("t2: > a\\x00\\xff\\r\\n\n"), 1);
}

static void long_lines_are_cut(void **state)
{
	char big[8192];

	(void)state;
	memset(big, '\x01', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_info("t3: %s", big);
	log_wire("t3", '<', big, sizeof(big));
	assert_int_equal(count("t3: "), 2);
	memset(big, 'a', sizeof(big));
	log_wire("t3", '<', big, sizeof(big));
	assert_int_equal(count("aaa...\n"), 1);
}

static void errno_is_kept(void **state)
{
	(void)state;
	errno = ENOSPC;
	log_info("t4: %m");
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(count("t4: No space left on device\n"), 1);
}

static void errno_is_kept_when_stderr_is_full(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int old = dup(STDERR_FILENO);

	(void)state;
	assert_true(full >= 0 && old >= 0);
	log_setup(LOG_LEVEL_WIRE, LOG_TO_STDERR);
	assert_true(dup2(full, STDERR_FILENO) >= 0);
	errno = ENOENT;
	log_info("t4: nobody sees this");
	log_wire("t4", '<', "x", 1);
	full = errno == ENOENT ? full : -1;
	(void)dup2(old, STDERR_FILENO);
	close(old);
	log_setup(LOG_LEVEL_WIRE, LOG_TO_NOWHERE);
	assert_true(full >= 0);
	close(full);
}

static void a_module_that_repeats_itself_is_cut_off(void **state)
{
	(void)state;
	for (int i = 0; i < 10 * LOG_BURST; i++)
		log_warn("t5: again");
	/* A second may have ended in between, so twice at most. */
	assert_in_range(count("t5: again"), LOG_BURST, 2 * LOG_BURST);
	log_warn("t6: another module");
	assert_int_equal(count("t6: another module"), 1);
	/* Debug lines are not counted. */
	for (int i = 0; i < 2 * LOG_BURST; i++)
		log_debug("t7: again");
	assert_int_equal(count("t7: again"), 2 * LOG_BURST);
}

static void the_ring_is_bounded_and_starts_at_a_line(void **state)
{
	char *copy;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 5000; i++)
		log_debug("t8: line %d of many", i);
	copy = log_snapshot(&n);
	assert_non_null(copy);
	assert_int_equal(strlen(copy), n);
	assert_in_range(n, LOG_RING_BYTES - 100, LOG_RING_BYTES);
	assert_memory_equal(copy + 4, "-", 1); /* of a date */
	assert_non_null(strstr(copy, "t8: line 4999 of many\n"));
	free(copy);
}

static void stderr_lines_name_the_program_and_level(void **state)
{
	char path[] = "/tmp/imapfs-test-log-XXXXXX";
	int file = mkstemp(path);
	int old = dup(STDERR_FILENO);
	char text[256] = "";

	(void)state;
	assert_true(file >= 0 && old >= 0);
	(void)unlink(path);
	log_setup(LOG_LEVEL_WARN, LOG_TO_STDERR);
	assert_true(dup2(file, STDERR_FILENO) >= 0);
	log_warn("t9: x");
	log_info("t9: y");
	(void)dup2(old, STDERR_FILENO);
	close(old);
	assert_true(pread(file, text, sizeof(text) - 1, 0) > 0);
	close(file);
	assert_string_equal(text, "mount.imapfs: warn: t9: x\n");
	log_setup(LOG_LEVEL_WARN, LOG_TO_NOWHERE);
}

static void *shout(void *arg)
{
	for (int i = 0; i < LOG_BURST; i++) {
		log_error("t%d: %d", *(int *)arg, i);
		free(log_snapshot(NULL));
	}
	return NULL;
}

static void threads_may_log_at_once(void **state)
{
	pthread_t threads[4];
	int names[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		names[i] = 100 + i;
		assert_int_equal(
			pthread_create(&threads[i], NULL, shout, &names[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(count("t103: 0\n"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ring_keeps_info_and_above),
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(errno_is_kept),
		cmocka_unit_test(errno_is_kept_when_stderr_is_full),
		cmocka_unit_test(a_module_that_repeats_itself_is_cut_off),
		cmocka_unit_test(the_ring_is_bounded_and_starts_at_a_line),
		cmocka_unit_test(stderr_lines_name_the_program_and_level),
		cmocka_unit_test(threads_may_log_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
