# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting: what is refused and how, where passwords come from, and that
the program comes back only when the account is usable."""

import os
import re
import select
import signal
import socket
import threading
import time

from imapfstest import *
from imapfstest.letters import letter
from imapfstest.util import of_process, popen, wait_end


def check_refused(result, *words):
    """One sentence that has these words, on standard error."""
    text = result.errtext
    assert result.code != 0
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, f"one sentence is wanted: {text!r}"
    for word in words:
        assert re.search(word, text, re.I), f"no {word!r} in {text!r}"
    assert "secret" not in text, "the password is in the message"


def server_with_mail(env):
    return env.script({b"INBOX": Box([Msg(1, letter(1))])})


# Options.

BAD_OPTIONS = [("bogus", "bogus"), ("bogus=1", "bogus"),
               ("connections=0", "connections"),
               ("connections=16", "connections"),
               ("connections=four", "connections"),
               ("timeout=0", "timeout"), ("timeout=-1", "timeout"),
               ("timeout=", "timeout"), ("cache_size=1", "cache_size"),
               ("cache_size=5X", "cache_size"), ("names=date", "names"),
               ("tls=maybe", "tls"), ("umask=999", "umask"),
               ("pin-sha256=abc", "pin-sha256"), ("uid=alice", "uid"),
               ("exec", "exec"), ("suid", "suid"), ("dev", "dev"),
               ("ro=1", "ro"), ("password=secret", "passcmd"),
               ("pass=secret", "passfile")]


def test_bad_options_are_refused_by_name(env):
    server = server_with_mail(env)
    for option, word in BAD_OPTIONS:
        check_refused(env.mount_fails(server, options=[option]), word)
    assert server.connections == 0, "refused only after connecting"


def test_words_of_fstab_are_accepted(env):
    words = ["rw", "noauto", "user", "_netdev", "nofail", "noatime",
             "nosuid", "nodev", "noexec", "x-systemd.automount",
             "x-systemd.idle-timeout=60", "defaults"]
    m = env.mount(server_with_mail(env), options=words, flags=["-n"])
    assert m.messages()


def test_bad_sources_are_refused(env):
    for url, word in [("imaps://alice:secret@localhost/", "password"),
                      ("http://alice@localhost/", "http|imap"),
                      ("alice", "address"), ("@localhost", "."),
                      ("imaps://alice@localhost:99999/", "port"),
                      ("imaps://alice@localhost:x/", "port"),
                      ("imaps://alice@/", "."),
                      ("imaps://alice%zz@localhost/", "."),
                      ("imaps://al%0aice@localhost/", ".")]:
        check_refused(env.mount_fails(url), word)


def test_a_mailbox_that_is_not_there(env):
    """One sentence, though another connection is on its way just then."""
    def only_the_first(session, tag, command):
        # Who hangs stays among the sessions: each mount has its own server.
        if session.number != min(s.number for s in server.sessions()):
            session.hang()
        return session.default(tag, command)

    for _ in range(10):
        server = server_with_mail(env)
        server.on(rb"AUTHENTICATE|LOGIN", only_the_first)
        check_refused(env.mount_fails(server.url() + "Nowhere"), "Nowhere")


def program(*args):
    return run([os.environ["IMAPFS_BINARY"], *map(str, args)], check=False)


def test_version_and_help(env):
    version = program("-V")
    assert version.code == 0 and re.search(r"\d+\.\d+", version.text)
    text = program("-h")
    assert text.code == 0 and "SOURCE" in text.text
    for option in ("passfile", "timeout", "cache_size", "pin-sha256"):
        assert option in text.text
    link = env.tmp / "imapfs"
    link.symlink_to(os.environ["IMAPFS_BINARY"])
    assert run([str(link), "-V"]).text == version.text


def test_wrong_usage(env):
    check_refused(program(), "SOURCE")
    check_refused(program("alice@example.com"), "MOUNTPOINT")
    check_refused(program("alice@example.com", env.tmp / "none"), "none")
    check_refused(program("a@example.com", env.tmp, "more"), "argument")
    check_refused(program("-Z", "a@example.com", env.tmp), "-Z")
    plain = env.tmp / "plain"
    plain.touch()
    check_refused(program("a@example.com", plain), "plain")


def test_want_of_descriptors_is_said(env):
    m = env.mount_object("imaps://alice@127.0.0.1:1/", background=True)
    result = run(["sh", "-c", 'ulimit -n 4; exec "$@"', "sh", *m.args()],
                 check=False, env=m.env())
    assert result.code == 2
    check_refused(result, "open files")


# Secrets.

def test_passcmd(env):
    m = env.mount(server_with_mail(env), password=None,
                  options=["passcmd=printf 'won%s\\n' der"])
    assert len(m.messages()) == 1


def test_passcmd_that_fails(env):
    result = env.mount_fails(server_with_mail(env), password=None,
                             options=["passcmd=echo no key >&2; exit 3"])
    check_refused(result, "passcmd|command", "3|no key")


def test_passfile_readable_by_others_is_refused(env):
    server = server_with_mail(env)
    for mode in (0o644, 0o640, 0o604):
        m = env.mount_object(server, background=True)
        m.passfile.chmod(mode)
        result = m.run_to_the_end()
        check_refused(result, "password", "chmod|others|owner")
    assert server.count(rb"LOGIN|AUTHENTICATE") == 0


def test_passfile_that_is_not_there(env):
    m = env.mount_object(server_with_mail(env), background=True)
    m.passfile.unlink()
    check_refused(m.run_to_the_end(), "password")


def private_file(path, text):
    path.touch(mode=0o600)
    path.write_text(text)


def test_netrc_and_authinfo(env):
    server = server_with_mail(env)
    for name in (".authinfo", ".netrc"):
        m = env.mount_object(server, password=None)
        private_file(m.home / name,
                     "machine elsewhere login alice password nothing\n"
                     "machine localhost login bob password other\n"
                     "machine localhost\n  login alice\n"
                     "  password wonder\n")
        m.start()
        assert m.messages(), name
        m.unmount()


def test_systemd_credential(env):
    folder = env.tmp / "credentials"
    folder.mkdir()
    private_file(folder / "imapfs", "wonder\n")
    m = env.mount(server_with_mail(env), password=None,
                  extra_env={"CREDENTIALS_DIRECTORY": folder})
    assert m.messages()


def test_no_password_anywhere(env):
    result = env.mount_fails(server_with_mail(env), password=None)
    check_refused(result, "password")


def prompt(env, server):
    m = env.mount_object(server, password=None, background=True)
    t = env.terminal(m.args(), env=m.env())
    t.expect("(?i)password")
    env.wait_for(lambda: not t.echo(), 5, "the echo is off")
    return m, t


def test_prompt_on_the_terminal(env):
    m, t = prompt(env, server_with_mail(env))
    t.type("wonder\n")
    assert t.wait(20) == 0, t.output
    assert b"wonder" not in t.output
    assert m.mounted()
    t.close()
    assert len(m.messages()) == 1, "gone with its terminal"


def test_prompt_and_a_wrong_password(env):
    m, t = prompt(env, server_with_mail(env))
    t.type("wrong\n")
    assert t.wait(20) != 0
    assert not m.mounted()
    assert b"wrong\r\n" not in t.output.replace(b"wrong user", b"")


def test_ctrl_c_at_the_prompt(env):
    m, t = prompt(env, server_with_mail(env))
    t.interrupt()
    assert t.wait(5) != 0
    assert not m.mounted()


# What the server or the network says.

def test_wrong_password(env):
    server = env.dovecot()
    result = env.mount_fails(server, password="wrong")
    check_refused(result, "password|login|authenticat")


def test_wrong_password_is_not_tried_again(env):
    server = server_with_mail(env)
    check_refused(env.mount_fails(server, password="wrong"), "password|login")
    assert server.count(rb"LOGIN|AUTHENTICATE") == 1


def test_unknown_host(env):
    check_refused(env.mount_fails("imaps://alice@nowhere.invalid/"),
                  r"nowhere\.invalid")


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def test_refused_port(env):
    port = closed_port()
    check_refused(env.mount_fails(f"imaps://alice@localhost:{port}/"),
                  "localhost|127.0.0.1", "refuse")


def test_a_server_that_says_nothing(env):
    link = env.proxy(server_with_mail(env))
    link.hole()
    start = time.monotonic()
    check_refused(env.mount_fails(f"imaps://alice@localhost:{link.port}/",
                                  options=["timeout=6"]), "localhost|answer")
    assert time.monotonic() - start < 20 * slowdown()


def test_tls_is_not_asked_for_where_it_is_wanted(env):
    server = server_with_mail(env)
    check_refused(env.mount_fails(
        f"imap://alice@localhost:{server.tls_port}/", options=["timeout=2"]),
        "answer", "imaps://")


def test_what_is_not_an_imap_server(env):
    for greeting in (b"220 smtp.example.com ESMTP\r\n", b"\x00\xff" * 99,
                     b"* BYE overloaded\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"):
        server = env.script(greeting=greeting)
        check_refused(env.mount_fails(server, options=["timeout=4"]), "server")


# Coming back.

def test_background_comes_back_usable(env):
    server = env.dovecot()
    with Client(server) as c:
        c.append("INBOX", letter(1))
    m = env.mount_object(server, background=True)
    result = run(m.args(), env=m.env(), timeout=30)
    assert result.out == b"" and result.err == b"", result
    assert m.mounted() and len(m.messages()) == 1
    if os.geteuid() == 0:  # the program is hidden from its own user
        assert os.readlink(f"/proc/{m.pid}/cwd") == "/"


def helpers(m):
    return [pid for pid in m.pids()
            if of_process(pid, "comm") == b"imapfs-helper\n"]


def test_comes_back_when_it_can_be_unmounted(env):
    """The helper touches a new mount once. Here it is late."""
    server = server_with_mail(env)
    m = env.mount_object(server, background=True)

    def stop_helper(session, tag, command):
        for pid in helpers(m):
            os.kill(pid, signal.SIGSTOP)
        return session.default(tag, command)

    server.on(rb"LIST", stop_helper)
    start = threading.Thread(target=m.start)
    start.start()
    env.wait_for(m.mounted)
    for _ in range(5):
        assert m.status()["state"] == "online"
    assert start.is_alive(), "it came back, and could be busy"
    for pid in helpers(m):
        os.kill(pid, signal.SIGCONT)
    start.join()
    m.umount()


def test_a_pipe_of_who_mounts_is_let_go(env):
    """Or the lock of a script would be held until somebody unmounts."""
    m = env.mount_object(server_with_mail(env), background=True)
    ca = os.open(m.cafile, os.O_RDONLY)
    ours, theirs = os.pipe()
    m.cafile = f"/dev/fd/{ca}"
    try:
        mounting = popen(m.args(), env=m.env(), pass_fds=[ca, theirs])
        assert wait_end(mounting, 20) == 0
    finally:
        os.close(theirs)
        os.close(ca)
    assert select.select([ours], [], [], 10)[0], "it is held"
    assert os.read(ours, 1) == b""
    os.close(ours)
    assert m.messages()
    m.unmount()


def test_started_without_the_standard_descriptors(env):
    server = server_with_mail(env)
    for closed in ("<&-", ">&- 2>&-", "<&- >&- 2>&-"):
        m = env.mount_object(server, background=True)
        words = ["sh", "-c", f'exec "$@" {closed}', "sh", *m.args()]
        m.args = lambda words=words: words
        m.start()
        assert (m.path / "INBOX" / m.messages()[0]).read_bytes() == letter(1)
        m.unmount()


def test_second_mount_of_an_account_is_refused(env):
    server = server_with_mail(env)
    first = env.mount(server)
    assert first.messages()
    result = env.mount_fails(server, cache=first.cache)
    check_refused(result, "already|mounted|another", str(first.pid))
    assert first.messages()
    other = env.mount(server)
    assert other.messages() == first.messages(), "another cache is fine"


def test_second_mount_does_not_share_bodies(env):
    server = server_with_mail(env)
    shared = {"XDG_CACHE_HOME": env.tmp / "shared"}
    first = env.mount(server, cache=False, extra_env=shared)
    result = env.mount_fails(server, cache=False, extra_env=shared)
    check_refused(result, "already", str(first.pid))
    assert first.messages()
    first.unmount()
    other = env.mount(server, cache=False, extra_env=shared)
    assert other.home != first.home and other.messages()


def test_default_places(env):
    m = env.mount(server_with_mail(env), cache=False)
    m.run("cat INBOX/*")
    state = list((m.home / ".local/state/imapfs").iterdir())
    cache = list((m.home / ".cache/imapfs").iterdir())
    assert len(state) == len(cache) == 1
    assert state[0].name == cache[0].name
    assert (state[0] / "index.db").exists()
    for folder in (state[0], cache[0]):
        assert os.stat(folder).st_mode & 0o777 == 0o700


def test_a_cache_below_a_file_is_refused_as_that(env):
    server = server_with_mail(env)
    file = env.tmp / "file"
    file.touch()
    check_refused(env.mount_fails(server, cache=file), "Not a directory",
                  str(file))


def test_a_cache_below_the_mount_point_is_refused(env):
    """The program would look for its files in its own mount, and hang."""
    server = server_with_mail(env)
    m = env.mount_object(server, background=True)
    beside = m.path.with_name(m.path.name + "-cache")
    link = env.tmp / "link"
    link.symlink_to(m.path)
    for cache, home in [(m.path / "cache", m.home),
                        (link / "new" / "cache", m.home), (None, m.path)]:
        m.cache, m.home = cache, home
        try:
            m.start()
        except StartFailed as failure:
            check_refused(failure.result, "hidden", str(m.path), "cache=")
        else:
            raise AssertionError(f"mounted over its cache: {cache}")
        assert not os.listdir(m.path)
    m.cache = beside
    m.start()
    assert m.messages()


def test_mounts_from_the_cache_without_a_network(env):
    server = server_with_mail(env)
    m = env.mount(server, background=True)
    names = m.messages()
    m.unmount()
    server.stop()
    m.start()
    text = m.start_result.errtext
    assert re.search("cache|offline", text, re.I), text
    assert m.messages() == names


def test_mounts_from_the_cache_when_nothing_answers(env):
    link = env.proxy(server_with_mail(env))
    m = env.mount(f"imaps://alice@localhost:{link.port}/", background=True)
    names = m.messages()
    m.unmount()
    link.hole()
    start = time.monotonic()
    m.start()
    assert 3 < time.monotonic() - start < 10 * slowdown()
    assert m.messages() == names


def test_wrong_password_is_an_error_with_a_cache_too(env):
    server = server_with_mail(env)
    m = env.mount(server, background=True)
    m.messages()
    m.unmount()
    m.set_password("wrong")
    check_refused(m.run_to_the_end(), "password|login")
    assert not m.mounted()


def test_server_that_offers_little(env):
    server = env.script({b"INBOX": Box([Msg(1, letter(1))])},
                        capabilities=[b"IMAP4rev1"])
    m = env.mount(server)
    assert (m.path / "INBOX" / m.messages()[0]).read_bytes() == letter(1)
