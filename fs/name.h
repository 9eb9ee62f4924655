/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names: message -> file name, folder -> directory name. Pure functions; the
 * same input gives the same name on every machine. Unicode tables come from
 * libunistring, since those of the locale differ between machines.
 */
#ifndef IMAPFS_FS_NAME_H
#define IMAPFS_FS_NAME_H

#include "imap/mail.h"

#define NAME_MAX_BYTES 200 /* of a name we make, without a twin's `.2` */
#define NAME_BUFFER 256    /* bytes that hold any name, with its NUL */

/*
 * DATE_FROM_SUBJECT_HASH.eml, from the header fields of `row` only (not from
 * UID, mailbox or INTERNALDATE), so that a message has the same name in every
 * folder and after every remount:
 *  - date: 2026-11-21T1430Z, from the Date field in UTC; `no-date`
 *  - from: display name of the first author, else address; `nobody`
 *  - subject, decoded; `no-subject`
 *  - hash: 6 characters of base32 (a-z2-7) of XXH3-64 over the Message-ID,
 *    Date, From and Subject values, each ended by LF, missing ones empty
 * Letters, marks and digits of every script stay, and `.` `+` `@` `=` `%` `,`
 * inside a word; what shows nothing (joiners, bidi controls, fillers) goes, all
 * else is `-`, runs of `-` are one, none at the ends of a part. NFC. Together
 * at most NAME_MAX_BYTES, cut at a grapheme or at least at a character; from
 * has at most 60 bytes. Never begins with `.` or `-`. 0, or -ENOMEM.
 */
MUST_CHECK int name_of_message(const struct mail_row *row,
			       char ret[NAME_BUFFER]);

/* `12345.eml` (names=uid). */
void name_of_uid(uint32_t uid, char ret[NAME_BUFFER]);

/*
 * Could name_of_message(), name_of_uid() or a twin of them ever give this
 * name? (Ends in .eml, no leading dot, valid UTF-8, no character that is
 * never used.)
 */
bool name_is_possible(const char *name);

/*
 * The directory name of one component of a mailbox name, `wire` being that
 * component in wire form (`n` bytes, without delimiters): decoded from
 * modified UTF-7; `/`, control, bidi and line separator characters, bytes that
 * are not valid modified UTF-7 (with their `&`), a `%` that could be taken for
 * one of ours, and a leading dot are written %XX, an empty name %00. Over
 * NAME_MAX_BYTES: cut at a character, then `%~` and 8 characters of a hash of
 * the wire form. 0, or -ENOMEM.
 */
MUST_CHECK int name_of_folder(const char *wire, size_t n,
			      char ret[NAME_BUFFER]);

/* The same, for the second of two whose names would be equal. */
MUST_CHECK int name_of_folder_twin(const char *wire, size_t n,
				   char ret[NAME_BUFFER]);

/*
 * The component, in wire form, of a new mailbox whose directory is to have this
 * name; yours to free. -EINVAL: none would be shown so (a control character,
 * not UTF-8, a leading dot, a name that is for messages). -ENAMETOOLONG: over
 * NAME_MAX_BYTES. -ENOMEM.
 */
MUST_CHECK int name_to_wire(const char *name, char **ret);

#endif
