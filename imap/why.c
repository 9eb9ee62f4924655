/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <openssl/err.h>

#include "imap/lock.h"
#include "imap/tls.h"

/*
 * Sentences about connections that could not be made. They are shown to the
 * user as they are, so they name the host and the port, and hold no secrets.
 * What is too long is cut.
 */

int net_fail(struct imap_error *why, int code, enum imap_fault fault,
	     const char *fmt, ...)
{
	va_list ap;

	why->code = code;
	why->fault = fault;
	va_start(ap, fmt);
	if (vsnprintf(why->text, sizeof(why->text), fmt, ap) < 0)
		why->text[0] = '\0';
	va_end(ap);
	return code;
}

int net_fail_timeout(const char *host, uint16_t port, int64_t since_ms,
		     struct imap_error *why)
{
	int64_t s = (clock_now_ms() - since_ms + 500) / 1000;

	return net_fail(why, -ETIMEDOUT, FAULT_NETWORK,
			"no answer from '%s' port %u within %lld s", host, port,
			(long long)(s > 0 ? s : 1));
}

int net_fail_canceled(struct imap_error *why)
{
	return net_fail(why, -ECANCELED, FAULT_NETWORK,
			"the connection was cancelled");
}

static bool is_not_tls(int reason)
{
	return reason == SSL_R_WRONG_VERSION_NUMBER ||
	       reason == SSL_R_HTTP_REQUEST ||
	       reason == SSL_R_HTTPS_PROXY_REQUEST ||
	       reason == SSL_R_UNEXPECTED_MESSAGE ||
	       reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
	       reason == SSL_R_RECORD_TOO_SMALL;
}

static bool is_too_old(int reason)
{
	return reason == SSL_R_UNSUPPORTED_PROTOCOL ||
	       reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION;
}

int tls_handshake_failed(const struct tls_verdict *verdict, int code,
			 uint16_t port, struct imap_error *why)
{
	const char *host = verdict->host;
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_REASON(e);
	const char *text = ERR_reason_error_string(e);

	if (verdict->text[0])
		return net_fail(why, -EPROTO, FAULT_TLS, "%s", verdict->text);
	if (code == SSL_ERROR_SSL && is_not_tls(reason))
		return net_fail(why, -EPROTO, FAULT_TLS,
				"'%s' port %u does not speak TLS", host, port);
	if (code == SSL_ERROR_SSL && is_too_old(reason))
		return net_fail(why, -EPROTO, FAULT_TLS,
				"'%s' port %u speaks no TLS of version 1.2 or "
				"later",
				host, port);
	if (code == SSL_ERROR_SSL &&
	    reason != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return net_fail(why, -EPROTO, FAULT_TLS,
				"no TLS with '%s' port %u: %s", host, port,
				text ? text : "the handshake failed");
	return net_fail(why, -ENOTCONN, FAULT_NETWORK,
			"'%s' port %u ended the connection during the TLS "
			"handshake",
			host, port);
}
