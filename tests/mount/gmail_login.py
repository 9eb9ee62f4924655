# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in to Gmail: passwords, tokens, ends of sessions, and what is said
to whoever is not let in."""

import os
import re
import subprocess

from imapfstest import *
from imapfstest.gmail import APP_PASSWORD, faults, names, texts
from imapfstest.letters import letter, numbered

LOGIN = rb"LOGIN|AUTHENTICATE"
MOST_TRIES = 3
HELP = r"https://support\.google\.com/accounts/answer/185833"


def filled(env, n=3, **kw):
    server = env.gmail(**kw)
    for i in range(1, n + 1):
        server.account.deliver(letter(i), [b"\\Inbox"])
    return server


def password_mount(env, server, **kw):
    return env.mount(server, password=APP_PASSWORD, **kw)


# Passwords.

def test_app_password_with_and_without_blanks(env):
    server = filled(env)
    for password in (APP_PASSWORD, APP_PASSWORD.replace(" ", "")):
        m = env.mount(server, password=password)
        assert numbered(m)[2].read_bytes() == letter(2)
        m.unmount()


# What the server says, or the wrong password; words, and words that mislead.
REFUSED = [
    ("wonder", None, ["app password", HELP], None),
    ("wrong", None, ["app password", "changed", HELP], None),
    (APP_PASSWORD, texts.INVALID_CREDENTIALS,
     ["app password", "changed", HELP], None),
    (APP_PASSWORD, texts.WEB_LOGIN,
     ["browser", re.escape(texts.WEB_LOGIN_URL.decode())], "app password"),
    (APP_PASSWORD, texts.WEB_LOGIN.partition(b"\r\n")[2],
     ["browser", "answer/78754"], "app password"),
    (APP_PASSWORD, texts.IMAP_DISABLED, ["IMAP is switched off", "settings"],
     "app password"),
    (APP_PASSWORD, texts.TOO_MANY, ["no more connections"], "password"),
    (APP_PASSWORD, texts.OVER_LIMITS, ["limits", "later"], "password"),
    (APP_PASSWORD, texts.SYSTEM_ERROR, ["System Error", "now"], "password"),
]


def sentence(text, words, misleading):
    assert "\n" not in text, f"one sentence is wanted: {text!r}"
    for word in words:
        assert re.search(word, text), f"no {word!r} in {text!r}"
    assert not misleading or misleading not in text, text


def test_every_refusal_is_one_helpful_sentence(env):
    server = filled(env)
    for password, answer, words, misleading in REFUSED:
        server.refuse_login(answer)
        before = server.count(LOGIN)
        result = env.mount_fails(server, password=password)
        sentence(result.errtext.strip(), words, misleading)
        assert server.count(LOGIN) == before + 1, words


def test_a_refusal_in_mid_session_is_told_and_not_repeated(env):
    for answer, words, misleading in [row[1:] for row in REFUSED[2:6]]:
        server = filled(env)
        m = password_mount(env, server)
        paths = numbered(m)
        paths[1].read_bytes()
        server.refuse_login(answer)
        before = server.count(LOGIN)
        server.drop()
        m.wait_offline()
        status = m.wait_status(lambda s: re.search(words[0], s["last_error"]))
        sentence(status["last_error"], words, misleading)
        for n in (2, 3):
            m.run(["cat", str(paths[n])], check=False)
        assert paths[1].read_bytes() == letter(1), "it is in the cache"
        assert server.count(LOGIN) - before <= MOST_TRIES
        server.refuse_login(None)
        os.utime(m.path)  # as touch(1) does
        m.wait_online()
        assert paths[2].read_bytes() == letter(2)
        m.unmount()


def test_a_passing_refusal_is_tried_again(env):
    for answer in (texts.TOO_MANY, texts.SYSTEM_ERROR, texts.OVER_LIMITS):
        server = filled(env)
        m = password_mount(env, server)
        paths = numbered(m)
        server.refuse_login(answer, times=1)
        server.drop()
        env.wait_for(lambda p=paths[1]: p.read_bytes() == letter(1), 30)
        m.unmount()


# Tokens.

class Tokens:
    """tokencmd=: prints what is set, a `%` in it being how often it ran."""

    def __init__(self, env):
        self.file, self.runs_file = env.tmp / "token", env.tmp / "runs"
        self.runs_file.write_text("")
        self.option = (f"tokencmd=echo x >>{self.runs_file}; "
                       f"sed s/%/$(wc -l <{self.runs_file})/ {self.file}")

    def set(self, token):
        new = self.file.with_suffix(".new")
        new.write_text(token + "\n")
        new.rename(self.file)

    def runs(self):
        return len(self.runs_file.read_text().splitlines())


def token_mount(env, server, tokens, **kw):
    kw.setdefault("options", [tokens.option])
    return env.mount(server, password=None, **kw)


def without_oauthbearer(session, tag, command):
    return session.default(tag, command).replace(b" AUTH=OAUTHBEARER", b"")


def test_tokens_by_both_mechanisms(env):
    tokens = Tokens(env)
    tokens.set("t0ken")
    for mechanism in (b"OAUTHBEARER", b"XOAUTH2"):
        server = filled(env)
        server.add_token("t0ken")
        if mechanism == b"XOAUTH2":
            server.on(rb"CAPABILITY", without_oauthbearer)
        m = token_mount(env, server, tokens)
        assert numbered(m)[1].read_bytes() == letter(1)
        assert server.count(b"AUTHENTICATE " + mechanism) == \
            server.count(LOGIN) > 0
        m.unmount()


def test_a_token_that_ends_in_mid_session_is_renewed(env):
    for mechanism, gave_up in ((b"OAUTHBEARER", b"AQ=="), (b"XOAUTH2", b"")):
        tokens, server = Tokens(env), filled(env, 40)
        if mechanism == b"XOAUTH2":
            server.on(rb"CAPABILITY", without_oauthbearer)
        server.add_token("first")
        tokens.set("first")
        m = token_mount(env, server, tokens)
        paths = numbered(m)
        for round_, token in enumerate(("second", "third")):
            server.add_token(token, 3600 * (round_ + 2))
            tokens.set(token)
            server.advance(3601)
            env.wait_for(lambda n=round_ + 2: tokens.runs() == n, 30)
            readers = [popen(["cat", str(paths[n])],
                             stdout=subprocess.PIPE)
                       for n in range(20 * round_ + 1, 20 * round_ + 21)]
            for n, reader in enumerate(readers, 20 * round_ + 1):
                out = reader.communicate(timeout=30)[0]
                assert reader.returncode == 0 and out == letter(n), n
            assert tokens.runs() == round_ + 2, "once for each that ended"
        assert set(server.gave_up) == {gave_up}
        m.unmount()


def test_a_token_that_is_never_good_is_no_login_loop(env):
    """Be it the same each time, or another one."""
    for bad in ("stale", "stale-%"):
        tokens, server = Tokens(env), filled(env, 40)
        tokens.set(bad)
        result = env.mount_fails(server, password=None,
                                 options=[tokens.option])
        sentence(result.errtext.strip(), ["token", "Invalid credentials"],
                 "app password")
        assert server.count(LOGIN) <= MOST_TRIES
        server.add_token("good", 3600)
        tokens.set("good")
        m = token_mount(env, server, tokens)
        paths = numbered(m)
        m.wait_watching()
        tokens.set(bad)
        before = server.count(LOGIN)
        server.advance(3601)
        readers = [popen(["cat", str(path)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
                   for path in paths.values()]
        m.wait_offline()
        for reader in readers:
            assert reader.wait(timeout=30) != 0
        assert server.count(LOGIN) - before <= MOST_TRIES, bad
        server.add_token("better")
        tokens.set("better")
        os.utime(m.path)  # as touch(1) does
        m.wait_online()
        assert paths[1].read_bytes() == letter(1)
        m.unmount()


# Sessions and connections.

def test_the_end_of_a_session_after_a_day_is_no_news(env):
    server = filled(env)
    m = password_mount(env, server)
    paths = numbered(m)
    m.wait_watching()
    for n in (1, 2, 3):
        server.advance(24 * 3600 + 1)
        env.wait_for(lambda: paths[n].read_bytes() == letter(n), 30)
    server.account.deliver(letter(4), [b"\\Inbox"])
    server.advance(24 * 3600 + 1)
    env.wait_for(lambda: 4 in numbered(m), 30)


def test_at_most_four_connections(env):
    server = filled(env, 60)
    for n in range(61, 161):
        server.account.deliver(letter(n), [b"work", b"home"])
    most = []
    server.on(rb"(UID )?(FETCH|SEARCH|EXAMINE|SELECT|STATUS|LIST)",
              lambda session, tag, command: [
                  most.append(server.logged_in()),
                  session.default(tag, command)][1])
    m = password_mount(env, server)
    m.run("cat INBOX/* work/* home/* >/dev/null", timeout=40)
    assert max(most) <= 4, most


def other_clients(env, server, n):
    clients = [Client(server, "alice", APP_PASSWORD) for _ in range(n)]
    for client in clients:
        env.cleanup(client.close)
    return clients


def test_among_fifteen_other_clients(env):
    server = filled(env, 20)
    clients = other_clients(env, server, 15)
    result = env.mount_fails(server, password=APP_PASSWORD)
    sentence(result.errtext.strip(),
             ["no more connections", "Too many simultaneous"], "password")
    clients[0].close()
    env.wait_for(lambda: server.logged_in() == 14)
    m = password_mount(env, server)
    paths = numbered(m)
    for n in range(1, 21):
        assert paths[n].read_bytes() == letter(n)
    assert server.logged_in() == 15


def test_other_clients_that_take_all_places_are_told_of(env):
    """While it is mounted, and it goes on when there is a place again; with
    one place it does all that it does with four."""
    server = filled(env, 20)
    server.account.create(b"work")
    m = password_mount(env, server)
    paths = numbered(m)
    assert m.messages("work") == []
    assert paths[1].read_bytes() == letter(1)
    server.on(b"AUTHENTICATE", texts.TOO_MANY)  # clients say LOGIN
    server.drop()
    m.wait_offline()
    status = m.wait_status(lambda s: "Too many" in s["last_error"])
    sentence(status["last_error"], ["no more connections"], "password")
    assert paths[1].read_bytes() == letter(1), "it is in the cache"
    paths[2].rename(m.path / "work" / paths[2].name)
    clients = other_clients(env, server, 14)
    server.clear()
    os.utime(m.path)  # as touch(1) does
    m.wait_online(30)
    for n in range(3, 21):
        assert paths[n].read_bytes() == letter(n)
    m.run(["sync", ".imapfs/queue"])
    assert where_all(server).count("work") == 1
    assert server.logged_in() == len(clients) + 1


def test_faults_at_each_command_lose_and_double_nothing(env):
    """Cut, expired or hanging at the n-th command after the login: what is
    read is right, and few logins are spent on it."""
    for fault in (faults.lost_before, faults.lost_after, faults.expired,
                  texts.SYSTEM_ERROR):
        server = filled(env)
        server.account.deliver(letter(4), [b"work"])
        m = password_mount(env, server)
        before = server.count(LOGIN)
        for n in (1, 2, 3):
            server.at(n, fault)
        env.wait_for(lambda: numbered(m)[3].read_bytes() == letter(3), 40)
        env.wait_for(lambda: numbered(m, "work")[4].read_bytes() ==
                     letter(4), 40)
        assert sorted(numbered(m)) == [1, 2, 3]
        assert server.count(LOGIN) - before <= 2 * MOST_TRIES
        assert where_all(server) == ["\\Inbox"] * 3 + ["work"]
        m.unmount()


def where_all(server):
    return [" ".join(sorted(label.decode() for label in message.labels))
            for message in server.account.messages.values()
            if message.place == names.ALL]
