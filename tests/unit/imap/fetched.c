/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fetched.h"

#include <string.h>

/*
 * Texts go through the classifier first, as they do in the program: what it
 * does not take for a FETCH is a fault of the test.
 */

static struct grammar *g;

int fetched_setup(void **state)
{
	(void)state;
	return grammar_new(&g);
}

int fetched_teardown(void **state)
{
	(void)state;
	grammar_free(g);
	return 0;
}

struct fetch fetch_n(const char *text, size_t n)
{
	struct response r;
	struct fetch f;

	grammar_classify(text, n, &r);
	assert_int_equal(r.kind, RESPONSE_FETCH);
	grammar_fetch(g, &r, &f);
	return f;
}

struct fetch fetch(const char *text)
{
	return fetch_n(text, strlen(text));
}
