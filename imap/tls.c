/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "imap/resume.h"
#include "imap/why.h"

/*
 * Trust. OpenSSL walks the chain and compares the name (subject alternative
 * names; the common name only where there are none; wildcards only as a whole
 * first label); a callback looks
 * at the first certificate that is found wrong, while it is at hand, and
 * writes the sentence for the user. With a pin neither chain nor name count:
 * the leaf's SHA-256 is compared after the handshake, before any byte of the
 * protocol is sent.
 *
 * Names in certificates were written by strangers: only printable ASCII of
 * them is shown.
 */

#define SHA256_BYTES 32
#define NAME_SHOWN 128

struct net_tls {
	SSL_CTX *ctx;
	struct resume resume;
	bool pinned;
	unsigned char pin[SHA256_BYTES];
};

/* --- what to say about a certificate --- */

static void make_printable(char *s)
{
	for (; *s; s++) {
		if (*s < 0x20 || *s > 0x7e || *s == '\'')
			*s = '?';
	}
}

/* The common name, else organisation, else the whole name in one line. */
static void name_of(const X509_NAME *name, char *buf, size_t size)
{
	buf[0] = '\0';
	if (X509_NAME_get_text_by_NID((X509_NAME *)name, NID_commonName, buf,
				      (int)size) <= 0 &&
	    X509_NAME_get_text_by_NID((X509_NAME *)name, NID_organizationName,
				      buf, (int)size) <= 0)
		X509_NAME_oneline(name, buf, (int)size);
	make_printable(buf);
}

static void date_of(const ASN1_TIME *t, char *buf, size_t size)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1 ||
	    strftime(buf, size, "%Y-%m-%d", &tm) == 0)
		(void)snprintf(buf, size, "an unknown date");
}

static void add_name(char *buf, size_t size, const char *name)
{
	size_t n = strlen(buf);

	(void)snprintf(buf + n, size - n, "%s'%s'", n > 0 ? ", " : "", name);
}

static void add_general_name(const GENERAL_NAME *gn, char *buf, size_t size)
{
	char text[NAME_SHOWN];
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(gn, &type);
	int n;

	if (type == GEN_DNS) {
		n = ASN1_STRING_length(s);
		(void)snprintf(text, sizeof(text), "%.*s", n,
			       (const char *)ASN1_STRING_get0_data(s));
	} else if (type == GEN_IPADD) {
		n = ASN1_STRING_length(s);
		/* Nobody has signed it yet: it may have any length. */
		if ((n != 4 && n != 16) ||
		    !inet_ntop(n == 4 ? AF_INET : AF_INET6,
			       ASN1_STRING_get0_data(s), text, sizeof(text)))
			return;
	} else {
		return;
	}
	make_printable(text);
	add_name(buf, size, text);
}

/* The names that a certificate is for, as a list: 'a', 'b'. */
static void names_of(X509 *cert, char *buf, size_t size)
{
	GENERAL_NAMES *names =
		X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char cn[NAME_SHOWN];
	int n = sk_GENERAL_NAME_num(names);

	buf[0] = '\0';
	for (int i = 0; i < n; i++) {
		if (i == 5) {
			size_t len = strlen(buf);

			(void)snprintf(buf + len, size - len, " and others");
			break;
		}
		add_general_name(sk_GENERAL_NAME_value(names, i), buf, size);
	}
	GENERAL_NAMES_free(names);
	if (buf[0] == '\0') {
		name_of(X509_get_subject_name(cert), cn, sizeof(cn));
		add_name(buf, size, cn);
	}
}

/* SHA-256 of the DER form, written AB:CD:... */
static bool fingerprint_of(const X509 *cert, unsigned char *raw, char *text)
{
	unsigned n = 0;

	if (X509_digest(cert, EVP_sha256(), raw, &n) != 1 || n != SHA256_BYTES)
		return false;
	for (unsigned i = 0; i < n; i++)
		(void)sprintf(text + (size_t)3 * i, "%02X%s", raw[i],
			      i + 1 < n ? ":" : "");
	return true;
}

#define FINGERPRINT_TEXT (3 * SHA256_BYTES + 1)

static void say_dates(struct tls_verdict *v, X509 *cert, int depth, int error)
{
	bool past = error == X509_V_ERR_CERT_HAS_EXPIRED;
	char date[32];
	char whose[NAME_SHOWN + 32] = "it";

	if (depth > 0) {
		char cn[NAME_SHOWN];

		name_of(X509_get_subject_name(cert), cn, sizeof(cn));
		(void)snprintf(whose, sizeof(whose), "the issuer's, '%s',", cn);
	}
	date_of(past ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert),
		date, sizeof(date));
	(void)snprintf(v->text, sizeof(v->text),
		       past ? "the certificate of '%s' is not trusted: %s "
			      "expired on %s"
			    : "the certificate of '%s' is not trusted: %s is "
			      "not valid before %s; is the clock right?",
		       v->host, whose, date);
}

static void say_self_signed(struct tls_verdict *v, const X509 *cert)
{
	unsigned char raw[SHA256_BYTES];
	char text[FINGERPRINT_TEXT];

	if (!fingerprint_of(cert, raw, text))
		(void)snprintf(text, sizeof(text), "unknown");
	(void)snprintf(v->text, sizeof(v->text),
		       "the certificate of '%s' is self-signed (SHA-256 %s); "
		       "pin-sha256= accepts it",
		       v->host, text);
}

static void say_wrong(struct tls_verdict *v, X509 *cert, int depth, int error)
{
	char name[NAME_SHOWN];
	char names[300];

	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		say_dates(v, cert, depth, error);
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		names_of(cert, names, sizeof(names));
		(void)snprintf(v->text, sizeof(v->text),
			       "the certificate is for %s, not for '%.120s'",
			       names, v->host);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		say_self_signed(v, cert);
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		name_of(X509_get_issuer_name(cert), name, sizeof(name));
		(void)snprintf(v->text, sizeof(v->text),
			       "the certificate of '%s' is not trusted: it is "
			       "issued by '%s', which is not in the trust "
			       "store",
			       v->host, name);
		break;
	default:
		(void)snprintf(v->text, sizeof(v->text),
			       "the certificate of '%s' is not trusted: %s",
			       v->host, X509_verify_cert_error_string(error));
	}
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(
		store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_verdict *v = SSL_get_app_data(ssl);
	X509 *cert = X509_STORE_CTX_get_current_cert(store);

	if (ok)
		return 1;
	if (v && v->text[0] == '\0' && cert)
		say_wrong(v, cert, X509_STORE_CTX_get_error_depth(store),
			  X509_STORE_CTX_get_error(store));
	return 0;
}

/* --- settings --- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_pin(const char *s, unsigned char *pin)
{
	unsigned digits = 0;

	for (; *s; s++) {
		int v = hex_value(*s);

		if (*s == ':')
			continue;
		if (v < 0 || digits == 2 * SHA256_BYTES)
			return false;
		if (digits % 2 == 0)
			pin[digits / 2] = (unsigned char)(v << 4);
		else
			pin[digits / 2] |= (unsigned char)v;
		digits++;
	}
	return digits == 2 * SHA256_BYTES;
}

static int load_trust(struct net_tls *tls, const char *cafile,
		      struct imap_error *why)
{
	unsigned long e;
	const char *reason;

	if (!cafile) {
		/* An empty store is no error here: every chain then fails. */
		(void)SSL_CTX_set_default_verify_paths(tls->ctx);
		return 0;
	}
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(tls->ctx, cafile) == 1)
		return 0;

	e = ERR_peek_error();
	reason =
		ERR_SYSTEM_ERROR(e) ? strerrordesc_np(ERR_GET_REASON(e)) : NULL;
	ERR_clear_error();
	return net_fail(why, -EINVAL, FAULT_TLS, "cafile '%s': %s", cafile,
			reason ? reason : "there is no certificate in it");
}

int net_tls_new(const char *cafile, const char *pin_sha256,
		struct net_tls **ret, struct imap_error *why)
{
	struct net_tls *tls = calloc(1, sizeof(*tls));
	int r;

	if (!tls)
		return net_fail(why, -ENOMEM, FAULT_NONE, "out of memory");

	resume_init(&tls->resume);
	r = net_fail(why, -ENOMEM, FAULT_NONE, "out of memory");
	tls->ctx = SSL_CTX_new(TLS_client_method());
	if (!tls->ctx)
		goto fail;
	SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					   SSL_MODE_RELEASE_BUFFERS);
	resume_allow(&tls->resume, tls->ctx);
	r = load_trust(tls, cafile, why);
	if (r < 0)
		goto fail;

	tls->pinned = pin_sha256 != NULL;
	if (pin_sha256 && !parse_pin(pin_sha256, tls->pin)) {
		r = net_fail(why, -EINVAL, FAULT_TLS,
			     "pin-sha256 '%s' is not 64 hexadecimal digits",
			     pin_sha256);
		goto fail;
	}
	memset(why, 0, sizeof(*why));
	*ret = tls;
	return 0;

fail:
	net_tls_free(tls);
	return r;
}

void net_tls_free(struct net_tls *tls)
{
	if (!tls)
		return;
	resume_finish(&tls->resume);
	SSL_CTX_free(tls->ctx);
	free(tls);
}

/* --- one connection --- */

/* What to verify against and, for names, what to ask for (SNI, RFC 6066). */
static int expect_host(SSL *ssl, const char *host)
{
	unsigned char ip[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, host, ip) == 1 ||
	    inet_pton(AF_INET6, host, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
						     host) == 1
			       ? 0
			       : -ENOMEM;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set1_host(ssl, host) != 1 ||
	    SSL_set_tlsext_host_name(ssl, host) != 1)
		return -EINVAL;
	return 0;
}

int tls_start(struct net_tls *tls, BIO *bio, struct tls_verdict *verdict,
	      SSL **ret)
{
	SSL *ssl = SSL_new(tls->ctx);
	int r;

	if (!ssl) {
		BIO_free(bio);
		return -ENOMEM;
	}
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, verdict);
	SSL_set_verify(ssl, tls->pinned ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
		       on_verify);
	r = expect_host(ssl, verdict->host);
	if (r < 0) {
		SSL_free(ssl);
		return r;
	}
	/* It outlives the caller's string: TLS 1.3 gives sessions late. */
	(void)snprintf(verdict->name, sizeof(verdict->name), "%s",
		       strlen(verdict->host) < sizeof(verdict->name)
			       ? verdict->host
			       : "");
	resume_offer(&tls->resume, verdict->name, ssl);
	SSL_set_connect_state(ssl);
	*ret = ssl;
	return 0;
}

/*
 * A resumed session (resume.c) brings the certificate, and what was found in
 * the full handshake, along; so the pin is compared then too.
 */
static bool chain_holds(const SSL *ssl, struct tls_verdict *verdict)
{
	if (SSL_get0_peer_certificate(ssl) &&
	    SSL_get_verify_result(ssl) == X509_V_OK)
		return true;
	(void)snprintf(verdict->text, sizeof(verdict->text),
		       "the certificate of '%s' was not verified",
		       verdict->host);
	return false;
}

void tls_forget_sessions(struct net_tls *tls)
{
	resume_forget(&tls->resume);
}

bool tls_is_trusted(const struct net_tls *tls, SSL *ssl,
		    struct tls_verdict *verdict)
{
	unsigned char raw[SHA256_BYTES];
	char text[FINGERPRINT_TEXT];
	X509 *cert;
	bool known;

	if (!tls->pinned)
		return chain_holds(ssl, verdict);
	cert = SSL_get1_peer_certificate(ssl);
	known = cert && fingerprint_of(cert, raw, text);
	X509_free(cert);
	if (known && memcmp(raw, tls->pin, SHA256_BYTES) == 0)
		return true;

	(void)snprintf(verdict->text, sizeof(verdict->text),
		       "the certificate of '%s' is not the pinned one: its "
		       "SHA-256 is %s",
		       verdict->host, known ? text : "unknown");
	return false;
}
