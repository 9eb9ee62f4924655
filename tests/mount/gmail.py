# SPDX-License-Identifier: GPL-3.0-or-later
"""Gmail as a mount shows it: one message in many folders, special folders in
any language, ids and labels, and how little is asked of the server."""

import errno
import os
import re

from imapfstest import *
from imapfstest.changed import errno_of
from imapfstest.gmail import APP_PASSWORD, names
from imapfstest.gmail.shown import wait_same, where
from imapfstest.letters import letter, numbered

INBOX = b"\\Inbox"


def gmail_mount(env, server, **kw):
    return env.mount(server, password=APP_PASSWORD, **kw)


def attribute(path, name):
    return os.getxattr(path, "user.imap." + name).decode()


# Folders.

def test_folders_have_their_names_in_any_language(env):
    for language, prefix in (("en", "[Gmail]"), ("de", "[Google Mail]"),
                             ("zh", "[Gmail]")):
        server = env.gmail(language=language, prefix=prefix)
        special = names.special_names(language, prefix)
        server.account.deliver(letter(1), [utf7_encode("Größe/尺寸")])
        server.account.deliver(letter(2), (), place=names.TRASH)
        m = gmail_mount(env, server)
        wanted = {"INBOX", prefix, "Größe", "Größe/尺寸", *special.values()}
        assert wanted <= set(m.folders())
        assert numbered(m, "Größe/尺寸")[1].read_bytes() == letter(1)
        assert list(numbered(m, special[names.ALL])) == [1]
        assert list(numbered(m, special[names.TRASH])) == [2]
        assert m.messages(prefix) == []
        m.unmount()


def test_rm_finds_the_trash_by_its_attribute(env):
    for language, prefix in (("de", "[Google Mail]"), ("zh", "[Gmail]")):
        server = env.gmail(language=language, prefix=prefix)
        message = server.account.deliver(letter(1), [INBOX, b"work"])
        m = gmail_mount(env, server)
        numbered(m)[1].unlink()
        env.wait_for(lambda: message.place == names.TRASH)
        assert server.count(rb"UID STORE") == 0, "nothing is marked"
        m.unmount()


def test_messages_are_organised_in_any_language(env):
    for language, prefix in (("de", "[Google Mail]"), ("zh", "[Gmail]")):
        server = env.gmail(language=language, prefix=prefix)
        special = names.special_names(language, prefix)
        own = "Größe/尺寸"
        server.account.create(utf7_encode(own))
        sent = {n: server.account.deliver(letter(n), labels, place=place)
                for n, (labels, place) in enumerate([
                    ([INBOX], names.ALL), ([INBOX], names.ALL),
                    ([], names.TRASH), ([], names.ALL), ([INBOX], names.ALL),
                    ([utf7_encode(own)], names.ALL)])}
        m = gmail_mount(env, server)
        for n, (folder, target) in enumerate([
                ("INBOX", own), ("INBOX", special[names.ALL]),
                (special[names.TRASH], "INBOX"), (special[names.ALL], own),
                ("INBOX", special[names.SPAM]),
                (own, special[names.STARRED])]):
            m.run(["mv", str(numbered(m, folder)[n]), str(m.path / target)])
        m.run(["sync", ".imapfs/queue"])
        there = utf7_encode(own).decode()
        assert [where(x, server) for x in sent.values()] == [
            f"all: {there}", "all", "all: \\Inbox", f"all: {there}", "spam",
            "all"]
        assert sent[5].flags == {b"\\Flagged"}
        wait_same(m, server)
        m.unmount()


def test_all_mail_may_be_hidden(env):
    """What needs it says so, and does nothing; the rest goes on."""
    server = env.gmail()
    server.account.special(names.ALL).shown = False
    sent = [server.account.deliver(letter(n), [INBOX, *labels]) for n, labels
            in enumerate([[], [], [b"work"], [b"work"], []])]
    m = gmail_mount(env, server)
    paths, work = numbered(m), m.path / "work"
    assert "[Gmail]/All Mail" not in m.folders()
    assert paths[0].read_bytes() == letter(0)
    paths[0].rename(work / paths[0].name)
    paths[1].unlink()
    m.run(["cp", str(paths[4]), str(work)])
    assert m.messages("work")
    assert errno_of(lambda: paths[2].rename(work / paths[2].name)) == \
        errno.EPERM
    paths[3].rename(work / "other_Letter-3_.eml")
    m.run(["sync", ".imapfs/queue"])
    assert [where(x, server) for x in sent] == [
        "all: work", "trash", "all: \\Inbox work", "all: work",
        "all: \\Inbox work"]
    assert m.log().count("hide the folder of all mail") == 1
    wait_same(m, server)
    assert m.control("failed") == ""


# Messages.

def test_ids_and_labels_are_attributes(env):
    server = env.gmail()
    labels = [INBOX, b"work", b"b c", utf7_encode("Größe"), b"\\Important",
              b"a]b", b'say "x"']
    message = server.account.deliver(letter(1), labels, {b"\\Flagged"})
    m = gmail_mount(env, server)
    for folder in ("INBOX", "work", "[Gmail]/All Mail"):
        path = numbered(m, folder)[1]
        assert attribute(path, "gm.msgid") == str(message.msgid)
        assert attribute(path, "gm.thrid") == str(message.thrid)
        shown = attribute(path, "gm.labels")
        for word in ("\\Important", "\\Starred", "b c", "a]b"):
            assert word in shown, (word, shown)


def test_a_message_that_was_read_is_there_under_all_labels(env):
    server = env.gmail()
    message = server.account.deliver(
        letter(1, 20_000), [INBOX, b"work", b"home", b"\\Starred"])
    m = gmail_mount(env, server)
    for folder in ("INBOX", "work", "home", "[Gmail]/Starred",
                   "[Gmail]/All Mail"):
        assert numbered(m, folder)[1].read_bytes() == letter(1, 20_000)
    assert server.traffic.bodies == {message.msgid: 20_000}


def test_a_walk_over_all_folders_fetches_each_message_once(env):
    """Read-ahead included, of small messages and of a few large ones."""
    server = env.gmail()
    sizes = {}
    for n in range(600):
        labels = [INBOX, b"work", b"home"][n % 2:2 + n % 2]
        data = letter(n, 300_000 if n % 150 == 7 else 2000 + 50 * (n % 40))
        message = server.account.deliver(data, labels)
        sizes[message.msgid] = len(data)
    m = gmail_mount(env, server)
    found = m.run("grep -r '^Subject: Letter' . | wc -l", timeout=60)
    assert int(found.out) == 3 * 600, found
    assert set(server.traffic.bodies) == set(sizes)
    twice = [message for message, size in server.traffic.bodies.items()
             if size > sizes[message]]
    assert sum(server.traffic.bodies.values()) <= 1.02 * sum(
        sizes.values()), twice


def labelled(server, n, count=3):
    """`n` messages with `count` of five labels each; the folders they are in.
    """
    folders = [b"\\Starred", b"work", b"home", b"trips", b"bills"]
    for i in range(n):
        labels = [folders[(i + k) % 5] for k in range(count)]
        server.account.deliver(letter(i, 2000 + i), labels)
    return ["[Gmail]/Starred", "work", "home", "trips", "bills",
            "[Gmail]/All Mail"]


def shown(m, folder):
    """What a folder shows of its messages without a body: name, attributes."""
    listed = {}
    for name in m.messages(folder):
        path = m.path / folder / name
        stat = path.stat()
        listed[name] = (stat.st_size, stat.st_mtime,
                        [(a, os.getxattr(path, a)) for a in
                         sorted(os.listxattr(path))])
    return listed


def test_header_fields_of_a_message_are_fetched_once(env):
    """... however many labels it has, and shown as if they had been fetched
    with each."""
    server = env.gmail()
    folders = labelled(server, 300)
    m = gmail_mount(env, server)
    together = {folder: shown(m, folder) for folder in folders}
    assert sum(map(len, together.values())) == 4 * 300
    times = server.traffic.header_times
    assert len(times) == 300
    assert sum(times.values()) <= 1.05 * 300, sum(times.values())
    m.unmount()
    m.start()
    assert {folder: shown(m, folder) for folder in folders} == together
    assert sum(times.values()) <= 1.05 * 300, sum(times.values())
    m.unmount()
    for folder in folders[1], folders[-1]:
        alone = gmail_mount(env, server)
        times.clear()
        assert shown(alone, folder) == together[folder], folder
        assert sum(times.values()) >= len(together[folder])
        alone.unmount()


def test_header_fields_of_new_mail_are_fetched_once(env):
    """... which has come under labels that have been listed."""
    server = env.gmail()
    folders = labelled(server, 20) + ["INBOX"]
    m = gmail_mount(env, server)
    for folder in folders:
        m.messages(folder)
    m.unmount()
    server.traffic.clear()
    new = set(range(100, 110))
    for n in new:
        server.account.deliver(letter(n), [INBOX, b"work", b"trips"])
    m.start()
    for folder in "INBOX", "work", "trips", "[Gmail]/All Mail":
        env.wait_for(lambda: new <= set(numbered(m, folder)))
    assert list(server.traffic.header_times.values()) == [1] * len(new)


def test_sizes_and_dates_are_the_first_copys(env):
    server = env.gmail()
    server.account.deliver(letter(1), [INBOX, b"work"], date=1_000_000_000)
    m = gmail_mount(env, server)
    for folder in ("INBOX", "work"):
        stat = numbered(m, folder)[1].stat()
        assert stat.st_size == len(letter(1))
        assert stat.st_mtime == 1_000_000_000


def test_flags_set_under_one_label_show_under_all(env):
    server = env.gmail()
    message = server.account.deliver(letter(1), [INBOX, b"work"])
    m = gmail_mount(env, server)
    paths = [numbered(m, f)[1] for f in ("INBOX", "work")]
    os.setxattr(paths[0], "user.imap.flags", b"\\Seen \\Flagged")
    env.wait_for(lambda: message.flags == {b"\\Seen", b"\\Flagged"})
    assert server.count(rb"UID STORE \d+ FLAGS") == 0, "deltas only"


def test_news_of_the_inbox_comes_by_idle(env):
    server = env.gmail()
    first = server.account.deliver(letter(1), [INBOX])
    m = gmail_mount(env, server)
    paths = numbered(m)
    m.wait_watching()
    server.web(lambda account: account.deliver(letter(2), [INBOX]))
    env.wait_for(lambda: 2 in numbered(m))
    server.web(lambda account: account.set_flags(first, {b"\\Seen"}))
    env.wait_for(lambda: "\\Seen" in attribute(paths[1], "flags"))
    server.web(lambda account: account.relabel(first, remove=[INBOX]))
    env.wait_for(lambda: 1 not in numbered(m))


# What is asked.

NEVER = (rb".*QRESYNC", rb"NOTIFY", rb"XLIST", rb"EXPUNGE", rb"CLOSE",
         rb"ENABLE .*UTF8", rb".*BODYSTRUCTURE", rb".*ENVELOPE",
         rb"UID FETCH .*BODY\[", rb".*\+FLAGS.*\\Deleted")


def test_only_what_gmail_knows_is_asked(env):
    server = env.gmail()
    for n in range(1, 11):
        server.account.deliver(letter(n), [INBOX, b"work"])
    m = gmail_mount(env, server)
    m.run("cat INBOX/* work/* >/dev/null; ls -lR >/dev/null")
    for name in ("a.eml", "b.eml"):
        (m.path / "work" / name).write_bytes(letter(20 + len(name)))
    numbered(m)[3].unlink()
    numbered(m)[4].rename(m.path / "work" / "four.eml")
    env.wait_for(lambda: m.status()["queue"]["queued"] == 0 and
                 server.count(rb"UID MOVE") >= 2)
    m.unmount()
    for pattern in NEVER:
        assert server.count(pattern) == 0, pattern


def test_entering_a_folder_again_asks_nothing(env):
    server = env.gmail()
    for n in range(1, 4):
        server.account.deliver(letter(n), [b"work"])
    m = gmail_mount(env, server)
    assert len(m.messages("work")) == 3
    m.wait_watching()
    before = len(server.commands)
    for _ in range(20):
        assert len(m.messages("work")) == 3
        m.run("cat work/* >/dev/null")
    asked = [command for _, command in server.commands[before:]
             if not command.startswith((b"UID FETCH", b"IDLE"))]
    assert asked == [], asked


def test_a_compressed_session_reads_the_same(env):
    server = env.gmail()
    for n in range(1, 21):
        server.account.deliver(letter(n, 20_000), [INBOX])
    link = env.proxy(server, rtt=20)
    m = gmail_mount(env, f"imaps://alice@localhost:{link.port}/")
    for n, path in numbered(m).items():
        assert path.read_bytes() == letter(n, 20_000)
    assert server.count(rb"COMPRESS") >= 1


def test_a_limited_folder_hides_and_deletes_nothing(env):
    server = env.gmail()
    for n in range(1, 11):
        server.account.deliver(letter(n), [INBOX])
    m = gmail_mount(env, server)
    assert len(m.messages()) == 10
    m.unmount()
    server.settings.folder_limit = 6
    m.start()
    assert set(numbered(m)) >= set(range(5, 11))
    for n in range(5, 11):
        assert numbered(m)[n].read_bytes() == letter(n)
    assert len(server.account.messages) == 10



def limit(server, n):
    """As the owner of the account sets it in a browser."""
    def change(account):
        server.settings.folder_limit = n
        for box in account.mailboxes.values():
            box.version += 1
    server.web(change)


def test_older_mail_comes_back_when_the_limit_goes(env):
    """All of it, or what moves up as newer mail goes; and who watches the
    folder sees it come."""
    server = env.gmail()
    limit(server, 6)
    messages = {n: server.account.deliver(letter(n), [INBOX])
                for n in range(1, 11)}
    m = gmail_mount(env, server)
    assert set(numbered(m)) == set(range(5, 11))
    m.wait_watching()
    watch = env.watch(m.path / "INBOX")
    server.web(lambda account: account.relabel(messages[9], remove=[INBOX]))
    watch.wait("CREATE", "_Letter-4_")
    watch.wait("DELETE", "_Letter-9_")
    assert set(numbered(m)) == {4, 5, 6, 7, 8, 10}
    limit(server, 0)
    os.utime(m.path / "INBOX")  # as touch(1) does
    for n in (1, 2, 3):
        watch.wait("CREATE", f"_Letter-{n}_")
    everything = {*range(1, 9), 10}
    assert set(numbered(m)) == everything
    assert watch.count("CREATE") == 4
    for n, path in numbered(m).items():
        assert path.read_bytes() == letter(n)
    m.unmount()
    m.start()
    assert set(numbered(m)) == everything
    limit(server, 6)
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: set(numbered(m)) == {4, 5, 6, 7, 8, 10})
    m.unmount()
    limit(server, 0)
    m.start()
    env.wait_for(lambda: set(numbered(m)) == everything)


def without_the_first(session, tag, command):
    """As if the server did not know how to describe UID 1."""
    answer = session.default(tag, command)
    return re.sub(rb"\* 1 FETCH \(.*?\)\r\n(?=\* \d|A\d)", b"", answer,
                  flags=re.S)


def test_what_cannot_be_listed_is_not_tried_again_and_again(env):
    server = env.gmail()
    for n in range(1, 5):
        server.account.deliver(letter(n), [INBOX])
    server.on(rb"(UID )?FETCH", without_the_first)
    m = gmail_mount(env, server)
    assert set(numbered(m)) == {2, 3, 4}
    before = server.count(rb"SEARCH RETURN \(MAX\)")
    for n in range(5, 9):
        server.web(lambda account: account.deliver(letter(n), [INBOX]))
        os.utime(m.path / "INBOX")
        env.wait_for(lambda: n in numbered(m))
    assert server.count(rb"SEARCH RETURN \(MAX\)") == before + 1


def check_limit(m, n):
    """What is said of INBOX; in the log once."""
    m.wait_status(lambda s: next(f for f in s["folders"] if f["path"] ==
                                 "INBOX")["limit"] == n)
    wait_for(lambda: "Folder size limits" in m.log())
    text = (m.path / ".imapfs/status").read_text()
    assert text.count("older ones are hidden") == (n > 0), text
    assert m.log().count("Folder size limits") == 1


def test_a_folder_that_may_be_limited_says_so(env):
    server = env.gmail()
    limit(server, 1000)
    for n in range(1, 1006):
        server.account.deliver(letter(n, 300), [INBOX] if n > 3 else [b"work"])
    m = gmail_mount(env, server)
    assert len(m.messages()) == 1000
    assert len(m.messages("work")) == 3
    check_limit(m, 1000)
    limit(server, 0)
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: len(m.messages()) == 1002)
    check_limit(m, 0)
    limit(server, 1000)
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: len(m.messages()) == 1000)
    check_limit(m, 1000)


def test_elsewhere_a_thousand_messages_are_no_limit(env):
    m = env.mount(env.script({b"INBOX": Box(
        [Msg(n, letter(n)) for n in range(1, 1001)])}))
    assert len(m.messages()) == 1000
    status = m.status()["folders"]
    assert [f["limit"] for f in status if f["path"] == "INBOX"] == [0]
    assert "Folder size limits" not in m.log()
