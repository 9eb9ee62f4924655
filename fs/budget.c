/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/budget_private.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "imap/change.h"
#include "imap/log.h"

/*
 * Nothing is told of bytes as they come: whoever asks has the meter read. What
 * it has more than when it was read last is of this day.
 *
 * The times are those of the day's clock, for they are kept over restarts. It
 * may be set: no wait is believed to be longer than it can have been meant.
 */

enum step { STEP_AHEAD = 1 << 0, STEP_READ = 1 << 1, STEP_SEND = 1 << 2 };

static int64_t real_clock(void)
{
	return time(NULL);
}

static bool real_meter(const struct fs *fs, struct imap_traffic *ret)
{
	const struct options *opt = fs->opt;
	bool wanted = opt->daily_down > 0 || opt->daily_up > 0;

	if (!fs->imap || (!wanted && !imap_has_labels(fs->imap)))
		return false;
	imap_get_traffic(fs->imap, ret);
	return true;
}

/* --- the server's own word --- */

void budget_print_time(int64_t at, char ret[BUDGET_TIME])
{
	time_t t = at;
	struct tm tm;

	if (!localtime_r(&t, &tm) ||
	    strftime(ret, BUDGET_TIME, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		ret[0] = '\0';
}

static bool runs_locked(const struct budget *b, const struct budget_pause *p)
	REQUIRES(b->lock)
{
	int64_t now = b->clock();

	return now >= p->at && now < p->until;
}

/* What is said during a pause is of what was on its way, and means no more. */
static void pause_locked(struct budget *b, struct budget_pause *p,
			 const char *why) REQUIRES(b->lock)
{
	char until[BUDGET_TIME];

	if (runs_locked(b, p))
		return;
	p->s = p->s ? p->s * 2 : BUDGET_PAUSE_S;
	p->s = clock_earlier(p->s, BUDGET_PAUSE_MAX_S);
	p->at = b->clock();
	p->until = p->at + p->s;
	budget_print_time(p->until, until);
	log_warn("budget: the server says that %s until %s", why, until);
}

/* --- counting --- */

/* Two threads may have read the meter in another order. */
static uint64_t more(uint64_t now, uint64_t *seen)
{
	uint64_t n = now > *seen ? now - *seen : 0;

	*seen += n;
	return n;
}

static void count_locked(struct budget *b, const struct imap_traffic *now)
	REQUIRES(b->lock)
{
	int64_t begun_at = b->day.begun_at;
	uint64_t down = 0, up = 0;

	if (b->counts) {
		down = more(now->in, &b->seen.in);
		up = more(now->out, &b->seen.out);
		if (more(now->throttled, &b->seen.throttled) > 0)
			pause_locked(b, &b->slowed,
				     "the account is near its limits: nothing "
				     "is fetched before it is read");
	}
	budget_day_add(&b->day, b->clock(), down, up);
	if (b->day.begun_at != begun_at)
		b->said = 0;
}

/* What has come until now is counted. */
static struct budget *count(struct fs *fs)
{
	struct budget *b = fs->budget;
	struct imap_traffic now = {0};
	bool counts = b->meter(fs, &now);

	lock_take(&b->lock);
	b->counts = counts;
	count_locked(b, &now);
	lock_drop(&b->lock);
	return b;
}

/* --- what follows from it --- */

static int64_t day_end(const struct budget *b)
{
	return b->day.begun_at + BUDGET_DAY_S;
}

/* How much may come until so many percent of the limit are used? */
static uint64_t left_locked(const struct budget *b, unsigned percent)
	REQUIRES(b->lock)
{
	uint64_t most = b->down_limit / 100 * percent;

	if (!b->counts || b->down_limit == 0)
		return UINT64_MAX;
	return most > b->day.down ? most - b->day.down : 0;
}

static bool fits_locked(const struct budget *b, uint64_t bytes, uint64_t beside)
	REQUIRES(b->lock)
{
	uint64_t limit = b->up_limit, most = limit / 10 * 9;

	if (!b->counts || limit == 0)
		return true;
	if (bytes > most && beside == 0 && b->day.up < limit - most)
		return true;
	return b->day.up < limit && bytes <= limit && beside <= limit &&
	       bytes + beside <= limit - b->day.up;
}

static void say_locked(struct budget *b, enum step step) REQUIRES(b->lock)
{
	bool sends = step == STEP_SEND;
	char until[BUDGET_TIME];

	if (b->said & step)
		return;
	b->said |= step;
	budget_print_time(day_end(b), until);
	log_warn("budget: %llu of the %llu bytes of a day %s: %s until %s",
		 (unsigned long long)(sends ? b->day.up : b->day.down),
		 (unsigned long long)(sends ? b->up_limit : b->down_limit),
		 sends ? "are sent" : "have come",
		 sends               ? "new messages wait"
		 : step == STEP_READ ? "what is not in the cache cannot be read"
				     : "nothing is fetched before it is read",
		 until);
}

static uint64_t left_to_fetch(struct fs *fs, enum step step, unsigned percent)
{
	struct budget *b = count(fs);
	uint64_t left;

	lock_take(&b->lock);
	left = left_locked(b, percent);
	if (left == 0)
		say_locked(b, step);
	if (runs_locked(b, &b->refused) ||
	    (step == STEP_AHEAD && runs_locked(b, &b->slowed)))
		left = 0;
	lock_drop(&b->lock);
	return left;
}

uint64_t budget_ahead_left(struct fs *fs)
{
	return left_to_fetch(fs, STEP_AHEAD, BUDGET_AHEAD_PERCENT);
}

bool budget_may_read(struct fs *fs)
{
	return left_to_fetch(fs, STEP_READ, BUDGET_READ_PERCENT) > 0;
}

bool budget_may_send(struct fs *fs, uint64_t bytes, uint64_t beside)
{
	struct budget *b = count(fs);
	bool fits;

	lock_take(&b->lock);
	fits = fits_locked(b, bytes, beside);
	if (!fits && beside == 0)
		say_locked(b, STEP_SEND);
	lock_drop(&b->lock);
	return fits;
}

void budget_fetched(struct fs *fs, int result)
{
	struct budget *b = count(fs);

	lock_take(&b->lock);
	if (result == 0) {
		b->refused.s = 0;
		if (!runs_locked(b, &b->slowed))
			b->slowed.s = 0;
	}
	if (result == -EDQUOT)
		pause_locked(b, &b->refused,
			     "a limit is reached: what is not in the cache "
			     "cannot be read");
	lock_drop(&b->lock);
}

/* --- for others --- */

static void report_locked(const struct budget *b, struct budget_report *ret)
	REQUIRES(b->lock)
{
	bool ahead_used = left_locked(b, BUDGET_AHEAD_PERCENT) == 0;
	bool refused = runs_locked(b, &b->refused);
	bool slowed = runs_locked(b, &b->slowed);

	*ret = (struct budget_report){
		.day = b->day,
		.down_limit = b->counts ? b->down_limit : 0,
		.up_limit = b->counts ? b->up_limit : 0,
		.near_limits = slowed,
		.ahead_stops = refused || slowed || ahead_used,
		.reads_stop =
			refused || left_locked(b, BUDGET_READ_PERCENT) == 0,
		.sends_stop = !fits_locked(b, 1, 0),
	};
	if (refused)
		ret->until = b->refused.until;
	if (slowed && ret->until < b->slowed.until)
		ret->until = b->slowed.until;
	if (ahead_used || ret->sends_stop)
		ret->until = day_end(b);
}

bool budget_get(struct fs *fs, struct budget_report *ret)
{
	struct budget *b = count(fs);
	bool counts;

	lock_take(&b->lock);
	counts = b->counts || b->day.begun_at != 0;
	report_locked(b, ret);
	lock_drop(&b->lock);
	return counts || ret->ahead_stops;
}

int64_t budget_wait_ms(struct fs *fs)
{
	struct budget *b = count(fs);
	struct budget_report r;
	int64_t ms;

	lock_take(&b->lock);
	report_locked(b, &r);
	/* One message may not fit, though others would. */
	if (b->said & STEP_SEND)
		r.until = day_end(b);
	ms = (r.until - b->clock()) * 1000;
	lock_drop(&b->lock);
	if (ms < 1000)
		return 1000;
	return clock_earlier(ms, BUDGET_LOOK_MS);
}

int64_t budget_save(struct fs *fs, int64_t now_ms)
{
	struct budget *b = count(fs);
	struct budget_day day;
	bool changed, counts;

	lock_take(&b->lock);
	day = b->day;
	changed = day.down != b->saved.down || day.up != b->saved.up ||
		  day.begun_at != b->saved.begun_at;
	counts = b->counts;
	b->saved = day;
	lock_drop(&b->lock);
	if (changed && cache_save_budget(fs->cache, &day) != 0)
		log_debug("budget: what was counted is not saved");
	return counts ? now_ms + BUDGET_SAVE_MS : CLOCK_NEVER;
}

int budget_new(struct fs *fs, struct budget **ret)
{
	const struct options *opt = fs->opt;
	struct budget *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->clock = real_clock;
	b->meter = real_meter;
	b->down_limit = opt->has_daily ? opt->daily_down : BUDGET_GMAIL_DOWN;
	b->up_limit = opt->has_daily ? opt->daily_up : BUDGET_GMAIL_UP;
	lock_init(&b->lock, RANK_BUDGET);
	(void)cache_load_budget(fs->cache, &b->saved);
	b->day = b->saved;
	*ret = b;
	return 0;
}

void budget_free(struct budget *b)
{
	if (!b)
		return;
	lock_finish(&b->lock);
	free(b);
}
