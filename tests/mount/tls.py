# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may be talked to: certificates, pins, STARTTLS and its attacks."""

import re

from imapfstest import *
from imapfstest.letters import letter


def boxes():
    return {b"INBOX": Box([Msg(1, letter(1))])}


def check_no_secret_sent(server):
    assert server.count(rb"LOGIN|AUTHENTICATE") == 0, server.commands


def check_refused(env, server, words, url=None, **kw):
    result = env.mount_fails(url or server, **kw)
    assert re.search(words, result.errtext, re.I), result
    assert result.errtext.count("\n") == 1, result
    check_no_secret_sent(server)


def check_works(m):
    assert (m.path / "INBOX" / m.messages()[0]).read_bytes() == letter(1)


def test_trusted_chain(env):
    check_works(env.mount(env.script(boxes())))


def test_trusted_chain_by_address(env):
    server = env.script(boxes())
    check_works(env.mount(server.url(host="127.0.0.1")))


def test_expired(env):
    check_refused(env, env.script(boxes(), pair=env.certs.expired), "expired")


def test_wrong_name(env):
    check_refused(env, env.script(boxes(), pair=env.certs.wrong_name),
                  "elsewhere.test.*localhost|name")


def test_unknown_issuer(env):
    check_refused(env, env.script(boxes(), pair=env.certs.unknown_issuer),
                  "issuer|trust")


def test_self_signed(env):
    check_refused(env, env.script(boxes(), pair=env.certs.self_signed),
                  "self.signed")


def test_system_store_does_not_know_the_test_authority(env):
    check_refused(env, env.script(boxes()), "issuer|trust|self.signed",
                  cafile=False)


def test_cafile_that_is_no_certificate(env):
    bad = env.tmp / "bad.pem"
    bad.write_text("not a certificate\n")
    check_refused(env, env.script(boxes()), "cafile|bad.pem", cafile=bad)


def pinned(env, pair, pin):
    return dict(pair=pair), dict(options=[f"pin-sha256={pin}"], cafile=False)


def test_pin_accepts_a_self_signed_certificate(env):
    pair = env.certs.self_signed
    pin = Certs.sha256(pair)
    for text in (pin, pin.upper(),
                 ":".join(pin[i:i + 2] for i in range(0, 64, 2))):
        m = env.mount(env.script(boxes(), pair=pair), cafile=False,
                      options=[f"pin-sha256={text}"])
        check_works(m)


def test_pin_accepts_any_name_and_date(env):
    for pair in (env.certs.wrong_name, env.certs.expired):
        m = env.mount(env.script(boxes(), pair=pair), cafile=False,
                      options=[f"pin-sha256={Certs.sha256(pair)}"])
        check_works(m)


def test_pin_refuses_another_certificate_even_if_trusted(env):
    pin = Certs.sha256(env.certs.self_signed)
    check_refused(env, env.script(boxes()), "pin",
                  options=[f"pin-sha256={pin}"])


def test_starttls(env):
    server = env.script(boxes(), starttls=env.certs.valid)
    check_works(env.mount(server))
    words = [c.split(b" ")[0].upper() for _, c in server.commands]
    assert b"STARTTLS" in words
    assert not {b"LOGIN", b"AUTHENTICATE", b"ID"} & \
        set(words[:words.index(b"STARTTLS")])


def test_starttls_of_a_real_server(env):
    server = env.dovecot()
    m = env.mount(server.url(tls=False))
    assert "INBOX" in m.folders()


def test_starttls_checks_the_certificate(env):
    check_refused(env, env.script(boxes(), starttls=env.certs.wrong_name),
                  "elsewhere.test.*localhost|name")


def test_starttls_that_is_not_offered(env):
    check_refused(env, env.script(boxes(), pair=False), "STARTTLS|TLS")


def test_starttls_that_is_refused(env):
    server = env.script(boxes(), starttls=env.certs.valid)
    server.on(rb"STARTTLS", b"%TAG% NO not today\r\n")
    check_refused(env, server, "STARTTLS|TLS")


def test_bytes_behind_the_starttls_answer(env):
    server = env.script(boxes(), starttls=env.certs.valid)
    server.on(rb"STARTTLS", inject_after_starttls(
        b"* OK [ALERT] injected\r\n"))
    check_refused(env, server, "STARTTLS|TLS|inject")


def test_preauth_before_starttls(env):
    server = env.script(boxes(), starttls=env.certs.valid,
                        greeting=b"* PREAUTH welcome\r\n")
    check_refused(env, server, "STARTTLS|TLS|PREAUTH")


def test_capabilities_before_tls_are_forgotten(env):
    server = env.script(boxes(), starttls=env.certs.valid)

    def answer(session, tag, command):
        if session.tls:
            return session.default(tag, command)
        return b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n" \
            b"%TAG% OK done\r\n"
    server.on(rb"CAPABILITY", answer)
    check_works(env.mount(server))


def test_tls_none_on_loopback(env):
    server = env.script(boxes(), pair=False)
    for host in ("127.0.0.1", "localhost"):
        m = env.mount(server.url(host=host), options=["tls=none"])
        check_works(m)
        m.unmount()


def test_tls_none_elsewhere_is_refused(env):
    for host in ("192.0.2.1", "imap.example.invalid"):
        result = env.mount_fails(f"imap://alice@{host}:143/",
                                 options=["tls=none"], timeout=20)
        assert result.errtext.count("\n") == 1, result
        if host == "192.0.2.1":
            assert re.search("loopback|this machine", result.errtext), result


def test_tls_error_with_a_cache_mounts_from_it_and_warns(env):
    server = env.script(boxes())
    m = env.mount(server, background=True)
    names = m.messages()
    (m.path / "INBOX" / names[0]).read_bytes()
    m.unmount()
    server.stop()
    server._context.load_cert_chain(*map(str, env.certs.expired))
    server.start()
    m.start()
    text = m.start_result.errtext
    assert re.search("expired", text, re.I), text
    check_works(m)
