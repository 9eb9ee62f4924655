/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/srv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * Answers of DNS as hand-made packets. No test here asks a name server.
 */

/* A DNS message under construction. */
struct packet {
	unsigned char bytes[1024];
	size_t n;
};

static void put16(struct packet *p, unsigned v)
{
	p->bytes[p->n++] = (unsigned char)(v >> 8);
	p->bytes[p->n++] = (unsigned char)v;
}

static void put_name(struct packet *p, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");

		p->bytes[p->n++] = (unsigned char)n;
		memcpy(p->bytes + p->n, name, n);
		p->n += n;
		name += n + (name[n] == '.');
	}
	p->bytes[p->n++] = 0;
}

static void put_head(struct packet *p, unsigned flags, unsigned answers)
{
	p->n = 0;
	put16(p, 1);
	put16(p, flags);
	put16(p, 1);
	put16(p, answers);
	put16(p, 0);
	put16(p, 0);
	put_name(p, "_imaps._tcp.example.org");
	put16(p, 33);
	put16(p, 1);
}

static void put_srv(struct packet *p, unsigned priority, unsigned weight,
		    unsigned port, const char *target)
{
	size_t at;

	put16(p, 0xc00c); /* a pointer to the question's name */
	put16(p, 33);
	put16(p, 1);
	put16(p, 0);
	put16(p, 60);
	at = p->n;
	put16(p, 0);
	put16(p, priority);
	put16(p, weight);
	put16(p, port);
	put_name(p, target);
	p->bytes[at] = (unsigned char)((p->n - at - 2) >> 8);
	p->bytes[at + 1] = (unsigned char)(p->n - at - 2);
}

#define FLAGS_OK 0x8180
#define FLAGS_AUTHENTIC 0x81a0
#define FLAGS_NXDOMAIN 0x8183

static void the_lowest_priority_wins_and_then_the_first(void **state)
{
	struct srv_answer answer;
	struct packet p;

	(void)state;
	put_head(&p, FLAGS_OK, 3);
	put_srv(&p, 20, 0, 993, "late.example.org");
	put_srv(&p, 10, 0, 1993, "first.example.org");
	put_srv(&p, 10, 99, 993, "second.example.org");
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), 0);
	assert_string_equal(answer.host, "first.example.org");
	assert_int_equal(answer.port, 1993);
	assert_false(answer.is_authentic);
	assert_false(answer.is_starttls);
	p.bytes[3] |= 0x20; /* AD */
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), 0);
	assert_true(answer.is_authentic);
}

static void answers_that_name_no_service_change_nothing(void **state)
{
	struct srv_answer answer;
	struct packet p;

	(void)state;
	put_head(&p, FLAGS_OK, 1);
	put_srv(&p, 0, 0, 0, ".");
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), -ENOENT);
	put_head(&p, FLAGS_OK, 1);
	put_srv(&p, 0, 0, 993, "");
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), -ENOENT);
	put_head(&p, FLAGS_OK, 1);
	put_srv(&p, 0, 0, 0, "a.example.org");
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), -ENOENT);
	put_head(&p, FLAGS_NXDOMAIN, 0);
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), -ENOENT);
	put_head(&p, FLAGS_NXDOMAIN, 1);
	put_srv(&p, 0, 0, 993, "a.example.org");
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), -ENOENT);
	put_head(&p, FLAGS_OK, 0);
	assert_int_equal(srv_parse(p.bytes, p.n, &answer), -ENOENT);
}

static void no_torn_or_bent_packet_does_harm(void **state)
{
	struct srv_answer answer;
	struct packet p;
	unsigned char *copy;

	(void)state;
	put_head(&p, FLAGS_OK, 1);
	put_srv(&p, 1, 0, 993, "a.example.org");
	for (size_t n = 0; n < p.n; n++) {
		copy = malloc(n + 1);
		assert_non_null(copy);
		memcpy(copy, p.bytes, n);
		assert_int_equal(srv_parse(copy, n, &answer), -ENOENT);
		free(copy);
	}
	for (size_t i = 0; i < p.n * 256; i++) {
		copy = malloc(p.n);
		assert_non_null(copy);
		memcpy(copy, p.bytes, p.n);
		copy[i / 256] = (unsigned char)i;
		if (srv_parse(copy, p.n, &answer) == 0) {
			assert_true(answer.host[0] && answer.port);
			assert_true(strlen(answer.host) < sizeof(answer.host));
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_priority_wins_and_then_the_first),
		cmocka_unit_test(answers_that_name_no_service_change_nothing),
		cmocka_unit_test(no_torn_or_bent_packet_does_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
