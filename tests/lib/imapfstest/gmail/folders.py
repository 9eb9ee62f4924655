# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailboxes of the double as a whole: to list, open, make, rename, drop."""

import re

from . import names, texts
from ..script_default import quoted

FLAGS = (b"\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing "
         b"$Phishing")


class Parent:
    """The folder `[Gmail]`, which holds no messages."""
    delimiter = b"/"
    attrs = [b"\\HasChildren", b"\\Noselect"]


class Listed:
    """A mailbox, as the LIST of the scripted server wants to see one."""
    delimiter = b"/"

    def __init__(self, box, has_children):
        self.box = box
        self.attrs = [b"\\HasChildren" if has_children
                      else b"\\HasNoChildren"]
        if box.kind in names.ATTRIBUTES:
            self.attrs.append(names.ATTRIBUTES[box.kind])


def listed(account):
    """{name on the wire: Listed or Parent}, as LIST shows them."""
    shown = {name: box for name, box in account.mailboxes.items()
             if box.shown}
    found = {name: Listed(box, any(n.startswith(name + b"/") for n in shown))
             for name, box in shown.items()}
    found[account.prefix] = Parent()
    return dict(sorted(found.items()))


class Folders:
    """Mixed into the session; uses its account, box and seen."""

    def do_NAMESPACE(self, tag, rest):
        return b'* NAMESPACE (("" "/")) NIL NIL\r\n' + self.done(tag)

    def find(self, name):
        box = self.account.box(name)
        return box if box and box.shown else None

    def view(self, box):
        """The UIDs that are shown of a mailbox, ascending."""
        return list(box.messages)[-self.settings.folder_limit:]

    def _status(self, name, listed_box, items):
        box = listed_box.box
        unseen = sum(b"\\Seen" not in m.flags for m in box.messages.values())
        values = {b"MESSAGES": len(self.view(box)), b"RECENT": 0,
                  b"UIDNEXT": box.uidnext, b"UNSEEN": unseen,
                  b"UIDVALIDITY": box.uidvalidity,
                  b"HIGHESTMODSEQ": self.account.modseq}
        text = b" ".join(b"%s %d" % (i.upper(), values[i.upper()])
                         for i in items)
        return b"* STATUS " + quoted(name) + b" (" + text + b")\r\n"

    def do_STATUS(self, tag, rest):
        name, items = self.words(rest)[:2]
        box = self.find(name)
        if not box:
            return texts.unknown_mailbox(name)
        return self._status(name, Listed(box, False), items) + self.done(tag)

    def do_SELECT(self, tag, rest, readonly=False):
        name, *more = self.words(rest)
        self.box = self.name = None
        box = self.find(name)
        if not box:
            return texts.unknown_mailbox(name, left=True)
        if more and [w.upper() for w in more[0]] != [b"CONDSTORE"]:
            return tag + b" BAD Could not parse command\r\n"
        self.condstore = self.condstore or bool(more)
        self.box, self.name, self.readonly = box, box.name, readonly
        self.seen, self.version = self.view(box), box.version
        self.told = self.account.modseq
        allowed = b"" if readonly else FLAGS + b" \\*"
        return (b"* FLAGS (" + FLAGS + b")\r\n"
                b"* OK [PERMANENTFLAGS (" + allowed + b")] Flags permitted."
                b"\r\n* OK [UIDVALIDITY %d] UIDs valid.\r\n* %d EXISTS\r\n"
                b"* 0 RECENT\r\n* OK [UIDNEXT %d] Predicted next UID.\r\n"
                b"* OK [HIGHESTMODSEQ %d]\r\n"
                b"%s OK [READ-%s] %s selected. (Success)\r\n" %
                (box.uidvalidity, len(self.seen), box.uidnext,
                 self.account.modseq, tag,
                 b"ONLY" if readonly else b"WRITE", box.name))

    def do_EXAMINE(self, tag, rest):
        return self.do_SELECT(tag, rest, readonly=True)

    def do_UNSELECT(self, tag, rest):
        self.box = self.name = None
        return self.done(tag)

    def do_CLOSE(self, tag, rest):
        if not self.readonly:
            self.expunge(self.box.deleted)
        return self.do_UNSELECT(tag, rest)

    # Labels as such.

    def name_fault(self, name):
        if re.search(rb"(?:\A|/) | (?:/|\Z)|  ", name):
            return texts.EXCESS_BLANKS
        if b"^" in name:
            return texts.invalid_folder(name)
        if self.account.box(name) or name.lower() in names.RESERVED or \
                name.split(b"/")[0] in (b"[Gmail]", b"[Google Mail]"):
            return texts.duplicate_folder(name)
        return None

    def do_CREATE(self, tag, rest):
        name = self.words(rest)[0].removesuffix(b"/")
        fault = self.name_fault(name)
        if fault:
            return fault
        self.account.create(name)
        return self.done(tag)

    def do_DELETE(self, tag, rest):
        name = self.words(rest)[0]
        box = self.find(name)
        if not box:
            return texts.unknown_mailbox(name)
        if box.kind:
            return texts.SYSTEM_FOLDER
        self.account.delete(box)
        return self.done(tag)

    def do_RENAME(self, tag, rest):
        old, new = self.words(rest)[:2]
        box = self.find(old)
        if not box:
            return texts.unknown_mailbox(old)
        if box.kind:
            return texts.SYSTEM_FOLDER
        fault = self.name_fault(new)
        if fault:
            return fault
        self.account.rename(box, new)
        return self.done(tag)

    def do_SUBSCRIBE(self, tag, rest):
        return self.done(tag)

    do_UNSUBSCRIBE = do_SUBSCRIBE
