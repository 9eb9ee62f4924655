/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/internal.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "imap/log.h"

/*
 * Connections to SQLite: opening, the schema and its versions, statements,
 * and the one place where SQLite's errors become ours.
 *
 * A database is ours if its application_id says so; user_version is the
 * version of the schema. An empty file (version 0) is brought up by the same
 * steps that migrate an old one, each in one transaction. To add a version:
 * append a step, raise DB_VERSION; never change an old step.
 */

static const char *const migrations[DB_VERSION] = {
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
	" PRIMARY KEY (id, chunk)) WITHOUT ROWID;",

	/* 2: keeping up, and folders whose bodies are kept. */
	"ALTER TABLE folders ADD COLUMN messages INTEGER DEFAULT 0;"
	"ALTER TABLE folders ADD COLUMN kept INTEGER DEFAULT 0;"
	"CREATE INDEX folders_kept ON folders (id) WHERE kept <> 0;"
	"CREATE INDEX blobs_read ON blobs (read_at);",

	/* 3: the journal. */
	"CREATE INDEX messages_pending ON messages (id) WHERE uid IS NULL;"
	"CREATE TABLE changes (id INTEGER PRIMARY KEY, seq INTEGER,"
	" folder INTEGER, uidvalidity INTEGER, uid INTEGER, how INTEGER,"
	" phase INTEGER, waits_for INTEGER, add_flags INTEGER,"
	" remove_flags INTEGER, add_keywords TEXT, remove_keywords TEXT,"
	" key BLOB, name TEXT, spool TEXT, sent INTEGER, sent_to INTEGER,"
	" sent_uidvalidity INTEGER, sent_uidnext INTEGER,"
	" sent_add_flags INTEGER, sent_remove_flags INTEGER,"
	" sent_add_keywords TEXT, sent_remove_keywords TEXT,"
	" queued_at INTEGER, tries INTEGER);"
	"CREATE TABLE leftovers (spool TEXT PRIMARY KEY, rejected TEXT)"
	" WITHOUT ROWID;"
	"CREATE TABLE failed (seq INTEGER PRIMARY KEY, at INTEGER, what TEXT,"
	" why TEXT, file TEXT);",

	/* 4: the size that the server tells; 0: of those before, unknown. */
	"ALTER TABLE details ADD COLUMN size INTEGER DEFAULT 0;",

	/*
	 * 5: labels can be changed, and are kept as words (imap/labels.h). What
	 * the server sent before is asked for once more.
	 */
	"ALTER TABLE changes ADD COLUMN add_labels TEXT;"
	"ALTER TABLE changes ADD COLUMN remove_labels TEXT;"
	"ALTER TABLE changes ADD COLUMN sent_add_labels TEXT;"
	"ALTER TABLE changes ADD COLUMN sent_remove_labels TEXT;"
	"UPDATE folders SET highestmodseq = 0 WHERE EXISTS"
	" (SELECT 1 FROM details WHERE gm_msgid <> 0);"
	"UPDATE details SET gm_labels = NULL WHERE gm_msgid <> 0;",

	/* 6: EMAILID; NULL: none, or listed before it was asked for. */
	"ALTER TABLE details ADD COLUMN emailid TEXT;"
	"CREATE INDEX details_emailid ON details (emailid, size, blob)"
	" WHERE emailid IS NOT NULL;",
};

static const struct sql transactions_sql[] = {
	{S_BEGIN, "BEGIN IMMEDIATE"},
	{S_COMMIT, "COMMIT"},
	{S_ROLLBACK, "ROLLBACK"},
	{0, NULL},
};

static const struct {
	int code;
	int error;
} errors[] = {
	{SQLITE_CORRUPT, -EBADMSG},  {SQLITE_NOTADB, -EBADMSG},
	{SQLITE_FULL, -ENOSPC},      {SQLITE_NOMEM, -ENOMEM},
	{SQLITE_READONLY, -EROFS},   {SQLITE_PERM, -EACCES},
	{SQLITE_BUSY, -EBUSY},       {SQLITE_LOCKED, -EBUSY},
	{SQLITE_TOOBIG, -EOVERFLOW},
};

static int system_error(struct db *db)
{
	switch (sqlite3_system_errno(db->handle)) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case EACCES:
	case EPERM:
		return -EACCES;
	case EROFS:
		return -EROFS;
	default:
		return -EIO;
	}
}

/* The errno of an SQLite result of this connection. */
static int errno_of(struct db *db, int rc)
{
	int code = rc & 0xff;

	if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
		return 0;
	if (rc == SQLITE_IOERR_NOMEM)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].code == code)
			return errors[i].error;
	}
	if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN)
		return system_error(db);
	return -EIO;
}

/* --- statements --- */

static void log_failure(struct db *db, enum stmt s, int r)
{
	log_write(r == -EIO ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
		  "cache: statement %d: %s", s, sqlite3_errmsg(db->handle));
}

int db_step(struct db *db, enum stmt s)
{
	int rc = sqlite3_step(db->stmt[s]), r;

	if (rc == SQLITE_ROW)
		return 1;
	r = errno_of(db, rc);
	if (r != 0)
		log_failure(db, s, r);
	sqlite3_reset(db->stmt[s]);
	return r;
}

int db_run(struct db *db, enum stmt s)
{
	int rc = sqlite3_step(db->stmt[s]), r;

	sqlite3_reset(db->stmt[s]);
	if (rc == SQLITE_DONE || rc == SQLITE_ROW)
		return 0;
	if ((rc & 0xff) == SQLITE_CONSTRAINT) {
		/* Trying again would not help: the row is left out. */
		log_warn("cache: a row was left out: %s",
			 sqlite3_errmsg(db->handle));
		return 0;
	}
	r = errno_of(db, rc);
	log_failure(db, s, r);
	return r;
}

void db_reset(struct db *db, enum stmt s)
{
	sqlite3_reset(db->stmt[s]);
}

/*
 * Binding fails only for indexes out of range, which no call here has, and
 * for lack of memory, which never happens with borrowed bytes.
 */
void db_bind_int(struct db *db, enum stmt s, int at, int64_t v)
{
	(void)sqlite3_bind_int64(db->stmt[s], at, v);
}

void db_bind_text(struct db *db, enum stmt s, int at, const char *v)
{
	(void)sqlite3_bind_text(db->stmt[s], at, v, -1, SQLITE_STATIC);
}

void db_bind_blob(struct db *db, enum stmt s, int at, const void *v, size_t n)
{
	(void)sqlite3_bind_blob(db->stmt[s], at, v, (int)n, SQLITE_STATIC);
}

static int prepare_all(struct db *db, const struct sql *sql)
{
	for (; sql->text; sql++) {
		int rc = sqlite3_prepare_v3(db->handle, sql->text, -1,
					    SQLITE_PREPARE_PERSISTENT,
					    &db->stmt[sql->stmt], NULL);

		/* A table or a column is missing: this is not our schema. */
		if ((rc & 0xff) == SQLITE_ERROR)
			return -EBADMSG;
		if (rc != SQLITE_OK)
			return errno_of(db, rc);
	}
	return 0;
}

static int prepare(struct db *db)
{
	const struct sql *const all[] = {
		transactions_sql, db_values_sql, db_folders_sql,
		db_messages_sql,  db_moor_sql,   db_rows_sql,
		db_journal_sql,   db_failed_sql, db_left_sql,
		db_blob_sql,      db_parts_sql};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		r = prepare_all(db, all[i]);
	return r;
}

/* --- opening --- */

static int exec(struct db *db, const char *sql)
{
	return errno_of(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static int read_pragma(struct db *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);

	if (rc != SQLITE_OK)
		return errno_of(db, rc);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW    ? 0
	       : rc == SQLITE_DONE ? -EBADMSG
				   : errno_of(db, rc);
}

/*
 * SQLite counts its memory under a lock at each allocation, for questions that
 * nobody here asks. It cannot be told so once it is in use.
 */
static void configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int open_file(struct db *db, const char *path, const char *pragmas)
{
	static pthread_once_t configured = PTHREAD_ONCE_INIT;
	int rc;

	(void)pthread_once(&configured, configure);
	rc = sqlite3_open_v2(path, &db->handle,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				     SQLITE_OPEN_NOMUTEX |
				     SQLITE_OPEN_NOFOLLOW |
				     SQLITE_OPEN_PRIVATECACHE,
			     NULL);

	if (!db->handle)
		return -ENOMEM;
	if (rc != SQLITE_OK)
		return errno_of(db, rc);
	(void)sqlite3_extended_result_codes(db->handle, 1);
	(void)sqlite3_busy_timeout(db->handle, 5000);
	/* What a damaged or foreign schema says is not run. */
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0,
				NULL);
	return exec(db, pragmas);
}

/* Text of a migration step and its version, in one transaction. */
static int migrate(struct db *db, int64_t from)
{
	static const char *const stamp[DB_VERSION] = {
		"PRAGMA user_version = 1", "PRAGMA user_version = 2",
		"PRAGMA user_version = 3", "PRAGMA user_version = 4",
		"PRAGMA user_version = 5", "PRAGMA user_version = 6"};
	int r = exec(db, "BEGIN IMMEDIATE");

	for (int64_t v = from; r == 0 && v < DB_VERSION; v++) {
		r = exec(db, migrations[v]);
		if (r == 0)
			r = exec(db, stamp[v]);
	}
	if (r == 0)
		r = exec(db, "PRAGMA application_id = 1229801043");
	if (r == 0)
		return exec(db, "COMMIT");
	(void)exec(db, "ROLLBACK");
	return r;
}

static int check_version(struct db *db, bool *ret_is_new)
{
	int64_t app = 0, version = 0, tables = 0;
	int r = read_pragma(db, "PRAGMA application_id", &app);

	if (r == 0)
		r = read_pragma(db, "PRAGMA user_version", &version);
	if (r == 0)
		r = read_pragma(db, "SELECT count(*) FROM sqlite_schema",
				&tables);
	if (r != 0)
		return r;

	if (tables == 0 && app == 0 && version == 0) {
		*ret_is_new = true;
		return migrate(db, 0);
	}
	*ret_is_new = false;
	if (app != DB_APPLICATION_ID || version < 1)
		return -EBADMSG;
	if (version > DB_VERSION)
		return -ENOTSUP;
	return version < DB_VERSION ? migrate(db, version) : 0;
}

int db_open_writer(struct db *db, const char *path, bool *ret_is_new)
{
	int r = open_file(db, path,
			  "PRAGMA journal_mode = WAL;"
			  "PRAGMA synchronous = NORMAL;"
			  "PRAGMA cache_size = -1024;"
			  "PRAGMA journal_size_limit = 8388608;");

	if (r == 0)
		r = check_version(db, ret_is_new);
	if (r == 0)
		r = prepare(db);
	return r;
}

int db_open_reader(struct db *db, const char *path)
{
	int r = open_file(db, path,
			  "PRAGMA query_only = 1; PRAGMA cache_size = -512;");

	return r == 0 ? prepare(db) : r;
}

void db_close(struct db *db)
{
	for (int i = 0; i < N_STMTS; i++)
		sqlite3_finalize(db->stmt[i]);
	sqlite3_close(db->handle);
	*db = (struct db){0};
}
