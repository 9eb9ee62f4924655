/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/secret.h"

#include <errno.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * The prompt, asked by a child process on a pseudo-terminal of its own, with
 * nothing in $HOME that could answer instead.
 */

/* In the child, on its own terminal: ask, then report by exit status. */
static void ask_and_exit(const char *want)
{
	struct secret_sources src = {.user = "alice@example.org",
				     .host = "h.example",
				     .port = 993,
				     .may_prompt = true};
	char buf[SECRET_MAX + 1];
	struct imap_error why = {0};
	struct termios t;
	struct secret *s;
	size_t n;
	int r;

	r = secret_find(&src, &s, &why);
	if (tcgetattr(0, &t) < 0 || !(t.c_lflag & ECHO))
		_exit(10);
	if (!want)
		_exit(r == -EINTR ? 0 : 11);
	if (r < 0)
		_exit(12);
	secret_get(s, buf, &n);
	_exit(strcmp(buf, want) == 0 ? 0 : 13);
}

/* Read from the terminal until `word` has been seen `times` times. */
static void expect(int tty, const char *word, int times, char *all, size_t size)
{
	size_t n = strlen(all);

	for (;;) {
		int seen = 0;
		ssize_t r;

		for (char *s = all; (s = strstr(s, word)); s++)
			seen++;
		if (seen >= times)
			return;
		assert_true(n + 1 < size);
		r = read(tty, all + n, size - n - 1);
		assert_true(r > 0);
		n += (size_t)r;
		all[n] = '\0';
	}
}

static void assert_prompt(const char *keys, const char *more, const char *want)
{
	static const char question[] =
		"Password for alice@example.org on h.example: ";
	char all[4096] = "";
	struct termios t;
	int tty, status;
	pid_t pid;

	pid = forkpty(&tty, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (pid == 0)
		ask_and_exit(want);
	expect(tty, question, 1, all, sizeof(all));
	assert_int_equal(tcgetattr(tty, &t), 0);
	assert_false(t.c_lflag & ECHO);
	assert_int_equal(write(tty, keys, strlen(keys)), strlen(keys));
	if (more) {
		expect(tty, question, 2, all, sizeof(all));
		assert_int_equal(write(tty, more, strlen(more)), strlen(more));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_null(strstr(all, "hunter2"));
	close(tty);
}

static void the_prompt_reads_without_echo(void **state)
{
	(void)state;
	assert_prompt("hunter2\n", NULL, "hunter2");
}

static void ctrl_c_and_ctrl_d_end_the_prompt_and_restore_the_echo(void **state)
{
	(void)state;
	assert_prompt("hun\x03", NULL, NULL);
	assert_prompt("\x04", NULL, NULL);
}

static void after_a_stop_the_question_is_asked_again(void **state)
{
	(void)state;
	assert_prompt("hun\x1a", "hunter2\n", "hunter2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_prompt_reads_without_echo),
		cmocka_unit_test(
			ctrl_c_and_ctrl_d_end_the_prompt_and_restore_the_echo),
		cmocka_unit_test(after_a_stop_the_question_is_asked_again),
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	if (setenv("HOME", "/nonexistent", 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
