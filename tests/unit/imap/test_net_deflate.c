/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "imap/deflate.h"
#include "imap/lock.h"
#include "imap/net.h"
#include "packed.h"

/*
 * Compression below a connection; this thread holds the other end of it, and
 * there zlib and nothing else.
 */

#define MB (1u << 20)

static struct packed *peer;
static struct net *net;
static int fd; /* the peer's end of `net` */

/* Bytes that cannot be packed, the same at every run. */
static void make_noise(unsigned char *p, size_t n)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (unsigned char)(x >> 24);
	}
}

static int64_t soon(void)
{
	return clock_now_ms() + 10000;
}

static void peer_says(const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static void peer_says_packed(const void *bytes, size_t n)
{
	static char packed[2 * MB];

	peer_says(packed, packed_pack(peer, bytes, n, packed, sizeof(packed)));
}

/* `size` bytes, never waiting without reason. */
static void read_all(char *buf, size_t size)
{
	size_t n = 0;

	while (n < size) {
		long r;

		assert_true(net_wait(net, false, soon()) & NET_READABLE);
		r = net_read(net, buf + n, size - n);
		assert_true(r >= 0);
		n += (size_t)r;
	}
}

static void early_bytes_come_first_and_bytes_are_counted_on_the_wire(
	void **state)
{
	static char zeros[MB];
	static char buf[MB + 5];
	char packed[64];
	size_t n = packed_pack(peer, "early", 5, packed, sizeof(packed));
	size_t got;

	(void)state;
	assert_int_equal(net_start_deflate(net, packed, n), 0);
	assert_true(net_is_compressed(net));
	assert_int_equal(net_start_deflate(net, "", 0), -ENOTCONN);
	peer_says_packed(zeros, MB);
	read_all(buf, sizeof(buf));
	assert_memory_equal(buf, "early", 5);
	assert_memory_equal(buf + 5, zeros, MB);
	assert_true(net_bytes_in(net) < MB / 500);
	assert_int_equal(net_plain_in(net), MB + 5);

	assert_int_equal(net_write(net, zeros, MB), DEFLATE_PIECE);
	assert_true(net_bytes_out(net) < DEFLATE_PIECE / 50);
	assert_int_equal(net_plain_out(net), DEFLATE_PIECE);
	got = (size_t)recv(fd, packed, sizeof(packed), 0);
	assert_int_equal(packed_unpack(peer, packed, got, buf, MB),
			 DEFLATE_PIECE);
	net_close(net);
	assert_false(net_is_compressed(net));
	assert_int_equal(net_start_deflate(net, "", 0), -ENOTCONN);
}

static void a_wait_does_not_sleep_on_what_can_be_unpacked(void **state)
{
	static char text[100000];
	char c;

	(void)state;
	assert_int_equal(net_start_deflate(net, "", 0), 0);
	assert_int_equal(net_wait(net, false, clock_now_ms()), NET_TIMEOUT);
	peer_says_packed(text, sizeof(text));
	for (size_t i = 0; i < sizeof(text); i++) {
		assert_int_equal(net_wait(net, false, soon()), NET_READABLE);
		assert_int_equal(net_read(net, &c, 1), 1);
	}
	assert_int_equal(net_read(net, &c, 1), 0);
	assert_int_equal(net_wait(net, false, clock_now_ms()), NET_TIMEOUT);
}

static void empty_blocks_are_no_data(void **state)
{
	static const char empty[] = {0, 0, 0, (char)0xff, (char)0xff};
	char buf[10];

	(void)state;
	assert_int_equal(net_start_deflate(net, "", 0), 0);
	for (int i = 0; i < 3; i++) {
		peer_says(empty, sizeof(empty));
		assert_int_equal(net_wait(net, false, soon()), NET_READABLE);
		assert_int_equal(net_read(net, buf, sizeof(buf)), 0);
	}
	assert_int_equal(net_wait(net, false, clock_now_ms()), NET_TIMEOUT);
}

static void a_cut_in_the_middle_is_a_cut(void **state)
{
	char packed[200];
	char buf[100];
	size_t n = packed_pack(peer, "whole", 5, packed, sizeof(packed));

	(void)state;
	assert_int_equal(net_start_deflate(net, "", 0), 0);
	n += packed_pack(peer, "half of this line", 17, packed + n, 100);
	peer_says(packed, n - 4);
	shutdown(fd, SHUT_WR);
	read_all(buf, 5);
	assert_memory_equal(buf, "whole", 5);
	n = 0;
	while (n < 18) {
		long r;

		assert_true(net_wait(net, false, soon()) & NET_READABLE);
		r = net_read(net, buf, sizeof(buf));
		if (r == -ENOTCONN)
			return;
		assert_true(r >= 0);
		n += (size_t)r;
	}
	fail_msg("more came than was sent");
}

static void garbage_on_the_wire_is_refused(void **state)
{
	char buf[100];

	(void)state;
	assert_int_equal(net_start_deflate(net, "", 0), 0);
	peer_says("\x07garbage", 8);
	assert_true(net_wait(net, false, soon()) & NET_READABLE);
	assert_int_equal(net_read(net, buf, sizeof(buf)), -EBADMSG);
}

/* Read what is there; how much of it could be unpacked to `out`. */
static size_t peer_reads(unsigned char *out, size_t size)
{
	static char packed[65536];
	ssize_t n = recv(fd, packed, sizeof(packed), MSG_DONTWAIT);

	return n > 0 ? packed_unpack(peer, packed, (size_t)n, out, size) : 0;
}

static void a_peer_that_does_not_read_holds_the_writer_and_loses_nothing(
	void **state)
{
	static unsigned char in[16 * MB];
	static unsigned char out[sizeof(in) + 1];
	size_t sent = 0;
	size_t got = 0;
	bool held = false;

	(void)state;
	make_noise(in, sizeof(in));
	assert_int_equal(net_start_deflate(net, "", 0), 0);
	while (got < sizeof(in)) {
		/* As the session offers it: at most 16 KiB, here elsewhere. */
		unsigned char copy[16384];
		size_t n = sizeof(in) - sent;
		long r;

		n = n < sizeof(copy) ? n : sizeof(copy);
		memcpy(copy, in + sent, n);
		r = net_write(net, copy, n);
		assert_true(r >= 0);
		sent += (size_t)r;
		if (r > 0 && sent < sizeof(in))
			continue;
		if (r == 0 && sent < sizeof(in) && !held) {
			held = true;
			assert_int_equal(net_wait(net, true, clock_now_ms()),
					 NET_TIMEOUT);
		}
		got += peer_reads(out + got, sizeof(out) - got);
	}
	assert_true(held);
	assert_int_equal(sent, sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
}

static int open_pair(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct imap_error why;

	(void)state;
	peer = packed_new();
	assert_int_equal(net_new(&net), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&in, n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &n), 0);
	assert_int_equal(net_connect(net, "127.0.0.1", ntohs(in.sin_port), true,
				     soon(), &why),
			 0);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(listener);
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	packed_free(peer);
	net_free(net);
	close(fd);
	return 0;
}

#define PAIR(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR(early_bytes_come_first_and_bytes_are_counted_on_the_wire),
		PAIR(a_wait_does_not_sleep_on_what_can_be_unpacked),
		PAIR(empty_blocks_are_no_data),
		PAIR(a_cut_in_the_middle_is_a_cut),
		PAIR(garbage_on_the_wire_is_refused),
		PAIR(a_peer_that_does_not_read_holds_the_writer_and_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
