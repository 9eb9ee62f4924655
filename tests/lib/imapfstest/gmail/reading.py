# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of the double: sets, FETCH, SEARCH, and news of changes."""

import bisect
import re
import select

from . import names, texts
from ..script_default import header_fields, quoted


def uid_set(uids):
    """`1:3,7` for numbers in the order given; only rising runs are joined."""
    runs = []
    for uid in uids:
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b)
                     for a, b in runs)


def label_list(labels):
    """The value of X-GM-LABELS; labels of the system are always quoted."""
    return b"(" + b" ".join(
        label if re.fullmatch(rb"[\w./$&+,-]+", label)
        else quoted(label) if not label.startswith(b"\\")
        else b'"\\' + label + b'"' for label in sorted(labels)) + b")"


class Row:
    """A message in a mailbox: what FETCH needs to know of it."""

    def __init__(self, box, uid):
        self.uid, self.box = uid, box
        self.message = box.messages[uid]
        self.data, self.date = self.message.data, self.message.date
        self.size, self.msgid = self.message.size, self.message.msgid

    @property
    def flags(self):
        marked = {b"\\Deleted"} if self.msgid in self.box.deleted else set()
        return self.message.flags | marked


class Reading:
    """Mixed into the session; uses its account, box, seen and settings."""

    def _rows(self, text, by_uid=True):
        """[(sequence number, Row)] of a set, ascending."""
        found = set()
        last = (self.seen[-1] if by_uid else len(self.seen)) \
            if self.seen else 0
        for part in text.split(b","):
            ends = sorted(last if e == b"*" else int(e)
                          for e in part.split(b":"))
            low, high = ends[0], ends[-1]
            if by_uid:
                found.update(range(bisect.bisect_left(self.seen, low),
                                   bisect.bisect_right(self.seen, high)))
            else:
                found.update(range(max(low - 1, 0),
                                   min(high, len(self.seen))))
        return [(i + 1, Row(self.box, self.seen[i])) for i in sorted(found)
                if self.seen[i] in self.box.messages]

    # FETCH.

    def do_UID_FETCH(self, tag, rest, by_uid=True):
        chosen, _, items = rest.partition(b" ")
        modifier = re.search(rb"\)\s*\((.*)\)\s*$", items)
        rows = self._rows(chosen, by_uid)
        if modifier:
            since = re.fullmatch(rb"CHANGEDSINCE (\d+)", modifier.group(1),
                                 re.I)
            if not since:
                return tag + b" BAD Could not parse command\r\n"
            items = items[:modifier.start()]
            if b"MODSEQ" not in items.upper():
                items += b" MODSEQ"
            if self.settings.lean_rows:
                items = re.sub(rb"\bFLAGS\b", b"", items, flags=re.I)
            rows = [(n, r) for n, r in rows
                    if r.message.modseq > int(since.group(1))]
        self.condstore = self.condstore or b"MODSEQ" in items.upper()
        return b"".join(self._fetch_line(n, row, items)
                        for n, row in rows) + self.done(tag)

    def _item(self, row, word):
        message = row.message
        if word == b"MODSEQ":
            return b"(%d)" % message.modseq
        if word == b"X-GM-MSGID":
            return b"%d" % message.msgid
        if word == b"X-GM-THRID":
            return b"%d" % message.thrid
        if word == b"X-GM-LABELS":
            return label_list(self._labels(message))
        return super()._item(row, word)

    def _labels(self, message):
        labels = set(message.labels)
        if b"\\Flagged" in message.flags:
            labels.add(names.LABELS[names.STARRED])
        if self.settings.hides_own_label:
            labels.discard(self.box.label)
        return labels

    def _section(self, row, section, start, length):
        sent = super()._section(row, section, start, length)
        self.server.traffic.section(row.message, section,
                                    len(sent.partition(b"\r\n")[2]))
        return sent

    # SEARCH.

    def do_UID_SEARCH(self, tag, rest, by_uid=True):
        words = self.words(rest)
        wanted = None
        if words[0].upper() == b"RETURN":
            wanted = [w.upper() for w in words[1]] or [b"ALL"]
            words = words[2:]
        if words[0].upper() == b"CHARSET":
            words = words[2:]
        rows = self._rows(b"1:*", by_uid=False)
        while words:
            test = self._key(words)
            rows = [(n, r) for n, r in rows if test(r)]
        found = [row.uid if by_uid else n for n, row in rows]
        if wanted is None:
            return (b"* SEARCH" + b"".join(b" %d" % n for n in found) +
                    b"\r\n" + self.done(tag))
        out = b'* ESEARCH (TAG "' + tag + b'")' + (b" UID" if by_uid else b"")
        if b"COUNT" in wanted:
            out += b" COUNT %d" % len(found)
        for word, value in ((b"MIN", found[:1]), (b"MAX", found[-1:]),
                            (b"ALL", found)):
            if word in wanted and value:
                out += b" " + word + b" " + uid_set(value)
        return out + b"\r\n" + self.done(tag)

    def _key(self, words):
        """Take one search key from the words: a predicate of a Row."""
        word = words.pop(0).upper()
        flags = {b"SEEN": b"\\Seen", b"FLAGGED": b"\\Flagged",
                 b"ANSWERED": b"\\Answered", b"DRAFT": b"\\Draft",
                 b"DELETED": b"\\Deleted"}
        if word == b"ALL":
            return lambda row: True
        if word == b"NOT":
            inner = self._key(words)
            return lambda row: not inner(row)
        if word in flags:
            return lambda row: flags[word] in row.flags
        if word.removeprefix(b"UN") in flags:
            return lambda row: flags[word[2:]] not in row.flags
        value = words.pop(0)
        if word == b"UID":
            chosen = {row.uid for _, row in self._rows(value)}
            return lambda row: row.uid in chosen
        if word == b"MODSEQ":
            return lambda row: row.message.modseq >= int(value)
        if word in (b"X-GM-MSGID", b"X-GM-THRID"):
            return lambda row: self._item(row, word) == value
        if word == b"X-GM-LABELS":
            return lambda row: value in self._labels(row.message)
        if word == b"X-GM-RAW":
            return self._raw(value)
        if word == b"HEADER":
            return self._in_field(value, words.pop(0))
        return self._in_field(word, value)

    @staticmethod
    def _in_field(name, value):
        return lambda row: value.lower() in header_fields(
            row.data, {name.lower()}, True).lower()

    def _raw(self, text):
        """Of Google's own language: rfc822msgid:, in:, label:, words."""
        tests = []
        for word in text.split():
            name, colon, value = word.partition(b":")
            if colon and name == b"rfc822msgid":
                tests.append(self._in_field(b"message-id", value))
            elif colon and name in (b"in", b"label"):
                if value != b"anywhere":
                    tests.append(lambda row, v=value:
                                 v in row.message.labels)
            else:
                tests.append(lambda row, w=word:
                             w.lower() in row.data.lower())
        return lambda row: all(test(row) for test in tests)

    # News.

    def news(self):
        """EXPUNGE, EXISTS and changed flags since the last look."""
        if not self.box:
            return b""
        out = b""
        if self.version != self.box.version:
            now, self.version = self.view(self.box), self.box.version
            out = self._gone(set(now))
            if len(now) != len(self.seen) or now[-1:] != self.seen[-1:]:
                out += b"* %d EXISTS\r\n" % len(now)
            self.seen = now
        if self.told != self.account.modseq:
            for n, uid in enumerate(self.seen, 1):
                message = self.box.messages[uid]
                if message.flags_modseq > self.told:
                    out += self._fetch_line(
                        n, Row(self.box, uid), b"FLAGS" +
                        (b" MODSEQ" if self.condstore else b""))
            self.told = self.account.modseq
        return out

    def _gone(self, there):
        out = b""
        for at in range(len(self.seen) - 1, -1, -1):
            if self.seen[at] not in there:
                out += b"* %d EXPUNGE\r\n" % (at + 1)
                del self.seen[at]
        return out

    def do_NOOP(self, tag, rest):
        return self.news() + self.done(tag)

    do_CHECK = do_NOOP

    def do_IDLE(self, tag, rest):
        self.send(b"+ idling\r\n")
        while b"\n" not in self.buffer:
            with self.server.lock:
                news = self.news()
                over = self.is_over()
            if over:
                self.send(texts.SESSION_EXPIRED)
                self.close()
            if news:
                self.send(news)
            self.wait()
        self.read_line()
        return tag + b" OK IDLE terminated (Success)\r\n"

    def wait(self):
        """Until the client says something or wake() was called."""
        pending = getattr(self.sock, "pending", lambda: 0)()
        ready = [] if pending else \
            select.select([self.sock, self.bell], [], [])[0]
        if self.bell in ready:
            self.silence()
        if pending or self.sock in ready:
            self._fill()
