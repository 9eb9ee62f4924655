# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes go out in few commands, and each is made once, whatever is lost."""

import os
import re
import threading
import time

from imapfstest import *
from imapfstest.changed import DATE, changing, numbers, on_server, sent
from imapfstest.letters import letter, numbered, store

MOVES = rb"UID (MOVE|COPY|STORE|EXPUNGE) "


def fill(server, count, boxes=("Work",)):
    with Client(server) as c:
        for n in range(count):
            c.append("INBOX", letter(n), [], DATE + 60 * n)
        for box in boxes:
            c.create(box)


@measure
@deadline(120)
def test_a_thousand_moves_are_few_commands(env):
    server = env.dovecot()
    fill(server, 1000)
    link = env.proxy(server, rtt=50)
    m = env.mount(server.url(port=link.port))
    m.messages("Work"), m.messages("INBOX")
    server.forget_commands()
    m.run("mv INBOX/* Work/", timeout=60)
    link.reset()
    sent(m)
    assert link.stats()["turns"] <= 5
    assert server.count(MOVES) <= 6
    assert numbers(server, "INBOX", "Work") == [[], list(range(1000))]
    assert len(m.messages("Work")) == 1000 and not m.messages("INBOX")


@measure
@deadline(120)
def test_moves_that_are_waited_for_cost_a_command_each(env):
    """With the option sync. Their own echo starts no sync between them."""
    server = env.dovecot()
    fill(server, 60)
    link = env.proxy(server, rtt=50)
    m = env.mount(server.url(port=link.port), options=["sync"])
    m.messages("Work"), m.messages("INBOX")
    m.wait_watching()
    server.forget_commands()
    m.run("mv INBOX/* Work/", timeout=60)
    assert server.count(rb"UID MOVE") == 60
    assert server.count(rb"(SELECT|EXAMINE|UID FETCH) ") <= 30
    assert numbers(server, "INBOX", "Work") == [[], list(range(60))]
    env.wait_for(lambda: len(m.messages("Work")) == 60)
    assert not m.messages("INBOX")


@measure
@deadline(120)
def test_moves_one_after_the_other_find_the_mailbox_open(env):
    """By hand, or by a script that does something else between them: the echo
    of one is not asked for in front of the next one."""
    server = env.dovecot()
    fill(server, 12)
    link = env.proxy(server, rtt=50)
    m = env.mount(server.url(port=link.port), options=["sync"])
    m.messages("Work")
    paths = numbered(m)
    m.wait_watching()
    server.forget_commands()
    begin = last = time.monotonic()
    slow = 0
    for path in paths.values():
        os.rename(path, m.path / "Work" / path.name)
        time.sleep(0.17)
        slow += time.monotonic() - last > 0.4
        last = time.monotonic()
    env.wait_for(lambda: server.count(rb"UID MOVE") == 12, 20)
    # Once at first; where the train was broken; and every two seconds.
    allowed = 1 + slow + int((last - begin) / 2)
    assert server.count(rb"SELECT ") <= allowed, server.commands()


@deadline(120)
def test_a_new_file_in_a_large_folder_costs_few_bytes(env):
    """The server says which UID it has: nothing else is asked for."""
    count = 500
    server = env.dovecot()
    tap = env.tap(server)
    _, m = changing(env, count, server=server,
                    url=server.url(port=tap.port))
    env.wait_for(lambda: len(m.messages()) == count, 30)
    m.wait_watching()
    for n in (count, count + 1):
        begin = time.monotonic()
        (m.path / "INBOX" / f"new-{n}.eml").write_bytes(letter(n))
        sent(m)
        assert tap.count(rb"UID FETCH %d \(" % (n + 1), begin) == 1
        # Its echo, too, is about what is new.
        tap.wait_command(rb"UID FETCH \d+:\*", begin)
        sets = [int(re.match(rb"\S+ (?:UID )?FETCH (\d+)", line).group(1))
                for _, _, line in tap.commands(begin)
                if re.match(rb"\S+ (UID )?FETCH ", line)]
        assert min(sets) >= count + 1, sets
        assert tap.passed(begin).down <= 5_000, tap.passed(begin)


# What becomes of message n: where it is in the end, and its flags.
MIXED = [("Work", set()), ("INBOX", {"\\Seen"}), ("Home", set()),
         ("INBOX", {"\\Flagged"}), ("Trash", set()),
         ("Work", {"\\Seen"}), ("INBOX", {"red"}), ("Home", {"\\Flagged"})]


def mixed(m, n, path):
    box, flags = MIXED[n % len(MIXED)]
    mode = 0o600 | (0o044 if "\\Seen" in flags else 0) | \
        (0o100 if "\\Flagged" in flags else 0)
    if mode != 0o600:
        os.chmod(path, mode)
    if "red" in flags:
        os.setxattr(path, "user.xdg.tags", b"red")
    if box == "Trash":
        os.unlink(path)
    elif box != "INBOX":
        os.rename(path, m.path / box / path.name)


@deadline(300)
@slow
def test_a_long_queue_made_offline_survives_remounts_and_goes_out(env):
    count = 10_000
    server = env.dovecot(format="maildir", start=False)
    store(server, (((data,), len(data)) for data in
                   (letter(n) for n in range(count))))
    server.start()
    with Client(server) as c:
        c.create("Work"), c.create("Home")
    m = env.mount(server)
    m.messages("Work"), m.messages("Home")
    # The server may find the last of so many files later than the first.
    wait_for(lambda: len(numbered(m)) == count, 60)
    paths = numbered(m)
    server.stop()
    m.wait_offline()
    for n, path in paths.items():
        mixed(m, n, path)
    for _ in range(2):
        assert m.status()["queue"]["queued"] == count
        m.unmount()
        m.start()
    server.start()
    m.wait_online(40)
    sent(m, 60)
    found = {box: on_server(server, box)
             for box in ("INBOX", "Work", "Home", "Trash")}
    for n in range(count):
        box, flags = MIXED[n % len(MIXED)]
        assert found[box][n].flags >= flags, (n, box, found[box][n])
    assert sum(len(v) for v in found.values()) == count


@deadline(120)
def test_the_next_mount_waits_for_what_is_still_being_sent(env):
    server = env.dovecot()
    fill(server, 5)
    link = env.proxy(server)
    m = env.mount(server.url(port=link.port))
    m.messages("Work")
    paths = numbered(m)
    link.hole()
    os.rename(paths[1], m.path / "Work" / "x.eml")
    m.umount()
    assert m.pids()
    second = env.mount_object(server.url(port=link.port), cache=m.cache,
                              background=True)
    start = threading.Thread(target=second.start)
    start.start()
    env.wait_for(lambda: b"still sending changes" in
                 (second.folder / "err").read_bytes(), 20)
    link.hole(False)
    start.join()
    assert second.messages("Work") == ["x.eml"]
    assert second.status()["queue"]["queued"] == 0
    assert numbers(server, "INBOX", "Work") == [[0, 2, 3, 4], [1]]


def test_what_another_client_removed_is_not_moved(env):
    server, m = changing(env)
    m.messages("Work")
    paths = numbered(m)
    server.stop()
    m.wait_offline()
    for n in (1, 2):
        os.rename(paths[n], m.path / "Work" / paths[n].name)
    server.start()
    with Client(server) as c:
        c.expunge("INBOX", on_server(server, "INBOX")[2].uid)
    m.wait_online(40)
    sent(m)
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [1], 20)
    assert numbers(server, "INBOX", "Work") == \
        [[0, 3, 4, 5, 6, 7, 8, 9], [1]]


def test_without_move_and_uidplus_nothing_is_lost_or_doubled(env):
    server = env.dovecot()
    fill(server, 12)
    tap = env.tap(server, mask=["MOVE", "UIDPLUS", "NOTIFY", "QRESYNC"])
    m = env.mount(server.url(port=tap.port))
    m.messages("Work")
    watch = env.watch(m.path / "Work")
    m.run("mv INBOX/*Letter-1* Work/")
    sent(m)
    assert tap.count(rb"UID MOVE") == 0
    assert numbers(server, "Work") == [1, 10, 11]
    with Client(server) as c:
        flags = {n: a["flags"] for n, a in c.attributes("INBOX").items()}
    # Messages that cannot be removed one by one are marked.
    assert sum("\\Deleted" in f for f in flags.values()) == 3
    m.messages("Work"), m.messages("INBOX")
    assert sorted(numbered(m, "Work")) == [1, 10, 11]
    assert watch.count("CREATE") == 0, watch.found


def test_the_oldest_that_could_only_be_marked_does_not_come_back(env):
    server = env.dovecot()
    fill(server, 3)
    tap = env.tap(server, mask=["MOVE", "UIDPLUS", "NOTIFY", "QRESYNC"])
    m = env.mount(server.url(port=tap.port))
    m.run("mv INBOX/*Letter-0_* Work/")
    sent(m)
    assert len(on_server(server, "INBOX")) == 3
    for n in (10, 11):
        with Client(server) as c:
            c.append("INBOX", letter(n))
        os.utime(m.path / "INBOX")  # as touch(1) does
        env.wait_for(lambda: n in numbered(m))
    assert sorted(numbered(m)) == [1, 2, 10, 11]


@deadline(120)
def test_moves_that_a_repaired_mailbox_brings_back_are_not_doubled(env):
    """Killed in two moves, a server finds their copies when it is told to move
    one of the messages once more; as Dovecot does that repairs its index."""
    boxes = {b"INBOX": Box([Msg(1, letter(1))]),
             b"Work": Box([Msg(2, letter(2))]), b"Play": Box()}
    server = env.script(boxes)
    told = []

    def move(session, tag, command):
        told.append(command)
        if len(told) <= 2:
            return session.close()
        play = boxes[b"Play"]
        for n in (1, 2):
            play.messages.append(Msg(play.uidnext, letter(n)))
            play.uidnext += 1
        return b"%TAG% NO [SERVERBUG] repaired\r\n"

    server.on(rb"UID MOVE", move, times=3)
    m = env.mount(server)
    for box in ("INBOX", "Work"):
        name = m.messages(box)[0]
        m.messages("Play")
        os.rename(m.path / box / name, m.path / "Play" / name)
    env.wait_for(lambda: len(told) == 3, 60)  # no more cuts from here on
    sent(m, timeout=60)
    env.wait_for(lambda: not (boxes[b"INBOX"].messages or
                              boxes[b"Work"].messages), 30)
    with server.lock:
        assert sorted(map(number_of, boxes[b"Play"].messages)) == [1, 2]
    assert sorted(numbered(m, "Play")) == [1, 2]
    assert not m.messages() and not m.messages("Work")


def renewed(server, uidvalidity, letters):
    """INBOX is another one, whose messages begin with UID 1 again."""
    with server.lock:
        server.boxes[b"INBOX"] = Box(
            [Msg(1 + i, letter(n)) for i, n in enumerate(letters)],
            uidvalidity=uidvalidity)


def test_other_uids_while_changes_wait_hit_no_other_message(env):
    boxes = {b"INBOX": Box([Msg(n, letter(n)) for n in range(1, 8)]),
             b"Work": Box([Msg(9, letter(99))]),
             b"Trash": Box(attrs=[b"\\Trash"])}
    server = env.script(boxes)
    m = env.mount(server)
    m.messages("Work"), m.messages("Trash")
    paths = numbered(m)
    server.stop()
    m.wait_offline()
    for n in (1, 4, 5):
        os.rename(paths[n], m.path / "Work" / paths[n].name)
    os.unlink(paths[2])
    os.chmod(paths[3], 0o744), os.chmod(paths[6], 0o744)
    # 4 and 6 are gone, and nobody knows which of the two is 5.
    renewed(server, 7777, [21, 22, 23, 24, 3, 2, 1, 5, 5])
    server.start()
    m.wait_online(40)
    sent(m)
    env.wait_for(lambda: len(m.messages()) == 7, 30)
    with server.lock:
        inbox = [(number_of(x), x.flags) for x in
                 server.boxes[b"INBOX"].messages]
        work = sorted(number_of(x) for x in boxes[b"Work"].messages)
        trash = [number_of(x) for x in boxes[b"Trash"].messages]
    assert work == [1, 99] and trash == [2]
    assert inbox == [(21, set()), (22, set()), (23, set()), (24, set()),
                     (3, {b"\\Seen", b"\\Flagged"}), (5, set()), (5, set())]
    assert sorted(numbered(m, "Work")) == [1, 99]
    failed = m.control("failed")
    assert len(failed.splitlines()) == 3, failed
    assert "Letter-6_" in failed


def number_of(message):
    return int(re.search(rb"Letter (\d+)", message.data).group(1))
