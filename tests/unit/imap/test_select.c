/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/pool.h"
#include "imap/select.h"
#include "script.h"

/*
 * How a mailbox is opened, what is sent along with that, and the numbers that
 * the server says of it.
 */

/* --- numbers --- */

static struct session opening;

static int setup(void **state)
{
	(void)state;
	opening = (struct session){.opening = true};
	quirks_init(&opening.quirks);
	return 0;
}

static void hear(struct session *s, const char *line)
{
	struct response r;
	struct status st;

	if (status_parse(line, strlen(line), &st)) {
		select_take_code(s, &st);
	} else {
		grammar_classify(line, strlen(line), &r);
		select_take(s, &r);
	}
}

static void vanished_counts_as_many_expunges(void **state)
{
	struct session *s = &opening;

	(void)state;
	hear(s, "* 10 EXISTS\r\n");
	s->opening = false;
	hear(s, "* 3 EXPUNGE\r\n");
	assert_int_equal(s->box.messages, 9);
	hear(s, "* VANISHED 4:5,100\r\n");
	assert_int_equal(s->box.messages, 6);
	hear(s, "* VANISHED (EARLIER) 1:3\r\n");
	assert_int_equal(s->box.messages, 6);
	hear(s, "* VANISHED 7,x\r\n");
	assert_int_equal(s->box.messages, 5);
	hear(s, "* VANISHED 1:4294967295,1:4294967295\r\n");
	assert_int_equal(s->box.messages, 0);
	hear(s, "* VANISHED 1\r\n");
	hear(s, "* 1 EXPUNGE\r\n");
	assert_int_equal(s->box.messages, 0);
}

static void all_numbers_make_a_mailbox(void **state)
{
	static const char *const lines[] = {
		"* 0 EXISTS\r\n",
		"* OK [UIDVALIDITY 7] ok\r\n",
		"* OK [UIDNEXT 9] ok\r\n",
		"* OK [HIGHESTMODSEQ 5] ok\r\n",
	};
	struct session *s = &opening;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		assert_false(select_is_told(s));
		hear(s, "* VANISHED (EARLIER) 1\r\n");
		assert_true(s->strays);
		hear(s, lines[i]);
	}
	assert_true(select_is_told(s));
	s->strays = false;
	hear(s, "* 1 FETCH (UID 1 FLAGS ())\r\n");
	assert_false(s->strays);
	/* That was the mailbox before. */
	hear(s, "* OK [CLOSED] gone\r\n");
	assert_false(select_is_told(s));
	hear(s, "* 1 FETCH (UID 1 FLAGS ())\r\n");
	assert_true(s->strays);
}

static void what_a_mailbox_can_keep_is_told(void **state)
{
	struct session *s = &opening;

	(void)state;
	s->writable = true;
	hear(s, "* OK [PERMANENTFLAGS (\\Seen \\deleted \\* $Work)] ok\r\n");
	assert_true(s->box.has_permanent_flags);
	assert_int_equal(s->box.permanent_flags, MAIL_SEEN | MAIL_DELETED);
	assert_true(s->box.new_keywords);
	hear(s, "* OK [PERMANENTFLAGS ()] none\r\n");
	assert_true(s->box.has_permanent_flags);
	assert_int_equal(s->box.permanent_flags, 0);
	assert_false(s->box.new_keywords);
	hear(s, "* OK [PERMANENTFLAGS] none\r\n");
	assert_int_equal(s->box.permanent_flags, 0);
	hear(s, "* OK [UIDNOTSTICKY] x\r\n");
	assert_true(s->box.uids_not_sticky);
	hear(s, "* OK [HIGHESTMODSEQ 5] x\r\n");
	hear(s, "* OK [NOMODSEQ] x\r\n");
	assert_true(s->box.no_modseq);
	assert_int_equal(s->box.highestmodseq, 0);
	hear(s, "A1 OK [READ-ONLY] done\r\n");
	assert_true(s->box.read_only);
	hear(s, "A1 OK [READ-WRITE] done\r\n");
	assert_false(s->box.read_only);
	/* Of EXAMINE it says nothing about the mailbox. */
	s->writable = false;
	hear(s, "A1 OK [READ-ONLY] done\r\n");
	assert_false(s->box.read_only);
}

static uint64_t settled(struct session *s, uint64_t modseq, uint64_t before)
{
	const struct status ok = {.kind = STATUS_OK};

	s->box.highestmodseq = modseq;
	assert_int_equal(select_answered(s, &ok), SELECT_OPEN);
	return select_settled(s, before);
}

static void a_modseq_that_runs_ahead_is_believed_later(void **state)
{
	struct session *s = &opening;

	(void)state;
	assert_int_equal(settled(s, 5000, 4000), 5000);
	s->quirks.modseq_ahead = true;
	assert_int_equal(settled(s, 5000, 4000), 4000);
	assert_int_equal(settled(s, 5000, 0), 4000);
	assert_int_equal(settled(s, 900, 0), 1);
	assert_int_equal(settled(s, 0, 0), 0);
	assert_int_equal(settled(s, 5000, 6000), 5000);
	/* Seen a minute ago, for the first time since we are connected. */
	s->seen_modseq_ms -= 60000;
	assert_int_equal(settled(s, 7000, 4000), 5000);
	assert_int_equal(settled(s, 8000, 4000), 5000);
	s->seen_modseq_ms -= 60000;
	assert_int_equal(settled(s, 9000, 4000), 7000);
	assert_int_equal(settled(s, 9000, 7500), 7500);
}

/* --- what is sent along with EXAMINE --- */

#define BOX                                                                    \
	"S: * 3 EXISTS", "S: * OK [UIDVALIDITY 7] ok",                         \
		"S: * OK [UIDNEXT 100] ok"
#define FOUR "S: * 1 FETCH (UID 4 BODY[] {3}", "R: abc)\r\n"

static struct seen fetch_on(script steps)
{
	static const uint32_t four = 4;
	struct server *s = SERVER(steps);
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)seen_fetch(im, &seen, &four, 1);
	seen_wait(&seen);
	account_end(im, s);
	return seen;
}

static void a_reader_costs_one_flight(void **state)
{
	struct seen seen =
		fetch_on(STEPS(LOGIN, "C: A2 EXAMINE INBOX",
			       "C: A3 UID FETCH 4 (UID BODY.PEEK[])", BOX,
			       "S: A2 OK done", FOUR, "S: A3 OK done"));

	(void)state;
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.body, "abc");
}

static void no_byte_of_another_uidvalidity_is_handed_on(void **state)
{
	struct seen seen =
		fetch_on(STEPS(LOGIN, "C: A2 EXAMINE", "C: A3 UID FETCH",
			       "S: * 3 EXISTS", "S: * OK [UIDVALIDITY 8] ok",
			       "S: A2 OK done", FOUR, "S: A3 OK done"));

	(void)state;
	assert_int_equal(seen.result, -ESTALE);
	assert_int_equal(seen.begun, 0);
	assert_int_equal(seen.n_body, 0);
}

/* One that keeps the mailbox before open, and answers of that one. */
static void no_byte_of_a_mailbox_that_is_refused_is_handed_on(void **state)
{
	struct seen seen = fetch_on(
		STEPS(LOGIN, "C: A2 EXAMINE", "C: A3 UID FETCH",
		      "S: A2 NO [NONEXISTENT] no", FOUR, "S: A3 OK done"));

	(void)state;
	assert_int_equal(seen.result, -ENOENT);
	assert_int_equal(seen.begun, 0);
}

static void a_body_in_front_of_examine_is_not_believed(void **state)
{
	struct seen seen =
		fetch_on(STEPS(LOGIN, "C: A2 EXAMINE", "C: A3 UID FETCH", FOUR,
			       "S: A3 OK done", BOX, "S: A2 OK done"));

	(void)state;
	assert_int_equal(seen.result, -EPROTO);
	assert_int_equal(seen.begun, 0);
}

static void what_was_sent_along_is_sent_again(void **state)
{
	static const uint32_t four = 4;
	struct server *s =
		SERVER(STEPS(LOGIN, "C: A2 EXAMINE", "C: A3 UID FETCH", "X:"),
		       STEPS(LOGIN, "C: A5 EXAMINE", "C: A6 UID FETCH 4 ", BOX,
			     "S: A5 OK done", FOUR, "S: A6 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen seen = {0};

	(void)state;
	(void)seen_fetch(im, &seen, &four, 1);
	seen_wait(&seen);
	account_end(im, s);
	assert_int_equal(seen.result, 0);
	assert_string_equal(seen.body, "abc");
}

/* A sync opens it, with parameters that are refused; a reader came along. */
static void refused_parameters_lose_no_reader(void **state)
{
	static const uint32_t four = 4;
	struct server *s = SERVER(STEPS(
		LOGIN_WITH("CONDSTORE ESEARCH"),
		"C: A2 EXAMINE INBOX (CONDSTORE)", "C: A3 UID FETCH 1:99 ",
		"C: A4 UID FETCH 100:*", "S: * OK wait",
		"C: A5 UID FETCH 4 (UID BODY", "S: A2 BAD no", "S: A3 BAD no",
		"S: A4 BAD no", "S: A5 BAD no", "C: A6 EXAMINE INBOX",
		"C: A7 UID FETCH 4 (UID BODY", "C: A8 UID FETCH 1:99 ",
		"C: A9 UID FETCH 100:*", BOX, "S: A6 OK done", FOUR,
		"S: A7 OK done", "S: A8 OK done", "S: A9 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen sync = {0};
	struct seen body = {0};
	struct imap_state now;

	(void)state;
	seen_sync(im, &sync, 0);
	WAIT_STATE(im, now, now.jobs_running > 0);
	(void)seen_fetch(im, &body, &four, 1);
	seen_wait(&body);
	seen_wait(&sync);
	account_end(im, s);
	assert_int_equal(sync.result, 0);
	assert_int_equal(body.result, 0);
	assert_string_equal(body.body, "abc");
}

/* --- SELECT --- */

struct change {
	struct job job;
	struct seen *seen;
	bool sent;
};

static void change_start(struct job *j, struct session *s)
{
	((struct change *)j)->seen->box = s->box;
}

static void change_pump(struct job *j, struct session *s)
{
	const struct call call = {.job = j};
	struct change *change = (struct change *)j;
	struct command c;

	if (change->sent)
		return;
	change->sent = true;
	session_begin(s, &c);
	command_text(&c, "UID STORE 4 +FLAGS.SILENT (\\Seen)");
	if (session_send(s, &c, &call) < 0)
		job_finish(j, -ENOMEM, NULL);
}

static void change_answer(struct job *j, struct session *s,
			  const struct call *call, const struct status *st)
{
	(void)s;
	(void)call;
	job_finish(j, st->kind == STATUS_OK ? 0 : -EIO, NULL);
}

static bool change_repeat(struct job *j)
{
	(void)j;
	return false;
}

static void change_done(struct job *j)
{
	seen_sync_ops.done(((struct change *)j)->seen, j->result, &j->why,
			   NULL);
}

static void change_free(struct job *j)
{
	free(j->mailbox);
	free(j);
}

static const struct job_class change_class = {
	.name = "change",
	.writes = true,
	.start = change_start,
	.pump = change_pump,
	.answer = change_answer,
	.repeat = change_repeat,
	.done = change_done,
	.free = change_free,
};

static void change_inbox(struct imap *im, struct seen *seen)
{
	struct change *j = calloc(1, sizeof(*j));
	imap_job id;

	assert_non_null(j);
	assert_int_equal(job_init(&j->job, &change_class, "INBOX"), 0);
	j->seen = seen;
	assert_int_equal(pool_submit(im, &j->job, IMAP_PRIO_CHANGE, &id), 0);
}

static void a_job_that_writes_selects(void **state)
{
	static const uint32_t four = 4;
	struct server *s = SERVER(STEPS(
		LOGIN, "C: A2 EXAMINE INBOX", "C: A3 UID FETCH 4 ", BOX,
		"S: * OK [PERMANENTFLAGS ()] none", "S: A2 OK [READ-ONLY] done",
		FOUR, "S: A3 OK done", "C: A4 SELECT INBOX", BOX,
		"S: * OK [PERMANENTFLAGS (\\Seen)] ok",
		"S: A4 OK [READ-ONLY] done", "C: A5 UID STORE", "S: A5 OK done",
		"C: A6 UID FETCH 4 ", FOUR, "S: A6 OK done", "C: A7 UID STORE",
		"S: A7 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen read[2] = {0};
	struct seen change[2] = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		(void)seen_fetch(im, &read[i], &four, 1);
		seen_wait(&read[i]);
		change_inbox(im, &change[i]);
		seen_wait(&change[i]);
		assert_int_equal(read[i].result, 0);
		assert_int_equal(change[i].result, 0);
		assert_true(change[i].box.read_only);
		assert_int_equal(change[i].box.permanent_flags, MAIL_SEEN);
	}
	account_end(im, s);
}

/* SELECT closes what is open: whoever reads there comes to an end before. */
static void a_job_that_writes_waits_for_readers(void **state)
{
	static const uint32_t uids[] = {4, 5};
	struct server *s =
		SERVER(STEPS(LOGIN, "C: A2 EXAMINE INBOX", "C: A3 UID FETCH 4 ",
			     BOX, "S: A2 OK done", "C: A4 UID FETCH 5 ",
			     "S: * 2 FETCH (UID 5 BODY[] {3}", "R: def)\r\n",
			     "S: A4 OK done", "W:", FOUR, "S: A3 OK done",
			     "C: A5 SELECT INBOX", BOX, "S: A5 OK done",
			     "C: A6 UID STORE", "S: A6 OK done"));
	struct imap *im = account_connected(s, 1);
	struct seen read[2] = {0};
	struct seen change = {0};
	struct imap_state now;

	(void)state;
	(void)seen_fetch(im, &read[0], &uids[0], 1);
	WAIT_STATE(im, now, now.jobs_running > 0);
	change_inbox(im, &change);
	(void)seen_fetch(im, &read[1], &uids[1], 1);
	seen_wait(&read[1]);
	imap_get_state(im, &now);
	assert_int_equal(now.jobs_queued, 1);
	server_go(s);
	seen_wait(&read[0]);
	seen_wait(&change);
	account_end(im, s);
	assert_int_equal(read[0].result, 0);
	assert_string_equal(read[0].body, "abc");
	assert_int_equal(change.result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(vanished_counts_as_many_expunges, setup),
		cmocka_unit_test_setup(all_numbers_make_a_mailbox, setup),
		cmocka_unit_test_setup(what_a_mailbox_can_keep_is_told, setup),
		cmocka_unit_test_setup(
			a_modseq_that_runs_ahead_is_believed_later, setup),
		cmocka_unit_test(a_reader_costs_one_flight),
		cmocka_unit_test(no_byte_of_another_uidvalidity_is_handed_on),
		cmocka_unit_test(
			no_byte_of_a_mailbox_that_is_refused_is_handed_on),
		cmocka_unit_test(a_body_in_front_of_examine_is_not_believed),
		cmocka_unit_test(what_was_sent_along_is_sent_again),
		cmocka_unit_test(refused_parameters_lose_no_reader),
		cmocka_unit_test(a_job_that_writes_selects),
		cmocka_unit_test(a_job_that_writes_waits_for_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
