# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault at one kind of command while mail is read and changed.

    what = point(env, "UID MOVE", "lost after", times=1)   # AssertionError

A mount of a small account reads, moves, copies, removes, flags and writes
messages, makes, renames and removes a folder, and takes in new mail. One kind
of command is answered by a fault, `times` times. Whoever is refused asks
again, as a user does. When the fault is over and all is sent, the account must be what
the changes amount to, and the mount must show that: nothing lost, nothing
doubled, and few logins spent. A change that was refused for good (BAD) may
have been undone instead, if `.imapfs/failed` says so; one that failed with an
error was made or was not. A message that the server refuses to describe,
alone and for good (BAD, twice), is left out with a line in the log; it is
changed by nobody, and there in a mount with a new cache.

Kinds of the login are met twice: by a mount that starts (which may fail, with
one sentence) and by one that has lost its connections.
"""

import errno
import os
import re
import shutil
import time

from . import faults, names, texts
from .server import APP_PASSWORD
from .shown import number_of, wait_same, where
from ..letters import letter, numbered
from ..mount import StartFailed
from ..util import slowdown, wait_for

LOGIN = rb"LOGIN|AUTHENTICATE"
AT_LOGIN = {
    "CAPABILITY": rb"CAPABILITY", "AUTHENTICATE": rb"AUTHENTICATE",
    "LOGIN": rb"LOGIN", "ID": rb"ID", "ENABLE": rb"ENABLE",
    "COMPRESS": rb"COMPRESS", "LIST": rb"LIST",
    "GETQUOTAROOT": rb"GETQUOTAROOT"}
AT_WORK = {
    "EXAMINE": rb"EXAMINE", "SELECT": rb"SELECT", "IDLE": rb"IDLE",
    "FETCH of a listing": rb"FETCH .*HEADER\.FIELDS",
    "FETCH of ids": rb"(UID )?FETCH [^(]*\((?!.*HEADER).*X-GM-MSGID",
    "FETCH of header fields": rb"UID FETCH .*HEADER\.FIELDS",
    "FETCH of a body": rb"UID FETCH .*BODY\.PEEK\[\]",
    "FETCH of changes": rb"UID FETCH .*CHANGEDSINCE",
    "SEARCH": rb"UID SEARCH", "STATUS": rb"STATUS",
    "MOVE": rb"UID MOVE", "COPY": rb"UID COPY",
    "STORE of flags": rb"UID STORE \S+ \S+ \((?!\\Deleted)",
    "STORE of a removal": rb"UID STORE \S+ \S+ \(\\Deleted",
    "EXPUNGE": rb"UID EXPUNGE", "APPEND": rb"APPEND", "CREATE": rb"CREATE",
    "SUBSCRIBE": rb"SUBSCRIBE", "UNSUBSCRIBE": rb"UNSUBSCRIBE",
    "RENAME": rb"RENAME", "DELETE": rb"DELETE", "LSUB": rb"LSUB",
    "LOGOUT": rb"LOGOUT"}
KINDS = {**AT_LOGIN, **AT_WORK}

FAULTS = {
    "lost before": faults.lost_before, "lost after": faults.lost_after,
    "cut in the answer": faults.cut_inside,
    "hangs before": faults.hang_before, "hangs after": faults.hang_after,
    "expired": faults.expired, "OK [THROTTLED]": faults.throttled,
    "NO [THROTTLED]": texts.RATE_LIMITED, "NO [OVERQUOTA]": texts.OVER_LIMITS,
    "System Error": texts.SYSTEM_ERROR, "BAD": texts.BAD}
LEFT_OUT = "is left out: the server refuses to describe it"
DESCRIBE = {"FETCH of a listing", "FETCH of ids", "FETCH of header fields"}
REFUSALS = {"NO [THROTTLED]", "NO [OVERQUOTA]", "System Error", "BAD"}
# What a user may hear, once a fault is met more than once or is a refusal.
ERRORS = {errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EDQUOT,
          errno.EACCES}
OF_FOLDERS = ERRORS | {errno.EPERM, errno.ENOENT, errno.EEXIST}
PATIENCE = 30
SENDING = 150  # six pauses, each twice as long as the one before
MOST_LOGINS = 8

ALL, SPAM, TRASH = "[Gmail]/All Mail", "[Gmail]/Spam", "[Gmail]/Trash"
# Letter: labels and place before, folder and command ($f is its file), what
# is then.
CHANGES = {
    1: ("\\Inbox", names.ALL, "INBOX", "mv $f work/", "all: work"),
    2: ("\\Inbox", names.ALL, "INBOX", "cp $f work/", "all: \\Inbox work"),
    3: ("\\Inbox work", names.ALL, "INBOX", "rm $f", "trash"),
    4: ("", names.TRASH, TRASH, "rm $f", "gone"),
    5: ("\\Inbox work", names.ALL, "INBOX", f"mv $f '{ALL}/'", "all: work"),
    6: ("", names.ALL, ALL, "mv $f work/", "all: work"),
    7: ("\\Inbox", names.ALL, "INBOX", "chmod 744 $f", "all: \\Inbox"),
    8: ("work", names.ALL, "work", "mv $f INBOX/", "all: \\Inbox"),
    9: ("\\Inbox work", names.ALL, "INBOX", "mv $f work/", "all: work"),
}
WRITTEN, CAME, KEPT = 50, 60, 20
STARRED = 7


def point(env, kind, fault, times=1):
    """One point; how it was, as a line."""
    p = Point(env, kind, fault, times)
    try:
        return p.run()
    except (AssertionError, OSError) as error:
        story = "\n  ".join(p.story)
        raise AssertionError(f"{kind}, {fault}, {times} times: {error}\n  "
                             f"{story}\n{p.log()}") from error
    finally:
        if p.m:
            p.m.remove()
        p.server.remove()


class Point:
    def __init__(self, env, kind, fault, times):
        self.env, self.kind, self.fault, self.times = env, kind, fault, times
        self.story, self.m, self.hits = [], None, 0
        self.untouched = set()  # letters that were left out
        self.server = server = env.gmail()
        server.account.create(b"work")
        self.letters = {n: server.account.deliver(
            letter(n), row[0].encode().split(), place=row[1])
            for n, row in CHANGES.items()}
        self.letters[KEPT] = server.account.deliver(letter(KEPT, 9000))
        if kind == "LOGIN":
            server.on(rb"CAPABILITY", without_auth_plain)

    # The fault.

    def arm(self):
        self.hits = 0
        fault = FAULTS[self.fault]

        def answer(session, tag, command):
            self.hits += 1
            return fault(session, tag, command) if callable(fault) else fault

        self.server.on(KINDS[self.kind], answer, self.times)

    def disarm(self):
        self.server.on(KINDS[self.kind], None, 0)
        self.server.clear()
        if self.kind == "LOGIN":
            self.server.on(rb"CAPABILITY", without_auth_plain)

    def note(self, text):
        if text not in self.story:
            self.story.append(text)

    def log(self):
        """What passed, for whoever has to find out."""
        sent = b"\n".join(c[:100] for _, c in self.server.commands[-60:])
        said = self.m.control("log")[-6000:] \
            if self.m and self.m.mounted() else ""
        return said + "\n" + sent.decode(errors="replace")

    def patient(self, what, work):
        """Ask again until it works; what was heard is noted. After a login
        that was refused for good the mount waits for its user."""
        end = time.monotonic() + PATIENCE * slowdown()
        while True:
            try:
                return work()
            except OSError as error:
                self.note(f"{what}: {errno.errorcode[error.errno]}")
                assert error.errno in ERRORS, f"{what}: {error!r}"
                if time.monotonic() > end:
                    raise AssertionError(f"{what} still fails") from error
                if error.errno == errno.EDQUOT:
                    self.again()  # or the pause is a minute
            if self.fault == "BAD" and self.kind in AT_LOGIN:
                os.utime(self.m.path)
            time.sleep(0.2)

    def again(self):
        self.m.unmount()
        self.m.start()

    # The work.

    def mounted(self):
        url = self.server.url()
        if self.kind == "COMPRESS":
            link = self.env.proxy(self.server, rtt=20)
            url = self.server.url(port=link.port)
        return self.env.mount_object(url, password=APP_PASSWORD,
                                     options=["timeout=2"],
                                     background=True)

    def run(self):
        self.m = self.mounted()
        at_login = self.kind in AT_LOGIN
        if at_login:
            self.arm()
            self.start_anyhow()
            self.disarm()
            self.check_logins(0)
        else:
            self.m.start()
        before = self.server.count(LOGIN)
        self.arm()
        if at_login:
            self.server.drop()
        self.change()
        self.settle()
        met = self.hits
        self.check_logins(before)
        if self.kind == "LOGOUT":
            self.arm()
            self.again()
            met = self.hits
            self.disarm()
        if self.leaves_out():
            self.anew()
        self.compare()
        self.again()
        self.compare()
        return f"{'met ' + str(met) + ' times' if met else 'not met'}" \
            f"{': ' if self.story else ''}{', '.join(self.story)}"

    def start_anyhow(self):
        """It may refuse to start, but says why."""
        for _ in range(self.times + 1):
            try:
                self.m.start()
                return
            except StartFailed as failure:
                said = failure.result.errtext.strip().split("\n")[-1]
                self.note(f"start: {said}")
                assert re.match(r"mount\.imapfs: \S.* ", said), said
        raise AssertionError("it does not start")

    def check_logins(self, before):
        spent = self.server.count(LOGIN) - before
        assert spent <= MOST_LOGINS + self.times, f"{spent} logins"

    def path(self, folder, n):
        """None: it was left out."""
        found = self.patient(f"list {folder}",
                             lambda: numbered(self.m, folder))
        if n not in found and self.leaves_out(f" of '{folder}' "):
            self.note(f"letter {n} is left out")
            self.untouched.add(n)
            return None
        assert n in found, f"letter {n} is not in {folder}: {found}"
        return found[n]

    def leaves_out(self, of=" "):
        said = of + LEFT_OUT in self.m.control("log")
        assert not said or (self.fault == "BAD" and self.times > 1 and
                            self.kind in DESCRIBE), LEFT_OUT
        return said

    def anew(self):
        """With nothing that was known."""
        self.m.unmount()
        for path in self.m.cache.iterdir():
            shutil.rmtree(path)
        self.m.start()

    def change(self):
        m = self.m
        kept = self.path("INBOX", KEPT)
        if kept:
            self.patient("read", kept.read_bytes)
        self.server.web(lambda account: account.deliver(
            letter(CAME), [b"\\Inbox"]))
        for n, (_, _, folder, command, _) in CHANGES.items():
            path = self.path(folder, n)
            if path:
                self.patient(command, lambda p=path, c=command: shell(m, c, p))
        self.patient("write", lambda: (
            m.path / f"INBOX/new_Letter-{WRITTEN}_.eml").write_bytes(
                letter(WRITTEN)))
        for what, work in (
                ("mkdir", lambda: (m.path / "fresh").mkdir()),
                ("mv of a folder", lambda: (m.path / "fresh").rename(
                    m.path / "other")),
                ("rmdir", lambda: (m.path / "other").rmdir())):
            try:
                work()
            except OSError as error:
                self.note(f"{what}: {errno.errorcode[error.errno]}")
                assert error.errno in OF_FOLDERS, f"{what}: {error!r}"

    def settle(self):
        """All is sent, and nothing is asked any more."""
        def sent():
            self.m.run(["sync", ".imapfs/queue"], check=False,
                       timeout=60)
            queue = self.m.status()["queue"]
            return not any(queue[k] for k in ("queued", "sent", "writing"))
        wait_for(sent, SENDING, "all is sent", step=0.2)
        self.disarm()

    # What came of it.

    def failed(self):
        return self.m.control("failed").splitlines()

    def compare(self):
        wait_same(self.m, self.server, self.wrong_on_server)

    def is_kept(self, n):
        """What could not be sent is not lost."""
        return any(path.read_bytes() == letter(n) for path in
                   (self.m.path / ".imapfs/rejected").iterdir())

    def wrong_on_server(self):
        account, failed = self.server.account, self.failed()
        wrong = []
        for n, (labels, place, _, _, then) in CHANGES.items():
            message = self.letters[n]
            now = where(message, self.server)
            was = f"{place}: {labels}".rstrip(": ")
            if n in self.untouched:
                then = was
            if now != then and not (failed and now == was):
                wrong.append(f"letter {n} is {now}, not {then}")
        starred = self.letters[STARRED].flags == {b"\\Seen", b"\\Flagged"}
        if not failed and not starred and STARRED not in self.untouched:
            wrong.append("letter 7 is not starred")
        got = sorted(number_of(m) for m in account.messages.values())
        gone = {n for n, message in self.letters.items()
                if message.msgid not in account.messages}
        if failed and WRITTEN not in got and self.is_kept(WRITTEN):
            gone.add(WRITTEN)
        want = sorted({*self.letters, WRITTEN, CAME} - gone)
        if got != want:
            wrong.append(f"the account has {got}, not {want}")
        if failed and self.fault not in REFUSALS:
            wrong.append(f"failed: {failed}")
        return wrong


def shell(m, command, path):
    """Of the few commands above; an OSError as the command heard it."""
    result = m.run(["sh", "-c", command.replace("$f", '"$0"'), str(path)],
                   check=False, timeout=40)
    if result.code != 0:
        code = next((c for c in ERRORS if os.strerror(c) in result.errtext),
                    errno.EINVAL)
        raise OSError(code, result.errtext)


def without_auth_plain(session, tag, command):
    return re.sub(rb" AUTH=PLAIN(?= )", b"", session.default(tag, command))
