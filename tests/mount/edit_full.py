# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes on a disk without room: what is refused is as if it had not been
asked for, here and on the server, also when there is room again."""

import errno
import os
import resource

from imapfstest import *
from imapfstest.changed import changing, errno_of, numbers, on_server, sent
from imapfstest.letters import letter, numbered

FULL = (errno.ENOSPC, errno.EIO)


class SmallDisk:
    """A mount whose cache is on a disk of its own that can be filled."""

    def __init__(self, env, **how):
        self.env, self.path = env, env.tmp / "small"
        self.path.mkdir()
        env.run(["mount", "-t", "tmpfs", "-o", "size=12M", "none", self.path])
        env.cleanup(lambda: env.run(["umount", "-l", self.path], check=False))
        self.server, self.m = changing(env, count=60, cache=self.path, **how)

    def fill(self):
        self.env.expect_error("writing the index failed")
        with open(self.path / "ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                assert error.errno == errno.ENOSPC, error

    def has_room_again(self):
        (self.path / "ballast").unlink()
        sent(self.m)

    def until_refused(self, change, ns):
        """change(n) of one after the other until one is refused: those that
        were made, and that one. (Some find room in what is there.)"""
        made = []
        for n in ns:
            error = errno_of(lambda n=n: change(n))
            if error:
                assert error in FULL, error
                return made, n
            made.append(n)
        raise AssertionError("all of them had room")


def refused_move(disk):
    m, paths = disk.m, numbered(disk.m)
    disk.fill()
    made, no = disk.until_refused(
        lambda n: os.rename(paths[n], m.path / "Work" / f"x{n}.eml"),
        range(60))
    assert paths[no].exists() and paths[no].name in m.messages()
    assert not (m.path / "Work" / f"x{no}.eml").exists()
    assert paths[no].name not in m.control("queue")
    disk.has_room_again()
    rest = [n for n in range(60) if n not in made]
    assert numbers(disk.server, "INBOX", "Work") == [rest, made]
    assert sorted(numbered(m)) == rest
    os.rename(paths[no], m.path / "Work" / "later.eml")
    sent(m)
    assert numbers(disk.server, "Work") == sorted(made + [no])


@needs_root
def test_a_refused_move_is_not_made_later(env):
    refused_move(SmallDisk(env))


@needs_root
def test_a_refused_move_that_is_waited_for_is_not_made_later(env):
    refused_move(SmallDisk(env, options=["sync"]))


@needs_root
def test_a_refused_removal_leaves_the_trash_alone(env):
    disk = SmallDisk(env)
    m, paths = disk.m, numbered(disk.m)
    m.messages("Trash")
    disk.fill()
    made, no = disk.until_refused(lambda n: os.unlink(paths[n]), range(60))
    env.wait_for(lambda: sorted(numbered(m, "Trash")) == made, 20)
    assert paths[no].name in m.messages()
    disk.has_room_again()
    assert paths[no].read_bytes() == letter(no)
    assert numbers(disk.server, "Trash") == made
    assert no in on_server(disk.server, "INBOX")
    assert sorted(numbered(m, "Trash")) == made


@needs_root
def test_refused_flags_are_not_shown(env):
    disk = SmallDisk(env)
    m, paths = disk.m, numbered(disk.m)
    disk.fill()
    made, no = disk.until_refused(lambda n: os.chmod(paths[n], 0o744),
                                  range(60))
    env.wait_for(lambda: os.stat(paths[no]).st_mode & 0o777 == 0o600, 20)
    disk.has_room_again()
    flagged = {n for n, it in on_server(disk.server, "INBOX").items()
               if "\\Flagged" in it.flags}
    assert flagged == set(made)
    assert os.stat(paths[no]).st_mode & 0o777 == 0o600


@needs_root
def test_a_refused_replacement_leaves_both(env):
    disk = SmallDisk(env)
    m, paths = disk.m, numbered(disk.m)
    disk.fill()
    made, no = disk.until_refused(
        lambda n: os.rename(paths[n], paths[n + 1]), range(0, 60, 2))
    assert paths[no].exists() and paths[no + 1].exists()
    disk.has_room_again()
    assert paths[no].read_bytes() == letter(no)
    assert paths[no + 1].read_bytes() == letter(no + 1)
    gone = [n + 1 for n in made]
    assert numbers(disk.server, "Trash") == gone
    assert numbers(disk.server, "INBOX") == \
        [n for n in range(60) if n not in gone]


@needs_root
def test_a_sync_says_what_could_not_be_completed(env):
    disk = SmallDisk(env)
    work, text = disk.m.path / "Work", letter(7, size=4_000_000)
    (disk.path / "ballast").write_bytes(bytes(4_000_000))
    # With CR at every line end it is another file, which has no room.
    (work / "large.eml").write_bytes(text.replace(b"\r\n", b"\n"))
    for name in (disk.m.path / ".imapfs" / "queue", work / "large.eml") * 2:
        fd = os.open(name, os.O_RDONLY)
        assert errno_of(os.fsync, fd) == errno.ENOSPC, name
        os.close(fd)
    disk.has_room_again()
    with Client(disk.server) as c:
        assert list(c.fetch("Work").values()) == [text]


@needs_root
def test_a_new_file_whose_name_was_refused_is_still_written_to(env):
    disk = SmallDisk(env)
    m = disk.m
    work = m.path / "Work"
    for n in range(100, 130):
        (work / f".x{n}").write_bytes(letter(n))
    disk.fill()
    made, no = disk.until_refused(
        lambda n: os.rename(work / f".x{n}", work / (f"x{n}.eml")),
        range(100, 130))
    scratch = work / f".x{no}"
    assert scratch.read_bytes() == letter(no)
    assert not (work / f"x{no}.eml").exists()
    disk.has_room_again()
    assert numbers(disk.server, "Work") == made
    # It is a scratch file as before: written to, renamed, and then sent.
    scratch.write_bytes(letter(no))
    os.rename(scratch, work / "in-the-end.eml")
    sent(m)
    assert numbers(disk.server, "Work") == sorted(made + [no])


def test_a_limit_of_file_sizes_is_a_full_disk(env):
    """The signal that comes with it (SIGXFSZ) would end the mount."""
    server, m = changing(env, count=3)
    work = m.path / "Work"
    resource.prlimit(m.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    assert errno_of((work / ".large").write_bytes,
                    letter(7, size=2_000_000)) == errno.ENOSPC
    (work / "small.eml").write_bytes(letter(8))
    sent(m)
    assert numbers(server, "Work") == [8]
