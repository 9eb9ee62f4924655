/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "imap/provider.h"

#include <stddef.h>
#include <strings.h>

/*
 * Providers whose server cannot be found by rule, or for whom a question to
 * DNS would be wasted. All speak TLS from the first byte, and take the full
 * address as user name.
 */
static const struct provider {
	const char *domain;
	const char *host;
} providers[] = {
	{"gmail.com", "imap.gmail.com"},
	{"googlemail.com", "imap.gmail.com"},
	{"outlook.com", "outlook.office365.com"},
	{"hotmail.com", "outlook.office365.com"},
	{"live.com", "outlook.office365.com"},
	{"msn.com", "outlook.office365.com"},
	{"yahoo.com", "imap.mail.yahoo.com"},
	{"ymail.com", "imap.mail.yahoo.com"},
	{"rocketmail.com", "imap.mail.yahoo.com"},
	{"aol.com", "imap.aol.com"},
	{"icloud.com", "imap.mail.me.com"},
	{"me.com", "imap.mail.me.com"},
	{"mac.com", "imap.mail.me.com"},
	{"fastmail.com", "imap.fastmail.com"},
	{"fastmail.fm", "imap.fastmail.com"},
	{"gmx.net", "imap.gmx.net"},
	{"gmx.de", "imap.gmx.net"},
	{"gmx.at", "imap.gmx.net"},
	{"gmx.ch", "imap.gmx.net"},
	{"gmx.com", "imap.gmx.com"},
	{"web.de", "imap.web.de"},
	{"mail.com", "imap.mail.com"},
	{"zoho.com", "imap.zoho.com"},
	{"zoho.eu", "imap.zoho.eu"},
	{"yandex.com", "imap.yandex.com"},
	{"yandex.ru", "imap.yandex.ru"},
	{"ya.ru", "imap.yandex.ru"},
	{"mail.ru", "imap.mail.ru"},
	{"posteo.de", "posteo.de"},
	{"posteo.net", "posteo.de"},
	{"mailbox.org", "imap.mailbox.org"},
	{"t-online.de", "secureimap.t-online.de"},
	{"freenet.de", "mx.freenet.de"},
};
#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

const char *provider_of_domain(const char *domain)
{
	for (size_t i = 0; i < N_PROVIDERS; i++)
		if (strcasecmp(domain, providers[i].domain) == 0)
			return providers[i].host;
	return NULL;
}

bool provider_has_host(const char *host)
{
	for (size_t i = 0; i < N_PROVIDERS; i++)
		if (strcasecmp(host, providers[i].host) == 0)
			return true;
	return false;
}
