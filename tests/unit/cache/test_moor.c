/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scene.h"

/* Rows whose mailbox has other UIDs now (C6), and finding out who they are. */

static const struct cache_state OLD = {
	.uidvalidity = 7, .uidnext = 100, .low_uid = 1, .complete = true};
static const struct cache_state NEW = {.uidvalidity = 8};

/* A message with a Message-ID of its own. */
static uint64_t add(struct scene *s, uint32_t uid, const char *name,
		    const char *message_id)
{
	struct mail_row row = {
		.has = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE | ROW_FIELDS,
		.uid = uid,
		.flags = MAIL_FLAGGED,
		.size = 4711,
		.internaldate = 1700000000,
		.field = {[FIELD_MESSAGE_ID] = message_id},
	};
	struct cache_new new = {&row, name, true};
	uint64_t id = 0;

	assert_int_equal(box_add(s->box, &new, 1, NULL, &id), 0);
	assert_int_not_equal(id, 0);
	return id;
}

static size_t unmoor(struct scene *s)
{
	size_t n = 99;

	assert_int_equal(box_unmoor(s->box, &NEW, &n), 0);
	return n;
}

static void check_unmoored(struct scene *s, uint64_t id, const char *name)
{
	struct cache_msg m;

	assert_int_equal(box_find_name(s->box, name, &m), 0);
	assert_int_equal(m.id, id);
	assert_true(m.unmoored && m.announced && !m.dead);
	assert_int_equal(m.uid, 0);
	assert_int_equal(m.flags, MAIL_FLAGGED);
	assert_int_equal(m.size, 4711);
}

static void check_state(struct scene *s, const struct cache_state *want)
{
	struct cache_state st;

	box_state(s->box, &st);
	assert_int_equal(st.uidvalidity, want->uidvalidity);
	assert_int_equal(st.uidnext, want->uidnext);
	assert_int_equal(st.complete, want->complete);
}

static void an_unmoored_row_keeps_all_but_its_uid(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;
	uint64_t a, b;

	scene_box(s);
	a = add(s, 5, "a.eml", "<a@x>");
	b = add(s, 6, "b.eml", "<b@x>");
	assert_int_equal(scene_put_body(s, a, 3000, 1), 0);
	assert_int_equal(box_set_state(s->box, &OLD), 0);
	assert_int_equal(unmoor(s), 2);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(box_unmoored(s->box), 2);
		check_unmoored(s, a, "a.eml");
		check_unmoored(s, b, "b.eml");
		check_state(s, &NEW);
		assert_int_equal(box_find_uid(s->box, 5, &m), -ENOENT);
		assert_int_equal(scene_check_body(s, a, 3000, 1), 0);
		scene_reopen(s);
	}
}

static void a_moored_row_is_as_any_other(void **state)
{
	struct scene *s = *state;
	struct cache_moor v;
	struct cache_msg m;
	uint64_t a, b;

	scene_box(s);
	a = add(s, 5, "a.eml", "<a@x>");
	b = add(s, 6, "b.eml", "<b@x>");
	(void)unmoor(s);
	v = (struct cache_moor){a, 6};
	assert_int_equal(box_moor(s->box, &v, 1), 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(box_unmoored(s->box), 1);
		assert_int_equal(box_find_uid(s->box, 6, &m), 0);
		assert_int_equal(m.id, a);
		assert_false(m.unmoored);
		check_unmoored(s, b, "b.eml");
		scene_reopen(s);
	}
	assert_int_equal(box_remove(s->box, &b, 1), 0);
	assert_int_equal(box_unmoored(s->box), 0);
}

static void a_uid_that_is_taken_moors_nobody(void **state)
{
	struct scene *s = *state;
	struct cache_moor v[3];
	struct cache_msg m;
	uint64_t a, b, c;

	scene_box(s);
	a = add(s, 5, "a.eml", "<a@x>");
	b = add(s, 6, "b.eml", "<b@x>");
	(void)unmoor(s);
	c = add(s, 6, "c.eml", "<c@x>");
	v[0] = (struct cache_moor){a, 6};
	v[1] = (struct cache_moor){b, 7};
	v[2] = (struct cache_moor){b, 8};
	assert_int_equal(box_moor(s->box, v, 3), 0);
	scene_reopen(s);
	check_unmoored(s, a, "a.eml");
	assert_int_equal(box_find_uid(s->box, 6, &m), 0);
	assert_int_equal(m.id, c);
	assert_int_equal(box_find_uid(s->box, 7, &m), 0);
	assert_int_equal(m.id, b);
	assert_int_equal(box_find_uid(s->box, 8, &m), -ENOENT);
}

static void what_is_doomed_is_gone_on_disk_with_the_state(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;
	uint64_t a, b, *ids = NULL;
	size_t n;

	scene_box(s);
	a = add(s, 5, "a.eml", "<a@x>");
	b = add(s, 6, "b.eml", "<b@x>");
	assert_int_equal(box_doom(s->box, &a, 1, &OLD), 0);
	assert_int_equal(box_find_name(s->box, "a.eml", &m), 0);
	assert_true(m.doomed);
	check_state(s, &OLD);
	/* It only waits to go: no mailbox has it. */
	assert_int_equal(unmoor(s), 1);
	assert_int_equal(box_find_name(s->box, "a.eml", &m), 0);
	assert_false(m.unmoored);
	assert_int_equal(box_unmoored_ids(s->box, &ids, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], b);
	free(ids);
	assert_int_equal(box_remove(s->box, &a, 1), 0);
	assert_int_equal(box_find_name(s->box, "a.eml", &m), -ENOENT);
	scene_reopen(s);
	assert_int_equal(box_find_id(s->box, a, &m), -ENOENT);
	check_unmoored(s, b, "b.eml");
}

static void an_unmoored_row_that_is_doomed_is_not_looked_for(void **state)
{
	struct scene *s = *state;
	uint64_t a;

	scene_box(s);
	a = add(s, 5, "a.eml", "<a@x>");
	(void)add(s, 6, "b.eml", "<b@x>");
	(void)unmoor(s);
	assert_int_equal(box_doom(s->box, &a, 1, NULL), 0);
	assert_int_equal(box_unmoored(s->box), 1);
	assert_int_equal(box_remove(s->box, &a, 1), 0);
	assert_int_equal(box_unmoored(s->box), 1);
}

/* A child that does all this, says so, and is killed before it closes. */
static void in_a_child_that_is_killed(struct scene *s,
				      void (*work)(struct scene *s))
{
	int pipes[2], status;
	uint64_t *ids;
	size_t n;
	char word;
	pid_t pid;

	scene_close(s);
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		scene_open(s);
		if (box_open(s->c, s->folder, &s->box) != 0)
			_exit(1);
		work(s);
		/* It waits until what was queued can be read back. */
		if (box_missing_bodies(s->box, &ids, &n) != 0)
			_exit(4);
		if (write(pipes[1], "x", 1) == 1)
			(void)poll(NULL, 0, -1);
		_exit(2);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &word, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipes[0]);
	scene_open(s);
	assert_int_equal(box_open(s->c, s->folder, &s->box), 0);
}

static void unmoor_and_die(struct scene *s)
{
	(void)unmoor(s);
}

static void moor_one_and_die(struct scene *s)
{
	uint64_t *ids;
	size_t n;

	if (box_unmoored_ids(s->box, &ids, &n) != 0 || n != 2 ||
	    box_moor(s->box, &(struct cache_moor){ids[1], 60}, 1) != 0)
		_exit(3);
}

static void a_kill_in_between_leaves_rows_unmoored(void **state)
{
	struct scene *s = *state;
	struct cache_msg m;
	uint64_t a, b;

	scene_box(s);
	a = add(s, 5, "a.eml", "<a@x>");
	b = add(s, 6, "b.eml", "<b@x>");
	assert_int_equal(box_set_state(s->box, &OLD), 0);
	in_a_child_that_is_killed(s, unmoor_and_die);
	assert_int_equal(box_unmoored(s->box), 2);
	check_unmoored(s, a, "a.eml");
	check_state(s, &NEW);
	in_a_child_that_is_killed(s, moor_one_and_die);
	assert_int_equal(box_unmoored(s->box), 1);
	check_unmoored(s, a, "a.eml");
	assert_int_equal(box_find_uid(s->box, 60, &m), 0);
	assert_int_equal(m.id, b);
}

/* --- who is who --- */

static struct cache_key key_of(struct scene *s, uint32_t uid, uint64_t gm,
			       const char *message_id, uint64_t size)
{
	struct mail_row row = {
		.has = ROW_UID | ROW_SIZE | ROW_DATE | ROW_FIELDS | ROW_GM,
		.uid = uid,
		.size = size,
		.internaldate = 1700000000,
		.gm_msgid = gm,
		.field = {[FIELD_MESSAGE_ID] = message_id},
	};
	struct cache_key key;

	assert_true(cache_key_of(s->c, &row, &key));
	return key;
}

static void rows_on_disk_match_rows_that_are_listed(void **state)
{
	struct scene *s = *state;
	struct cache_key *ids, uids[5];
	struct cache_moor got[5];
	uint64_t a, b, gm;
	size_t n;

	scene_box(s);
	a = add(s, 5, "a.eml", "<a@x>");
	b = add(s, 6, "b.eml", "<b@x>");
	gm = scene_add_gm(s, 7, "g.eml", 1ULL << 60);
	(void)scene_add(s, 8, "no-id.eml");
	(void)unmoor(s);
	assert_int_equal(box_unmoored_keys(s->box, &ids, &n), 0);
	assert_int_equal(n, 3);
	uids[0] = key_of(s, 90, 0, "<a@x>", 4711);
	uids[1] = key_of(s, 91, 0, "<b@x>", 4712);
	uids[2] = key_of(s, 92, 1ULL << 60, "<whatever@x>", 1);
	uids[3] = key_of(s, 93, 0, "<c@x>", 4711);
	n = cache_match(ids, n, uids, 4, got);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		assert_true(got[i].id == a || got[i].id == gm);
		assert_int_equal(got[i].uid, got[i].id == a ? 90 : 92);
		assert_int_not_equal(got[i].id, b);
	}
	free(ids);
}

static void nothing_is_matched_that_is_not_alone(void **state)
{
	struct scene *s = *state;
	struct cache_key ids[4], uids[4];
	struct cache_moor got[4];

	for (int i = 0; i < 2; i++) {
		ids[i] = key_of(s, 1, 0, "<twin@x>", 10);
		ids[i].of = 20u + (unsigned)i;
	}
	uids[0] = key_of(s, 50, 0, "<twin@x>", 10);
	assert_int_equal(cache_match(ids, 2, uids, 1, got), 0);
	assert_int_equal(cache_match(ids, 1, uids, 1, got), 1);
	uids[1] = uids[0];
	uids[1].of = 51;
	assert_int_equal(cache_match(ids, 1, uids, 2, got), 0);
	assert_int_equal(cache_match(ids, 2, uids, 2, got), 0);
	assert_int_equal(cache_match(ids, 0, uids, 2, got), 0);
	/* Others beside them are. */
	ids[2] = key_of(s, 1, 0, "<z@x>", 10);
	ids[2].of = 30;
	uids[2] = key_of(s, 52, 0, "<z@x>", 10);
	assert_int_equal(cache_match(ids, 3, uids, 3, got), 1);
	assert_int_equal(got[0].id, 30);
	assert_int_equal(got[0].uid, 52);
}

#define MANY 400000

/* Equal ones are counted once, not for each of the others (else: hours). */
static void a_folder_of_equal_messages_is_no_long_work(void **state)
{
	struct cache_key *ids = calloc(MANY, sizeof(*ids));
	struct cache_key *uids = calloc(MANY, sizeof(*uids));
	struct cache_moor got;

	(void)state;
	assert_non_null(ids);
	assert_non_null(uids);
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(ids[i].hash, &i, sizeof(i));
		memset(uids[i].hash, 0xff, sizeof(uids[i].hash));
	}
	assert_int_equal(cache_match(ids, MANY, uids, MANY, &got), 0);
	assert_int_equal(cache_match(uids, MANY, ids, MANY, &got), 0);
	free(ids);
	free(uids);
}

static void a_message_without_anything_to_know_it_by_has_no_key(void **state)
{
	struct scene *s = *state;
	struct mail_row row = {
		.has = ROW_UID | ROW_SIZE | ROW_DATE | ROW_FIELDS, .uid = 1};
	struct cache_key key;

	assert_false(cache_key_of(s->c, &row, &key));
	row.field[FIELD_MESSAGE_ID] = "";
	assert_false(cache_key_of(s->c, &row, &key));
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_unmoored_row_keeps_all_but_its_uid),
		T(a_moored_row_is_as_any_other),
		T(a_uid_that_is_taken_moors_nobody),
		T(what_is_doomed_is_gone_on_disk_with_the_state),
		T(an_unmoored_row_that_is_doomed_is_not_looked_for),
		T(a_kill_in_between_leaves_rows_unmoored),
		T(rows_on_disk_match_rows_that_are_listed),
		T(nothing_is_matched_that_is_not_alone),
		T(a_folder_of_equal_messages_is_no_long_work),
		T(a_message_without_anything_to_know_it_by_has_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
