# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read is what the server has, byte for byte, and reading leaves no
trace there. The truth comes from an independent client."""

import errno
import os
import re
import unicodedata

from imapfstest import *
from imapfstest.letters import letter, numbered

MB = 1 << 20

TWIN = re.compile(r"\.\d+(?=\.eml$)")


def append_all(client, box, files):
    """APPEND each file; how many the server took."""
    taken = 0
    for n, path in enumerate(files):
        data = path.read_bytes()
        if not data:
            continue
        try:
            client.append(box, data, date=1_600_000_000 + 3600 * n,
                          flags=["\\Seen"] if n % 3 == 0 else [])
            taken += 1
        except AssertionError as refused:
            print(f"NOTE: refused by the server: {path.name}: {refused}")
    return taken


def check_name(name):
    assert len(TWIN.sub("", name).encode("utf-8")) <= 200, name
    assert name.endswith(".eml") and name[0] not in ".-", name
    for char in name:
        assert unicodedata.category(char)[0] in "LMN" or \
            char in "._-+@=%,", f"{char!r} in {name!r}"
    assert unicodedata.normalize("NFC", name) == name, name


def compare(m, box, truth, attributes):
    """Names, sizes before the first read, bytes, and times of a folder."""
    paths = m.by_uid(box)
    assert set(paths) == set(truth), "other messages than the server has"
    sizes = {uid: os.stat(path).st_size for uid, path in paths.items()}
    for uid, path in paths.items():
        check_name(path.name)
        data = path.read_bytes()
        assert data == truth[uid], \
            f"{path}: {len(data)} bytes, the server has {len(truth[uid])}"
        assert sizes[uid] == len(data), f"{path}: size before the read"
        assert os.stat(path).st_mtime == attributes[uid]["date"], path
    return {uid: path.name for uid, path in paths.items()}


def walk_with_tools(env, m):
    """What people do to a tree of files; all of it only reads."""
    copies = env.tmp / "copies"
    copies.mkdir()
    limit = 60
    m.run(["grep", "-rc", "no such text in any message", "."], limit,
          check=False)
    m.run("tar cf - . | tar df -", limit)
    rsync = ["rsync", "-a", "-i", f"{m.path}/", f"{copies}/rsync/"]
    m.run(rsync, limit)
    second = m.run(rsync, limit)
    copied = [line for line in second.lines if line.startswith(">")]
    assert not copied, f"the second rsync copied {copied[:5]}"
    m.run(["cp", "-a", f"{m.path}/.", f"{copies}/cp"], limit)
    m.run(["diff", "-r", str(m.path), f"{copies}/cp"], limit)
    m.run(["find", ".", "-newermt", "2020-01-01", "-type", "f"], limit)


def truth_of(client, boxes):
    return {box: (client.fetch(box), client.attributes(box))
            for box in boxes}


def names_of(mount, truth):
    return {box: compare(mount, box, bodies, attributes)
            for box, (bodies, attributes) in truth.items()}


def check_same_names(first, second):
    """Only the numbers of twins may differ after the cache was wiped."""
    for box, names in first.items():
        others = second[box]
        for uid, name in names.items():
            assert TWIN.sub("", name) == TWIN.sub("", others[uid]), \
                f"{name} became {others[uid]}"
        assert sorted(names.values()) == sorted(others.values())


@deadline(240)
def test_every_message_is_as_the_server_has_it(env):
    server = env.dovecot()
    files = env.corpus()
    assert files, "there is no test data"
    boxes = ["INBOX", "Archive"]
    with Client(server) as c:
        taken = append_all(c, "INBOX", files[::2])
        taken += append_all(c, "Archive", files[1::2])
        truth = truth_of(c, boxes)
        unseen = c.unseen_all()

    m = env.mount(server)
    names = names_of(m, truth)
    for box in boxes:
        assert len(set(names[box].values())) == len(truth[box][0])
    walk_with_tools(env, m)
    m.unmount()
    again = env.mount(server)
    check_same_names(names, names_of(again, truth))
    with Client(server) as c:
        assert c.unseen_all() == unseen, "reading has marked as read"
        for box in boxes:
            assert c.attributes(box) == truth[box][1]
    print(f"NOTE: {taken} of {len(files)} messages compared")


def test_find_newermt_goes_by_internaldate(env):
    server = env.dovecot()
    with Client(server) as c:
        for n in range(20):
            c.append("INBOX", letter(n), date=1_600_000_000 + n * 86_400)
    m = env.mount(server)
    found = m.run(["find", "INBOX", "-type", "f", "-newermt",
                   f"@{1_600_000_000 + 9 * 86_400}"]).lines
    assert len(found) == 10, found
    assert all(re.search(r"Letter-1\d_", name) for name in found), found


def test_twins_are_numbered(env):
    server = env.dovecot()
    with Client(server) as c:
        for _ in range(3):
            c.append("INBOX", letter(1))
        c.append("Archive", letter(1))
    m = env.mount(server)
    name = m.messages("Archive")[0]
    stem = name[:-len(".eml")]
    assert m.messages() == sorted([name, f"{stem}.2.eml", f"{stem}.3.eml"])
    by_uid = m.by_uid()
    m.unmount()
    m.start()
    assert m.by_uid() == by_uid, "twins changed places over a remount"


def test_names_by_uid(env):
    server = env.dovecot()
    with Client(server) as c:
        uids = [c.append("INBOX", letter(n)) for n in range(3)]
    m = env.mount(server, options=["names=uid"])
    assert m.messages() == sorted(f"{uid}.eml" for uid in uids)


def test_missing_and_hostile_headers_have_names(env):
    server = env.dovecot()
    odd = [b"X-Other: only\r\n\r\nbody\r\n",
           b"Subject: \r\nFrom: \r\nDate: yesterday\r\n\r\nbody\r\n",
           b"Subject: ../../etc/passwd\r\nFrom: \"a/b\" <x@y>\r\n\r\n1\r\n",
           b"Subject: =?utf-8?Q?a=00b=0Ac=E2=80=AEd?=\r\n\r\n2\r\n",
           b"Subject: -rf *; rm `x` $(y) 'q' \"r\"\r\nFrom: .x\r\n\r\n3\r\n",
           b"Subject: " + "ä漢字".encode() * 200 + b"\r\n\r\n4\r\n",
           b"Subject: \xff\xfe raw\r\nFrom: \xe9 <a@b>\r\n\r\n5\r\n"]
    with Client(server) as c:
        for data in odd:
            c.append("INBOX", data)
        truth = c.fetch("INBOX")
    m = env.mount(server)
    paths = m.by_uid()
    assert set(paths) == set(truth)
    for uid, path in paths.items():
        check_name(path.name)
        assert path.read_bytes() == truth[uid]
    assert any("no-date_nobody_no-subject_" in p.name
               for p in paths.values()), [p.name for p in paths.values()]


def check_lie(env, said, real=5000):
    """A server that says `said` for the size of a message of `real` bytes."""
    data = letter(1, size=real)
    server = env.script({b"INBOX": Box([Msg(1, data, size=said)])})
    m = env.mount(server)
    path = m.path / "INBOX" / m.messages()[0]
    got = path.read_bytes()
    assert got == data, (f"size said: {said}, read {len(got)} of {real}, "
                         f"alike: {os.path.commonprefix([got, data]) == got}")
    assert os.stat(path).st_size == len(data)
    m.unmount()
    m.start()
    assert os.stat(path).st_size == len(data), "forgotten at the remount"
    assert m.run(["cat", str(path)]).out == data
    assert server.count(rb"UID FETCH .*BODY") <= 12, "fetched again"


def test_size_too_small_is_corrected(env):
    check_lie(env, 100)


def test_size_too_large_is_corrected(env):
    check_lie(env, 90_000)


def test_size_nothing_is_corrected(env):
    check_lie(env, 0)


def test_size_too_small_of_a_large_message_is_corrected(env):
    """One that comes in parts: all that is longer must come too."""
    for said, real in ((100, MB), (280_000, 300_000), (300_000, 1_200_000),
                       (300_000, 3 * MB), (MB, 3 * MB), (MB, MB + 1)):
        check_lie(env, said, real)


def test_size_too_large_of_a_large_message_is_corrected(env):
    for said, real in ((MB, 300_000), (3 * MB, MB), (20 * MB, 100_000),
                       (MB + 1, MB)):
        check_lie(env, said, real)


def test_the_end_alone_of_a_message_of_another_size(env):
    """Who reads only the last bytes finds the true end, and no zeros."""
    for said, real in ((300_000, 3 * MB), (3 * MB, MB)):
        data = letter(1, size=real)
        server = env.script({b"INBOX": Box([Msg(1, data, size=said)])})
        m = env.mount(server)
        path = m.path / "INBOX" / m.messages()[0]
        with open(path, "rb", buffering=0) as f:
            f.seek(said - 1000)
            got = b"".join(iter(lambda: f.read(4096), b""))
        assert got == data[said - 1000:], (said, real, len(got))
        assert os.stat(path).st_size == len(data)


def test_listing_fetches_no_body(env):
    server = env.script({b"INBOX": Box([Msg(n, letter(n, size=50_000))
                                        for n in range(1, 30)])})
    m = env.mount(server)
    m.run(["ls", "-lR", "."])
    m.run(["find", ".", "-size", "+1k"])
    assert server.count(rb"UID FETCH .*BODY(\.PEEK)?\[\]") == 0
    assert not [c for _, c in server.commands
                if re.search(rb"ENVELOPE|BODYSTRUCTURE", c)]
    assert server.count(rb"SELECT") == 0, "only EXAMINE leaves no trace"
    m.run("cat INBOX/*")
    body = [c for _, c in server.commands if b"BODY" in c]
    assert all(b"BODY.PEEK[" in c for c in body), body


def test_folder_that_is_not_entered_costs_nothing(env):
    boxes = {b"INBOX": Box([Msg(1, letter(1))]),
             b"Other": Box([Msg(1, letter(2))])}
    server = env.script(boxes)
    m = env.mount(server)
    m.run(["ls", "-l", "."])
    m.run(["ls", "-l", "INBOX"])
    assert server.count(rb"(EXAMINE|SELECT) \"?Other") == 0


def test_a_session_that_has_not_heard_of_a_message_is_no_proof(env):
    """It answers OK and nothing: the mailbox is opened again, and only then
    the message is believed to be gone."""
    server = env.script({b"INBOX": Box([Msg(n, letter(n))
                                        for n in range(1, 4)])})
    m = env.mount(server)
    paths = numbered(m)
    m.wait_watching()
    nothing = b"%TAG% OK done\r\n"
    server.on(rb"UID FETCH 2 .*BODY\.PEEK\[\]", nothing, times=1)
    opened = server.count(rb"EXAMINE")
    assert paths[2].read_bytes() == letter(2)
    assert server.count(rb"EXAMINE") > opened
    server.on(rb"UID FETCH 3 .*BODY\.PEEK\[\]", nothing)
    try:
        paths[3].read_bytes()
    except OSError as error:
        assert error.errno == errno.ENOENT, error
    else:
        raise AssertionError("it was read")
    assert server.count(rb"UID FETCH 3 .*BODY\.PEEK\[\]") <= 4


def test_a_header_of_megabytes_hides_no_message(env):
    """How long a header is, is for the sender to say."""
    long = b"To: someone@example.com\r\n" * 100_000 + letter(2)
    server = env.dovecot()
    with Client(server) as c:
        for data in (letter(1), long, letter(3)):
            c.append("INBOX", data)
        truth = truth_of(c, ["INBOX"])
    names_of(env.mount(server), truth)
