/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replays a corpus through a fuzz target without a fuzzer: main() for the
 * plain build. Arguments are files and folders of files. Each file is given
 * whole and, while it is short, cut at every byte: a parser's worst inputs
 * are the torn ones. The copies are exactly as long as the input, so that a
 * sanitizer sees the first byte read behind it. No input at all is a failure.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (16U << 20)
#define PREFIXES_UP_TO 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned inputs;

static bool replay_bytes(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		return false;
	if (n)
		memcpy(copy, data, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	return true;
}

static bool replay_stream(FILE *in, size_t size)
{
	uint8_t *data = malloc(size ? size : 1);
	bool ok = data && fread(data, 1, size, in) == size;

	if (ok)
		ok = replay_bytes(data, size);
	for (size_t n = 0; ok && size <= PREFIXES_UP_TO && n < size; n++)
		ok = replay_bytes(data, n);
	free(data);
	inputs++;
	return ok;
}

static bool replay_file(const char *path, const struct stat *st)
{
	FILE *in;
	bool ok;

	if (st->st_size > INPUT_MAX)
		return false;
	in = fopen(path, "rbe");
	if (!in)
		return false;
	ok = replay_stream(in, (size_t)st->st_size);
	(void)fclose(in);
	return ok;
}

/* A file, or every file of a folder; folders in folders are left out. */
static bool replay_path(const char *path, bool enter)
{
	struct stat st;
	struct dirent **names = NULL;
	bool ok = true;
	int n;

	if (stat(path, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode))
		return replay_file(path, &st);
	if (!S_ISDIR(st.st_mode) || !enter)
		return true;
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char *inner = NULL;

		if (ok && names[i]->d_name[0] != '.') {
			ok = asprintf(&inner, "%s/%s", path,
				      names[i]->d_name) >= 0 &&
			     replay_path(inner, false);
			free(inner);
		}
		free(names[i]);
	}
	free(names);
	return ok && n >= 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!replay_path(argv[i], true)) {
			perror(argv[i]);
			return 1;
		}
	}
	printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
