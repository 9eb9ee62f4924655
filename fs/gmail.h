/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gmail's labels as the user sees and sets them, in user.imap.gm.labels:
 *
 *     \Inbox work "Two words" Übung
 *
 * A label of the system begins with a backslash. Between two of them stand
 * blanks or a comma; a label that has either, or a quote, is in quotes, in
 * which a backslash stands before quotes and backslashes. What is not ASCII is
 * as in the names of folders (names.h). What was read can be set: it means the
 * same labels.
 *
 * \Starred is the flag \Flagged, so it is shown and set as that. \Inbox and
 * \Important can be set and taken off; other labels of the system (\Sent,
 * \Draft) say what a message is: they can be named, and stay if they are not.
 *
 * Lists of words are as imap/labels.h has them. Pure functions; thread-safe.
 */
#ifndef IMAPFS_FS_GMAIL_H
#define IMAPFS_FS_GMAIL_H

#include "imap/mail.h"

/*
 * The words that are shown of a message with these labels and flags (enum
 * mail_flag). Yours to free. -ENOMEM.
 */
MUST_CHECK int gmail_labels_shown(const char *words, uint32_t flags,
				  char **ret);

/* Yours to free. -ENOMEM. */
MUST_CHECK int gmail_labels_to_text(const char *words, char **ret);
/*
 * `shown`: the words that it is to be held against; a label that is among them
 * in another case of letters is that one. -EINVAL: no such list, or more than
 * MAIL_KEYWORDS_MAX. -ENOMEM.
 */
MUST_CHECK int gmail_labels_from_text(const char *text, size_t n,
				      const char *shown, char **ret);

/* How what is shown becomes what is wanted. */
struct gmail_delta {
	uint32_t add_flags, remove_flags; /* enum mail_flag */
	char *add, *remove;               /* words; "": none */
	bool leaves; /* the folder that it is seen in, for it loses its label */
};
/*
 * `own`: the label of the folder that the message is seen in, which servers
 * mostly do not name; NULL: it has none. -EINVAL: a label that cannot be set.
 * -ENOMEM.
 */
MUST_CHECK int gmail_labels_compare(const char *shown, const char *wanted,
				    const char *own, struct gmail_delta *ret);
void gmail_delta_finish(struct gmail_delta *d);

/*
 * The word of the label that shows a message in such a mailbox (`attrs` are
 * enum mail_folder_attr); NULL for All Mail, Trash and Spam. Yours to free.
 * -ENOMEM.
 */
MUST_CHECK int gmail_label_of(const char *wire, uint32_t attrs, char **ret);

/*
 * The other way: the attribute of the mailbox that a label of the system
 * stands for; 0: it is the one with the name that is in `ret_wire`, of at
 * least n + 1 bytes, or (that is empty) none.
 */
uint32_t gmail_mailbox_of(const char *word, size_t n, char *ret_wire);

#endif
