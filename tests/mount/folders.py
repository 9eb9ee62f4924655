# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders as directories: every name that a server may have, and those that
only a hostile one sends."""

import os
import re
import unicodedata

from imapfstest import *
from imapfstest.letters import letter, numbered

NAMES = ["Work", "Work/Clients", "Work/Clients/Ünïcode", "Tom & Jerry",
         "日本語", "Two  blanks", "Sent", "sent", "100 percent",
         "INBOX/Below the inbox", "Quote'd \"name\"", "a.b",
         "[Gmail]/All Mail", "-dash", "Deep/Er/Est"]


def parents_of(names):
    found = set()
    for name in names:
        parts = name.split("/")
        found |= {"/".join(parts[:n]) for n in range(1, len(parts) + 1)}
    return found


def test_names_are_those_of_the_server(env):
    server = env.dovecot(special=())
    with Client(server) as c:
        for n, name in enumerate(NAMES):
            c.create(name)
            c.append(name, letter(n))
        assert "\\Noselect" in c.list()["Deep"] or \
            "\\NonExistent" in c.list()["Deep"]
    m = env.mount(server)
    assert set(m.folders()) == parents_of(NAMES) | {"INBOX"}
    for n, name in enumerate(NAMES):
        found = m.messages(name)
        assert len(found) == 1 and f"Letter-{n}_" in found[0], (name, found)
        assert (m.path / name / found[0]).read_bytes() == letter(n)
    assert m.messages("Deep") == [] and m.messages("Deep/Er") == []


def test_empty_account(env):
    server = env.dovecot(special=())
    m = env.mount(server)
    assert os.listdir(m.path) == ["INBOX"]
    assert os.listdir(m.path / "INBOX") == []


def test_account_without_any_mailbox(env):
    server = env.script({})
    m = env.mount(server)
    assert os.listdir(m.path) == []


def test_delimiter_dot(env):
    server = env.dovecot(special=(), separator=".", format="maildir")
    with Client(server) as c:
        c.create("Work.Clients")
        c.append("Work.Clients", letter(1))
    m = env.mount(server)
    assert set(m.folders()) == {"INBOX", "Work", "Work/Clients"}
    assert len(m.messages("Work/Clients")) == 1


def one_message(n, **kw):
    return Box([Msg(1, letter(n))], **kw)


def folder_with(m, n):
    """The folder that holds letter `n`."""
    for folder in m.folders():
        for name in m.messages(folder):
            if f"Letter-{n}_" in name:
                assert (m.path / folder / name).read_bytes() == letter(n)
                return folder
    raise AssertionError(f"letter {n} is nowhere in {m.folders()}")


def test_the_other_delimiter_in_a_name(env):
    server = env.script({b"INBOX": one_message(1, delimiter=b"."),
                         b"2024/25.Plans": one_message(2, delimiter=b"."),
                         b"100%": one_message(3, delimiter=b".")})
    m = env.mount(server)
    found = set(m.folders())
    assert found == {"INBOX", "2024%2F25", "2024%2F25/Plans",
                     "100%"}, found
    assert folder_with(m, 2) == "2024%2F25/Plans"


def test_no_hierarchy_at_all(env):
    server = env.script({b"INBOX": one_message(1, delimiter=b""),
                         b"a/b.c": one_message(2, delimiter=b"")})
    m = env.mount(server)
    assert set(m.folders()) == {"INBOX", "a%2Fb.c"}


def test_long_names_are_cut_and_stay_apart(env):
    long = b"n" * 299
    wide = utf7_encode("ä" * 299)
    server = env.script({long + b"1": one_message(1),
                         long + b"2": one_message(2),
                         wide + b"1": one_message(3),
                         wide + b"2": one_message(4)})
    m = env.mount(server)
    names = [folder_with(m, n) for n in (1, 2, 3, 4)]
    assert len(set(names)) == 4
    for name in names:
        assert re.search(r"%~[0-9a-z]{8}$", name), name
        assert len(name.encode()) <= 255
        assert name[0] in "nä"
    m.unmount()
    m.start()
    assert [folder_with(m, n) for n in (1, 2, 3, 4)] == names


def test_names_differing_in_case_only(env):
    server = env.script({b"case": one_message(1), b"CASE": one_message(2),
                         b"Case": one_message(3)})
    m = env.mount(server)
    assert [folder_with(m, n) for n in (1, 2, 3)] == ["case", "CASE", "Case"]


def test_inbox_in_any_case_is_one(env):
    server = env.script({b"INBOX": one_message(1),
                         b"inbox/Sub": one_message(2)})
    m = env.mount(server)
    assert "INBOX" in m.folders()
    folder_with(m, 2)


HOSTILE = [b"../x", b"..", b".", b"/abs", b"a//b", b"a/../../b", b"trail/",
           b"nul\0byte", b"con\x01trol", b"line\nbreak", b"car\rriage",
           b"es\x1b[31mcape", b"&", b"&invalid", b"&AAA-", b"&AC8-etc",
           b"&2AA-lone", b"raw\xff\xfebytes", b"utf8\xc3\xa4", b".imapfs",
           b".text", b".hidden", b"%2e%2e", b"%", b"x" * 3000, b"{5}",
           b"&IC4-bidi", b"*", b"\\Noselect", b") (", b"\x7f", b" ",
           b"d/" * 40 + b"deep"]


def check_harmless(m):
    for top, dirs, files in os.walk(os.fsencode(m.path)):
        seen = set()
        for raw in dirs + files:
            assert raw not in seen, raw
            seen.add(raw)
            text = raw.decode("utf-8")
            assert len(raw) <= 255 and not text.startswith("."), raw
            assert not any(unicodedata.category(c) in ("Cc", "Cs")
                           for c in text), raw


def test_hostile_names_are_harmless(env):
    boxes = {name: one_message(n + 10) for n, name in enumerate(HOSTILE)}
    server = env.script({b"INBOX": one_message(1), **boxes})
    m = env.mount(server)
    before = sorted(os.listdir(m.folder))
    check_harmless(m)
    assert folder_with(m, 1) == "INBOX"
    m.control("status")
    assert sorted(os.listdir(m.folder)) == before
    for n, name in enumerate(HOSTILE):
        if name in (b".hidden", b".imapfs", b"%2e%2e", b"*", b"con\x01trol"):
            folder_with(m, n + 10)


def test_status_can_be_read_whatever_a_mailbox_is_called(env):
    """Neither 8-bit text that is no UTF-8, nor commands for the terminal."""
    names = {"Entw?rfe": b"Entw\xfcrfe", "es?[31mcape": b"es\x1b[31mcape"}
    server = env.script({b"INBOX": one_message(1), **{
        name: one_message(n + 10) for n, name in enumerate(names.values())}})
    m = env.mount(server, options=["connections=2"])
    for n, name in enumerate(names):
        folder = m.path / folder_with(m, n + 10)

        def told():
            os.utime(folder)
            return [c["mailbox"] for c in m.status()["connections"]]

        env.wait_for(lambda: name in told(), 20, name)
        env.wait_for(lambda: told() and name in m.control("status"), 20, name)


def test_hostile_names_survive_a_remount(env):
    boxes = {name: one_message(n + 10) for n, name in enumerate(HOSTILE)}
    server = env.script({b"INBOX": one_message(1), **boxes})
    m = env.mount(server)
    first = m.folders()
    m.unmount()
    m.start()
    assert m.folders() == first


def test_mailbox_of_too_many_levels_is_left_out(env):
    """Each level is a folder to us, whether or not it is a mailbox."""
    deep = b"d/" * 98 + b"end"
    server = env.script({b"INBOX": one_message(1), deep: one_message(2),
                         b"e/" * 2000 + b"end": one_message(3),
                         b"g/" * 101 + b"end": one_message(4)})
    m = env.mount(server)
    assert sorted(os.listdir(m.path)) == ["INBOX", "d"]
    assert list(numbered(m, os.fsdecode(deep))) == [2]
    # Said once for a LIST, of which there may have been more.
    log = m.log()
    assert (1 <= log.count("levels deep are left out") <=
            1 + log.count("imap: folders of '': 0"))


def test_two_thousand_folders(env):
    boxes = {b"f%04d" % n: Box() for n in range(2000)}
    server = env.script(boxes)
    m = env.mount(server)
    assert len(os.listdir(m.path)) == 2000


def test_mailbox_called_like_a_message(env):
    """The name is the message's, which has it in every folder."""
    server = env.script({b"INBOX": one_message(1)})
    m = env.mount(server)
    name = m.messages()[0]
    m.unmount()
    wire = utf7_encode(name)
    server.boxes[b"INBOX/" + wire] = one_message(2)
    fresh = env.mount(server)
    entries = os.listdir(fresh.path / "INBOX")
    assert name in entries and len(entries) == len(set(entries)) == 2
    (other,) = set(entries) - {name}
    assert "%~" in other
    assert os.path.isdir(fresh.path / "INBOX" / other)
    assert os.path.isfile(fresh.path / "INBOX" / name)
    folder_with(fresh, 2)


def some_folders(env):
    names = [b"INBOX", b"Work", b"Work/A", b"Work/B", b"Workshop", b"Play",
             b"[Gmail]/All Mail", b"[Gmail]/Spam"]
    return env.script({name: one_message(n)
                       for n, name in enumerate(names)})


def test_option_folders(env):
    m = env.mount(some_folders(env), options=["folders=INBOX:Work"])
    assert m.folders() == ["INBOX", "Work", "Work/A", "Work/B"]


def test_option_exclude(env):
    m = env.mount(some_folders(env),
                  options=["exclude=[Gmail]/Spam:Work*:Play"])
    assert m.folders() == ["INBOX", "[Gmail]", "[Gmail]/All Mail"]


def test_folder_in_the_url(env):
    server = some_folders(env)
    m = env.mount(server.url() + "Work")
    assert m.folders() == ["A", "B"]
    assert any("Letter-1_" in name for name in m.messages("."))


def test_folder_in_the_url_is_deleted_and_made_again(env):
    server = env.script({b"INBOX": one_message(1), b"Work": one_message(2),
                         b"Work/A": one_message(3)})
    m = env.mount(server.url() + "Work")
    assert len(os.listdir(m.path)) == 2
    folders = [server.boxes.pop(name) for name in (b"Work", b"Work/A")]
    os.utime(m.path)
    env.wait_for(lambda: not os.listdir(m.path), 20)
    folders[0].uidvalidity += 1
    server.boxes[b"Work"], server.boxes[b"Work/A"] = folders
    os.utime(m.path)
    env.wait_for(lambda: "A" in os.listdir(m.path) and
                 any("Letter-2_" in name for name in m.messages(".")), 20)
    assert any("Letter-3_" in name for name in m.messages("A"))


def test_vanished_folder_goes_new_one_comes(env):
    server = some_folders(env)
    m = env.mount(server)
    assert "Play" in m.folders()
    m.unmount()
    del server.boxes[b"Play"]
    server.boxes[b"New"] = one_message(50)
    m.start()
    env.wait_for(lambda: "New" in m.folders() and "Play" not in m.folders())


def test_folder_numbers_stay(env):
    server = some_folders(env)
    m = env.mount(server)
    inodes = {f: os.stat(m.path / f).st_ino for f in m.folders()}
    assert len(set(inodes.values())) == len(inodes)
    assert os.stat(m.path / "INBOX").st_nlink == 1
    m.unmount()
    m.start()
    assert {f: os.stat(m.path / f).st_ino for f in m.folders()} == inodes
