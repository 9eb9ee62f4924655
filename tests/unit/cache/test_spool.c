/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "changed.h"

/* New messages and scratch files, and where their bytes are. */

#define TEXT "From: a@b\r\n\r\nHello\r\n"

static uint64_t create(struct changed *t, const char *name, bool is_scratch,
		       const char *text)
{
	struct journal_new v = {.name = name,
				.internaldate = 1600000000,
				.is_scratch = is_scratch,
				.announced = true};
	uint64_t id;
	int fd;

	assert_int_equal(journal_create(t->a, &v, &id, &fd), 0);
	assert_int_equal(spool_write(fd, text, strlen(text), 0), 0);
	close(fd);
	return id;
}

/* Does the body say this? -ENODATA and others: it cannot be read. */
static int expect_body(struct changed *t, uint64_t id, const char *text)
{
	char buf[256] = "";
	struct body *b;
	int r = body_open(t->s->c, id, 1, &b);

	if (r != 0)
		return r;
	r = body_is_whole(b) ? body_check(b, 0, UINT64_MAX) : -ENODATA;
	if (r == 0) {
		assert_int_equal(body_size(b), strlen(text));
		assert_int_equal(body_read(b, buf, sizeof(buf) - 1, 0),
				 strlen(text));
		assert_string_equal(buf, text);
	}
	body_put(b);
	return r;
}

/* --- writing --- */

static void a_new_message_is_not_sent_before_it_is_published(void **state)
{
	struct changed *t = *state;
	uint64_t id = create(t, "new.eml", false, TEXT);
	struct journal_entry e;
	struct body *b;

	for (int i = 0; i < 2; i++) {
		assert_true(changed_get(t, id, &e));
		assert_int_equal(e.phase, JOURNAL_WRITING);
		assert_int_equal(e.what, 0);
		assert_int_equal(row_of(t->a, id).uid, 0);
		assert_int_equal(body_open(t->s->c, id, 1, &b), -EBUSY);
		changed_reopen(t);
	}
	/* The size of what was being written is that of its file. */
	assert_int_equal(row_of(t->a, id).size, strlen(TEXT));
}

static void bytes_are_written_anywhere_and_cut(void **state)
{
	struct changed *t = *state;
	struct journal_new v = {.name = "x.eml"};
	uint64_t id, size;
	char buf[16] = "";
	int fd;

	assert_int_equal(journal_create(t->a, &v, &id, &fd), 0);
	assert_int_equal(journal_create(t->a, &v, &id, &fd), -EEXIST);
	assert_int_equal(spool_write(fd, "world", 5, 6), 0);
	assert_int_equal(spool_write(fd, "hello ", 6, 0), 0);
	assert_int_equal(spool_truncate(fd, 8), 0);
	assert_int_equal(spool_size(fd, &size), 0);
	assert_int_equal(size, 8);
	assert_int_equal(spool_sync(fd), 0);
	close(fd);
	id = row_named(t->a, "x.eml").id;
	assert_int_equal(spool_open(t->s->c, id, true, &fd), 0);
	assert_int_equal(spool_read(fd, buf, 15, 0), 8);
	assert_string_equal(buf, "hello wo");
	assert_int_equal(spool_read(fd, buf, 15, 8), 0);
	assert_int_equal(spool_write(fd, buf, 1, MAIL_SIZE_MAX), -EOVERFLOW);
	close(fd);
	assert_int_equal(spool_open(t->s->c, id + 1, true, &fd), -ENOENT);
}

static void a_published_message_can_be_read_and_is_kept(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", TEXT);
	struct journal_entry e;
	struct cache_details *d;
	int fd;

	for (int i = 0; i < 2; i++) {
		assert_true(changed_get(t, id, &e));
		assert_int_equal(e.phase, JOURNAL_QUEUED);
		assert_int_equal(e.what, JOURNAL_APPEND);
		assert_int_equal(e.origin.folder, 0);
		assert_int_equal(row_of(t->a, id).size, strlen(TEXT));
		assert_int_equal(row_of(t->a, id).flags, MAIL_FLAGGED);
		assert_int_equal(row_of(t->a, id).internaldate, 1600000000);
		assert_int_equal(expect_body(t, id, TEXT), 0);
		assert_true(cache_has_body(t->s->c, id));
		assert_int_equal(spool_open(t->s->c, id, true, &fd), -EBUSY);
		assert_int_equal(box_details(t->a, id, &d), 0);
		assert_string_equal(d->field[FIELD_MESSAGE_ID],
				    "<new@example.com>");
		free(d);
		scene_wipe_cache_dir(t->s); /* there it is not */
		changed_reopen(t);
	}
}

/* Flags that somebody changes while its file is made safe. */
static void a_message_is_published_with_the_flags_that_it_has(void **state)
{
	struct changed *t = *state;
	uint64_t id = create(t, "new.eml", false, TEXT);
	struct mail_row row = {.has = ROW_FIELDS};
	struct journal_list *list;

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	change_words(t->a, id, "red", "");
	assert_int_equal(journal_publish(t->a, id, &row), 0);
	changed_reopen(t);
	assert_true(row_of(t->a, id).flags & MAIL_FLAGGED);
	assert_int_equal(journal_get(t->s->c, id, &list), 0);
	assert_int_equal(list->v[0].what, JOURNAL_APPEND);
	assert_true(list->v[0].add & MAIL_FLAGGED);
	assert_string_equal(list->v[0].add_keywords, "red");
	free(list);
	/* Those that it gets later are a difference to what is sent. */
	changed_send(t, id, JOURNAL_APPEND);
	change_flags(t->a, id, MAIL_SEEN, 0);
	changed_done(t, id, JOURNAL_APPEND, VALID_A, 7);
	assert_int_equal(journal_get(t->s->c, id, &list), 0);
	assert_int_equal(list->v[0].what, JOURNAL_STORE);
	assert_int_equal(list->v[0].add, MAIL_SEEN);
	free(list);
}

static void an_empty_file_is_not_published(void **state)
{
	struct changed *t = *state;
	struct mail_row row = {0};
	uint64_t id = create(t, "new.eml", false, "");
	uint64_t scratch = create(t, ".new", true, "x");

	assert_int_equal(journal_publish(t->a, id, &row), -EINVAL);
	assert_int_equal(journal_publish(t->a, scratch, &row), -EINVAL);
	assert_int_equal(journal_publish(t->a, 4711, &row), -ENOENT);
	assert_int_equal(journal_publish(t->b, id, &row), -ENOENT);
}

static void it_may_change_until_it_is_sent(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", TEXT);
	struct mail_row row = {.has = ROW_FLAGS, .keywords = "red"};
	struct journal_flags label = {.add_labels = "red"};
	struct journal_entry e;
	int fd;

	assert_int_equal(journal_set_date(t->a, id, 1500000000), 0);
	change_flags(t->a, id, MAIL_SEEN, MAIL_FLAGGED);
	change_move(t->a, id, t->b, "other.eml");
	assert_int_equal(journal_reopen(t->b, id), 0);
	label.id = id;
	assert_int_equal(journal_change_flags(t->b, &label, 1), 0);
	assert_int_equal(spool_open(t->s->c, id, true, &fd), 0);
	assert_int_equal(spool_write(fd, "To: c\r\n", 7, 0), 0);
	close(fd);
	assert_int_equal(journal_publish(t->b, id, &row), 0);
	changed_reopen(t);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.at, t->in_b);
	assert_int_equal(e.add, 0);
	expect_words(t->b, id, "red");
	assert_int_equal(row_of(t->b, id).internaldate, 1500000000);
	changed_send(t, id, JOURNAL_APPEND);
	assert_int_equal(journal_reopen(t->b, id), -EBUSY);
	assert_int_equal(journal_set_date(t->b, id, 1), -EBUSY);
	assert_int_equal(journal_publish(t->b, id, &row), -EBUSY);
}

/* --- sent --- */

static void append(struct changed *t, uint64_t id, uint64_t size)
{
	changed_send(t, id, JOURNAL_APPEND);
	changed_settle(t, (struct journal_result){.id = id,
						  .done = JOURNAL_APPEND,
						  .uidvalidity = VALID_A,
						  .uid = 50,
						  .size = size});
	changed_expect_none(t, id);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_int_equal(count_state_files(t, "spool"), 0);
	assert_int_equal(row_of(t->a, id).uid, 50);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM leftovers"), 0);
}

static void a_sent_message_keeps_its_body_if_the_server_did(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", TEXT);
	struct cache_stats st;
	struct body *b;
	char ch;

	/* Also for one who has it open meanwhile. */
	assert_int_equal(body_open(t->s->c, id, 1, &b), 0);
	append(t, id, strlen(TEXT));
	assert_int_equal(body_read(b, &ch, 1, 0), 1);
	body_put(b);
	assert_int_equal(expect_body(t, id, TEXT), 0);
	changed_reopen(t);
	assert_int_equal(expect_body(t, id, TEXT), 0);
	cache_get_stats(t->s->c, &st);
	assert_int_equal(st.bodies, 1);
	assert_int_equal(st.body_bytes, strlen(TEXT));
}

static void a_body_that_the_server_changed_is_fetched(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", TEXT);

	append(t, id, strlen(TEXT) + 2);
	assert_int_equal(row_of(t->a, id).size, strlen(TEXT) + 2);
	assert_int_equal(expect_body(t, id, TEXT), -ENODATA);
}

static void flags_set_after_sending_are_left(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", TEXT);
	struct journal_entry e;

	changed_send(t, id, JOURNAL_APPEND);
	change_flags(t->a, id, MAIL_SEEN, MAIL_FLAGGED);
	changed_done(t, id, JOURNAL_APPEND, VALID_A, 50);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.what, JOURNAL_STORE);
	assert_int_equal(e.add, MAIL_SEEN);
	assert_int_equal(e.remove, MAIL_FLAGGED);
}

static void one_removed_on_its_way_is_removed_there(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", TEXT);
	uint64_t lost = change_create(t->a, "lost.eml", TEXT);

	changed_send(t, id, JOURNAL_APPEND);
	changed_send(t, lost, JOURNAL_APPEND);
	assert_int_equal(journal_remove(t->a, id), 0);
	assert_int_equal(journal_remove(t->a, lost), 0);
	changed_done(t, id, JOURNAL_APPEND, VALID_A, 50);
	changed_expect(t, id, JOURNAL_REMOVE);
	/* This one never came there, and nobody wants it. */
	changed_settle(
		t, (struct journal_result){.id = lost, .rest = JOURNAL_AGAIN});
	changed_expect_none(t, lost);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_int_equal(count_state_files(t, "spool"), 0);
	assert_int_equal(count_state_files(t, "rejected"), 0);
}

/* --- dropped and refused --- */

static void one_that_is_removed_unsent_leaves_nothing(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", TEXT);

	assert_int_equal(journal_remove(t->a, id), 0);
	changed_expect_none(t, id);
	changed_reopen(t);
	assert_false(has_row(t->a, id));
	assert_int_equal(count_state_files(t, "spool"), 0);
	assert_int_equal(count_state_files(t, "rejected"), 0);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM details"), 0);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM failed"), 0);
}

static void expect_rejected(struct changed *t, const char *name)
{
	char path[700], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", journal_rejected_dir(t->s->c),
		 name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, f), strlen(TEXT));
	fclose(f);
	assert_string_equal(text, TEXT);
}

static void what_was_refused_is_kept_under_its_name(void **state)
{
	struct changed *t = *state;
	uint64_t sent = change_create(t->a, "new.eml", TEXT);
	uint64_t written = create(t, "other.eml", false, TEXT);
	const struct journal_failure why = {"send", "NO [OVERQUOTA]", "f"};
	char name[CACHE_NAME_MAX + 1], *text;

	changed_send(t, sent, JOURNAL_APPEND);
	assert_int_equal(journal_reject(t->a, sent, &why, name, NULL), -EBUSY);
	changed_settle(t, (struct journal_result){.id = sent,
						  .rest = JOURNAL_UNDO,
						  .why = &why});
	assert_int_equal(journal_reject(t->a, written, &why, name, NULL), 0);
	assert_string_equal(name, "other.eml");
	assert_int_equal(journal_reject(t->a, written, &why, name, NULL),
			 -ENOENT);
	assert_int_equal(cache_sync(t->s->c), 0);
	expect_rejected(t, "new.eml");
	expect_rejected(t, "other.eml");
	written = create(t, "other.eml", false, TEXT);
	assert_int_equal(journal_reject(t->a, written, &why, name, NULL), 0);
	assert_string_equal(name, "other.2.eml");
	changed_reopen(t);
	expect_rejected(t, "other.2.eml");
	assert_int_equal(box_count(t->a), 0);
	assert_int_equal(count_state_files(t, "spool"), 0);
	assert_int_equal(count_state_files(t, "rejected"), 3);
	assert_int_equal(journal_failed_text(t->s->c, &text), 0);
	assert_non_null(strstr(text, "send 'f': NO [OVERQUOTA] (kept as "
				     "rejected/new.eml)\n"));
	free(text);
}

/* --- scratch files --- */

static void scratch_files_stay_and_are_never_sent(void **state)
{
	struct changed *t = *state;
	uint64_t id = create(t, ".x.swp", true, "anything");
	struct journal_entry e;

	change_flags(t->a, id, MAIL_SEEN, 0);
	changed_reopen(t);
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_SCRATCH);
	assert_int_equal(e.what, 0);
	assert_int_equal(row_named(t->a, ".x.swp").size, 8);
	change_move(t->a, id, t->b, ".y");
	assert_true(changed_get(t, id, &e));
	assert_int_equal(e.phase, JOURNAL_SCRATCH);
	assert_int_equal(journal_remove(t->b, id), 0);
	assert_int_equal(cache_sync(t->s->c), 0);
	assert_int_equal(count_state_files(t, "spool"), 0);
}

/* As editors save: a scratch file, renamed onto the old text. */
static void a_scratch_file_renamed_onto_a_message_replaces_it(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->a, 5, "m.eml");
	uint64_t new = create(t, "m.eml~", true, TEXT);
	struct mail_row row = {.has = ROW_FLAGS};
	struct journal_entry e;

	change_replace(t->a, new, t->a, "m.eml", t->trash);
	assert_true(changed_get(t, new, &e));
	assert_int_equal(e.phase, JOURNAL_WRITING);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, new);
	assert_int_equal(journal_publish(t->a, new, &row), 0);
	changed_reopen(t);
	assert_int_equal(expect_body(t, new, TEXT), 0);
	append(t, new, strlen(TEXT));
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
}

static void nothing_waits_for_a_scratch_file(void **state)
{
	struct changed *t = *state;
	uint64_t old = changed_add(t->a, 5, "m~");
	uint64_t new = create(t, ".tmp", true, "x");
	struct journal_move how = {t->a, "m~", JOURNAL_REPLACE, t->trash,
				   false};
	struct journal_entry e;

	assert_int_equal(journal_move(t->a, new, &how, NULL), 0);
	assert_true(changed_get(t, old, &e));
	assert_int_equal(e.waits_for, 0);
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_message_is_not_sent_before_it_is_published),
		T(bytes_are_written_anywhere_and_cut),
		T(a_published_message_can_be_read_and_is_kept),
		T(a_message_is_published_with_the_flags_that_it_has),
		T(an_empty_file_is_not_published),
		T(it_may_change_until_it_is_sent),
		T(a_sent_message_keeps_its_body_if_the_server_did),
		T(a_body_that_the_server_changed_is_fetched),
		T(flags_set_after_sending_are_left),
		T(one_removed_on_its_way_is_removed_there),
		T(one_that_is_removed_unsent_leaves_nothing),
		T(what_was_refused_is_kept_under_its_name),
		T(scratch_files_stay_and_are_never_sent),
		T(a_scratch_file_renamed_onto_a_message_replaces_it),
		T(nothing_waits_for_a_scratch_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
