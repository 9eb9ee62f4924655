# SPDX-License-Identifier: GPL-3.0-or-later
"""The special folders of Gmail: kinds, attributes, labels, names.

Nothing but the attribute is the same for everybody: the names follow the
language of the account, and the folder above them is `[Gmail]`, or
`[Google Mail]` where that trade mark was somebody else's.
"""

ALL, DRAFTS, IMPORTANT, SENT, SPAM, STARRED, TRASH = KINDS = (
    "all", "drafts", "important", "sent", "spam", "starred", "trash")
INBOX = "inbox"

ATTRIBUTES = {ALL: b"\\All", DRAFTS: b"\\Drafts", IMPORTANT: b"\\Important",
              SENT: b"\\Sent", SPAM: b"\\Junk", STARRED: b"\\Flagged",
              TRASH: b"\\Trash"}

# The label that puts a message there, as X-GM-LABELS writes it. All Mail,
# Trash and Spam have none.
LABELS = {INBOX: b"\\Inbox", DRAFTS: b"\\Draft", SENT: b"\\Sent",
          IMPORTANT: b"\\Important", STARRED: b"\\Starred"}

LANGUAGES = {
    "en": ("All Mail", "Drafts", "Important", "Sent Mail", "Spam", "Starred",
           "Trash"),
    "de": ("Alle Nachrichten", "Entwürfe", "Wichtig", "Gesendet", "Spam",
           "Markiert", "Papierkorb"),
    "zh": ("全部郵件", "草稿", "重要郵件", "寄件備份", "垃圾郵件",
           "已加星號", "垃圾桶"),
}

# Names that nobody may give to a label of their own.
RESERVED = {b"chats", b"drafts", b"forums", b"important", b"promotions",
            b"scheduled", b"sent", b"snoozed", b"social", b"spam",
            b"starred", b"trash", b"unread", b"updates"}


def special_names(language, prefix):
    """{kind: name in Unicode} of the seven special folders."""
    return {kind: f"{prefix}/{name}"
            for kind, name in zip(KINDS, LANGUAGES[language])}
