/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/index.h"

#include <stdio.h>
#include <string.h>

/*
 * The rules of names in a folder: which can be one, and what a second message
 * of the same name is called. The caller holds the lock of the box.
 */

#define TWIN_SUFFIX_MAX 11 /* bytes of `.4294967295` */

bool index_name_is_valid(const char *name, size_t len)
{
	if (len == 0 || len > CACHE_NAME_MAX)
		return false;
	if (memchr(name, '/', len) || memchr(name, '\0', len))
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

size_t index_twin_name(const char *wanted, uint32_t k, char *ret)
{
	size_t len = strlen(wanted), stem = len;
	const char *end = "";
	char suffix[TWIN_SUFFIX_MAX + sizeof(".eml")];
	size_t suffix_len;

	if (len > 4 && strcmp(wanted + len - 4, ".eml") == 0) {
		end = ".eml";
		stem = len - 4;
	}
	suffix_len = (size_t)snprintf(suffix, sizeof(suffix), ".%u%s", k, end);
	if (stem + suffix_len > CACHE_NAME_MAX) {
		stem = CACHE_NAME_MAX - suffix_len;
		while (stem > 1 && ((unsigned char)wanted[stem] & 0xc0) == 0x80)
			stem--;
	}
	memcpy(ret, wanted, stem);
	memcpy(ret + stem, suffix, suffix_len + 1);
	return stem + suffix_len;
}

static bool twin_is_taken(const struct index *ix, const char *wanted,
			  uint32_t k, char *scratch)
{
	size_t len = index_twin_name(wanted, k, scratch);

	return index_find_name(ix, scratch, len) != INDEX_NONE;
}

/*
 * The numbers in use are nearly always 2 to n without a hole, so the first
 * free one is found by galloping and then by halving: ten thousand equal
 * names cost fourteen probes each, not ten thousand.
 */
size_t index_free_name(const struct index *ix, const char *wanted, char *ret)
{
	size_t len = strlen(wanted);
	uint32_t taken = 1, free = 2;

	if (index_find_name(ix, wanted, len) == INDEX_NONE) {
		memcpy(ret, wanted, len + 1);
		return len;
	}
	while (twin_is_taken(ix, wanted, free, ret)) {
		taken = free;
		free *= 2;
	}
	while (free - taken > 1) {
		uint32_t mid = taken + (free - taken) / 2;

		if (twin_is_taken(ix, wanted, mid, ret))
			taken = mid;
		else
			free = mid;
	}
	return index_twin_name(wanted, free, ret);
}
