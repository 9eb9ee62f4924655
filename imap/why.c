/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "imap/lock.h"

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
