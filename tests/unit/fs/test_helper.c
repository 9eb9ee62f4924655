/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/helper.h"

/*
 * The helper process as the program sees it, over its socket: who writes? Any
 * file system will do.
 */

#define WAIT_MS 20000 /* against hanging */

struct scene {
	char dir[256], file[300];
	int fd;
	pid_t pid;
	uint64_t ticket;
};

/* The next answer of this kind; others are passed over. */
static struct helper_answer hear(struct scene *t, uint64_t ticket)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};
	struct helper_answer a;
	ssize_t n;

	for (;;) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		memset(&a, 0, sizeof(a));
		n = recv(t->fd, &a, sizeof(a), 0);
		assert_true(n > (ssize_t)offsetof(struct helper_answer, name));
		assert_int_equal(n, helper_answer_size(&a));
		if (a.ticket == ticket)
			return a;
	}
}

static int order(struct scene *t, enum helper_op op, uint32_t lane,
		 const char *path)
{
	struct helper_order o = {.ticket = ++t->ticket, .op = op, .lane = lane};
	ssize_t n;

	snprintf(o.path, sizeof(o.path), "%s", path);
	n = send(t->fd, &o, helper_order_size(&o), MSG_NOSIGNAL);
	assert_int_equal(n, helper_order_size(&o));
	return hear(t, o.ticket).error;
}

static int setup(void **state)
{
	struct scene *t = calloc(1, sizeof(*t));
	const char *tmp = getenv("TMPDIR");
	int fd;

	assert_non_null(t);
	snprintf(t->dir, sizeof(t->dir), "%s/imapfs-helper-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->file, sizeof(t->file), "%s/a.eml", t->dir);
	fd = open(t->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	assert_int_equal(helper_start(-1, &t->fd, &t->pid), 0);
	for (int i = 0; i < HELPER_THREADS; i++)
		assert_true(hear(t, HELPER_HELLO).error > 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct scene *t = *state;
	struct helper_order o = {.op = HELPER_GOODBYE, .path = "-"};
	int status;

	assert_true(send(t->fd, &o, helper_order_size(&o), MSG_NOSIGNAL) > 0);
	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(t->fd);
	assert_int_equal(unlink(t->file), 0);
	assert_int_equal(rmdir(t->dir), 0);
	free(t);
	return 0;
}

static int open_to_write(struct scene *t)
{
	int fd = open(t->file, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void expect_closed(struct scene *t, uint32_t lane, const char *name)
{
	struct helper_answer a = hear(t, HELPER_CLOSED);

	assert_int_equal(a.lane, lane);
	assert_string_equal(a.name, name);
}

static void a_file_that_was_closed_is_told(void **state)
{
	struct scene *t = *state;

	assert_int_equal(order(t, HELPER_WATCH, 7, t->dir), 0);
	close(open_to_write(t));
	expect_closed(t, 7, "a.eml");
	/* Watched once more under another key: that is the one. */
	assert_int_equal(order(t, HELPER_WATCH, 8, t->dir), 0);
	close(open_to_write(t));
	expect_closed(t, 8, "a.eml");
}

static void a_watch_can_be_ended_and_begun_again(void **state)
{
	struct scene *t = *state;
	struct helper_answer a;

	assert_int_equal(order(t, HELPER_WATCH, 7, t->dir), 0);
	assert_int_equal(order(t, HELPER_UNWATCH, 7, "-"), 0);
	assert_int_equal(order(t, HELPER_UNWATCH, 7, "-"), ENOENT);
	close(open_to_write(t));
	assert_int_equal(order(t, HELPER_WATCH, 9, t->dir), 0);
	close(open_to_write(t));
	a = hear(t, HELPER_CLOSED);
	assert_int_equal(a.lane, 9);
	assert_int_equal(order(t, HELPER_UNWATCH, 9, "-"), 0);
}

static void what_cannot_be_watched_is_an_error(void **state)
{
	struct scene *t = *state;

	assert_int_equal(order(t, HELPER_WATCH, 7, t->file), ENOTDIR);
	assert_int_equal(order(t, HELPER_WATCH, 7, "/nowhere/at/all"), ENOENT);
	assert_int_equal(order(t, HELPER_LEASE, 7, "/nowhere/at/all"), ENOENT);
}

static void a_lease_tells_whether_a_writer_is_left(void **state)
{
	struct scene *t = *state;
	int one, two, reader;
	void *map;

	reader = open(t->file, O_RDONLY | O_CLOEXEC);
	assert_int_equal(order(t, HELPER_LEASE, 7, t->file), 0);
	one = open_to_write(t);
	two = open_to_write(t);
	assert_int_equal(order(t, HELPER_LEASE, 7, t->file), EAGAIN);
	close(one);
	assert_int_equal(order(t, HELPER_LEASE, 7, t->file), EAGAIN);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, two, 0);
	assert_true(map != MAP_FAILED);
	close(two);
	assert_int_equal(order(t, HELPER_LEASE, 7, t->file), EAGAIN);
	munmap(map, 4096);
	assert_int_equal(order(t, HELPER_LEASE, 7, t->file), 0);
	close(reader);
}

/* A replay that waits for a lock holds up neither watch nor lease. */
static void watches_pass_what_is_stuck(void **state)
{
	struct scene *t = *state;
	struct helper_order o = {.ticket = 1000, .op = HELPER_OPEN, .lane = 7};
	char fifo[300];
	int fd;

	snprintf(fifo, sizeof(fifo), "%s/fifo", t->dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	snprintf(o.path, sizeof(o.path), "%s", fifo);
	/* It waits until somebody writes. */
	assert_true(send(t->fd, &o, helper_order_size(&o), MSG_NOSIGNAL) > 0);
	assert_int_equal(order(t, HELPER_WATCH, 7, t->dir), 0);
	assert_int_equal(order(t, HELPER_LEASE, 7, t->file), 0);
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_int_equal(hear(t, 1000).error, 0);
	close(fd);
	assert_int_equal(unlink(fifo), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_was_closed_is_told),
		TEST(a_watch_can_be_ended_and_begun_again),
		TEST(what_cannot_be_watched_is_an_error),
		TEST(a_lease_tells_whether_a_writer_is_left),
		TEST(watches_pass_what_is_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
