# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that tells which messages are one content (OBJECTID, RFC 8474):
what is known of one copy serves the others, and only of those."""

import errno
import os
import re

from imapfstest import *
from imapfstest.changed import errno_of, sent
from imapfstest.letters import letter, numbered

BODY = rb"UID FETCH .*BODY\.PEEK\[\]"
CHANGES = rb"UID (MOVE|COPY|STORE|EXPUNGE)"


def mounted(env, boxes):
    server = env.script(boxes)
    server.capabilities.append(b"OBJECTID")
    return server, env.mount(server)


def emailid(path):
    return os.getxattr(path, "user.imap.emailid").decode()


def anonymous(n):
    return re.sub(rb"Message-ID: .*\r\n", b"", letter(n))


def uids(server, box):
    with server.lock:
        return [m.uid for m in server.boxes[box].messages]


def texts(server, box):
    with server.lock:
        return sorted(m.data for m in server.boxes[box].messages)


def test_body_of_a_copy_is_not_fetched_again(env):
    server, m = mounted(env, {
        b"INBOX": Box([Msg(1, letter(1), emailid=b"(M1)")]),
        b"Work": Box([Msg(5, letter(1), emailid=b"(M1)")]),
        b"Old": Box([Msg(7, letter(2), emailid=b"(M2)"),
                     Msg(8, letter(1), emailid=b"(M1)")])})
    paths = [numbered(m, folder)[1] for folder in ("INBOX", "Work", "Old")]
    assert [emailid(path) for path in paths] == ["M1"] * 3
    assert paths[0].read_bytes() == letter(1)
    assert paths[1].read_bytes() == letter(1)
    assert server.count(BODY) == 1
    assert paths[2].read_bytes() == letter(1)
    m.unmount()
    m.start()
    assert [path.read_bytes() for path in paths] == [letter(1)] * 3
    assert not [line for _, line in server.commands
                if re.match(BODY, line) and re.search(rb"FETCH [58]\b", line)]
    assert emailid(paths[2]) == "M1"
    assert numbered(m, "Old")[2].read_bytes() == letter(2)


def test_mv_onto_a_copy_removes_the_one_that_is_moved(env):
    server, m = mounted(env, {
        b"INBOX": Box([Msg(1, letter(1), emailid=b"(M1)"),
                       Msg(2, letter(2), emailid=b"(M2)")]),
        b"Work": Box([Msg(5, letter(1), emailid=b"(M1)"),
                      Msg(6, letter(3), emailid=b"(M3)")]),
        b"Trash": Box(attrs=[b"\\Trash"])})
    path, other = numbered(m)[1], numbered(m, "Work")[1]
    ino = os.stat(other).st_ino
    os.rename(path, other)
    assert not path.exists()
    # The kernel is told behind the answer which of the two it is.
    wait_for(lambda: os.stat(other).st_ino == ino)
    assert other.read_bytes() == letter(1)
    sent(m)
    assert uids(server, b"INBOX") == [2] and uids(server, b"Work") == [5, 6]
    assert uids(server, b"Trash") == []
    assert server.count(rb"UID STORE 1 \+FLAGS.*Deleted") == 1
    assert server.count(rb"UID EXPUNGE 1$") == 1
    assert server.count(CHANGES) == 2
    assert m.control("failed") == ""


def test_an_emailid_of_two_sizes_is_not_believed(env):
    server, m = mounted(env, {
        b"INBOX": Box([Msg(1, letter(1), emailid=b"(M1)")]),
        b"Work": Box([Msg(5, letter(10), emailid=b"(M1)")]),
        b"Trash": Box(attrs=[b"\\Trash"])})
    path, other = numbered(m)[1], numbered(m, "Work")[10]
    assert path.read_bytes() == letter(1)
    assert other.read_bytes() == letter(10)
    os.rename(path, other)
    sent(m)
    assert texts(server, b"INBOX") == []
    assert texts(server, b"Work") == [letter(1)]
    assert texts(server, b"Trash") == [letter(10)]


def test_only_a_copy_that_stays_counts(env):
    """Another message of the same size, and one that is marked as deleted."""
    server, m = mounted(env, {
        b"INBOX": Box([Msg(1, letter(1), emailid=b"(M1)"),
                       Msg(2, letter(2), emailid=b"(M2)")]),
        b"Work": Box([Msg(5, letter(1), ["\\Deleted"], emailid=b"(M1)"),
                      Msg(6, letter(3), emailid=b"(M3)")]),
        b"Trash": Box(attrs=[b"\\Trash"])})
    paths, others = numbered(m), numbered(m, "Work")
    assert len(letter(2)) == len(letter(3))
    os.rename(paths[1], others[1])
    os.rename(paths[2], others[3])
    sent(m)
    assert texts(server, b"INBOX") == []
    assert texts(server, b"Work") == [letter(1), letter(2)]
    assert texts(server, b"Trash") == [letter(1), letter(3)]
    assert others[1].read_bytes() == letter(1)
    assert others[3].read_bytes() == letter(2)


def test_what_cannot_be_an_emailid_is_none(env):
    values = (b"NIL", b"()", b"M1", b"(M1 M1)", b"((M1))", b'("M1")',
              b"({2}\r\nM1)", b"(../M1)", b"(" + 256 * b"M" + b")",
              b"(M%1)", b"(\xc3\xa4)")
    boxes = {b"INBOX": Box([Msg(n, letter(n), emailid=value)
                            for n, value in enumerate(values, 20)]),
             b"Work": Box([Msg(n, letter(n + 20), emailid=value)
                           for n, value in enumerate(values, 20)])}
    _, m = mounted(env, boxes)
    for folder, first in (("INBOX", 20), ("Work", 40)):
        paths = numbered(m, folder)
        assert sorted(paths) == list(range(first, first + len(values)))
        for n, path in paths.items():
            assert errno_of(lambda p=path: emailid(p)) == errno.ENODATA
            assert "user.imap.emailid" not in os.listxattr(path)
            assert path.read_bytes() == letter(n)
    assert "left out" not in m.log()


def test_it_is_not_asked_of_other_servers(env):
    server = env.script({b"INBOX": Box([Msg(1, letter(1), emailid=b"(M1)")])})
    m = env.mount(server)
    assert errno_of(lambda: emailid(numbered(m)[1])) == errno.ENODATA
    assert server.count(rb".*EMAILID") == 0


def test_messages_without_a_message_id_are_found_again(env):
    """Under other UIDs; twins are not taken for each other."""
    def box(first, validity):
        ids = (b"(M1)", b"(M2)", None, b"(M4)", b"(M4)")
        return Box([Msg(first + i, anonymous(4 if i == 4 else i + 1),
                        emailid=value) for i, value in enumerate(ids)],
                   uidvalidity=validity)

    server, m = mounted(env, {b"INBOX": box(1, 1000)})
    before = {path.name: os.stat(path).st_ino
              for path in (m.path / "INBOX").iterdir()}
    m.run("cat INBOX/*")
    bodies = server.count(BODY)
    with server.lock:
        server.boxes[b"INBOX"] = box(70, 2000)
    server.drop()

    def numbers():
        return sorted(int(os.getxattr(path, "user.imap.uid")) for path in
                      (m.path / "INBOX").iterdir())

    def renewed():
        try:
            return numbers() == [70, 71, 72, 73, 74]
        except OSError:
            return False

    env.wait_for(renewed, 30)
    now = {n: path for n, path in numbered(m).items() if n < 3}
    assert {p.name: os.stat(p).st_ino for p in now.values()}.items() <= \
        before.items()
    assert [now[n].read_bytes() for n in (1, 2)] == \
        [anonymous(1), anonymous(2)]
    assert server.count(BODY) == bodies
    assert numbered(m)[3].stat().st_ino not in before.values()
