/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "changed.h"
#include "dying.h"

/*
 * A child changes, sends and settles, and dies at its n-th step that writes
 * anything (dying.h): for n = 1, 2, ... until it comes to its end; of every
 * second write half is done. Then the cache is opened again, twice, and must
 * keep J1 to J7: no message is lost, none is there twice, and the text of a new
 * one is somewhere.
 */

#define TEXT "Message-ID: <new@example.com>\r\n\r\nprecious\r\n"
#define MESSAGES 5

/* --- the child --- */

static struct box *open_folder(struct changed *t, uint64_t id)
{
	struct box *b = NULL;

	if (box_open(t->s->c, id, &b) != 0)
		_exit(2);
	return b;
}

static void must(int r)
{
	if (r != 0)
		_exit(3);
}

static uint64_t id_of(struct box *b, const char *name)
{
	struct cache_msg m;

	must(box_find_name(b, name, &m));
	return m.id;
}

static void user_changes(struct changed *t)
{
	struct journal_new v = {.name = ".new", .is_scratch = true};
	struct journal_flags f = {.add = MAIL_FLAGGED, .add_keywords = "red"};
	struct journal_move to_b = {.to = t->b, .name = "moved.eml"};
	struct journal_move onto = {t->a, "m1.eml", JOURNAL_REPLACE, t->trash,
				    true};
	struct journal_copy copy = {.to = t->b, .name = "copy.eml"};
	struct mail_row row = {.has = ROW_FLAGS};
	uint64_t id;
	int fd;

	f.id = id_of(t->a, "m0.eml");
	must(journal_change_flags(t->a, &f, 1));
	must(journal_move(t->a, f.id, &to_b, NULL));
	must(journal_create(t->a, &v, &progress->new_id, &fd));
	progress->created = true;
	must(spool_write(fd, TEXT, strlen(TEXT), 0));
	close(fd);
	must(journal_move(t->a, progress->new_id, &onto, NULL));
	must(journal_publish(t->a, progress->new_id, &row));
	progress->published = true;
	must(journal_remove(t->a, id_of(t->a, "m2.eml")));
	must(journal_copy(t->a, id_of(t->a, "m3.eml"), &copy, &id));
	must(journal_remove(t->a, id_of(t->a, "m4.eml")));
	must(cache_sync(t->s->c));
	progress->synced = true;
}

static size_t send_all(struct changed *t, struct journal_list **ret)
{
	struct journal_filter all = {.phases = 1u << JOURNAL_QUEUED};
	struct journal_mark m[8] = {{0}};
	struct journal_list *list;

	must(journal_read(t->s->c, &all, &list));
	for (size_t i = 0; i < list->n && i < 8; i++)
		m[i] = (struct journal_mark){.id = list->v[i].id,
					     .gen = list->v[i].gen,
					     .parts = list->v[i].what};
	must(journal_mark_sent(t->s->c, m, list->n));
	*ret = list;
	return list->n;
}

/* m4 is refused, the others are done; m1 had to wait. */
static void server_answers(struct changed *t, const struct journal_list *list)
{
	const struct journal_failure why = {"remove", "NO", "m4.eml"};
	struct journal_result r[8] = {{0}};

	for (size_t i = 0; i < list->n && i < 8; i++) {
		const struct journal_entry *e = &list->v[i];

		r[i].id = e->id;
		r[i].done = e->what;
		r[i].uid = 100 + (uint32_t)i;
		r[i].uidvalidity = e->at == t->in_b ? VALID_B : VALID_A;
		r[i].size = strlen(TEXT);
		if (e->waits_for != 0 || e->origin.uid == 5)
			r[i].done = 0;
		if (e->origin.uid == 5) {
			r[i].rest = JOURNAL_UNDO;
			r[i].why = &why;
		}
	}
	progress->answered = true;
	must(journal_settle(t->s->c, r, list->n, NULL));
	must(cache_sync(t->s->c));
	progress->settled = true;
}

static void child(struct changed *t)
{
	struct cache_config cfg = {t->s->state_dir, t->s->cache_dir, 0};
	struct journal_list *list;

	if (cache_open(&cfg, 10000, &t->s->c, &t->s->report) != 0)
		_exit(4);
	t->a = open_folder(t, t->in_a);
	t->b = open_folder(t, t->in_b);
	t->trash = open_folder(t, t->in_trash);
	user_changes(t);
	(void)send_all(t, &list);
	progress->marked = true;
	server_answers(t, list);
	free(list);
	changed_close_boxes(t);
	cache_close(t->s->c);
	_exit(0);
}

/* --- the parent --- */

/* True: it came to its end. */
static bool run_child(struct changed *t, long n)
{
	int status;
	pid_t pid;

	*progress = (struct progress){.tears = n % 2 == 0};
	atomic_store(&progress->steps_left, n);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		hook_sqlite();
		child(t);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	else
		assert_int_equal(WTERMSIG(status), SIGKILL);
	return WIFEXITED(status);
}

/* Through the file, if it is still being written, or as a body. */
static bool has_text(struct changed *t, uint64_t id)
{
	char buf[sizeof(TEXT)] = "";
	struct body *b;
	int fd, r = body_open(t->s->c, id, 1, &b);

	if (r == -EBUSY) {
		assert_int_equal(spool_open(t->s->c, id, false, &fd), 0);
		(void)!spool_read(fd, buf, sizeof(buf) - 1, 0);
		close(fd);
		return strcmp(buf, TEXT) == 0;
	}
	assert_int_equal(r, 0);
	if (body_is_whole(b) && body_check(b, 0, UINT64_MAX) == 0)
		(void)!body_read(b, buf, sizeof(buf) - 1, 0);
	body_put(b);
	return strcmp(buf, TEXT) == 0;
}

/* In how many places the text of the new message is. */
static size_t count_text(struct changed *t)
{
	size_t n = count_state_files(t, "rejected");

	if (!has_row(t->a, progress->new_id))
		return n;
	if (row_of(t->a, progress->new_id).uid != 0)
		return n + 1; /* the server has it */
	return n + has_text(t, progress->new_id);
}

/* J7, as the disk has it. */
static void check_disk(struct changed *t)
{
	assert_int_equal(
		sql_number(t, "SELECT count(*) FROM changes c WHERE (SELECT"
			      " count(*) FROM messages m WHERE m.id = c.id)"
			      " <> 1"),
		0);
	assert_int_equal(
		sql_number(t, "SELECT count(*) FROM messages m WHERE uid IS"
			      " NULL AND NOT EXISTS (SELECT 1 FROM changes c"
			      " WHERE c.id = m.id)"),
		0);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM messages m WHERE"
				       " NOT EXISTS (SELECT 1 FROM details d"
				       " WHERE d.id = m.id)"),
			 0);
	assert_int_equal(sql_number(t, "SELECT count(*) - count(DISTINCT id)"
				       " FROM messages"),
			 0);
	/* J5: all but the new one have a key; it has one when it is queued. */
	assert_int_equal(sql_number(t, "SELECT count(*) FROM changes WHERE"
				       " folder <> 0 AND key IS NULL"),
			 0);
	assert_int_equal(sql_number(t, "SELECT count(spool) FROM changes"),
			 count_state_files(t, "spool"));
	assert_int_equal(sql_number(t, "SELECT count(*) FROM leftovers"), 0);
}

static void check_phases(struct changed *t)
{
	struct journal_counts n;

	journal_count(t->s->c, &n);
	/* J3, J4: what may have gone out is known to have. */
	if (progress->marked && !progress->answered)
		assert_int_equal(n.sent, 5);
	if (!progress->synced)
		assert_int_equal(n.sent, 0);
	if (progress->settled) {
		assert_int_equal(n.sent, 0);
		assert_int_equal(n.queued, 1); /* m1, which waited */
		assert_int_equal(row_named(t->b, "moved.eml").uid, 100);
		assert_int_equal(row_named(t->a, "m4.eml").uid, 5);
		assert_true(row_named(t->a, "m1.eml").uid > 100);
	}
}

static void check(struct changed *t)
{
	int64_t failed;

	changed_open(t);
	check_disk(t);
	check_phases(t);
	/* Each of the old ones once, but m2, which may be gone for good. */
	assert_in_range(sql_number(t, "SELECT count(DISTINCT message_id) FROM"
				      " details WHERE message_id <>"
				      " '<new@example.com>'"),
			progress->answered ? MESSAGES - 1 : MESSAGES, MESSAGES);
	failed = sql_number(t, "SELECT count(*) FROM failed");
	assert_in_range(failed, 0,
			progress->answered ? 1 : (int64_t)progress->created);
	if (progress->published)
		assert_int_equal(count_text(t), 1);
	changed_close(t);
}

/* The database before the first step, and its place. */
struct saved {
	char path[320];
	unsigned char *bytes;
	size_t n;
};

static void save(struct changed *t, struct saved *ret)
{
	struct stat st;
	FILE *f;

	snprintf(ret->path, sizeof(ret->path), "%s/index.db", t->s->state_dir);
	f = fopen(ret->path, "re");
	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	ret->n = (size_t)st.st_size;
	ret->bytes = malloc(ret->n);
	assert_non_null(ret->bytes);
	assert_int_equal(fread(ret->bytes, 1, ret->n, f), ret->n);
	fclose(f);
}

static void restore(struct changed *t, const struct saved *saved)
{
	FILE *f;

	scene_wipe_state_dir(t->s);
	scene_wipe_cache_dir(t->s);
	assert_int_equal(mkdir(t->s->state_dir, 0700), 0);
	f = fopen(saved->path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(saved->bytes, 1, saved->n, f), saved->n);
	assert_int_equal(fclose(f), 0);
}

static void a_kill_at_any_step_loses_nothing(void **state)
{
	struct changed *t = *state;
	struct saved saved;
	char name[32];
	long n = 1;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		snprintf(name, sizeof(name), "m%u.eml", i);
		(void)changed_add(t->a, 1 + i, name);
	}
	changed_close(t);
	save(t, &saved);
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(progress != MAP_FAILED);

	for (bool ended = false; !ended; n++) {
		restore(t, &saved);
		ended = run_child(t, n);
		/* The parent does not die. */
		atomic_store(&progress->steps_left, -1);
		check(t);
		check(t); /* what was put right once stays so */
	}
	print_message("%ld steps\n", n);
	assert_true(n > 50);
	(void)munmap(progress, sizeof(*progress));
	progress = NULL;
	free(saved.bytes);
	changed_open(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_kill_at_any_step_loses_nothing, changed_setup,
			changed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
