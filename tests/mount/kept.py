# SPDX-License-Identifier: GPL-3.0-or-later
"""user.imap.offline: a folder whose bodies are all here, fetched by itself,
newest first, and kept."""

import errno
import os
import re
import shutil
import subprocess
import threading
import time

from imapfstest import *
from imapfstest.letters import letter, numbered

NAME = "user.imap.offline"
BODY = rb"UID FETCH (\S+) .*BODY\.PEEK\[\]"
KIB = 1024


def filled(env, sizes, box="Work"):
    """Letters 0, 1, ... of these sizes; the last one is the newest."""
    server = env.dovecot()
    with Client(server) as c:
        c.create(box)
        for n, size in enumerate(sizes):
            c.append(box, letter(n, size=size))
    return server


def report(m, path="Work"):
    found = next(f for f in m.status()["folders"] if f["path"] == path)
    return found.get("offline")


def wait_complete(m, path="Work"):
    m.wait_status(lambda s: (report(m, path) or {}).get("state") ==
                  "complete", 40, f"{path} is complete")


def all_cached(m, folder="Work"):
    return all(os.getxattr(p, "user.imap.cached") == b"1"
               for p in numbered(m, folder).values())


def keep(m, folder="Work"):
    os.setxattr(m.path / folder, NAME, b"1")


def fails(number, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno == number, error
        return
    raise AssertionError(f"{call} was expected to fail")


def test_bodies_come_by_themselves_and_stay_for_the_train(env):
    server = filled(env, [3000] * 60)
    tap = env.tap(server)
    m = env.mount(server.url(port=tap.port), options=["ro"])
    keep(m)
    wait_complete(m)
    assert "offline: complete, 0 missing" in m.control("status")
    before = tap.count(BODY)
    assert before <= 10, "not in sets"
    server.stop()
    m.wait_offline()
    for n, path in numbered(m, "Work").items():
        assert path.read_bytes() == letter(n, size=3000)
    server.start()
    m.wait_online()
    # What arrives later is fetched, too; nobody lists or reads it.
    with Client(server) as c:
        c.append("Work", letter(100, size=3000))
    os.utime(m.path / "Work")
    env.wait_for(lambda: 100 in numbered(m, "Work"), 30)
    wait_complete(m)
    env.wait_for(lambda: all_cached(m), 20)
    assert m.status()["cache"]["bodies"] == 61


def test_newest_come_first(env):
    count = 200
    server = env.script({b"INBOX": Box(), b"Work": Box(
        [Msg(n, letter(n, size=20_000)) for n in range(1, count + 1)])})
    m = env.mount(server)
    keep(m)
    wait_complete(m)
    asked = [int(u) for _, line in server.commands for part in
             re.findall(BODY, line) for u in re.findall(rb"\d+", part)]
    sets = [max(int(u) for u in re.findall(rb"\d+", part))
            for _, line in server.commands for part in re.findall(BODY, line)]
    assert max(asked[:5]) == count, asked
    assert sets == sorted(sets, reverse=True), sets
    for n, path in numbered(m, "Work").items():
        assert path.read_bytes() == letter(n, size=20_000)


def test_goes_on_after_a_remount(env):
    server = filled(env, [3000] * 5)
    m = env.mount(server)
    keep(m)
    wait_complete(m)
    m.unmount()
    with Client(server) as c:
        c.append("Work", letter(100, size=3000))
    m.start()
    assert os.getxattr(m.path / "Work", NAME) == b"1"
    # Nobody enters it.
    m.wait_status(lambda s: s["cache"]["bodies"] == 6, 40)
    server.stop()
    m.wait_offline()
    assert numbered(m, "Work")[100].read_bytes() == letter(100, size=3000)


def wipe_bodies(m):
    """As a user who wants room: all of the folder of bodies goes."""
    for top, folders, _ in os.walk(m.cache):
        if os.path.basename(top) == "bodies":
            for name in os.listdir(top):
                path = os.path.join(top, name)
                shutil.rmtree(path) if os.path.isdir(path) else \
                    os.unlink(path)
            folders.clear()


def test_bodies_that_were_wiped_come_again(env):
    server = filled(env, [3000] * 30)
    m = env.mount(server)
    keep(m)
    wait_complete(m)
    m.unmount()
    wipe_bodies(m)
    m.start()
    env.wait_for(lambda: all_cached(m), 40)
    # And while mounted: it is noticed when something else is to be done.
    wipe_bodies(m)
    with Client(server) as c:
        c.append("Work", letter(100, size=3000))
    env.wait_for(lambda: 100 in numbered(m, "Work"), 30)
    env.wait_for(lambda: len(files_of_bodies(m)) == 31, 40)
    wait_complete(m)
    server.stop()
    m.wait_offline()
    for n, path in numbered(m, "Work").items():
        assert path.read_bytes() == letter(n, size=3000)


def files_of_bodies(m):
    return [name for top, _, names in os.walk(m.cache) for name in names
            if "bodies" in top and len(name) == 30]


def test_attribute_is_one_as_any_other(env):
    server = filled(env, [1000])
    m = env.mount(server)
    work = m.path / "Work"
    assert os.listxattr(work) == []
    fails(errno.ENODATA, os.getxattr, work, NAME)
    fails(errno.ENODATA, os.removexattr, work, NAME)
    fails(errno.ENODATA, os.setxattr, work, NAME, b"1", os.XATTR_REPLACE)
    fails(errno.EINVAL, os.setxattr, work, NAME, b"yes")
    os.setxattr(work, NAME, b"1", os.XATTR_CREATE)
    fails(errno.EEXIST, os.setxattr, work, NAME, b"1", os.XATTR_CREATE)
    assert os.listxattr(work) == [NAME]
    assert m.run(["getfattr", "--only-values", "-n", NAME, work]).text == "1"
    os.setxattr(work, NAME, b"0")
    assert os.listxattr(work) == []
    os.setxattr(work, NAME, b"1")
    os.removexattr(work, NAME)
    fails(errno.ENODATA, os.getxattr, work, NAME)
    fails(errno.EPERM, os.setxattr, m.path, NAME, b"1")
    path = numbered(m, "Work")[0]
    fails(errno.EOPNOTSUPP, os.setxattr, path, NAME, b"1")
    fails(errno.EOPNOTSUPP, os.setxattr, work, "user.other", b"1")
    assert report(m) is None


def test_kept_bodies_are_not_evicted_and_given_back(env):
    server = filled(env, [20_000] * 20)
    with Client(server) as c:
        c.create("More")
        for box in ("INBOX", "More"):
            for n in range(100, 140):
                c.append(box, letter(n, size=20_000, message_id=f"{box}{n}"))
    m = env.mount(server, options=["cache_size=1M"])
    keep(m)
    wait_complete(m)
    m.run("cat INBOX/*")
    m.wait_status(lambda s: s["cache"]["evicted"] > 0)
    assert all_cached(m)
    os.removexattr(m.path / "Work", NAME)
    assert report(m) is None
    m.run("cat More/*")
    env.wait_for(lambda: not all_cached(m), 20)


def test_what_is_said_to_be_missing_is_never_less_than_what_is(env):
    server = filled(env, [20_000] * 60)
    link = env.proxy(server)
    m = env.mount(server.url(port=link.port))
    m.messages("Work")
    link.rate(3)
    keep(m)
    new, said = 0, report(m)
    with Client(server) as c:
        while said["state"] != "complete":
            # What is missing is looked for while bodies come.
            if new < 3 and said["missing"] < 55 - 15 * new:
                c.append("Work", letter(100 + new, size=1000))
                os.utime(m.path / "Work")
                new += 1
            said = report(m)
            missing = sum(os.getxattr(p, "user.imap.cached") == b"0"
                          for p in numbered(m, "Work").values())
            assert said["missing"] + new >= missing, (said, missing)


def test_stops_when_cache_size_is_used_up_and_says_so(env):
    server = filled(env, [20_000] * 80)
    m = env.mount(server, options=["cache_size=1M"])
    keep(m)
    m.wait_status(lambda s: report(m)["state"] == "waiting")
    assert report(m)["why"] == "cache_size is used up"
    assert 0 < report(m)["missing"] < 80
    assert m.status()["cache"]["bytes"] < 1_700_000
    assert m.log().count("no more bodies are fetched for a while: "
                         "cache_size is used up") == 1
    # Reading goes on, with what is not kept.
    with Client(server) as c:
        c.append("INBOX", letter(200, size=20_000))
    os.utime(m.path / "INBOX")
    env.wait_for(lambda: 200 in numbered(m), 20)
    assert numbered(m)[200].read_bytes() == letter(200, size=20_000)


@needs_root
def test_stops_when_the_disk_is_full_and_says_so(env):
    small = env.tmp / "small"
    small.mkdir()
    env.run(["mount", "-t", "tmpfs", "-o", "size=3M", "none", small])
    env.cleanup(lambda: env.run(["umount", "-l", small], check=False))
    server = filled(env, [100_000] * 60)
    m = env.mount(server, cache=False, extra_env={"XDG_CACHE_HOME": small})
    keep(m)
    m.wait_status(lambda s: report(m)["state"] == "waiting", 40)
    assert report(m)["why"] == "the disk is full"
    assert "no more bodies are fetched for a while: the disk is full" \
        in m.log()


def test_large_bodies_come_in_pieces(env):
    size = 5 * KIB * KIB + 321
    server = filled(env, [1000, size, 2000])
    tap = env.tap(server)
    m = env.mount(server.url(port=tap.port))
    keep(m)
    wait_complete(m)
    asked = [line for _, _, line in tap.commands()
             if re.search(rb"BODY\.PEEK\[\]<\d+\.1048576>", line)]
    assert len(asked) == 6, asked
    server.stop()
    m.wait_offline()
    for n, s in enumerate([1000, size, 2000]):
        assert numbered(m, "Work")[n].read_bytes() == letter(n, size=s)


def test_sizes_that_the_server_got_wrong_end_where_the_body_does(env):
    big = 3 * KIB * KIB
    data = {1: letter(1, size=big), 2: letter(2, size=big),
            3: letter(3, size=5000)}
    server = env.script({b"INBOX": Box(), b"Work": Box(
        [Msg(1, data[1], size=big + 70_000), Msg(2, data[2], size=big - 9),
         Msg(3, data[3], size=10)])})
    m = env.mount(server)
    keep(m)
    wait_complete(m)
    server.stop()
    m.wait_offline()
    for n, path in numbered(m, "Work").items():
        assert path.read_bytes() == data[n], n
        assert os.stat(path).st_size == len(data[n])


def test_one_message_that_cannot_be_had_stops_no_others(env):
    server = env.script({b"INBOX": Box(), b"Work": Box(
        [Msg(n, letter(n, size=50_000)) for n in range(1, 101)])})

    def refuse_50(session, tag, command):
        for run in command.split(b" ")[2].split(b","):
            first, _, last = run.partition(b":")
            if int(first) <= 50 <= int(last or first):
                return b"%TAG% NO [SERVERBUG] not this one\r\n"
        return session.default(tag, command)

    server.on(rb"UID FETCH [\d:,]+ .*BODY\.PEEK\[\]", refuse_50)
    m = env.mount(server)
    keep(m)
    m.wait_status(lambda s: s["cache"]["bodies"] >= 60, 40)
    assert report(m)["missing"] > 0


def test_reader_overtakes_what_comes_in_the_background(env):
    server = filled(env, [200_000] * 100)
    with Client(server) as c:
        c.append("INBOX", letter(200, size=20_000))
    link = env.proxy(server, rate=8)
    m = env.mount(server.url(port=link.port))
    path = numbered(m)[200]
    keep(m)
    m.wait_status(lambda s: s["cache"]["bodies"] >= 1, 40)
    assert path.read_bytes() == letter(200, size=20_000)
    assert m.status()["cache"]["bodies"] < 60, "it waited for all of them"


def test_link_that_breaks_and_comes_back(env):
    server = filled(env, [50_000] * 60)
    link = env.proxy(server, rate=20)
    m = env.mount(server.url(port=link.port), options=["timeout=5"])
    keep(m)
    m.wait_status(lambda s: s["cache"]["bodies"] >= 5, 40)
    link.cut("rst")
    wait_complete(m)
    assert all_cached(m)


def test_folder_that_goes_and_one_that_is_renamed(env):
    server = filled(env, [1000] * 5)
    with Client(server) as c:
        c.create("Gone")
        c.append("Gone", letter(50))
    m = env.mount(server)
    for folder in ("Work", "Gone"):
        keep(m, folder)
        wait_complete(m, folder)
    root = env.watch(m.path)
    with Client(server) as c:
        c.delete_box("Gone")
        c.rename_box("Work", "Done")
    os.utime(m.path)
    root.wait("DELETE", "^Gone$")
    root.wait("MOVED_TO", "^Done$")
    assert os.getxattr(m.path / "Done", NAME) == b"1"
    env.wait_for(lambda: len(m.messages("Done")) == 5, 20)
    with Client(server) as c:
        c.append("Done", letter(60))
    os.utime(m.path / "Done")
    env.wait_for(lambda: 60 in numbered(m, "Done"), 30)
    wait_complete(m, "Done")
    assert all_cached(m, "Done")


def test_folder_that_was_read_and_evicted_before_is_fetched(env):
    server = filled(env, [20_000] * 20)
    with Client(server) as c:
        c.create("More")
        for n in range(100, 180):
            c.append("More", letter(n, size=20_000))
    m = env.mount(server, options=["cache_size=1M"])
    m.run("cat Work/*")
    m.run("cat More/*")
    env.wait_for(lambda: not all_cached(m), 20)
    keep(m)
    wait_complete(m)
    assert all_cached(m)
    server.stop()
    m.wait_offline()
    for n, path in numbered(m, "Work").items():
        assert path.read_bytes() == letter(n, size=20_000)


def test_what_a_reader_has_asked_for_is_missing_until_it_is_here(env):
    server = env.script({b"INBOX": Box(), b"Work": Box(
        [Msg(n, letter(n)) for n in range(1, 4)])})
    m = env.mount(server)
    path = numbered(m, "Work")[2]
    m.run("cat Work/*Letter-[13]_*")
    one = rb"UID FETCH 2 .*BODY\.PEEK\[\]"
    server.on(one, lambda s, tag, command: s.hang() or
              b"%TAG% NO [SERVERBUG] not now\r\n", times=1)
    reader = popen(["cat", str(path)], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    server.wait_for_command(one)
    keep(m)
    m.wait_status(lambda s: report(m)["state"] != "looking")
    assert report(m)["state"] == "fetching" and report(m)["missing"] == 1
    server.release()
    reader.wait(20)
    wait_complete(m)
    assert all_cached(m)


def test_body_that_never_comes_is_asked_for_less_and_less(env):
    server = env.script({b"INBOX": Box(), b"Work": Box([Msg(1, letter(1))])})
    server.on(BODY, b"%TAG% OK there is none\r\n")
    m = env.mount(server)
    m.messages("Work")
    m.wait_status(lambda s: s["jobs"]["running"] == 0)
    keep(m)
    server.wait_for_command(BODY, times=2, timeout=30)
    # The next one is not due for twenty seconds.
    time.sleep(15)
    assert server.count(BODY) == 2
    assert report(m)["missing"] == 1


def test_mailbox_made_anew_while_a_large_body_comes(env):
    """What has its UID then is another message."""
    size = 4 * KIB * KIB
    piece = rb"UID FETCH 1 .*BODY\.PEEK\[\]<1048576\."
    server = env.script({b"INBOX": Box([Msg(7, letter(7))]),
                         b"More": Box([Msg(8, letter(8))]),
                         b"Other": Box([Msg(9, letter(9))]),
                         b"Work": Box([Msg(1, letter(1, size=size))])})
    go_on = threading.Event()
    server.on(piece, lambda s, tag, command: go_on.wait(30) and
              s.default(tag, command), times=1)
    server.on(rb"UID FETCH [79] .*BODY", lambda s, tag, command: s.hang() or
              s.default(tag, command), times=2)
    m = env.mount(server, options=["connections=3"])
    others = {**numbered(m), **numbered(m, "More"), **numbered(m, "Other")}
    keep(m)
    server.wait_for_command(piece)
    with server.lock:
        # The session that sends the body has the old one open.
        server.boxes[b"Work"] = Box(
            [Msg(1, letter(3, size=size)), Msg(2, letter(1, size=size))],
            uidvalidity=7777)
    os.utime(m.path / "Work")
    env.wait_for(lambda: sorted(numbered(m, "Work")) == [1, 3], 20)
    # The other connections are busy, and this one has a reader to serve.
    readers = []
    for n in (7, 9, 8):
        readers.append(popen(["cat", str(others[n])], stdout=subprocess.PIPE))
        m.wait_status(lambda s: s["parked"] == len(readers))
    go_on.set()
    assert readers[2].communicate(timeout=20)[0] == letter(8)
    server.release()
    wait_complete(m)
    for n, path in numbered(m, "Work").items():
        assert path.read_bytes() == letter(n, size=size), n
