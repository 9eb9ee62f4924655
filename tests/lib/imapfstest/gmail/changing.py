# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to messages of the double: STORE, COPY, MOVE, APPEND, EXPUNGE."""

import calendar
import re
import time

from . import names, texts
from .reading import Row, uid_set

DELETED = b"\\Deleted"


def internal_seconds(text):
    """The epoch seconds of a date-time of APPEND."""
    when = text.decode().strip()
    sign = -1 if when[-5] == "-" else 1
    zone = sign * (int(when[-4:-2]) * 3600 + int(when[-2:]) * 60)
    return calendar.timegm(
        time.strptime(when[:-6], "%d-%b-%Y %H:%M:%S")) - zone


class Changing:
    """Mixed into the session; uses its account, box and settings."""

    # STORE.

    def do_UID_STORE(self, tag, rest, by_uid=True):
        chosen, _, rest = rest.partition(b" ")
        guard = re.match(rb"\(UNCHANGEDSINCE (\d+)\)\s+", rest, re.I)
        how, _, values = rest[guard.end() if guard else 0:].partition(b" ")
        values = self.words(values)
        if values and isinstance(values[0], list):
            values = values[0]
        out = self.news()
        rows, late = self._rows(chosen, by_uid), []
        if guard:
            late = [r.uid for _, r in rows
                    if r.message.modseq > int(guard.group(1))]
            rows = [(n, r) for n, r in rows if r.uid not in late]
        name, _, silent = how.upper().partition(b".")
        change = self._flag
        if name.endswith(b"X-GM-LABELS"):
            change = self._label
            faults = [] if name[:1] == b"-" else \
                [self.label_fault(value) for value in values]
            if any(faults):
                return out + next(filter(None, faults))
        for n, row in rows:
            change(row, name[:1], set(values))
            if row.uid in self.box.messages and (not silent or guard):
                what = name.lstrip(b"+-") if not silent else b""
                out += self._fetch_line(n, row, what + b" MODSEQ")
        self.told = self.account.modseq
        code = b"[MODIFIED " + uid_set(late) + b"] " if late else b""
        return out + self.news() + self.done(tag, code)

    def _flag(self, row, sign, values):
        message, box = row.message, row.box
        old = set(row.flags)
        new = {b"+": old | values, b"-": old - values}.get(sign, values)
        self.account.set_flags(message, new - {DELETED})
        if DELETED in new - old:
            self.account.mark_deleted(message, box)
        elif DELETED in old - new:
            self.account.unmark_deleted(message, box)

    def label_fault(self, label):
        """Why no message can get this label; None: it can."""
        if label.startswith(b"\\"):
            known = label in names.LABELS.values()
            return None if known else texts.invalid_folder(label)
        return None if self.account.box(label) else self.name_fault(label)

    def _label(self, row, sign, values):
        if sign not in (b"+", b"-"):
            self.account.relabel(row.message, values,
                                 row.message.labels - values)
        elif sign == b"+":
            self.account.relabel(row.message, add=values)
        else:
            self.account.relabel(row.message, remove=values)

    # EXPUNGE.

    def expunge(self, msgids):
        for msgid in sorted(msgids):
            self.account.take(self.account.messages[msgid], self.box)

    def do_EXPUNGE(self, tag, rest):
        self.expunge(set(self.box.deleted))
        return self.news() + self.done(tag)

    def do_UID_EXPUNGE(self, tag, rest):
        chosen = {row.msgid for _, row in self._rows(rest.strip())}
        self.expunge(chosen & self.box.deleted)
        return self.news() + self.done(tag)

    # COPY and MOVE.

    def _pairs(self, rest, act):
        """Do it to each message of the set: the target and the UIDs."""
        chosen, _, name = rest.partition(b" ")
        name = self.words(name)[0]
        target = self.find(name)
        if not target:
            return None, texts.no_folder(name)
        pairs = [(row.uid, act(row.message, target))
                 for _, row in self._rows(chosen)]
        if self.settings.copyuid == "down":
            pairs.reverse()
        elif self.settings.copyuid == "mixed":
            pairs = pairs[1::2] + pairs[::2]
        return target, pairs

    def _copyuid(self, target, pairs):
        if not pairs:
            return b""
        sets = [b",".join(b"%d" % pair[i] for pair in pairs) for i in (0, 1)]
        return b"[COPYUID %d %s %s] " % (target.uidvalidity, *sets)

    def _transfer(self, tag, rest, act):
        target, pairs = self._pairs(rest, act)
        if not target:
            return pairs
        out, copied = b"", {uid for uid, _ in pairs}
        if self.settings.spurious_fetch:
            out = b"".join(
                self._fetch_line(n, Row(self.box, uid), b"FLAGS")
                for n, uid in enumerate(self.seen, 1)
                if uid in copied and uid in self.box.messages)
        out += self.news()
        return out + self.done(tag, self._copyuid(target, pairs))

    def do_UID_COPY(self, tag, rest):
        return self._transfer(tag, rest, self.account.copy)

    def do_UID_MOVE(self, tag, rest):
        def act(message, target):
            return self.account.move(message, self.box, target)
        return self._transfer(tag, rest, act)

    # APPEND.

    def do_APPEND(self, tag, rest):
        args = self.words(rest)
        box = self.find(args[0])
        if not box:
            return texts.no_folder(args[0])
        if len(args[-1]) > self.settings.append_limit:
            return texts.TOO_BIG
        flags = next((set(a) for a in args if isinstance(a, list)), set())
        dates = [a for a in args[1:-1] if isinstance(a, bytes)]
        date = internal_seconds(dates[0]) if dates else int(time.time())
        uid = self.account.append(args[-1], box, flags - {DELETED}, date)
        code = b"[APPENDUID %d %d] " % (box.uidvalidity, uid)
        return self.news() + self.done(tag, code)
