/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The connections of testproxy (see proxy.c): delay lines between two
 * sockets. One thread; `px` is all there is.
 */
#ifndef IMAPFS_TESTS_PROXY_H
#define IMAPFS_TESTS_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CONNS 256
#define NS_PER_S 1000000000LL

enum direction { DOWN, UP };

struct chunk {
	struct chunk *next;
	int64_t due; /* ns, CLOCK_MONOTONIC */
	size_t len, sent;
	bool eof;
	unsigned char bytes[];
};

/* One direction: from `in` to the other socket of the connection. */
struct line {
	struct chunk *head, **tail;
	size_t queued;
	bool eof_in, eof_out, blocked;
};

struct conn {
	bool used, connected;
	int fd[2]; /* fd[DOWN]: the client's, where `down` ends; fd[UP] */
	int64_t connect_at; /* 0: done */
	struct line line[2];
	int64_t cut_left; /* bytes down until the RST; -1: no such order */
	enum direction last;
};

struct proxy {
	struct sockaddr_in target;
	int listener;
	double rtt_ms, mbit;
	bool hole, refuse;
	int most; /* connections at a time; 0: any number */
	int64_t cutdown;
	int64_t wire_free[2]; /* when the last bit has been put on the wire */
	struct conn conns[MAX_CONNS];
	uint64_t bytes[2], turns, connections;
};

extern struct proxy px;

int64_t now_ns(void);

/* Take a connection from the listener, or refuse it. */
void conn_accept(void);

/* Its half RTTs are over: connect to the target. */
void conn_connect(struct conn *c);

void conn_end(struct conn *c, bool rst);

/* What poll(2) shall look for at one side, and what to do with its answer. */
short conn_events(const struct conn *c, int side);
void conn_handle(struct conn *c, int side, short got);

/* Send what is due. May end the connection. */
void line_flush(struct conn *c, enum direction d);

/* The next moment at which something is due, or -1. */
int64_t next_due(void);

#endif
