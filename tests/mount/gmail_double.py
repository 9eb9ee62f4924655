# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gmail double itself, by a plain IMAP client: what the tests of Gmail
lean on holds, row by row of what Google documents."""

import imaplib
import re

from imapfstest import *
from imapfstest.gmail import APP_PASSWORD, faults, names, texts
from imapfstest.gmail.shown import where
from imapfstest.letters import letter

INBOX, WORK, HOME = b"\\Inbox", b"work", b"home"
ALL, SPAM, TRASH = "[Gmail]/All Mail", "[Gmail]/Spam", "[Gmail]/Trash"


def client_of(server):
    return Client(server, "alice", APP_PASSWORD)


def deliver(server, labels, place=names.ALL, number=1):
    return server.web(lambda account: account.deliver(
        letter(number), labels, place=place))


# Where it was (labels), what is said to which folder, where it is then.
MOVES = [
    ([INBOX], "INBOX", "COPY", "work", "all: \\Inbox work"),
    ([INBOX], "INBOX", "COPY", ALL, "all: \\Inbox"),
    ([INBOX, WORK], "INBOX", "COPY", TRASH, "trash"),
    ([INBOX, WORK], "INBOX", "COPY", SPAM, "spam"),
    ([INBOX, WORK], "INBOX", "MOVE", TRASH, "trash"),
    ([WORK, HOME], "work", "MOVE", SPAM, "spam"),
    ([WORK], "work", "MOVE", "home", "all: home"),
    ([WORK, HOME], "work", "MOVE", "home", "all: home"),
    ([WORK], ALL, "MOVE", "home", "all: home work"),
    ([INBOX], "INBOX", "MOVE", ALL, "all"),
    ([INBOX, WORK], "INBOX", "MOVE", ALL, "all: work"),
    ([WORK], "work", "MOVE", "[Gmail]/Starred", "all"),
]


def test_copies_and_moves_change_labels(env):
    for hide in (False, True):
        server = env.gmail(hides_own_label=hide)
        server.web(lambda account: [account.create(WORK),
                                    account.create(HOME)])
        with client_of(server) as client:
            for n, (labels, box, command, target, then) in enumerate(MOVES):
                message = deliver(server, labels, number=n)
                uid = client.uids(box)[-1]
                getattr(client, command.lower())(box, uid, target)
                assert where(message, server) == then, \
                    (labels, box, command, target)
                if target == "[Gmail]/Starred":
                    assert b"\\Flagged" in message.flags


def test_mail_leaves_trash_and_spam_by_move_and_copy(env):
    server = env.gmail()
    with client_of(server) as client:
        for n, (place, box, command, target, then) in enumerate([
                (names.TRASH, TRASH, "move", "INBOX", "all: \\Inbox"),
                (names.TRASH, TRASH, "copy", ALL, "all"),
                (names.SPAM, SPAM, "move", "INBOX", "all: \\Inbox"),
                (names.SPAM, SPAM, "move", TRASH, "trash"),
                (names.TRASH, TRASH, "move", SPAM, "spam")]):
            message = deliver(server, (), place, n)
            getattr(client, command)(box, client.uids(box)[-1], target)
            assert where(message, server) == then, (box, command, target)


# Labels, place, folder, then by the setting for the last label.
GONE = [
    ([INBOX, WORK], names.ALL, "INBOX", ["all: work"] * 3),
    ([WORK], names.ALL, "work", ["all", "trash", "gone"]),
    ([INBOX], names.ALL, "INBOX", ["all", "trash", "gone"]),
    ([INBOX, b"\\Important"], names.ALL, "INBOX",
     ["all: \\Important", "trash", "gone"]),
    ([WORK], names.ALL, ALL, ["all: work"] * 3),
    ([], names.ALL, ALL, ["all"] * 3),
    ([], names.TRASH, TRASH, ["gone"] * 3),
    ([], names.SPAM, SPAM, ["gone"] * 3),
]


def test_deleted_and_expunge_in_every_folder(env):
    for at, last_label in enumerate(("archive", "trash", "delete")):
        for auto in (True, False):
            server = env.gmail(last_label=last_label, auto_expunge=auto)
            with client_of(server) as client:
                for n, (labels, place, box, then) in enumerate(GONE):
                    message = deliver(server, labels, place, n)
                    before = where(message, server)
                    uid = client.uids(box)[-1]
                    client.store(box, uid, "+FLAGS", "\\Deleted")
                    assert where(message, server) == (
                        then[at] if auto else before), (box, last_label, auto)
                    client._uid("EXPUNGE", str(uid))
                    assert where(message, server) == then[at], \
                        (box, last_label, auto)


def test_deleted_can_be_taken_back_without_auto_expunge(env):
    server = env.gmail(auto_expunge=False)
    message = deliver(server, [INBOX, WORK])
    with client_of(server) as client:
        client.store("INBOX", 1, "+FLAGS", "\\Deleted")
        assert "\\Deleted" in client.attributes("INBOX")[1]["flags"]
        assert "\\Deleted" not in client.attributes("work")[1]["flags"]
        client.store("INBOX", 1, "-FLAGS", "\\Deleted")
        client._uid("EXPUNGE", "1")
    assert where(message, server) == "all: \\Inbox work"


def test_flags_are_one_for_all_labels(env):
    server = env.gmail()
    message = deliver(server, [INBOX, WORK])
    with client_of(server) as client:
        client.store("INBOX", 1, "+FLAGS", "\\Seen", "\\Flagged")
        for box in ("work", ALL, "[Gmail]/Starred"):
            assert client.attributes(box)[1]["flags"] == \
                {"\\Seen", "\\Flagged"}
        client.store(ALL, 1, "-FLAGS", "\\Flagged")
        assert client.uids("[Gmail]/Starred") == []
        client.store(ALL, 1, "+X-GM-LABELS", '"\\\\Starred"', "home")
    assert message.flags == {b"\\Seen", b"\\Flagged"}
    assert where(message, server) == "all: \\Inbox home work"


def test_append_knows_the_message(env):
    server = env.gmail()
    trashed = deliver(server, (), names.TRASH)
    date = trashed.date
    server.web(lambda account: account.create(WORK))
    with client_of(server) as client:
        assert client.append("work", letter(1), date=1_000_000_000) == 1
        assert client.append("work", letter(1)) == 1, "a second one"
        assert client.append("INBOX", letter(2), ["\\Seen"],
                             1_000_000_000) == 1
        got = client.attributes("INBOX")[1]
        assert got["date"] == 1_000_000_000 and got["flags"] == {"\\Seen"}
        assert client.attributes("work")[1]["date"] == date
    assert where(trashed, server) == "all: work"
    assert len(server.account.messages) == 2


def copyuid(text):
    """[(from, to)] of a COPYUID, by position."""
    sets = re.search(rb"\[COPYUID \d+ (\S+) (\S+)\]", text).groups()
    return list(zip(*(map(int, part.split(b",")) for part in sets)))


def test_copyuid_tells_pairs_in_any_order(env):
    for order, first in (("up", [1, 2, 3, 4]), ("down", [4, 3, 2, 1]),
                         ("mixed", [2, 4, 1, 3])):
        server = env.gmail(copyuid=order)
        for n in range(4):
            deliver(server, [INBOX, WORK] if n == 2 else [INBOX], number=n)
        with client_of(server) as client:
            client.select("INBOX", readonly=False)
            pairs = copyuid(client.raw("UID", "COPY", "1:4", "work")[0])
            assert [a for a, _ in pairs] == first
            assert dict(pairs)[3] == 1, "it had a UID there before"
            assert client.uids("work") == [1, 2, 3, 4]
            client.select("INBOX", readonly=False)
            again = copyuid(client.raw("UID", "COPY", "1:4", "work")[0])
            assert again == pairs


# Ids, labels, searches, MODSEQ.

def fetched(client, box, uid, item):
    client.select(box)
    row = client._uid("FETCH", str(uid), f"({item})")[0]
    row = b"".join(row) if isinstance(row, tuple) else row
    return re.search(item.encode() + rb" (\([^)]*\)|\d+)", row).group(1)


def test_ids_and_labels_of_a_message(env):
    server = env.gmail()
    message = deliver(server, [INBOX, WORK, b"b c", b"&AOQ-/x", b"\\Sent"])
    answer = b"In-Reply-To: <letter-1@example.com>\r\n" + letter(2)
    reply = server.web(lambda account: account.deliver(answer))
    assert reply.thrid == message.msgid != reply.msgid
    with client_of(server) as client:
        for box in ("INBOX", "work", ALL):
            assert int(fetched(client, box, 1, "X-GM-MSGID")) == \
                message.msgid > 1 << 60
        assert fetched(client, ALL, 1, "X-GM-LABELS") == \
            b'(&AOQ-/x "\\\\Inbox" "\\\\Sent" "b c" work)'
        assert b"work" not in fetched(client, "work", 1, "X-GM-LABELS")
        for key, found in (
                (f"X-GM-MSGID {message.msgid}", [1]),
                (f"X-GM-THRID {message.msgid}", [1, 2]),
                ("X-GM-LABELS work", [1]), ("NOT X-GM-LABELS work", [2]),
                ('X-GM-RAW "rfc822msgid:<letter-1@example.com> in:anywhere"',
                 [1]),
                ("UNSEEN UID 2:9", [2]), ("SUBJECT nothing", [])):
            assert client.uids(ALL, key) == found, key
        client.select(ALL)
        client.imap.untagged_responses.clear()
        client._uid("SEARCH", "RETURN (COUNT MIN MAX ALL) ALL")
        line = client.imap.untagged_responses["ESEARCH"][0]
    assert line.endswith(b"UID COUNT 2 MIN 1 MAX 2 ALL 1:2"), line


def test_modseq_is_one_for_the_account(env):
    server = env.gmail()
    first = deliver(server, [INBOX])
    with client_of(server) as client:
        client.raw("ENABLE", "CONDSTORE")
        deliver(server, [WORK], number=2)
        client.select("INBOX")
        high = int(client.imap.response("HIGHESTMODSEQ")[1][0])
        assert high == server.account.modseq > first.modseq
        since = f"(CHANGEDSINCE {high})"
        assert client._uid("FETCH", "1:*", "(FLAGS)", since) == [None]
        server.web(lambda account: account.relabel(first, add=[HOME]))
        row = client._uid("FETCH", "1:*", "(FLAGS)", since)[0]
        assert b"MODSEQ (%d)" % first.modseq in row
        ahead = server.web(lambda account: account.bump())
        client.select("INBOX")
        assert int(client.imap.response("HIGHESTMODSEQ")[1][0]) == ahead
        server.web(lambda account: account.relabel(
            first, add=[WORK], modseq=ahead))
        assert first.modseq == ahead == server.account.modseq


def test_a_limited_folder_shows_its_newest(env):
    server = env.gmail(folder_limit=3)
    for n in range(5):
        deliver(server, [INBOX], number=n)
    with client_of(server) as client:
        assert client.status("INBOX")["MESSAGES"] == 3
        assert client.uids("INBOX") == [3, 4, 5]
        assert client._uid("FETCH", "1", "(FLAGS)") == [None]
        server.settings.folder_limit = 0
        assert client.uids("INBOX") == [1, 2, 3, 4, 5]


# Folders.

def test_special_folders_have_attributes_in_any_language(env):
    for language, prefix in (("en", "[Gmail]"), ("de", "[Google Mail]"),
                             ("zh", "[Gmail]")):
        server = env.gmail(language=language, prefix=prefix)
        wanted = {name: names.ATTRIBUTES[kind].decode() for kind, name in
                  names.special_names(language, prefix).items()}
        with client_of(server) as client:
            found = client.list()
            for name, attribute in wanted.items():
                assert attribute in found[name]
                assert client.uids(name) == []
        assert "\\Noselect" in found[prefix]


def test_folders_are_made_under_rules(env):
    server = env.gmail()
    for name, answer in (
            ("a  b", texts.EXCESS_BLANKS), (" a", texts.EXCESS_BLANKS),
            ("^a", texts.invalid_folder(b"^a")),
            ("Updates", texts.duplicate_folder(b"Updates")),
            ("[Gmail]/x", texts.duplicate_folder(b"[Gmail]/x"))):
        with client_of(server) as client:
            kind, said = client.imap.create(quote(name))
            assert kind == "NO" and b"%TAG% NO " + said[0] + b"\r\n" == \
                answer, (name, said)
    with client_of(server) as client:
        client.create("a/b")
        assert "a" not in client.list()
        message = deliver(server, [b"a/b"])
        modseq = server.account.modseq
        client.rename_box("a/b", "ü")
        assert where(message, server) == "all: &APw-"
        assert server.account.modseq == modseq
        assert client.fetch("ü") == {1: letter(1)}
        client.delete_box("ü")
        assert where(message, server) == "all"
        assert client.imap.delete(quote(ALL))[0] == "NO"
        assert client.imap.select(quote("[Gmail]"))[0] == "NO"


def test_a_folder_hidden_from_imap_is_nowhere(env):
    server = env.gmail()
    server.account.special(names.ALL).shown = False
    with client_of(server) as client:
        assert ALL not in client.list()
        assert client.imap.select(quote(ALL))[0] == "NO"


# Sessions.

def refusal(server, password=APP_PASSWORD, user="alice"):
    try:
        Client(server, user, password)
    except imaplib.IMAP4.error as error:
        return str(error)
    raise AssertionError("it is let in")


def test_who_is_let_in(env):
    server = env.gmail(connections=3)
    assert "Invalid credentials" in refusal(server, "wrong")
    assert "Application-specific" in refusal(server, "wonder")
    Client(server, "alice@gmail.com", APP_PASSWORD.replace(" ", "")).close()
    server.refuse_login(texts.WEB_LOGIN, times=1)
    assert "web browser" in refusal(server)
    clients = [client_of(server) for _ in range(3)]
    assert "Too many simultaneous" in refusal(server)
    clients[0].close()
    clients[0] = client_of(server)
    assert server.logins == 5


def test_tokens_and_sessions_end(env):
    for mechanism in ("XOAUTH2", "OAUTHBEARER"):
        server = env.gmail()
        server.add_token("t0ken", 100)
        head = b"user=alice" if mechanism == "XOAUTH2" else b"n,a=alice,"
        good = head + b"\x01auth=Bearer t0ken\x01\x01"
        with Client(server, login=False) as client:
            kind, _ = client.imap.authenticate(mechanism, lambda _: good)
            assert kind == "OK"
            server.advance(101)
            assert "expired" in no_more(client)
        with Client(server, login=False) as client:
            heard = []

            def answer(challenge):
                heard.append(challenge)
                return good if len(heard) == 1 else b""
            try:
                client.imap.authenticate(mechanism, answer)
            except imaplib.IMAP4.error as error:
                assert "Invalid credentials" in str(error)
            assert heard[1] == texts.BEARER_CHALLENGE, heard
    server = env.gmail()
    client = client_of(server)
    server.advance(24 * 3600 - 10)
    client.imap.noop()
    server.advance(20)
    assert "expired" in no_more(client)


def no_more(client):
    try:
        client.imap.noop()
    except (OSError, client.imap.error) as error:
        return str(client.imap.untagged_responses.get("BYE")) + str(error)
    raise AssertionError("the session goes on")


def test_limits_refuse_everything(env):
    server = env.gmail()
    deliver(server, [INBOX])
    with client_of(server) as client:
        server.settings.throttled = True
        assert client.imap.noop()[1] == [b"Success [THROTTLED]"]
        client.select("INBOX")
        server.settings.bytes_down = 1
        kind, said = client.imap.uid("FETCH", "1", "(FLAGS)")
        assert kind == "NO" and said[0].startswith(b"[OVERQUOTA]")


def test_faults_come_at_the_command_that_was_named(env):
    server = env.gmail()
    message = deliver(server, [INBOX])
    with client_of(server) as client:
        client.select("INBOX", readonly=False)
        server.at(2, faults.lost_after)
        client.imap.noop()
        try:
            client._uid("MOVE", "1", quote(TRASH))
        except (OSError, client.imap.error):
            pass
        else:
            raise AssertionError("the connection is still there")
    assert where(message, server) == "trash"
    with client_of(server) as client:
        server.on(rb"UID MOVE", texts.SYSTEM_ERROR, times=1)
        client.select(TRASH, readonly=False)
        assert client.imap.uid("MOVE", "1", "INBOX") == \
            ("NO", [b"System Error (Failure)"])


def test_an_idling_session_hears_of_its_mailbox(env):
    server = env.gmail()
    message = deliver(server, [INBOX])
    client = client_of(server)
    client.select("INBOX")
    client.imap.send(b"i1 IDLE\r\n")
    assert client.imap.readline().startswith(b"+")
    deliver(server, [INBOX], number=2)
    assert client.imap.readline() == b"* 2 EXISTS\r\n"
    server.web(lambda account: account.set_flags(message, {b"\\Seen"}))
    assert b"1 FETCH (UID 1 FLAGS (\\Seen)" in client.imap.readline()
    server.web(lambda account: account.relabel(message, add=[WORK]))
    server.web(lambda account: account.relabel(message, remove=[INBOX]))
    assert client.imap.readline() == b"* 1 EXPUNGE\r\n"
    client.imap.send(b"DONE\r\n")
    assert client.imap.readline().startswith(b"i1 OK")


def test_traffic_is_counted_by_kind(env):
    server = env.gmail()
    message = deliver(server, [INBOX, WORK])
    with client_of(server) as client:
        client.fetch("INBOX")
        client.fetch("work")
        client._uid("FETCH", "1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert server.traffic.bodies == {message.msgid: 2 * len(letter(1))}
    assert server.traffic.header_times == {message.msgid: 1}
    assert server.traffic.down > 2 * len(letter(1))
