/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "flushing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ahead.h"
#include "fs/draft.h"
#include "fs/folder.h"
#include "fs/load.h"
#include "fs/notify.h"
#include "fs/ops.h"

/*
 * READs of a body that is shorter than the server said: which of them may be
 * answered with fewer bytes than the kernel asked for? Their answers are caught
 * here (--wrap).
 */

#define REAL 1048576u
#define PIECE 131072u
#define PAGE 4096u
#define SMALL_SAID 90000u
#define SMALL_REAL 5000u

static struct {
	struct flushing *t;
	struct box *box;
	struct fuse_ctx ctx;
	unsigned n;
	int error;
	size_t bytes;
	/* While the body is looked for. */
	void (*meanwhile)(void);
} scene;

void *__wrap_fuse_req_userdata(fuse_req_t req);
const struct fuse_ctx *__wrap_fuse_req_ctx(fuse_req_t req);
int __wrap_fuse_reply_err(fuse_req_t req, int err);
int __wrap_fuse_reply_buf(fuse_req_t req, const char *buf, size_t size);
int __wrap_fuse_reply_data(fuse_req_t req, struct fuse_bufvec *v,
			   enum fuse_buf_copy_flags flags);
void __wrap_control_count(struct control *c, enum control_request what);
void __wrap_ahead_note(struct fs *fs, struct folder *f,
		       const struct cache_msg *m, pid_t pid);
bool __wrap_draft_is_written(struct fs *fs, uint64_t id);

void *__wrap_fuse_req_userdata(fuse_req_t req)
{
	(void)req;
	return scene.t->fs;
}

const struct fuse_ctx *__wrap_fuse_req_ctx(fuse_req_t req)
{
	(void)req;
	return &scene.ctx;
}

static int answered(int error, size_t bytes)
{
	scene.n++;
	scene.error = error;
	scene.bytes = bytes;
	return 0;
}

int __wrap_fuse_reply_err(fuse_req_t req, int err)
{
	(void)req;
	return answered(err, 0);
}

int __wrap_fuse_reply_buf(fuse_req_t req, const char *buf, size_t size)
{
	(void)req;
	(void)buf;
	return answered(0, size);
}

int __wrap_fuse_reply_data(fuse_req_t req, struct fuse_bufvec *v,
			   enum fuse_buf_copy_flags flags)
{
	(void)req;
	(void)flags;
	return answered(0, v->buf[0].size);
}

void __wrap_control_count(struct control *c, enum control_request what)
{
	(void)c;
	(void)what;
}

void __wrap_ahead_note(struct fs *fs, struct folder *f,
		       const struct cache_msg *m, pid_t pid)
{
	(void)fs;
	(void)f;
	(void)m;
	(void)pid;
}

bool __wrap_draft_is_written(struct fs *fs, uint64_t id)
{
	(void)fs;
	(void)id;
	if (scene.meanwhile)
		scene.meanwhile();
	return false;
}

static void set_size(unsigned size)
{
	assert_int_equal(box_set_size(scene.box, scene.t->id[0], size), 0);
}

/* A whole body; `listed` is what the first look at the message finds. */
static void begin(void **state, unsigned listed, unsigned real)
{
	struct flushing *t = *state;
	char *bytes = calloc(1, real);
	struct body *b;

	memset(&scene, 0, sizeof(scene));
	scene.t = t;
	assert_non_null(bytes);
	/* Up to the end the folder is in use, as that of a reader is. */
	assert_int_equal(folder_get(t->fs, t->a, &scene.box), 0);
	set_size(real);
	assert_int_equal(body_open(t->fs->cache, t->id[0], real, &b), 0);
	assert_int_equal(body_write(b, 0, bytes, real), 0);
	assert_int_equal(body_end(b, real), 0);
	body_put(b);
	free(bytes);
	set_size(listed);
}

static void end(void)
{
	folder_put(scene.t->fs, scene.t->a);
}

static void ask(off_t off, size_t size)
{
	scene.n = 0;
	ops_read(NULL, scene.t->id[0], size, off, NULL);
	assert_int_equal(scene.n, 1);
}

static void expect_bytes(size_t bytes)
{
	assert_int_equal(scene.error, 0);
	assert_int_equal(scene.bytes, bytes);
}

static void what_begins_behind_the_end_is_refused_once(void **state)
{
	begin(state, REAL, REAL);
	/* The one before it may be in the hands of another thread. */
	ask(REAL + PIECE, PIECE);
	assert_int_equal(scene.error, EIO);
	/* This one says where the end is. */
	ask(REAL, PIECE);
	expect_bytes(0);
	/* Somebody wants it: a page at a time. */
	ask(REAL + PIECE + PAGE, PAGE);
	expect_bytes(0);
	/* Another place is another READ. */
	ask(REAL + 2 * PIECE, PAGE);
	assert_int_equal(scene.error, EIO);
	ask(REAL - PIECE, PIECE);
	expect_bytes(PIECE);
	end();
}

static void of_a_small_one_too(void **state)
{
	begin(state, SMALL_REAL, SMALL_REAL);
	ask(2 * PAGE, PIECE);
	assert_int_equal(scene.error, EIO);
	ask(2 * PAGE, PAGE);
	expect_bytes(0);
	ask(0, 2 * PAGE);
	expect_bytes(SMALL_REAL);
	end();
}

static void correct_only(void)
{
	set_size(SMALL_REAL);
}

/* Somebody else's stat(2) is answered. */
static void correct_and_tell(void)
{
	notify_note_heard(scene.t->fs->notify, scene.t->id[0]);
	set_size(SMALL_REAL);
}

static void a_short_answer_is_given_if_it_is_believed(void **state)
{
	begin(state, SMALL_SAID, SMALL_REAL);
	scene.meanwhile = correct_only;
	ask(0, SMALL_SAID);
	expect_bytes(SMALL_REAL);
	end();
}

static void a_short_answer_that_would_be_stale_is_refused_once(void **state)
{
	begin(state, SMALL_SAID, SMALL_REAL);
	scene.meanwhile = correct_and_tell;
	ask(0, SMALL_SAID);
	assert_int_equal(scene.error, EIO);
	ask(PAGE, PAGE);
	expect_bytes(SMALL_REAL - PAGE);
	end();
}

static void of_the_right_size_none_is_refused(void **state)
{
	begin(state, SMALL_REAL, SMALL_REAL);
	scene.meanwhile = correct_and_tell;
	ask(0, 2 * PAGE);
	expect_bytes(SMALL_REAL);
	end();
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, flushing_setup, flushing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_begins_behind_the_end_is_refused_once),
		TEST(of_a_small_one_too),
		TEST(a_short_answer_is_given_if_it_is_believed),
		TEST(a_short_answer_that_would_be_stale_is_refused_once),
		TEST(of_the_right_size_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
