/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lists of Gmail's labels as the whole program has them: words that are joined
 * by one blank, "" or NULL if there is none. A word is a label as the server
 * calls it (modified UTF-7; `\Inbox` and its like are the system's), in which
 * `%20` stands for a blank and `%25` for `%`. So each label is written in one
 * way only, and words are compared byte by byte. Pure functions.
 */
#ifndef IMAPFS_IMAP_LABELS_H
#define IMAPFS_IMAP_LABELS_H

#include "imap/mail.h"

/*
 * Add a label of `n` bytes to a list of at most `size` bytes with its NUL;
 * control characters become `?`. False, and nothing is added: it is empty, or
 * does not fit any more.
 */
bool labels_add(char *words, size_t size, const char *label, size_t n);

/* The label that a word stands for, into n + 1 bytes: its length. */
size_t labels_text(const char *word, size_t n, char *ret);

/* Is the word in the list? */
bool labels_have(const char *words, const char *word, size_t n);

/* A list of such words, of at most MAIL_KEYWORDS_MAX bytes? */
bool labels_are_valid(const char *words);

#endif
