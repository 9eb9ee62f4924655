/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/inherited.h"
#include "fs/options.h"
#include "fs/start.h"
#include "imap/account.h"
#include "imap/log.h"
#include "imap/secret.h"

/*
 * The command. What needs the terminal is done here, before anything else:
 * options, account, password. Then the program forks; the parent waits on a
 * pipe until the child says that the account is usable, or dies having said
 * why not on stderr. Threads and database connections never cross a fork.
 */

/*
 * glibc gives every thread a heap of its own, up to eight a processor, and
 * keeps what was once used at the top of each: a mount of weeks would grow by
 * the most that every one of its threads has ever needed. The threads do not
 * wait for each other at two: the small pieces come from a cache of the thread,
 * the large ones from the kernel.
 */
#define ARENAS 2

static volatile sig_atomic_t child_pid;

/* Ctrl-C while the parent waits: the child is in a session of its own. */
static void on_signal(int signo)
{
	if (child_pid > 0)
		(void)kill((pid_t)child_pid, SIGTERM);
	_exit(128 + signo);
}

static void complain(const char *text)
{
	fprintf(stderr, "mount.imapfs: %s\n", text);
}

/*
 * Whoever starts us may have closed the standard three. What is opened then
 * must not get their numbers: it would be lost in leave_terminal().
 */
static void fill_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* From here on nobody reads what we print. */
static void leave_terminal(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i <= 2; i++)
		(void)dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static void ready_in_background(int report_fd)
{
	char ok = EXIT_OK;

	log_turn(LOG_LEVEL_INFO, LOG_TO_SYSLOG);
	leave_terminal();
	inherited_close();
	/* A parent that is gone cannot be told; the mount stays. */
	if (write(report_fd, &ok, 1) != 1)
		log_warn("main: nobody waits for the mount");
	close(report_fd);
}

static void ready_in_foreground(int report_fd)
{
	(void)report_fd;
}

static void block_signals(bool block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* The parent's part: the child's status, as far as it got. */
static int wait_for_child(pid_t pid, int fd)
{
	struct sigaction sa = {.sa_handler = on_signal};
	char status;
	ssize_t n;
	int how;

	child_pid = pid;
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	block_signals(false);

	do
		n = read(fd, &status, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return status;

	while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(how))
		return WEXITSTATUS(how);
	fprintf(stderr,
		"mount.imapfs: ended by signal %d before it was ready\n",
		WTERMSIG(how));
	return EXIT_SYSTEM;
}

static int run_in_background(const struct options *opt,
			     const struct account *account,
			     struct secret *secret)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0) {
		complain(strerrordesc_np(errno));
		return EXIT_SYSTEM;
	}
	/* A Ctrl-C from now on is for both: it waits until each can hear it. */
	block_signals(true);
	pid = fork();
	if (pid < 0) {
		complain(strerrordesc_np(errno));
		return EXIT_SYSTEM;
	}
	if (pid > 0) {
		close(fds[1]);
		return wait_for_child(pid, fds[0]);
	}

	block_signals(false);
	close(fds[0]);
	(void)setsid();
	if (chdir("/") != 0)
		return EXIT_SYSTEM;
	return start_and_serve(opt, account, secret, fds[1],
			       ready_in_background);
}

/* The account: as written, with what the options say on top. */
static int find_account(const struct options *opt, struct account *ret)
{
	struct imap_error why = {0};
	int r;

	r = account_parse(opt->source, ret, &why);
	if (r != 0) {
		complain(why.text);
		return EXIT_USAGE;
	}
	if (ret->lookup_srv)
		account_resolve(ret, opt->timeout_s * 1000);
	if (opt->has_tls)
		ret->tls = opt->tls;
	return EXIT_OK;
}

static int find_secret(const struct options *opt, const struct account *account,
		       struct secret **ret)
{
	struct secret_sources src = {
		.passcmd = opt->passcmd,
		.passfile = opt->passfile,
		.tokencmd = opt->tokencmd,
		.user = account->user,
		.host = account->host,
		.port = account->port,
		.may_prompt = true,
	};
	struct imap_error why = {0};

	if (secret_find(&src, ret, &why) != 0) {
		complain(why.text[0] ? why.text : "no password was found");
		return EXIT_MOUNT;
	}
	return EXIT_OK;
}

static void setup_log(const struct options *opt)
{
	enum log_level level = LOG_LEVEL_WARN;

	if (opt->wire)
		level = LOG_LEVEL_WIRE;
	else if (opt->debug)
		level = LOG_LEVEL_DEBUG;
	else if (opt->verbose || opt->foreground)
		level = LOG_LEVEL_INFO;
	log_setup(level, LOG_TO_STDERR);
}

static int run(const struct options *opt)
{
	struct account account = {0};
	struct secret *secret = NULL;
	int status;

	status = find_account(opt, &account);
	if (status == EXIT_OK)
		status = find_secret(opt, &account, &secret);
	if (status == EXIT_OK) {
		if (opt->foreground || opt->debug)
			status = start_and_serve(opt, &account, secret, -1,
						 ready_in_foreground);
		else
			status = run_in_background(opt, &account, secret);
	}
	secret_free(secret);
	account_finish(&account);
	return status;
}

int main(int argc, char *argv[])
{
	struct options opt = {0};
	char why[OPTIONS_ERROR] = "";
	int status = EXIT_OK;

	inherited_note();
	fill_standard();
	/* The password is in memory: no core dump, no ptrace by others. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* ulimit -f: EFBIG instead */
	umask(077);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet */
	(void)mallopt(M_ARENA_MAX, ARENAS);

	if (options_parse(argc, argv, &opt, why) != 0) {
		complain(why);
		return EXIT_USAGE;
	}
	if (opt.show_help) {
		fputs(options_usage, stdout);
	} else if (opt.show_version) {
		printf("mount.imapfs %s\n", IMAPFS_VERSION);
	} else {
		setup_log(&opt);
		status = run(&opt);
	}
	options_finish(&opt);
	return status;
}
