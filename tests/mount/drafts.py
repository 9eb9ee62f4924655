# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages marked \\Draft may be written to: the new text is sent, then the
old one goes."""

import errno
import mmap
import os
import random
import shutil
import time

from imapfstest import *
from imapfstest.letters import letter


def lf(data):
    return data.replace(b"\r\n", b"\n")


def crlf(data):
    return lf(data).replace(b"\n", b"\r\n")


def mounted(env, n=1, size=None, **kw):
    """Drafts in a folder of their own, and a way to them."""
    server = env.dovecot()
    with Client(server) as c:
        c.create("Drafts")
        for i in range(n):
            c.append("Drafts", letter(i, size=size),
                     flags=["\\Draft", "\\Seen", "$Label1"])
    m = env.mount(server, **kw)
    folder = m.path / "Drafts"
    return server, m, [folder / name for name in m.messages("Drafts")]


def sync(m):
    m.run(["sync", str(m.path / ".imapfs" / "queue")], timeout=30)


def on_server(server, box="Drafts"):
    with Client(server) as c:
        return c.fetch(box), c.attributes(box)


def only_draft(server, text, flags=("\\Draft", "\\Seen", "$Label1")):
    bodies, attrs = on_server(server)
    assert list(bodies.values()) == [text], bodies
    (one,) = attrs.values()
    assert one["flags"] - {"\\Recent"} == set(flags), one
    return list(bodies)[0]


def no_hidden(m):
    names = os.listdir(m.path / "Drafts")
    assert not [n for n in names if n.startswith(".")], names


def test_written_in_place(env):
    server, m, (path,) = mounted(env)
    text = letter(0)
    with open(path, "r+b", buffering=0) as f:
        assert os.pwrite(f.fileno(), b"HELLO", len(text) - 7) == 5
        want = text[:-7] + b"HELLO" + text[-2:]
        assert path.read_bytes() == want
        sync(m)
        # Somebody has it open: nothing is sent.
        only_draft(server, text)
    sync(m)
    assert only_draft(server, want) == 2
    assert path.read_bytes() == want
    assert m.messages("Drafts") == [path.name]
    no_hidden(m)


def test_rewritten_from_the_beginning_again_and_again(env):
    server, m, (path,) = mounted(env)
    for n in range(1, 5):
        path.write_bytes(lf(letter(n)))
        assert path.read_bytes() == lf(letter(n))
        sync(m)
        only_draft(server, letter(n))
        assert path.read_bytes() == letter(n)
    assert m.messages("Drafts") == [path.name]
    no_hidden(m)


def test_appended_to(env):
    server, m, (path,) = mounted(env)
    with open(path, "ab") as f:
        f.write(b"more\n")
    sync(m)
    only_draft(server, letter(0) + b"more\r\n")


def test_cut(env):
    server, m, (path,) = mounted(env)
    text = letter(0)
    os.truncate(path, len(text) - 4)
    assert os.stat(path).st_size == len(text) - 4
    sync(m)
    only_draft(server, text[:-4])


def test_a_large_one_that_was_never_read(env):
    server, m, (path,) = mounted(env, size=3_000_000)
    text = bytearray(letter(0, size=3_000_000))
    with open(path, "r+b", buffering=0) as f:
        os.pwrite(f.fileno(), b"X", 2_000_000)
    text[2_000_000:2_000_001] = b"X"
    sync(m)
    only_draft(server, crlf(bytes(text)))


def test_what_is_no_message_leaves_the_draft_as_it_was(env):
    server, m, (path,) = mounted(env)
    text = path.read_bytes()
    with open(path, "r+b", buffering=0) as f:
        try:
            f.write(b"\0\0")
        except OSError as error:
            assert error.errno == errno.EINVAL
        else:
            raise AssertionError("not refused")
    wait_for(lambda: path.read_bytes() == text, 20, "it is as before")
    sync(m)
    assert only_draft(server, text) == 1
    no_hidden(m)


def test_one_that_is_emptied_and_left_is_not_lost(env):
    server, m, (path,) = mounted(env)
    path.write_bytes(b"")
    sync(m)
    wait_for(lambda: path.read_bytes() == letter(0), 20, "it is as before")
    assert only_draft(server, letter(0)) == 1


def test_sed_i(env):
    server, m, (path,) = mounted(env)
    m.run(["sed", "-i", "s/This is/That was/", str(path)])
    sync(m)
    # It goes on to be a draft, and can be written to.
    only_draft(server, letter(0).replace(b"This is", b"That was"),
               ("\\Draft", "\\Seen"))
    assert m.messages("Drafts") == [path.name]
    path.write_bytes(letter(1))
    sync(m)
    only_draft(server, letter(1), ("\\Draft", "\\Seen"))


def test_what_is_begun_where_drafts_are_is_one(env):
    server, m, (path,) = mounted(env)
    new = m.path / "Drafts" / "new.eml"
    m.run(["sh", "-c", f"umask 077; echo 'Subject: x' > {new}"])
    sync(m)
    with Client(server) as c:
        flags = [a["flags"] for a in c.attributes("Drafts").values()]
    assert all("\\Draft" in one for one in flags), flags


def test_vim(env):
    if not shutil.which("vim"):
        env.skip("no vim")
    server, m, (path,) = mounted(env)
    for option in ("set wb bkc=yes", "set wb bkc=no", "set nowb"):
        m.run(["vim", "-u", "NONE", "-n", "-es", "-c", option,
               "-c", "%s/letter 0/letter 0 and more/", "-c", "wq",
               str(path)])
        sync(m)
        (body,) = on_server(server)[0].values()
        assert body.endswith(b"more.\r\n"), body
        assert m.messages("Drafts") == [path.name]
        m.run(["sed", "-i", "s/ and more//", str(path)])
        sync(m)


def test_removed_while_it_is_written_to(env):
    server, m, (path,) = mounted(env)
    with open(path, "r+b", buffering=0) as f:
        f.write(b"X")
        os.unlink(path)
    sync(m)
    assert on_server(server)[0] == {}
    assert list(on_server(server, "Trash")[0].values()) == [letter(0)]
    name = m.messages("Trash")[0]
    assert (m.path / "Trash" / name).read_bytes() == letter(0)


def test_removed_elsewhere_while_it_is_written_to(env):
    server, m, (path,) = mounted(env)
    m.wait_watching()
    with open(path, "r+b", buffering=0) as f:
        f.write(b"Xate")
        with Client(server) as c:
            c.select("Drafts", readonly=False)
            c._uid("STORE", "1", "+FLAGS", "(\\Deleted)")
            c.raw("EXPUNGE")
        os.utime(m.path / "Drafts")
        wait_for(lambda: not path.exists(), 20, "it is gone here, too")
        f.write(b": ")
    # What was written is kept, as a new message.
    wait_for(lambda: on_server(server)[0], 40, "it is sent")
    bodies, attrs = on_server(server)
    assert list(bodies.values()) == [b"Xate: " + letter(0)[6:]]
    assert "\\Draft" in list(attrs.values())[0]["flags"]


def test_moved_while_it_is_written_to(env):
    server, m, (path,) = mounted(env)
    to = m.path / "INBOX" / "moved.eml"
    os.listdir(m.path / "INBOX")
    with open(path, "r+b", buffering=0) as f:
        f.write(b"Xate")
        os.rename(path, to)
        f.write(b": ")
    sync(m)
    want = b"Xate: " + letter(0)[6:]
    wait_for(lambda: list(on_server(server, "INBOX")[0].values()) == [want],
             20, "it is sent")
    sync(m)
    assert on_server(server)[0] == {}
    assert to.read_bytes() == want


def test_killed_while_it_is_written_to(env):
    """What fsync(2) said was safe is sent by the next mount."""
    server, m, (path,) = mounted(env, background=True)
    f = open(path, "r+b", buffering=0)
    f.write(b"Xate")
    os.fsync(f.fileno())
    m.kill9()
    f.close()
    wait_for(lambda: not m.mounted(), 10, "the helper has unmounted")
    m.wait_end()
    m.start()
    want = b"Xate" + letter(0)[4:]
    assert path.read_bytes() == want
    sync(m)
    only_draft(server, want)
    no_hidden(m)


def test_a_slow_writer_that_opens_it_again_is_waited_for(env):
    """Long after the last write it is closed, and opened again a moment
    later: it is not sent in between."""
    server, m, (path,) = mounted(env)
    took = 1.0
    while took > 0.3:  # only a machine that is too busy takes so long
        before, _ = on_server(server)
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, b"A", 0)
        time.sleep(0.7)  # more than it is left alone anyway
        start = time.monotonic()
        os.close(fd)
        time.sleep(0.1)
        fd = os.open(path, os.O_RDWR)
        took = time.monotonic() - start
        time.sleep(0.3)
        after, _ = on_server(server)
        os.pwrite(fd, b"B", 0)
        os.close(fd)
    assert after == before
    sync(m)
    only_draft(server, b"B" + letter(0)[1:])


def test_writes_anywhere_against_a_model(env):
    """As fsx does it, but with text; pauses let it be sent in between."""
    server, m, (path,) = mounted(env)
    rng = random.Random(11)
    alphabet = b"abcdefgh\n" * 8
    head = letter(0).index(b"\r\n\r\n") + 4
    model = bytearray(letter(0))
    fd = os.open(path, os.O_RDWR)
    for step in range(600):
        what = rng.randrange(7)
        n = rng.randrange(1, 4000)
        at = rng.randrange(head, len(model) + 1)
        data = bytes(rng.choices(alphabet, k=n))
        if what < 3:
            os.pwrite(fd, data, at)
            model[at:at + n] = data
        elif what == 3:
            os.ftruncate(fd, at)
            del model[at:]
        elif what == 4 and at + n <= len(model):
            with mmap.mmap(fd, len(model)) as shared:
                shared[at:at + n] = data
            model[at:at + n] = data
        elif what == 5:
            os.close(fd)
            fd = os.open(path, os.O_RDWR)
            if os.fstat(fd).st_size != len(model):
                # On a busy machine it took so long that it was sent.
                model = bytearray(crlf(bytes(model)))
        elif what == 6 and step % 10 == 0:
            os.close(fd)
            sync(m)
            model = bytearray(crlf(bytes(model)))
            only_draft(server, bytes(model))
            fd = os.open(path, os.O_RDWR)
        assert os.pread(fd, n, at) == bytes(model[at:at + n]), step
        assert os.fstat(fd).st_size == len(model), step
    os.close(fd)
    sync(m)
    only_draft(server, crlf(bytes(model)))


def test_reading_ahead_leaves_alone_what_is_written_to(env):
    """The kernel is not given the text that the server has."""
    _, m, _ = mounted(env, n=60, size=6000)
    m.run("cat Drafts/*")
    m.unmount()
    m.start()
    with os.scandir(m.path / "Drafts") as entries:
        paths = [m.path / "Drafts" / entry.name for entry in entries]
    # They are here, and the kernel has none of their pages.
    written = paths[20:40]
    files = [open(path, "r+b", buffering=0) for path in written]
    for f in files:
        assert os.pwrite(f.fileno(), b"DATE", 0) == 4
        os.ftruncate(f.fileno(), 3000)
    want = [os.pread(f.fileno(), 10_000, 0) for f in files]
    for path in paths[:20]:
        path.read_bytes()
    stored = [0]

    def is_quiet(status):
        stored.append(status["ahead"]["stored"])
        return stored[-1] == stored[-2] > 0

    m.wait_status(is_quiet)
    assert [os.pread(f.fileno(), 10_000, 0) for f in files] == want
    for f in files:
        f.close()


def test_its_mailbox_is_removed_while_it_is_written_to(env):
    server = env.dovecot()
    with Client(server) as c:
        c.create("Book")
        c.append("Book", letter(0), flags=["\\Draft"])
    m = env.mount(server)
    path = m.path / "Book" / m.messages("Book")[0]
    with open(path, "r+b", buffering=0) as f:
        f.write(b"Xate: ")
        with Client(server) as c:
            c.delete_box("Book")
        os.utime(m.path)
        wait_for(lambda: not path.exists(), 20, "it is gone here, too")
    rejected = m.path / ".imapfs" / "rejected"
    want = [b"Xate: " + letter(0)[6:]]
    wait_for(lambda: [kept.read_bytes() for kept in rejected.iterdir()] == want,
             20, "what was written is kept")
    assert os.listdir(rejected)[0] in m.control("failed")
