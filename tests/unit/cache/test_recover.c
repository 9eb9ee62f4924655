/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "changed.h"

/* Opening: older schemas, damaged records, and files that nothing knows. */

/* --- the schema --- */

/* Version 1, as the program before this one made it, with one message. */
static const char version_1[] =
	"CREATE TABLE vals (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
	"CREATE TABLE folders (id INTEGER PRIMARY KEY, wire TEXT UNIQUE,"
	" delimiter INTEGER, attrs INTEGER, uidvalidity INTEGER DEFAULT 0,"
	" uidnext INTEGER DEFAULT 0, low_uid INTEGER DEFAULT 0,"
	" complete INTEGER DEFAULT 0, highestmodseq INTEGER DEFAULT 0,"
	" synced_at INTEGER DEFAULT 0, changed_at_ns INTEGER DEFAULT 0);"
	"CREATE TABLE messages (folder INTEGER, id INTEGER, uid INTEGER,"
	" flags INTEGER, size INTEGER, internaldate INTEGER,"
	" changed_at INTEGER, keywords INTEGER, name TEXT,"
	" PRIMARY KEY (folder, id)) WITHOUT ROWID;"
	"CREATE TABLE details (id INTEGER PRIMARY KEY, date TEXT, from_ TEXT,"
	" to_ TEXT, cc TEXT, subject TEXT, message_id TEXT, keywords TEXT,"
	" gm_labels TEXT, gm_msgid INTEGER, gm_thrid INTEGER, blob BLOB);"
	"CREATE INDEX details_blob ON details (blob) WHERE blob IS NOT NULL;"
	"CREATE INDEX details_gm ON details (gm_msgid) WHERE gm_msgid <> 0;"
	"CREATE TABLE blobs (key BLOB PRIMARY KEY, size INTEGER, hashes BLOB,"
	" read_at INTEGER) WITHOUT ROWID;"
	"CREATE TABLE parts (id INTEGER PRIMARY KEY, size INTEGER,"
	" read_at INTEGER);"
	"CREATE TABLE part_chunks (id INTEGER, chunk INTEGER, hash BLOB,"
	" PRIMARY KEY (id, chunk)) WITHOUT ROWID;"
	"INSERT INTO vals VALUES ('x-account', 'kept');"
	"INSERT INTO folders (id, wire, delimiter, attrs, uidvalidity)"
	" VALUES (16, 'INBOX', 47, 0, 11);"
	"INSERT INTO messages VALUES (16, 17, 5, 1, 1000, 1700000000,"
	" 1700000000, 0, 'old.eml');"
	"INSERT INTO details (id, subject, message_id)"
	" VALUES (17, 'Old', '<old@example.com>');"
	"PRAGMA application_id = 1229801043; PRAGMA user_version = 1;";

/* What version 2 had more. */
static const char version_2[] =
	"ALTER TABLE folders ADD COLUMN messages INTEGER DEFAULT 0;"
	"ALTER TABLE folders ADD COLUMN kept INTEGER DEFAULT 0;"
	"CREATE INDEX folders_kept ON folders (id) WHERE kept <> 0;"
	"CREATE INDEX blobs_read ON blobs (read_at);"
	"UPDATE folders SET messages = 1;"
	"PRAGMA user_version = 2;";

static void begin_with_version_1(struct changed *t)
{
	char path[400];

	changed_close(t);
	snprintf(path, sizeof(path), "%s/index.db", t->s->state_dir);
	assert_int_equal(unlink(path), 0);
	scene_sql(t->s, version_1);
}

static void expect_old_rows(struct changed *t)
{
	struct cache_details *d;
	char *value;

	scene_open(t->s);
	assert_string_equal(t->s->report.set_aside, "");
	assert_false(t->s->report.is_new);
	assert_int_equal(cache_get_value(t->s->c, "account", &value), 0);
	assert_string_equal(value, "kept");
	free(value);
	assert_int_equal(box_open(t->s->c, 16, &t->a), 0);
	assert_int_equal(row_named(t->a, "old.eml").uid, 5);
	assert_int_equal(box_details(t->a, 17, &d), 0);
	assert_string_equal(d->field[FIELD_SUBJECT], "Old");
	free(d);
	change_flags(t->a, 17, MAIL_FLAGGED, 0);
	changed_expect(t, 17, JOURNAL_STORE);
	assert_int_equal(sql_number(t, "PRAGMA user_version"), 6);
}

static void a_database_of_version_1_is_used_on(void **state)
{
	struct changed *t = *state;

	begin_with_version_1(t);
	expect_old_rows(t);
}

static void a_database_of_version_2_is_used_on(void **state)
{
	struct changed *t = *state;

	begin_with_version_1(t);
	scene_sql(t->s, version_2);
	expect_old_rows(t);
	assert_int_equal(sql_number(t, "SELECT messages FROM folders"), 1);
}

/* Kept as they were sent, up to version 4: they are asked for once more. */
static void labels_of_an_older_version_are_not_believed(void **state)
{
	struct changed *t = *state;
	struct cache_details *d;
	struct cache_state s;

	begin_with_version_1(t);
	scene_sql(t->s, "UPDATE details SET gm_msgid = 7,"
			" gm_labels = '\"two words\"';"
			"UPDATE folders SET highestmodseq = 99;");
	scene_open(t->s);
	assert_int_equal(box_open(t->s->c, 16, &t->a), 0);
	assert_int_equal(box_details(t->a, 17, &d), 0);
	assert_string_equal(d->gm_labels, "");
	free(d);
	box_state(t->a, &s);
	assert_int_equal(s.highestmodseq, 0);
}

/* What was listed before it was asked for has no EMAILID. */
static void a_database_of_version_5_is_used_on(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	struct cache_key *keys;
	struct cache_details *d;
	size_t n;

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	changed_close(t);
	scene_sql(t->s, "DROP INDEX details_emailid;"
			"ALTER TABLE details DROP COLUMN emailid;"
			"PRAGMA user_version = 5");
	changed_open(t);
	assert_int_equal(sql_number(t, "PRAGMA user_version"), 6);
	assert_int_equal(box_details(t->a, id, &d), 0);
	assert_null(d->emailid);
	assert_string_equal(d->field[FIELD_MESSAGE_ID], "<5@example.com>");
	free(d);
	changed_expect(t, id, JOURNAL_STORE);
	/* It is still known by its Message-ID. */
	assert_int_equal(box_unmoor(t->a, &(struct cache_state){0}, &n), 0);
	assert_int_equal(box_unmoored_keys(t->a, &keys, &n), 0);
	assert_int_equal(n, 1);
	free(keys);
}

static void a_migration_that_is_cut_off_is_done_again(void **state)
{
	struct changed *t = *state;

	begin_with_version_1(t);
	/* What the step makes last is in its way. */
	scene_sql(t->s, "CREATE TABLE failed (x)");
	assert_int_not_equal(
		cache_open(&(struct cache_config){t->s->state_dir,
						  t->s->cache_dir, 0},
			   0, &t->s->c, &t->s->report),
		0);
	t->s->c = NULL;
	assert_int_equal(sql_number(t, "PRAGMA user_version"), 1);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM messages"), 1);
	scene_sql(t->s, "DROP TABLE failed");
	scene_open(t->s);
	assert_int_equal(sql_number(t, "PRAGMA user_version"), 6);
}

/* --- records and rows that do not fit --- */

static void expect_failed(struct changed *t, const char *why)
{
	char *text;

	assert_int_equal(journal_failed_text(t->s->c, &text), 0);
	if (!strstr(text, why))
		fail_msg("not listed: %s\n%s", why, text);
	free(text);
}

static void spoil(struct changed *t, const char *sql)
{
	changed_close(t);
	scene_sql(t->s, sql);
	changed_open(t);
}

static void a_record_without_a_row_is_listed(void **state)
{
	struct changed *t = *state;
	struct cache_state s = {.uidvalidity = VALID_A,
				.uidnext = 9,
				.low_uid = 1,
				.complete = true};
	uint64_t id = changed_add(t->a, 5, "m.eml");

	assert_int_equal(box_set_state(t->a, &s), 0);
	change_move(t->a, id, t->b, "m.eml");
	spoil(t, "DELETE FROM messages");
	changed_expect_none(t, id);
	expect_failed(t, "its row is lost");
	/* The folder is listed again, so that the message is seen. */
	box_state(t->a, &s);
	assert_false(s.complete);
	assert_int_equal(s.low_uid, 0);
	assert_int_equal(s.uidnext, 9);
	changed_reopen(t);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM failed"), 1);
}

static void a_row_without_a_record_stays(void **state)
{
	struct changed *t = *state;
	uint64_t moved = changed_add(t->a, 5, "m.eml");
	uint64_t flagged = changed_add(t->a, 6, "n.eml");

	change_move(t->a, moved, t->b, "m.eml");
	change_flags(t->a, flagged, MAIL_FLAGGED, 0);
	assert_int_equal(journal_remove(t->a, changed_add(t->a, 7, "o")), 0);
	spoil(t, "DELETE FROM changes");
	assert_true(row_of(t->b, moved).unmoored);
	assert_int_equal(row_of(t->a, flagged).uid, 6);
	expect_failed(t, "the record of its change is lost");
	/* The one in the limbo cannot be seen by anybody. */
	assert_int_equal(
		sql_number(t, "SELECT count(*) FROM messages WHERE folder = 0"),
		0);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM failed"), 2);
}

static void damaged_records_are_listed_and_their_rows_stay(void **state)
{
	static const char *const damage[] = {
		"phase = 9",
		"phase = 0",
		"how = 3",
		"uid = -1",
		"uid = 0",
		"uidvalidity = 0",
		"folder = 3",
		"add_flags = 64",
		"add_flags = 1, remove_flags = 1",
		"add_keywords = ''",
		"add_keywords = char(10)",
		"sent = 64, phase = 4",
		"phase = 4",
		"sent = 1",
		"spool = '../../x'",
		"spool = 'x'",
		"name = 'a/b'",
		"seq = -1",
		"tries = 99999999999",
	};
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	char sql[200];

	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		change_move(t->a, id, t->b, "m.eml");
		snprintf(sql, sizeof(sql),
			 "DELETE FROM failed; UPDATE changes SET %s",
			 damage[i]);
		spoil(t, sql);
		changed_expect_none(t, id);
		expect_failed(t, "the record of it is damaged");
		assert_true(row_of(t->b, id).unmoored);
		/* For the next one: as if it had been found there. */
		snprintf(sql, sizeof(sql),
			 "UPDATE messages SET folder = %d, uid = 5",
			 (int)t->in_a);
		spoil(t, sql);
	}
	snprintf(sql, sizeof(sql),
		 "DELETE FROM failed;"
		 "INSERT INTO changes (id) VALUES (4000000)");
	spoil(t, sql);
	expect_failed(t, "the record of it is damaged");
	assert_true(has_row(t->a, id));
}

static void a_message_in_two_folders_is_in_one(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");
	char sql[300];

	change_move(t->a, id, t->b, "m.eml");
	snprintf(sql, sizeof(sql),
		 "INSERT INTO messages SELECT %d, id, 5, flags, size, 0, 0, 0,"
		 " name FROM messages; INSERT INTO messages SELECT %d, id,"
		 " NULL, flags, size, 0, 0, 0, name FROM messages"
		 " WHERE folder = %d",
		 (int)t->in_a, (int)t->in_trash, (int)t->in_b);
	spoil(t, sql);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM messages"), 1);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM failed"), 2);
	changed_expect(t, id, JOURNAL_MOVE);
}

static void a_row_of_another_message_is_not_changed(void **state)
{
	struct changed *t = *state;
	uint64_t id = changed_add(t->a, 5, "m.eml");

	change_flags(t->a, id, MAIL_FLAGGED, 0);
	spoil(t, "UPDATE messages SET uid = 6");
	changed_expect_none(t, id);
	expect_failed(t, "its row is another message's");
	assert_int_equal(row_of(t->a, id).uid, 6);
}

static void records_that_wait_in_a_circle_wait_no_more(void **state)
{
	struct changed *t = *state;
	uint64_t a = changed_add(t->a, 5, "a"), b = changed_add(t->a, 6, "b");
	struct journal_entry e, f;
	char sql[200];

	change_move(t->a, a, t->b, "a");
	change_move(t->a, b, t->b, "b");
	snprintf(sql, sizeof(sql),
		 "UPDATE changes SET waits_for = CASE id WHEN %d THEN %d ELSE"
		 " %d END, seq = 7",
		 (int)a, (int)b, (int)a);
	spoil(t, sql);
	assert_true(changed_get(t, a, &e));
	assert_true(changed_get(t, b, &f));
	assert_true(e.waits_for == 0 || f.waits_for == 0);
	assert_int_not_equal(e.seq, f.seq); /* they had the same */
}

/* --- files --- */

static void put_file(struct changed *t, const char *name, const char *text)
{
	char path[400];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t->s->state_dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void files_that_nothing_knows_are_kept(void **state)
{
	struct changed *t = *state;

	changed_close(t);
	put_file(t, "spool/0000ffff", "the only copy");
	put_file(t, "spool/0000fffe", "");
	put_file(t, "spool/0000fffd~", "scratch");
	put_file(t, "spool/strange", "not ours, but who knows");
	changed_open(t);
	assert_int_equal(count_state_files(t, "spool"), 0);
	assert_int_equal(count_state_files(t, "rejected"), 2);
	expect_failed(t, "its text is kept as rejected/unsent-0000ffff.eml");
}

static void a_lost_database_loses_no_unsent_text(void **state)
{
	struct changed *t = *state;
	char path[400];

	(void)change_create(t->a, "new.eml", "X: 1\r\n\r\nprecious\r\n");
	changed_close(t);
	snprintf(path, sizeof(path), "%s/index.db", t->s->state_dir);
	assert_int_equal(truncate(path, 100), 0);
	scene_open(t->s);
	assert_string_not_equal(t->s->report.set_aside, "");
	assert_int_equal(count_state_files(t, "rejected"), 1);
	expect_failed(t, "its text is kept");
}

static void leftovers_that_cannot_be_are_forgotten(void **state)
{
	struct changed *t = *state;

	changed_close(t);
	scene_sql(t->s, "INSERT INTO leftovers VALUES (x'6161', NULL),"
			" (CAST(x'61006262' AS TEXT), NULL), ('..', NULL)");
	changed_open(t);
	assert_int_equal(sql_number(t, "SELECT count(*) FROM leftovers"), 0);
}

/* Of what is damaged all but the last has been read already. */
static void a_database_that_is_lost_late_loses_no_unsent_text(void **state)
{
	struct changed *t = *state;

	(void)change_create(t->a, "new.eml", "X: 1\r\n\r\nprecious\r\n");
	changed_close(t);
	scene_spoil_table(t->s, "leftovers");
	scene_open(t->s);
	assert_string_not_equal(t->s->report.set_aside, "");
	assert_int_equal(count_state_files(t, "rejected"), 1);
	expect_failed(t, "its text is kept");
}

static void a_message_whose_file_is_lost_is_listed(void **state)
{
	struct changed *t = *state;
	uint64_t id = change_create(t->a, "new.eml", "X: 1\r\n");
	char path[400];

	changed_close(t);
	snprintf(path, sizeof(path), "%s/spool/%08llx", t->s->state_dir,
		 (unsigned long long)id);
	assert_int_equal(unlink(path), 0);
	changed_open(t);
	changed_expect_none(t, id);
	assert_false(has_row(t->a, id));
	expect_failed(t, "'new.eml': its text is lost");
}

#define T(name)                                                                \
	cmocka_unit_test_setup_teardown(name, changed_setup, changed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_database_of_version_1_is_used_on),
		T(a_database_of_version_2_is_used_on),
		T(labels_of_an_older_version_are_not_believed),
		T(a_database_of_version_5_is_used_on),
		T(a_migration_that_is_cut_off_is_done_again),
		T(a_record_without_a_row_is_listed),
		T(a_row_without_a_record_stays),
		T(damaged_records_are_listed_and_their_rows_stay),
		T(a_message_in_two_folders_is_in_one),
		T(a_row_of_another_message_is_not_changed),
		T(records_that_wait_in_a_circle_wait_no_more),
		T(files_that_nothing_knows_are_kept),
		T(leftovers_that_cannot_be_are_forgotten),
		T(a_lost_database_loses_no_unsent_text),
		T(a_database_that_is_lost_late_loses_no_unsent_text),
		T(a_message_whose_file_is_lost_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
