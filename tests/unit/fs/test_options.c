/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/options.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * The command line as a user or mount(8) would write it. Sentences are checked
 * by the words that a reader needs to find in them.
 */

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* Parse "mount.imapfs alice@example.org /usr ARGS...", NULL-terminated. */
static int parse(struct options *o, char why[OPTIONS_ERROR], ...)
{
	char *argv[16] = {(char *)"mount.imapfs", (char *)"alice@example.org",
			  (char *)"/usr"};
	int argc = 3;
	va_list ap;

	va_start(ap, why);
	for (char *s; (s = va_arg(ap, char *));)
		argv[argc++] = s;
	va_end(ap);
	why[0] = '\0';
	memset(o, 0x5a, sizeof(*o));
	return options_parse(argc, argv, o, why);
}

static void assert_has(const char *text, const char *word)
{
	if (!strstr(text, word))
		fail_msg("'%s' is missing in: %s", word, text);
}

static void defaults_are_as_documented(void **state)
{
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, why, NULL), 0);
	assert_string_equal(o.source, "alice@example.org");
	assert_string_equal(o.mountpoint, "/usr");
	assert_int_equal(o.connections, 4);
	assert_int_equal(o.timeout_s, 30);
	assert_true(o.cache_bytes == 5ULL << 30);
	assert_false(o.has_daily);
	assert_int_equal(o.names, NAMES_SUBJECT);
	assert_false(o.foreground || o.debug || o.wire || o.verbose ||
		     o.read_only || o.allow_other || o.has_tls || o.has_uid ||
		     o.has_gid || o.has_umask);
	assert_null(o.passcmd);
	assert_null(o.folders);
	options_finish(&o);
}

static void every_option_is_taken(void **state)
{
	char why[OPTIONS_ERROR];
	struct options o;
	char pin[] = "pin-sha256=00112233445566778899aabbccddeeff"
		     "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

	(void)state;
	assert_int_equal(
		parse(&o, why, "-o",
		      "ro,allow_other,uid=1000,gid=0,umask=027,passcmd=pass a",
		      "-opassfile=/a/b,tokencmd=t,cache=/c,cache_size=7m",
		      "-fv", "-o", pin, "-o",
		      "tls=starttls,cafile=/ca,names=uid,connections=15,"
		      "timeout=3600,folders=A:B,exclude=C,sync,delete=expunge",
		      NULL),
		0);
	assert_true(o.read_only && o.allow_other && o.foreground && o.verbose);
	assert_true(o.has_uid && o.has_gid && o.has_umask && o.has_tls);
	assert_int_equal(o.uid, 1000);
	assert_int_equal(o.gid, 0);
	assert_int_equal(o.umask, 027);
	assert_string_equal(o.passcmd, "pass a");
	assert_string_equal(o.passfile, "/a/b");
	assert_string_equal(o.tokencmd, "t");
	assert_string_equal(o.cache_dir, "/c");
	assert_true(o.cache_bytes == 7U << 20);
	assert_int_equal(o.tls, IMAP_TLS_STARTTLS);
	assert_string_equal(o.cafile, "/ca");
	assert_string_equal(o.pin_sha256, pin + strlen("pin-sha256="));
	assert_int_equal(o.names, NAMES_UID);
	assert_int_equal(o.deletes, DELETE_EXPUNGE);
	assert_true(o.sync);
	assert_int_equal(o.connections, 15);
	assert_int_equal(o.timeout_s, 3600);
	assert_string_equal(o.folders, "A:B");
	assert_string_equal(o.exclude, "C");
	options_finish(&o);
}

static void daily_limits_are_one_or_two_sizes(void **state)
{
	static const struct {
		const char *option;
		uint64_t down, up;
	} cases[] = {
		{"daily_limit=0", 0, 0},
		{"daily_limit=5G", 5ULL << 30, 1ULL << 30},
		{"daily_limit=2g:400m", 2ULL << 30, 400ULL << 20},
		{"daily_limit=1M:0", 1ULL << 20, 0},
		{"daily_limit=0:1048576", 0, 1ULL << 20},
	};
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(parse(&o, why, "-o", cases[i].option, NULL),
				 0);
		assert_true(o.has_daily);
		assert_int_equal(o.daily_down, cases[i].down);
		assert_int_equal(o.daily_up, cases[i].up);
		options_finish(&o);
	}
}

static void refused_options_are_named(void **state)
{
	static const struct {
		const char *list, *word, *word2;
	} cases[] = {
		{"frobnicate", "'frobnicate'", "not known"},
		{"delete=now", "'delete'", "expunge"},
		{"delete", "'delete'", "value"},
		{"sync=1", "'sync'", "no value"},
		{"daily_limit=1", "'daily_limit'", "1M"},
		{"daily_limit=", "'daily_limit'", "value"},
		{"daily_limit=2G:", "'daily_limit'", "2G:400M"},
		{"daily_limit=:2G", "'daily_limit'", "2G:400M"},
		{"daily_limit=2G:1K", "'daily_limit'", "1M"},
		{"daily_limit=2G:1G:1G", "'daily_limit'", "2G:400M"},
		{"daily_limit=-1", "'daily_limit'", "0 for no limit"},
		{"daily_limit=00", "'daily_limit'", "0 for no limit"},
		{"daily_limit=0M", "'daily_limit'", "0 for no limit"},
		{"daily_limit=5GB", "'daily_limit'", "2G"},
		{"daily_limit=none", "'daily_limit'", "0 for no limit"},
		{"daily_limit=99999999T", "'daily_limit'", "1M"},
		{"daily_limit=1M,daily_limit=2M", "'daily_limit'", "twice"},
		{"nonempty", "'nonempty'", "not known"},
		{"RO", "'RO'", "not known"},
		{"remount,ro", "unmount", "mount again"},
		{"ro,conections=3", "'conections'", "not known"},
		{"suid", "'suid'", "nosuid"},
		{"dev", "'dev'", "nodev"},
		{"exec", "'exec'", "noexec"},
		{"connections=0", "'connections'", "1 to 15"},
		{"connections=16", "'connections'", "1 to 15"},
		{"connections=-1", "'connections'", "1 to 15"},
		{"connections=4294967297", "'connections'", "1 to 15"},
		{"connections=99999999999999999999", "'connections'", ""},
		{"connections= 3", "'connections'", "1 to 15"},
		{"connections=3x", "'connections'", "1 to 15"},
		{"connections=", "'connections'", "value"},
		{"connections", "'connections'", "value"},
		{"timeout=0", "'timeout'", "3600"},
		{"timeout=3601", "'timeout'", "3600"},
		{"uid=root", "'uid'", "number"},
		{"uid=4294967295", "'uid'", "4294967294"},
		{"gid=-1", "'gid'", "number"},
		{"umask=8", "'umask'", "octal"},
		{"umask=1000", "'umask'", "777"},
		{"cache_size=1023K", "'cache_size'", "1M"},
		{"cache_size=5GB", "'cache_size'", "5G"},
		{"cache_size=99999999T", "'cache_size'", "1M"},
		{"cache_size=G", "'cache_size'", "1M"},
		{"names=date", "'names'", "subject"},
		{"tls=maybe", "'tls'", "starttls"},
		{"pin-sha256=1234", "'pin-sha256'", "64"},
		{"ro=1", "'ro'", "no value"},
		{"passfile=", "'passfile'", "value"},
		{"timeout=3,timeout=4", "'timeout'", "twice"},
		{"bad\x1b[31mname", "'bad?[31mname'", "not known"},
	};
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		if (parse(&o, why, "-o", cases[i].list, NULL) != -EINVAL)
			fail_msg("accepted: %s", cases[i].list);
		assert_has(why, cases[i].word);
		assert_has(why, cases[i].word2);
	}
	/* mount(8)'s -s does not open the door to unknown ones. */
	assert_int_equal(parse(&o, why, "-s", "-o", "frob", NULL), -EINVAL);
}

static void passwords_in_options_are_refused_and_not_repeated(void **state)
{
	static const char *const names[] = {"pass",       "password", "passwd",
					    "pw",         "secret",   "token",
					    "credentials"};
	char why[OPTIONS_ERROR], list[64];
	struct options o;

	(void)state;
	for (size_t i = 0; i < N(names); i++) {
		snprintf(list, sizeof(list), "ro,%s=hunter2", names[i]);
		assert_int_equal(parse(&o, why, "-o", list, NULL), -EINVAL);
		assert_has(why, names[i]);
		assert_has(why, "passfile=");
		assert_has(why, "~/.authinfo");
		assert_null(strstr(why, "hunter2"));
	}
}

static void what_mount_and_fstab_add_is_accepted(void **state)
{
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	assert_int_equal(
		parse(&o, why, "-o", "", "-n", "-s", "-t", "imapfs", "-timapfs",
		      "-o",
		      "rw,auto,noauto,user,user=alice,nouser,users,owner,group,"
		      "defaults,_netdev,nofail,noatime,relatime,strictatime,"
		      "x-systemd.automount,x-gvfs-show,X-mount.mkdir,comment=a,"
		      "nosuid,nodev,noexec,async,,",
		      NULL),
		0);
	assert_false(o.read_only);
	options_finish(&o);
}

static void an_escaped_comma_belongs_to_the_value(void **state)
{
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, why, "-o",
			       "passcmd=printf 'a\\n%s' x\\,y\\\\z,ro", NULL),
			 0);
	assert_string_equal(o.passcmd, "printf 'a\\n%s' x,y\\\\z");
	assert_true(o.read_only);
	options_finish(&o);
}

static void the_same_value_twice_is_fine_and_the_last_of_ro_and_rw_counts(
	void **state)
{
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	assert_int_equal(
		parse(&o, why, "-o", "rw,timeout=5,ro", "-otimeout=5", NULL),
		0);
	assert_true(o.read_only);
	assert_int_equal(o.timeout_s, 5);
	options_finish(&o);
	assert_int_equal(parse(&o, why, "-o", "ro,rw", NULL), 0);
	assert_false(o.read_only);
	options_finish(&o);
}

static void paths_become_absolute(void **state)
{
	char dir[] = "/tmp/test_options.XXXXXX";
	char why[OPTIONS_ERROR], before[PATH_MAX], want[PATH_MAX + 16];
	struct options o;
	char *argv[] = {(char *)"x", (char *)"-o",
			(char *)"cache=c,passfile=../p,cafile=~/ca",
			(char *)"alice@example.org", (char *)"."};

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(setenv("HOME", "/home/alice", 1), 0);
	assert_int_equal(options_parse(5, argv, &o, why), 0);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_string_equal(o.mountpoint, dir);
	snprintf(want, sizeof(want), "%s/c", dir);
	assert_string_equal(o.cache_dir, want);
	snprintf(want, sizeof(want), "%s/../p", dir);
	assert_string_equal(o.passfile, want);
	assert_string_equal(o.cafile, "/home/alice/ca");
	options_finish(&o);
}

static void wrong_arguments_are_explained(void **state)
{
	static const struct {
		const char *argv[5];
		const char *word;
	} cases[] = {
		{{"x"}, "SOURCE"},
		{{"x", "a@b.c"}, "MOUNTPOINT"},
		{{"x", "a@b.c", "/nonexistent/x"}, "/nonexistent/x"},
		{{"x", "a@b.c", "/dev/null"}, "Not a directory"},
		{{"x", "a@b.c", "/"}, "busy"},
		{{"x", "a@b.c", "/", "secret"}, "too many"},
		{{"x", "a@b.c", "/", "-o"}, "'-o'"},
		{{"x", "a@b.c", "/", "-q"}, "'-q'"},
		{{"x", "a@b.c", "/", "--long"}, "'--'"},
		{{"x", "", "/"}, "SOURCE"},
	};
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		int argc = 0;

		while (argc < 5 && cases[i].argv[argc])
			argc++;
		assert_int_equal(options_parse(argc,
					       (char *const *)cases[i].argv, &o,
					       why),
				 -EINVAL);
		assert_has(why, cases[i].word);
		assert_null(strstr(why, "secret"));
	}
}

static void help_and_version_need_nothing_else(void **state)
{
	static const char *const flags[] = {"-h", "-V", "--help", "--version"};
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	for (size_t i = 0; i < N(flags); i++) {
		char *argv[] = {(char *)"x", (char *)flags[i]};

		assert_int_equal(options_parse(2, argv, &o, why), 0);
		assert_true(i % 2 ? o.show_version : o.show_help);
		options_finish(&o);
	}
}

static void two_d_show_the_protocol(void **state)
{
	char why[OPTIONS_ERROR];
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, why, "-d", NULL), 0);
	assert_true(o.debug && o.foreground && !o.wire);
	options_finish(&o);
	assert_int_equal(parse(&o, why, "-d", "-d", NULL), 0);
	assert_true(o.wire);
	options_finish(&o);
	assert_int_equal(parse(&o, why, "-dd", NULL), 0);
	assert_true(o.wire);
	options_finish(&o);
}

static void globs_choose_folders_with_their_parents_and_children(void **state)
{
	static const struct {
		const char *folders, *exclude, *path;
		bool shown;
	} cases[] = {
		{NULL, NULL, "Any/thing", true},
		{"Work", NULL, "Work", true},
		{"Work", NULL, "Work/Clients", true},
		{"Work", NULL, "Workshop", false},
		{"Work/Cl*", NULL, "Work", true},
		{"Work/Cl*", NULL, "Work/Clients/A", true},
		{"Work/Cl*", NULL, "Work/Other", false},
		{"W*", NULL, "A/W", false},
		{"*/W", NULL, "A/W", true},
		{"INBOX:[Gmail]/All Mail", NULL, "[Gmail]/All Mail", true},
		{"INBOX:[Gmail]/All Mail", NULL, "[Gmail]", true},
		{"INBOX:[Gmail]/All Mail", NULL, "[Gmail]/Spam", false},
		{"INBOX:[Gmail]/All Mail", NULL, "INBOX", true},
		{"[Gg]mail/*", NULL, "gmail/x", true},
		{"a\\:b:c", NULL, "a:b", true},
		{"a\\:b:c", NULL, "a", false},
		{"/Work/", NULL, "Work", true},
		{"", NULL, "Work", false},
		{NULL, "Work", "Work", false},
		{NULL, "Work", "Work/Clients", false},
		{NULL, "Work/Clients", "Work", true},
		{NULL, "Spam:T*", "Trash", false},
		{"Work", "Work/Old", "Work/Old/x", false},
		{"Work", "Work/Old", "Work/New", true},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct options o = {.folders = (char *)cases[i].folders,
				    .exclude = (char *)cases[i].exclude};

		if (options_show_folder(&o, cases[i].path) != cases[i].shown)
			fail_msg("case %zu: %s", i, cases[i].path);
	}
}

static void usage_tells_of_every_option(void **state)
{
	static const char *const words[] = {
		"passcmd=",    "passfile=",   "tokencmd=",    "tls=",
		"cafile=",     "pin-sha256=", "connections=", "timeout=",
		"names=",      "folders=",    "exclude=",     "ro ",
		"allow_other", "uid=",        "gid=",         "umask=",
		"cache=",      "cache_size=", "-V",           "-h",
		"delete=",     "sync ",
	};

	(void)state;
	for (size_t i = 0; i < N(words); i++)
		assert_has(options_usage, words[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_documented),
		cmocka_unit_test(every_option_is_taken),
		cmocka_unit_test(daily_limits_are_one_or_two_sizes),
		cmocka_unit_test(refused_options_are_named),
		cmocka_unit_test(
			passwords_in_options_are_refused_and_not_repeated),
		cmocka_unit_test(what_mount_and_fstab_add_is_accepted),
		cmocka_unit_test(an_escaped_comma_belongs_to_the_value),
		cmocka_unit_test(
			the_same_value_twice_is_fine_and_the_last_of_ro_and_rw_counts),
		cmocka_unit_test(paths_become_absolute),
		cmocka_unit_test(wrong_arguments_are_explained),
		cmocka_unit_test(help_and_version_need_nothing_else),
		cmocka_unit_test(two_d_show_the_protocol),
		cmocka_unit_test(
			globs_choose_folders_with_their_parents_and_children),
		cmocka_unit_test(usage_tells_of_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
