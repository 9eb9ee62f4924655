/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/secret.h"
#include "imap/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Each test has a folder of its own, which is $HOME and
 * $CREDENTIALS_DIRECTORY for its time.
 */

#define N(a) (sizeof(a) / sizeof((a)[0]))

static int make_home(void **state)
{
	char *dir = strdup("/tmp/test_secret.XXXXXX");

	if (!dir || !mkdtemp(dir))
		return -1;
	*state = dir;
	unsetenv("CREDENTIALS_DIRECTORY");
	return setenv("HOME", dir, 1);
}

static int remove_home(void **state)
{
	static const char *const names[] = {".authinfo", ".netrc", "imapfs",
					    "pass", "count"};
	char path[128];

	for (size_t i = 0; i < N(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", (char *)*state, names[i]);
		(void)remove(path);
	}
	if (rmdir(*state) < 0)
		return -1;
	free(*state);
	return 0;
}

static char *put_file(void **state, const char *name, mode_t mode,
		      const char *text)
{
	static char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", (char *)*state, name);
	(void)unlink(path); /* it may be one that we must not write */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static struct secret_sources sources(void)
{
	return (struct secret_sources){
		.user = "alice@example.org", .host = "h.example", .port = 993};
}

static void assert_secret(const struct secret_sources *src, const char *want)
{
	char buf[SECRET_MAX + 1];
	struct imap_error why = {0};
	struct secret *s;
	size_t n;

	if (secret_find(src, &s, &why) != 0)
		fail_msg("%s", why.text);
	secret_get(s, buf, &n);
	assert_string_equal(buf, want);
	assert_int_equal(n, strlen(want));
	secret_wipe(buf, sizeof(buf));
	assert_int_equal(buf[0], 0);
	secret_free(s);
}

static void assert_refused(const struct secret_sources *src, const char *word)
{
	struct imap_error why = {0};
	struct secret *s;

	assert_int_equal(secret_find(src, &s, &why), -EACCES);
	assert_int_equal(why.code, -EACCES);
	assert_int_equal(why.fault, FAULT_AUTH);
	if (!strstr(why.text, word))
		fail_msg("'%s' is missing in: %s", word, why.text);
	assert_null(strstr(why.text, "hunter2"));
}

static void a_command_gives_one_line(void **state)
{
	static const struct {
		const char *command, *want;
	} cases[] = {
		{"printf hunter2", "hunter2"},
		{"echo hunter2", "hunter2"},
		{"printf 'hunter2\\r\\n'", "hunter2"},
		{"printf ' a b '", " a b "},
		{"echo warn >&2; echo pw", "pw"},
		{"cat; echo pw", "pw"},
	};
	struct secret_sources src = sources();

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		src.passcmd = cases[i].command;
		assert_secret(&src, cases[i].want);
	}
}

static void a_child_left_behind_does_not_hold_us(void **state)
{
	char buf[64], why[SHELL_WHY];
	struct timespec before, after;
	size_t n = 0;
	pid_t left;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(shell_read("sleep 60 & echo $!", 20000, buf,
				    sizeof(buf), &n, why),
			 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 15);
	buf[n < sizeof(buf) ? n : sizeof(buf) - 1] = '\0';
	left = (pid_t)strtol(buf, NULL, 10);
	assert_true(left > 1);
	kill(left, SIGKILL);
}

static void a_failed_command_says_why_but_never_the_secret(void **state)
{
	static const struct {
		const char *command, *word;
	} cases[] = {
		{"exit 3", "status 3"},
		{"echo first >&2; echo no such key >&2; exit 1", "no such key"},
		{"printf hunter2; echo used hunter2 >&2; exit 1", "status 1"},
		{"kill -9 $$", "signal 9"},
		{"printf 'a\\033[31mb\\n' >&2; exit 1", "a?[31mb"},
		{"true", "empty"},
		{"echo", "empty"},
		{"echo hunter2; echo b", "one line"},
		{"printf 'a\\0b'", "one line"},
		{"head -c 8193 /dev/zero | tr '\\0' x", "longer"},
		{"head -c 9000 /dev/zero | tr '\\0' x", "too much"},
		{"/nonexistent/cmd", "status 127"},
	};
	struct secret_sources src = sources();

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		src.passcmd = cases[i].command;
		assert_refused(&src, cases[i].word);
	}
}

static void a_command_that_hangs_is_ended(void **state)
{
	char buf[64], why[SHELL_WHY];
	size_t n;

	(void)state;
	assert_int_equal(shell_read("echo waiting >&2; exec sleep 60", 300, buf,
				    sizeof(buf), &n, why),
			 -EACCES);
	assert_non_null(strstr(why, "in time"));
}

static void the_longest_secret_fits(void **state)
{
	struct secret_sources src = sources();
	char want[SECRET_MAX + 1];

	(void)state;
	memset(want, 'x', SECRET_MAX);
	want[SECRET_MAX] = '\0';
	src.passcmd = "head -c 8192 /dev/zero | tr '\\0' x; echo";
	assert_secret(&src, want);
}

static void a_passfile_must_be_closed_to_others(void **state)
{
	struct secret_sources src = sources();
	char dir[128];

	src.passfile = put_file(state, "pass", 0600, "hunter2\n");
	assert_secret(&src, "hunter2");
	put_file(state, "pass", 0400, "hunter2");
	assert_secret(&src, "hunter2");
	put_file(state, "pass", 0640, "hunter2\n");
	assert_refused(&src, "chmod 600");
	put_file(state, "pass", 0604, "hunter2\n");
	assert_refused(&src, "chmod 600");
	put_file(state, "pass", 0600, "\n");
	assert_refused(&src, "empty");
	assert_int_equal(remove(src.passfile), 0);
	assert_refused(&src, "no passfile");
	assert_int_equal(mkfifo(src.passfile, 0600), 0);
	assert_refused(&src, "regular");
	snprintf(dir, sizeof(dir), "%s", (char *)*state);
	src.passfile = dir;
	assert_refused(&src, "regular");
}

static void the_file_of_somebody_else_is_refused(void **state)
{
	struct secret_sources src = sources();

	if (geteuid() != 0)
		skip();
	src.passfile = put_file(state, "pass", 0600, "hunter2\n");
	assert_int_equal(chown(src.passfile, 65534, 65534), 0);
	assert_refused(&src, "somebody else");
}

static void the_first_source_decides(void **state)
{
	struct secret_sources src = sources();
	char pass[128];

	put_file(state, ".netrc", 0600,
		 "machine h.example password from-netrc");
	assert_secret(&src, "from-netrc");
	put_file(state, ".authinfo", 0600,
		 "machine h.example password from-authinfo");
	assert_secret(&src, "from-authinfo");
	put_file(state, "imapfs", 0444, "from-systemd\n");
	setenv("CREDENTIALS_DIRECTORY", *state, 1);
	assert_secret(&src, "from-systemd");
	src.tokencmd = "echo from-tokencmd";
	assert_secret(&src, "from-tokencmd");
	snprintf(pass, sizeof(pass), "%s",
		 put_file(state, "pass", 0600, "from-passfile"));
	src.passfile = pass;
	assert_secret(&src, "from-passfile");
	src.passcmd = "echo from-passcmd";
	assert_secret(&src, "from-passcmd");
	src.passcmd = "exit 1";
	assert_refused(&src, "passcmd=");
}

static void nothing_at_all_names_the_ways(void **state)
{
	struct secret_sources src = sources();

	(void)state;
	assert_refused(&src, "passfile=");
	assert_refused(&src, "~/.authinfo");
}

static void an_open_netrc_is_refused_only_if_it_would_be_used(void **state)
{
	struct secret_sources src = sources();

	put_file(state, ".authinfo", 0644, "machine other password hunter2");
	put_file(state, ".netrc", 0600, "machine h.example password pw");
	assert_secret(&src, "pw");
	put_file(state, ".authinfo", 0644,
		 "machine h.example password hunter2");
	assert_refused(&src, "chmod 600");
}

static void blanks_of_an_app_password_go_for_google_only(void **state)
{
	struct secret_sources src = sources();

	(void)state;
	src.passcmd = "echo 'abcd efgh ijkl mnop'";
	assert_secret(&src, "abcd efgh ijkl mnop");
	src.host = "IMAP.gmail.com";
	assert_secret(&src, "abcdefghijklmnop");
	src.passcmd = "echo 'abcd efgh ijkl mno1'";
	assert_secret(&src, "abcd efgh ijkl mno1");
	src.passcmd = "echo 'abcd efgh ijkl mnopq'";
	assert_secret(&src, "abcd efgh ijkl mnopq");
	src.passcmd = "echo 'ab cd'";
	assert_secret(&src, "ab cd");
}

static void only_a_token_is_renewed(void **state)
{
	struct secret_sources src = sources();
	char buf[SECRET_MAX + 1], command[256];
	struct imap_error why = {0};
	struct secret *s;
	bool is_new;
	size_t n;

	snprintf(command, sizeof(command),
		 "cd %s && echo x >> count && wc -l < count", (char *)*state);
	src.tokencmd = command;
	assert_int_equal(secret_find(&src, &s, &why), 0);
	assert_int_equal(secret_kind(s), SECRET_TOKEN);
	secret_get(s, buf, &n);
	assert_string_equal(buf, "1");
	assert_int_equal(secret_renew(s, "1", &is_new, &why), 0);
	assert_true(is_new);
	secret_get(s, buf, &n);
	assert_string_equal(buf, "2");
	/* Another one who was refused "1" finds it renewed. */
	assert_int_equal(secret_renew(s, "1", &is_new, &why), 0);
	assert_true(is_new);
	secret_get(s, buf, &n);
	assert_string_equal(buf, "2");
	secret_free(s);

	assert_int_equal(secret_new(SECRET_PASSWORD, "pw", 2, &s), 0);
	assert_int_equal(secret_renew(s, "pw", &is_new, &why), -EACCES);
	secret_get(s, buf, &n);
	assert_string_equal(buf, "pw");
	secret_free(s);
	assert_int_equal(secret_new(SECRET_PASSWORD, "", 0, &s), -EINVAL);
	assert_int_equal(secret_new(SECRET_PASSWORD, "a\0b", 3, &s), -EINVAL);
}

static void the_same_token_again_is_not_new(void **state)
{
	struct secret_sources src = sources();
	struct imap_error why = {0};
	struct secret *s;
	bool is_new = true;

	(void)state;
	src.tokencmd = "echo same";
	assert_int_equal(secret_find(&src, &s, &why), 0);
	assert_int_equal(secret_renew(s, "same", &is_new, &why), 0);
	assert_false(is_new);
	secret_free(s);
}

static void a_secret_survives_a_fork(void **state)
{
	char buf[SECRET_MAX + 1];
	struct secret *s;
	int status;
	size_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(secret_new(SECRET_PASSWORD, "hunter2", 7, &s), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		secret_get(s, buf, &n);
		_exit(strcmp(buf, "hunter2") == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	secret_free(s);
}

static void later_children_do_not_get_a_copy(void **state)
{
	char buf[SECRET_MAX + 1];
	struct secret *s = NULL;
	int status = 0;
	pid_t pid;
	size_t n;

	(void)state;
	assert_int_equal(secret_new(SECRET_PASSWORD, "hunter2", 7, &s), 0);
	secret_stay(s);
	pid = fork();
	if (pid == 0) {
		const char *at = (const char *)s;

		for (size_t i = 0; i < 4096; i++)
			if (at[i] != 0)
				_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	secret_get(s, buf, &n);
	assert_string_equal(buf, "hunter2");
	secret_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_home, remove_home)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(later_children_do_not_get_a_copy),
		TEST(a_command_gives_one_line),
		TEST(a_child_left_behind_does_not_hold_us),
		TEST(a_failed_command_says_why_but_never_the_secret),
		TEST(a_command_that_hangs_is_ended),
		TEST(the_longest_secret_fits),
		TEST(a_passfile_must_be_closed_to_others),
		TEST(the_file_of_somebody_else_is_refused),
		TEST(the_first_source_decides),
		TEST(nothing_at_all_names_the_ways),
		TEST(an_open_netrc_is_refused_only_if_it_would_be_used),
		TEST(blanks_of_an_app_password_go_for_google_only),
		TEST(only_a_token_is_renewed),
		TEST(the_same_token_again_is_not_new),
		TEST(a_secret_survives_a_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
