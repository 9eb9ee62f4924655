# SPDX-License-Identifier: GPL-3.0-or-later
"""The correct answers of the scripted server: a small IMAP4rev1.

Only what a client of this project uses is there; anything else is BAD. Each
command is one method, found by its name. Sets, sections and partial fetches
follow RFC 3501; LIST knows RETURN (RFC 5258, 5819) when it is announced.
"""

import base64
import re
import time

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def internal_date(epoch):
    t = time.gmtime(epoch)
    return (f'"{t.tm_mday:2d}-{MONTHS[t.tm_mon - 1]}-{t.tm_year:04d} '
            f'{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} +0000"').encode()


def words(text):
    """Split into atoms, strings (literals too) and parenthesised lists."""
    found, at = [], 0
    pattern = re.compile(rb'\{(\d+)\+?\}\r\n|"((?:[^"\\]|\\.)*)"|\(|\)|'
                         rb'[^\s()"]+|\s+', re.S)
    stack = [found]
    while at < len(text):
        match = pattern.match(text, at)
        if not match:
            break
        at, token = match.end(), match.group(0)
        if match.group(1) is not None:
            end = at + int(match.group(1))
            stack[-1].append(text[at:end])
            at = end
        elif match.group(2) is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match.group(2)))
        elif token == b"(":
            inner = []
            stack[-1].append(inner)
            stack.append(inner)
        elif token == b")":
            if len(stack) > 1:
                stack.pop()
        elif token.strip():
            stack[-1].append(token)
    return found


def in_set(text, last):
    """A predicate for the numbers of a sequence set; `*` is `last`."""
    ranges = []
    for part in text.split(b","):
        ends = [last if e == b"*" else int(e) for e in part.split(b":")]
        ranges.append((min(ends), max(ends)))
    return lambda n: any(low <= n <= high for low, high in ranges)


def quoted(name):
    """A string on the wire: quoted where that is possible, else a literal."""
    if re.search(rb'[\r\n\0"\\]', name) or any(c > 126 for c in name):
        return b"{%d}\r\n" % len(name) + name
    return b'"' + name + b'"'


def header_of(data):
    match = re.search(rb"\r?\n\r?\n", data)
    return data[:match.end()] if match else data


def header_fields(data, names, wanted):
    """The fields of the header that are (or are not) among `names`."""
    out, keep = b"", False
    lines = header_of(data).splitlines(keepends=True)
    for line in lines:
        if line in (b"\r\n", b"\n"):
            break
        if line[:1] not in b" \t":
            name = line.split(b":", 1)[0].strip().lower()
            keep = (name in names) == wanted
        if keep:
            out += line
    return out + b"\r\n"


class Defaults:
    """Mixed into the session; uses its server, box, name and user."""

    def default(self, tag, command):
        """The whole answer that a correct server gives, as bytes."""
        name, _, rest = command.partition(b" ")
        name = name.upper()
        if name == b"UID":
            sub, _, rest = rest.partition(b" ")
            name = b"UID_" + sub.upper()
        method = getattr(self, "do_" + name.decode("ascii", "replace"), None)
        if not method:
            return tag + b" BAD unknown command\r\n"
        if name == b"IDLE":  # it lasts: others go on
            return method(tag, rest)
        with self.server.lock:
            try:
                return method(tag, rest)
            except (IndexError, ValueError, KeyError, AttributeError):
                return tag + b" BAD cannot parse\r\n"

    # Any state.

    def capability_list(self):
        extra = [b"STARTTLS"] if self.server.starttls and not self.tls else []
        return b" ".join(list(self.server.capabilities) + extra)

    def do_CAPABILITY(self, tag, rest):
        return (b"* CAPABILITY " + self.capability_list() + b"\r\n" +
                tag + b" OK done\r\n")

    def do_NOOP(self, tag, rest):
        return self.news() + tag + b" OK done\r\n"

    do_CHECK = do_NOOP

    def do_LOGOUT(self, tag, rest):
        self.send(b"* BYE bye\r\n" + tag + b" OK done\r\n")
        return self.close()

    def do_ID(self, tag, rest):
        return b'* ID ("name" "script")\r\n' + tag + b" OK done\r\n"

    def do_STARTTLS(self, tag, rest):
        if not self.server.starttls or self.tls:
            return tag + b" BAD not now\r\n"
        self.send(tag + b" OK begin TLS\r\n")
        return self.start_tls()

    def _enter(self, tag, user, password):
        if self.server.users.get(user) != password:
            return (tag + b" NO [AUTHENTICATIONFAILED] wrong user or "
                    b"password\r\n")
        self.user = user
        return (tag + b" OK [CAPABILITY " + self.capability_list() +
                b"] logged in\r\n")

    def do_LOGIN(self, tag, rest):
        user, password = words(rest)[:2]
        return self._enter(tag, user, password)

    def do_AUTHENTICATE(self, tag, rest):
        parts = rest.split(b" ")
        if parts[0].upper() != b"PLAIN":
            return tag + b" NO unknown mechanism\r\n"
        if len(parts) == 1:
            self.send(b"+ \r\n")
            parts.append(self.read_line())
        fields = base64.b64decode(parts[1]).split(b"\0")
        return self._enter(tag, fields[1], fields[2])

    # Logged in.

    def do_ENABLE(self, tag, rest):
        return b"* ENABLED\r\n" + tag + b" OK done\r\n"

    def do_NAMESPACE(self, tag, rest):
        box = next(iter(self.server.boxes.values()), None)
        delimiter = box.delimiter if box else b"/"
        return (b'* NAMESPACE (("" "' + delimiter + b'")) NIL NIL\r\n' +
                tag + b" OK done\r\n")

    def _status(self, name, box, items):
        values = {b"MESSAGES": len(box.messages), b"UIDNEXT": box.uidnext,
                  b"UIDVALIDITY": box.uidvalidity, b"RECENT": 0,
                  b"UNSEEN": sum(b"\\Seen" not in m.flags
                                 for m in box.messages),
                  b"SIZE": sum(len(m.data) for m in box.messages)}
        text = b" ".join(b"%s %d" % (i.upper(), values[i.upper()])
                         for i in items if i.upper() in values)
        return b"* STATUS " + quoted(name) + b" (" + text + b")\r\n"

    def _list_line(self, word, name, box):
        delimiter = b'"' + box.delimiter + b'"' if box.delimiter else b"NIL"
        return (b"* " + word + b" (" + b" ".join(box.attrs) + b") " +
                delimiter + b" " + quoted(name) + b"\r\n")

    def do_LIST(self, tag, rest, word=b"LIST"):
        args = words(rest)
        if isinstance(args[0], list):
            args.pop(0)
        if args[1] == b"":
            return (b'* LIST (\\Noselect) "/" ""\r\n' + tag + b" OK done\r\n")
        patterns = args[1] if isinstance(args[1], list) else [args[1]]
        status = []
        if len(args) > 3 and b"STATUS" in args[3]:
            status = args[3][args[3].index(b"STATUS") + 1]
        out = b""
        for name, box in self.server.boxes.items():
            if not any(self._matches(p, args[0], name, box)
                       for p in patterns):
                continue
            out += self._list_line(word, name, box)
            if status and not self._noselect(box):
                out += self._status(name, box, status)
        return out + tag + b" OK done\r\n"

    @staticmethod
    def _noselect(box):
        return any(a.lower() in (b"\\noselect", b"\\nonexistent")
                   for a in box.attrs)

    @staticmethod
    def _matches(pattern, reference, name, box):
        text = b""
        inner = b"[^" + re.escape(box.delimiter or b"\0") + b"]*"
        for char in reference + pattern:
            one = bytes([char])
            text += {b"*": b".*", b"%": inner}.get(one, re.escape(one))
        return re.fullmatch(text, name, re.S) is not None

    def do_LSUB(self, tag, rest):
        return self.do_LIST(tag, rest, b"LSUB")

    def do_STATUS(self, tag, rest):
        name, items = words(rest)[:2]
        box = self.server.boxes.get(name)
        if not box or self._noselect(box):
            return tag + b" NO [NONEXISTENT] no such mailbox\r\n"
        return self._status(name, box, items) + tag + b" OK done\r\n"

    def do_SELECT(self, tag, rest, word=b"SELECT"):
        name = words(rest)[0]
        key = b"INBOX" if name.upper() == b"INBOX" else name
        box = self.server.boxes.get(key)
        self.box = self.name = None
        if not box or self._noselect(box):
            return tag + b" NO [NONEXISTENT] no such mailbox\r\n"
        self.box, self.name = box, key
        self.seen = [m.uid for m in box.messages]
        mode = b"READ-ONLY" if word == b"EXAMINE" or box.readonly \
            else b"READ-WRITE"
        return (b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
                b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen"
                b" \\Draft \\*)] yes\r\n"
                b"* %d EXISTS\r\n* 0 RECENT\r\n"
                b"* OK [UIDVALIDITY %d] valid\r\n* OK [UIDNEXT %d] next\r\n"
                b"%s OK [%s] done\r\n" % (len(self.seen), box.uidvalidity,
                                          box.uidnext, tag, mode))

    def do_EXAMINE(self, tag, rest):
        return self.do_SELECT(tag, rest, b"EXAMINE")

    def do_UNSELECT(self, tag, rest):
        self.box = self.name = None
        return tag + b" OK done\r\n"

    do_CLOSE = do_UNSELECT

    def do_CREATE(self, tag, rest):
        from .script import Box
        name = words(rest)[0]
        if name in self.server.boxes:
            return tag + b" NO [ALREADYEXISTS] it is there\r\n"
        self.server.boxes[name] = Box()
        return tag + b" OK done\r\n"

    def do_SUBSCRIBE(self, tag, rest):
        return tag + b" OK done\r\n"

    do_UNSUBSCRIBE = do_SUBSCRIBE

    def do_DELETE(self, tag, rest):
        if not self.server.boxes.pop(words(rest)[0], None):
            return tag + b" NO [NONEXISTENT] no such mailbox\r\n"
        return tag + b" OK done\r\n"

    def do_RENAME(self, tag, rest):
        boxes = self.server.boxes
        old, new = words(rest)[:2]
        if old not in boxes:
            return tag + b" NO [NONEXISTENT] no such mailbox\r\n"
        if new in boxes:
            return tag + b" NO [ALREADYEXISTS] it is there\r\n"
        below = old + (boxes[old].delimiter or b"\0")
        for name in list(boxes):
            if name == old or name.startswith(below):
                boxes[new + name[len(old):]] = boxes.pop(name)
        return tag + b" OK done\r\n"

    def do_IDLE(self, tag, rest):
        with self.server.lock:
            news = self.news()
        self.send(news + b"+ idling\r\n")
        self.read_line()
        return tag + b" OK done\r\n"

    # A mailbox is selected.

    def news(self):
        """EXPUNGE and EXISTS lines for what changed since the last look."""
        if not self.box:
            return b""
        now = [m.uid for m in self.box.messages]
        there, out = set(now), b""
        for at in range(len(self.seen) - 1, -1, -1):
            if self.seen[at] not in there:
                out += b"* %d EXPUNGE\r\n" % (at + 1)
                del self.seen[at]
        if len(now) != len(self.seen):
            out += b"* %d EXISTS\r\n" % len(now)
        self.seen = now
        return out

    def _pick(self, text, by_uid):
        """[(sequence number, message)] of a set."""
        known = {m.uid: m for m in self.box.messages}
        rows = [(n, known[uid]) for n, uid in enumerate(self.seen, 1)
                if uid in known]
        if not rows:
            return []
        last = rows[-1][1].uid if by_uid else len(self.seen)
        inside = in_set(text, last)
        return [(n, m) for n, m in rows if inside(m.uid if by_uid else n)]

    def do_UID_FETCH(self, tag, rest, by_uid=True):
        chosen, _, rest = rest.partition(b" ")
        items = rest.strip()
        if items.startswith(b"("):
            items = items[1:items.rindex(b")")]
        out = [self._fetch_line(n, m, items)
               for n, m in self._pick(chosen, by_uid)]
        return b"".join(out) + tag + b" OK done\r\n"

    def do_FETCH(self, tag, rest):
        return self.do_UID_FETCH(tag, rest, by_uid=False)

    def _fetch_line(self, n, message, items):
        parts = [b"UID %d" % message.uid]
        pattern = rb"BODY(?:\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?|[\w.-]+"
        for match in re.finditer(pattern, items, re.I):
            if match.group(1) is not None:
                parts.append(self._section(message, *match.groups()))
                continue
            value = self._item(message, match.group(0).upper())
            if value is not None:
                parts.append(match.group(0).upper() + b" " + value)
        return b"* %d FETCH (%s)\r\n" % (n, b" ".join(parts))

    def _item(self, message, word):
        """The value of one item of FETCH that is no section; None: none."""
        if word == b"FLAGS":
            return b"(" + b" ".join(sorted(message.flags)) + b")"
        if word == b"INTERNALDATE":
            return internal_date(message.date)
        if word == b"RFC822.SIZE":
            return b"%d" % (len(message.data) if message.size is None
                            else message.size)
        if word in (b"X-GM-MSGID", b"X-GM-THRID") and message.gm:
            return b"%d" % message.gm
        if word == b"X-GM-LABELS" and message.gm:
            return b"()"
        if word == b"EMAILID":
            return message.emailid
        return None

    def _section(self, message, section, start, length):
        upper = section.upper()
        if upper.startswith(b"HEADER.FIELDS"):
            names = {w.lower() for w in words(section)[1]}
            data = header_fields(message.data, names, b".NOT" not in upper)
        elif upper == b"HEADER":
            data = header_of(message.data)
        elif upper == b"TEXT":
            data = message.data[len(header_of(message.data)):]
        else:
            data = message.data
        origin = b""
        if start is not None:
            origin = b"<%d>" % int(start)
            data = data[int(start):int(start) + int(length)]
        return (b"BODY[" + section + b"]" + origin + b" {%d}\r\n" % len(data)
                + data)

    def do_UID_SEARCH(self, tag, rest, by_uid=True):
        match = re.search(rb"\bUID ([\d:*,]+)", rest, re.I)
        rows = self._pick(match.group(1) if match else b"1:*", True)
        text = b"".join(b" %d" % (m.uid if by_uid else n) for n, m in rows)
        return b"* SEARCH" + text + b"\r\n" + tag + b" OK done\r\n"

    def do_SEARCH(self, tag, rest):
        return self.do_UID_SEARCH(tag, rest, by_uid=False)

    def do_UID_STORE(self, tag, rest):
        chosen, how, flags = rest.split(b" ", 2)
        wanted = set(flags.strip(b"()").split())
        out = b""
        for n, message in self._pick(chosen, True):
            if how.startswith(b"+"):
                message.flags |= wanted
            elif how.startswith(b"-"):
                message.flags -= wanted
            else:
                message.flags = set(wanted)
            if b"SILENT" not in how.upper():
                out += self._fetch_line(n, message, b"FLAGS")
        return out + tag + b" OK done\r\n"

    def do_UID_EXPUNGE(self, tag, rest):
        gone = {m.uid for _, m in self._pick(rest.strip(), True)
                if b"\\Deleted" in m.flags}
        self.box.messages = [m for m in self.box.messages
                             if m.uid not in gone]
        return self.news() + tag + b" OK done\r\n"

    def _copy(self, rest):
        from .script import Msg
        chosen, _, name = rest.partition(b" ")
        target = self.server.boxes[words(name)[0]]
        pairs = []
        for _, m in self._pick(chosen, True):
            target.messages.append(Msg(target.uidnext, m.data, m.flags,
                                       m.date, m.size, m.gm, m.emailid))
            pairs.append((m.uid, target.uidnext))
            target.uidnext += 1
        sets = [b",".join(b"%d" % p[i] for p in pairs) for i in (0, 1)]
        code = b"[COPYUID %d %s %s]" % (target.uidvalidity, *sets)
        return pairs, code if pairs else b"[CANNOT]"

    def do_UID_COPY(self, tag, rest):
        return tag + b" OK " + self._copy(rest)[1] + b" done\r\n"

    def do_UID_MOVE(self, tag, rest):
        pairs, code = self._copy(rest)
        gone = {old for old, _ in pairs}
        self.box.messages = [m for m in self.box.messages
                             if m.uid not in gone]
        return (b"* OK " + code + b" moved\r\n" + self.news() + tag +
                b" OK done\r\n")

    def do_APPEND(self, tag, rest):
        from .script import Msg
        args = words(rest)
        box = self.server.boxes.get(args[0])
        if not box:
            return tag + b" NO [TRYCREATE] no such mailbox\r\n"
        flags = next((a for a in args if isinstance(a, list)), [])
        box.messages.append(Msg(box.uidnext, args[-1], flags,
                                int(time.time())))
        box.uidnext += 1
        return (tag + b" OK [APPENDUID %d %d] done\r\n" %
                (box.uidvalidity, box.uidnext - 1))
