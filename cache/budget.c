/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/budget.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * One value of the account (values.c) holds the three numbers, in decimal, with
 * one blank between them. Whoever can write to the database can make it say
 * anything: what are not such numbers, or no such day, counts as nothing.
 *
 * No lock and no thread of its own.
 */

#define KEY "bytes-today"

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a < BUDGET_BYTES_MAX && b < BUDGET_BYTES_MAX - a
		       ? a + b
		       : BUDGET_BYTES_MAX;
}

void budget_day_add(struct budget_day *d, int64_t now, uint64_t down,
		    uint64_t up)
{
	if (d->begun_at != 0 && now >= d->begun_at + BUDGET_DAY_S)
		*d = (struct budget_day){0};
	if (d->begun_at > now || (d->begun_at == 0 && (down > 0 || up > 0)))
		d->begun_at = now;
	d->down = sum(d->down, down);
	d->up = sum(d->up, up);
}

int cache_save_budget(struct cache *c, const struct budget_day *d)
{
	char value[80];

	(void)snprintf(value, sizeof(value), "%lld %llu %llu",
		       (long long)d->begun_at, (unsigned long long)d->down,
		       (unsigned long long)d->up);
	return cache_set_value(c, KEY, value);
}

/* Digits, then `end`. `max` is less than what strtoull() gives for too many. */
static bool take_number(const char **at, char end, uint64_t max, uint64_t *ret)
{
	char *rest;

	if (!isdigit((unsigned char)**at))
		return false;
	*ret = strtoull(*at, &rest, 10);
	*at = rest + 1;
	return *rest == end && *ret <= max;
}

bool cache_load_budget(struct cache *c, struct budget_day *ret)
{
	struct budget_day d = {0};
	uint64_t begun_at = 0;
	const char *at;
	char *value;
	bool good;

	*ret = d;
	if (cache_get_value(c, KEY, &value) != 0)
		return false;
	at = value;
	good = take_number(&at, ' ', INT64_MAX - BUDGET_DAY_S, &begun_at) &&
	       take_number(&at, ' ', BUDGET_BYTES_MAX, &d.down) &&
	       take_number(&at, '\0', BUDGET_BYTES_MAX, &d.up);
	free(value);
	d.begun_at = (int64_t)begun_at;
	if (good && d.begun_at != 0)
		*ret = d;
	return good && d.begun_at != 0;
}
