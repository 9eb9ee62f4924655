/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "cache/heard.h"
#include "cache/small.h"

#include "changed.h"

/* Messages of which the server tells what their content is (RFC 8474). */

#define SIZE 3000

static struct mail_row row_of_copy(uint32_t uid, const char *emailid,
				   uint64_t size)
{
	return (struct mail_row){
		.has = ROW_UID | ROW_FLAGS | ROW_SIZE | ROW_DATE | ROW_FIELDS |
		       (emailid ? ROW_EMAILID : 0u),
		.uid = uid,
		.keywords = "",
		.size = size,
		.internaldate = 1700000000 + uid,
		.field = {[FIELD_SUBJECT] = "Hello"},
		.emailid = emailid,
	};
}

static uint64_t add_row(struct box *b, const struct mail_row *row)
{
	struct cache_new new = {row, "m.eml", true};
	uint64_t id = 0;

	assert_int_equal(box_add(b, &new, 1, NULL, &id), 0);
	assert_int_not_equal(id, 0);
	return id;
}

static uint64_t add(struct box *b, uint32_t uid, const char *emailid,
		    uint64_t size)
{
	struct mail_row row = row_of_copy(uid, emailid, size);

	return add_row(b, &row);
}

static bool is_small(struct changed *t, uint64_t id)
{
	struct cache_small small = {.id = id, .size = SIZE};

	return cache_find_small(t->s->c, &small, 1) == 1;
}

/* --- bodies --- */

static void copies_of_one_content_share_its_body(void **state)
{
	struct changed *t = *state;
	uint64_t id = add(t->a, 5, "M1", SIZE), copy = add(t->b, 9, "M1", SIZE);
	uint64_t again = add(t->a, 6, "M1", SIZE);

	assert_false(cache_has_body(t->s->c, copy));
	assert_int_equal(scene_put_body(t->s, id, SIZE, 3), 0);
	/* At once: what has just come for another copy is waited for. */
	assert_int_equal(scene_check_body(t->s, copy, SIZE, 3), 0);
	assert_true(is_small(t, again));
	/* It is its own now: the first one may go. */
	assert_int_equal(box_remove(t->a, &id, 1), 0);
	changed_reopen(t);
	assert_int_equal(scene_check_body(t->s, copy, SIZE, 3), 0);
	assert_int_equal(scene_check_body(t->s, again, SIZE, 3), 0);
}

static void others_do_not(void **state)
{
	struct changed *t = *state;
	uint64_t id = add(t->a, 5, "M1", SIZE);
	uint64_t other[] = {
		add(t->b, 9, "M2", SIZE),      add(t->b, 10, "m1", SIZE),
		add(t->b, 11, "M1", SIZE + 1), add(t->b, 12, "M1", 0),
		add(t->b, 13, NULL, SIZE),
	};

	assert_int_equal(scene_put_body(t->s, id, SIZE, 3), 0);
	assert_int_equal(cache_sync(t->s->c), 0);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		assert_false(cache_has_body(t->s->c, other[i]));
		assert_false(is_small(t, other[i]));
	}
}

/* A server that tells neither: nobody's body is anybody else's. */
static void nothing_is_the_same_as_nothing(void **state)
{
	struct changed *t = *state;
	uint64_t id = add(t->a, 5, NULL, SIZE), zero = add(t->a, 6, "M1", 0);
	uint64_t other = add(t->b, 5, NULL, SIZE), none = add(t->b, 6, "M1", 0);

	assert_int_equal(scene_put_body(t->s, id, SIZE, 3), 0);
	assert_int_equal(scene_put_body(t->s, zero, SIZE, 4), 0);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_false(cache_has_body(t->s->c, other));
	assert_false(cache_has_body(t->s->c, none));
}

/* --- what is stored --- */

static void expect_emailid(struct box *b, uint64_t id, const char *emailid)
{
	struct cache_details *d;

	assert_int_equal(box_details(b, id, &d), 0);
	if (emailid)
		assert_string_equal(d->emailid, emailid);
	else
		assert_null(d->emailid);
	free(d);
}

static void it_goes_where_the_message_goes(void **state)
{
	struct changed *t = *state;
	struct journal_copy how = {.to = t->b, .name = "copy.eml"};
	uint64_t id = add(t->a, 5, "M1-_z", SIZE), none = add(t->a, 6, NULL, 1);
	uint64_t copy;

	assert_int_equal(journal_copy(t->a, id, &how, &copy), 0);
	change_move(t->a, id, t->b, "moved.eml");
	for (int i = 0; i < 2; i++) {
		expect_emailid(t->b, id, "M1-_z");
		expect_emailid(t->b, copy, "M1-_z");
		expect_emailid(t->a, none, NULL);
		changed_reopen(t);
	}
}

static void a_text_that_is_written_anew_has_none(void **state)
{
	struct changed *t = *state;
	const char text[] = "Subject: new\r\n\r\n";
	struct mail_row row = {.has = ROW_FIELDS,
			       .field = {[FIELD_SUBJECT] = "new"}};
	uint64_t id = change_create(t->a, "new.eml", text);

	assert_int_equal(cache_sync(t->s->c), 0);
	scene_sql(t->s, "UPDATE details SET emailid = 'M1'");
	assert_int_equal(journal_reopen(t->a, id), 0);
	assert_int_equal(journal_publish(t->a, id, &row), 0);
	assert_int_equal(cache_sync(t->s->c), 0);
	expect_emailid(t->a, id, NULL);
}

/* --- other UIDs --- */

static bool has_key(struct changed *t, const struct mail_row *row,
		    struct cache_key *ret)
{
	return cache_key_of(t->s->c, row, ret);
}

static bool is_same_key(struct changed *t, const struct mail_row *a,
			const struct mail_row *b)
{
	struct cache_key x, y;
	struct cache_moor moor;

	assert_true(has_key(t, a, &x));
	assert_true(has_key(t, b, &y));
	return cache_match(&x, 1, &y, 1, &moor) == 1;
}

/* Also of what we sent, or have stored without an EMAILID. */
static void a_message_id_comes_first(void **state)
{
	struct changed *t = *state;
	struct mail_row a = row_of_copy(5, "M1", SIZE), b = a, c = a, d = a;

	a.field[FIELD_MESSAGE_ID] = "<a@x>";
	b.field[FIELD_MESSAGE_ID] = "<a@x>";
	b.has &= ~(unsigned)ROW_EMAILID;
	c.field[FIELD_MESSAGE_ID] = "<c@x>";
	d.field[FIELD_MESSAGE_ID] = "M1";
	assert_true(is_same_key(t, &a, &b));
	assert_false(is_same_key(t, &a, &c));
	c.field[FIELD_MESSAGE_ID] = NULL;
	assert_false(is_same_key(t, &c, &d));
}

static void without_one_its_emailid_and_size_are_the_key(void **state)
{
	struct changed *t = *state;
	struct mail_row a = row_of_copy(5, "M1", SIZE), b = a;
	struct cache_key key;

	b.uid = 70;
	b.internaldate++;
	assert_true(is_same_key(t, &a, &b));
	b.size++;
	assert_false(is_same_key(t, &a, &b));
	b = row_of_copy(5, "M2", SIZE);
	assert_false(is_same_key(t, &a, &b));
	b = row_of_copy(5, NULL, SIZE);
	assert_false(has_key(t, &b, &key));
	b = a;
	b.has &= ~(unsigned)ROW_FIELDS; /* nobody knows its Message-ID */
	assert_false(has_key(t, &b, &key));
}

static void rows_on_disk_have_the_key_of_rows_that_are_listed(void **state)
{
	struct changed *t = *state;
	struct mail_row listed = row_of_copy(70, "M1", SIZE);
	uint64_t id = add(t->a, 5, "M1", SIZE), moved = add(t->a, 6, "M2", 7);
	struct cache_key *keys, key;
	struct cache_moor moor;
	size_t n;

	(void)add(t->a, 7, NULL, SIZE);
	change_move(t->a, moved, t->b, "m.eml");
	assert_int_equal(
		box_unmoor(t->a, &(struct cache_state){.uidvalidity = 99}, &n),
		0);
	changed_reopen(t);
	assert_int_equal(box_unmoored_keys(t->a, &keys, &n), 0);
	assert_int_equal(n, 1);
	assert_true(has_key(t, &listed, &key));
	assert_int_equal(cache_match(keys, n, &key, 1, &moor), 1);
	assert_int_equal(moor.id, id);
	assert_int_equal(moor.uid, 70);
	free(keys);

	/* The record of a move has it, too. */
	listed = row_of_copy(71, "M2", 7);
	assert_int_equal(journal_keys(t->s->c, t->in_a, 99, &keys, &n), 0);
	assert_int_equal(n, 1);
	assert_true(has_key(t, &listed, &key));
	assert_int_equal(cache_match(keys, n, &key, 1, &moor), 1);
	assert_int_equal(moor.id, moved);
	free(keys);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(copies_of_one_content_share_its_body),
		T(others_do_not),
		T(nothing_is_the_same_as_nothing),
		T(it_goes_where_the_message_goes),
		T(a_text_that_is_written_anew_has_none),
		T(a_message_id_comes_first),
		T(without_one_its_emailid_and_size_are_the_key),
		T(rows_on_disk_have_the_key_of_rows_that_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
