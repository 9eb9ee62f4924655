# SPDX-License-Identifier: GPL-3.0-or-later
"""The mail of a Gmail account: each message once, with labels for places.

Nothing of the protocol is here. A mailbox is a view: the messages that have
its label, each under a UID of this mailbox. After a change of a message
settle() brings all mailboxes in line with it. Whoever calls holds the lock of
the server; bytes of names are mUTF-7, as on the wire.

The table of actions, by the mailbox where a message is:
    copy, append   to Trash or Spam: it loses all labels and is nowhere else;
                   to All Mail: it leaves Trash or Spam; else: one label more
    move           a copy, and the label of the source goes, if it has one
    take           what EXPUNGE does: in Trash and Spam it is gone for good, in
                   All Mail nothing happens, else the label goes; without any
                   visible label `last_label` of the settings decides
"""

import hashlib
import re
import time

from . import names
from ..client import utf7_encode

FIRST_MSGID = 1278455344230334865  # above 2^60, as Google's are
FIRST_MODSEQ = 1000


def message_id(data, field=rb"Message-ID"):
    match = re.search(rb"(?:\A|\n)" + field + rb":\s*(<[^>]*>)",
                      data.split(b"\r\n\r\n", 1)[0], re.I)
    return match.group(1) if match else None


class Message:
    def __init__(self, msgid, data, date):
        self.msgid = self.thrid = msgid
        self.data, self.date, self.size = data, date, None
        self.labels, self.flags = set(), set()
        self.place = names.ALL  # or TRASH, SPAM: then without labels
        self.modseq = self.flags_modseq = 0


class Mailbox:
    delimiter = b"/"

    def __init__(self, name, kind, uidvalidity):
        self.name, self.kind, self.uidvalidity = name, kind, uidvalidity
        self.uidnext = 1
        self.messages = {}  # UID -> Message, ascending
        self.uid_of = {}  # X-GM-MSGID -> UID
        self.deleted = set()  # X-GM-MSGIDs that are marked
        self.version = 0  # another number after every change
        self.shown = True  # in IMAP
        self.subscribed = True

    @property
    def label(self):
        """What X-GM-LABELS calls it; None: no label leads here."""
        return names.LABELS.get(self.kind) if self.kind else self.name

    def add(self, message):
        if message.msgid not in self.uid_of:
            self.uid_of[message.msgid] = self.uidnext
            self.messages[self.uidnext] = message
            self.uidnext += 1
            self.version += 1

    def remove(self, message):
        uid = self.uid_of.pop(message.msgid, None)
        if uid is not None:
            del self.messages[uid]
            self.deleted.discard(message.msgid)
            self.version += 1

    def renumber(self, uidvalidity):
        """Other UIDs for the same messages."""
        kept = list(self.messages.values())
        self.messages, self.uid_of = {}, {}
        self.uidvalidity, self.uidnext = uidvalidity, 1
        for message in kept:
            self.add(message)
        self.version += 1


class Account:
    def __init__(self, settings, language="en", prefix="[Gmail]"):
        self.settings, self.prefix = settings, utf7_encode(prefix)
        self.mailboxes, self.messages = {}, {}
        self.modseq = FIRST_MODSEQ
        self._next_msgid, self._next_validity = FIRST_MSGID, 1
        self._by_digest, self._by_id = {}, {}
        self.create(b"INBOX", names.INBOX)
        for kind, name in names.special_names(language, prefix).items():
            self.create(utf7_encode(name), kind)

    # Mailboxes.

    def box(self, name):
        return self.mailboxes.get(
            b"INBOX" if name.upper() == b"INBOX" else name)

    def special(self, kind):
        return next(b for b in self.mailboxes.values() if b.kind == kind)

    def validity(self):
        self._next_validity += 1
        return self._next_validity - 1

    def create(self, name, kind=None):
        self.mailboxes[name] = Mailbox(name, kind, self.validity())
        return self.mailboxes[name]

    def delete(self, box):
        for message in list(box.messages.values()):
            message.labels.discard(box.name)
            self.settle(message)
        del self.mailboxes[box.name]

    def rename(self, box, name):
        """The mailbox and those below it. MODSEQ stays as it is."""
        below = box.name + box.delimiter
        for old in [b for b in self.mailboxes
                    if b == box.name or b.startswith(below)]:
            moved = self.mailboxes.pop(old)
            moved.name = name + old[len(box.name):]
            self.mailboxes[moved.name] = moved
            for message in moved.messages.values():
                message.labels.discard(old)
                message.labels.add(moved.name)

    def homes(self, message):
        """The mailboxes that a message is in."""
        if message.msgid not in self.messages:
            return []
        if message.place != names.ALL:
            return [self.special(message.place)]
        starred = b"\\Flagged" in message.flags
        return [box for box in self.mailboxes.values()
                if box.kind == names.ALL or box.label in message.labels or
                (starred and box.kind == names.STARRED)]

    # Messages.

    def bump(self):
        """Take the next MODSEQ. HIGHESTMODSEQ shows it at once, whatever
        becomes of the change that it is for."""
        self.modseq += 1
        return self.modseq

    def settle(self, message, modseq=None):
        message.modseq = modseq or self.bump()
        if message.place != names.ALL:
            message.labels.clear()
        homes = self.homes(message)
        for box in self.mailboxes.values():
            if box in homes:
                box.add(message)
            else:
                box.remove(message)

    def deliver(self, data, labels=(b"\\Inbox",), flags=(), date=None,
                place=names.ALL):
        """A new message; the labels that are new become mailboxes."""
        message = Message(self._next_msgid, data,
                          int(time.time()) if date is None else date)
        self._next_msgid += 1_000_003
        for field in (rb"In-Reply-To", rb"References"):
            parent = self._by_id.get(message_id(data, field))
            if parent:
                message.thrid = parent.thrid
        self._by_id.setdefault(message_id(data), message)
        self._by_digest[hashlib.sha256(data).digest()] = message
        self.messages[message.msgid] = message
        message.flags, message.place = set(flags), place
        self.relabel(message, add=labels)
        return message

    def relabel(self, message, add=(), remove=(), modseq=None):
        for label in add:
            if not label.startswith(b"\\") and label not in self.mailboxes:
                self.create(label)
        starred, flags = {b"\\Starred"}, set(message.flags)
        message.labels |= set(add) - starred
        message.labels -= set(remove)
        if starred & set(add):
            message.flags.add(b"\\Flagged")
        if starred & set(remove):
            message.flags.discard(b"\\Flagged")
        self.settle(message, modseq)
        if message.flags != flags:
            message.flags_modseq = message.modseq

    def set_flags(self, message, flags, modseq=None):
        if message.flags != flags:
            message.flags = set(flags)
            self.settle(message, modseq)
            message.flags_modseq = message.modseq

    def forget(self, message):
        """It is gone, for good."""
        del self.messages[message.msgid]
        self._by_digest.pop(hashlib.sha256(message.data).digest(), None)
        self.settle(message)

    def to_trash(self, message):
        message.place = names.TRASH
        self.settle(message)

    # The table of actions.

    def copy(self, message, target):
        """Give its UID in the target, which may have been there before."""
        if target.kind in (names.TRASH, names.SPAM):
            message.place = target.kind
            self.settle(message)
        else:
            message.place = names.ALL
            self.relabel(message, add=[target.label] if target.label else [])
        return target.uid_of[message.msgid]

    def move(self, message, source, target):
        uid = self.copy(message, target)
        if source.label and message.place == names.ALL and source != target:
            self.relabel(message, remove=[source.label])
        return uid

    def append(self, data, target, flags, date):
        """A message that is known keeps its first date and its flags."""
        message = self._by_digest.get(hashlib.sha256(data).digest())
        if not message:
            message = self.deliver(data, (), flags, date)
        return self.copy(message, target)

    def visible_labels(self, message):
        found = set(message.labels)
        if b"\\Flagged" in message.flags:
            found.add(names.LABELS[names.STARRED])
        if not self.settings.important_counts:
            found.discard(names.LABELS[names.IMPORTANT])
        return found

    def take(self, message, box):
        if box.kind in (names.TRASH, names.SPAM):
            self.forget(message)
            return
        box.deleted.discard(message.msgid)
        if box.kind == names.ALL:
            return
        self.relabel(message, remove=[box.label])
        if self.visible_labels(message):
            return
        if self.settings.last_label == "trash":
            self.to_trash(message)
        elif self.settings.last_label == "delete":
            self.forget(message)

    def mark_deleted(self, message, box):
        """+FLAGS \\Deleted, which auto-expunge makes an EXPUNGE."""
        if self.settings.auto_expunge:
            self.take(message, box)
        elif message.msgid not in box.deleted:
            box.deleted.add(message.msgid)
            message.modseq = message.flags_modseq = self.bump()

    def unmark_deleted(self, message, box):
        if message.msgid in box.deleted:
            box.deleted.discard(message.msgid)
            message.modseq = message.flags_modseq = self.bump()
