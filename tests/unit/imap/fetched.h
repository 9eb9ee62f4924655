/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What FETCH responses come to; texts are as the framer hands them on. A
 * program of tests has one grammar, from fetched_setup() to fetched_teardown().
 */
#ifndef IMAPFS_TEST_FETCHED_H
#define IMAPFS_TEST_FETCHED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/grammar.h"

int fetched_setup(void **state);
int fetched_teardown(void **state);

/* Its strings are good until the next one. */
struct fetch fetch_n(const char *text, size_t n);
struct fetch fetch(const char *text);

#endif
