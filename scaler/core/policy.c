/* The decision: how many workers are wanted, and what follows, with its sentence. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "scaler/core/state.h"

/* What is there, counted. A worker that was asked to drain counts as draining before it shows. */
struct supply {
	uint32_t ready, busy, idle, draining, starting;
};

static bool is_draining(const struct scaler_core *c, const struct worker_seen *w)
{
	return w->draining || (w->drain_told_us != 0 && c->now_us < w->drain_told_us + DRAIN_AGAIN_US);
}

static struct supply count_supply(const struct scaler_core *c, const struct pool *p)
{
	struct supply s = {.starting = p->start_count};

	for (uint32_t i = 0; i < p->worker_count; i++) {
		if (is_draining(c, &p->workers[i])) {
			s.draining++;
			continue;
		}
		s.ready++;
		s.busy += p->workers[i].busy;
		s.idle += !p->workers[i].busy;
	}
	return s;
}

/* ---- words ---- */

struct words {
	char text[SCALER_SENTENCE_MAX];
	size_t size;
};

static void PRINTF_LIKE(2, 3) say(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->text + w->size, sizeof(w->text) - w->size, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(w->text) - w->size) {
		w->size += (size_t)n;
		return;
	}
	w->size = sizeof(w->text) - 1; /* cut, but not through a character */
	while (w->size > 0 && ((unsigned char)w->text[w->size - 1] & 0x80) != 0)
		w->size--;
	w->text[w->size] = '\0';
}

static const char *plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

static void say_time(struct words *w, uint64_t us)
{
	if (us < 10 * (uint64_t)USEC_PER_SEC)
		say(w, "%llu ms", (unsigned long long)(us / USEC_PER_MSEC));
	else if (us < 10000 * (uint64_t)USEC_PER_SEC)
		say(w, "%llu s", (unsigned long long)(us / USEC_PER_SEC));
	else
		say(w, "%llu h", (unsigned long long)(us / (3600 * (uint64_t)USEC_PER_SEC)));
}

static void say_demand(struct words *w, const struct pool *p, const struct supply *s)
{
	const struct scaler_demand *d = &p->demand;

	say(w, "%u wanted: ", p->wanted);
	say_time(w, d->work_us);
	say(w, " of work in %llu queued and %llu leased shards, ", (unsigned long long)d->queued_shards,
	    (unsigned long long)d->leased_shards);
	say_time(w, (uint64_t)p->config.target_us);
	say(w, " wanted, %llu.%llu cpus a worker; %u ready (%u busy), %u starting, %u draining: ",
	    (unsigned long long)(p->config.cpu_milli / 1000),
	    (unsigned long long)(p->config.cpu_milli % 1000 / 100), s->ready, s->busy, s->starting,
	    s->draining);
}

/* That a decision has had its effect is no news. */
static bool is_news(enum decision before, enum decision now)
{
	if (now == before || (now == DECIDE_STEP_LIMIT && before == DECIDE_START))
		return false;
	return now != DECIDE_STEADY || before == DECIDE_NOTHING_YET || before == DECIDE_STALE ||
	       before == DECIDE_BACKOFF;
}

/* Told when something is done, or when the kind of decision is news. */
static void tell(struct scaler_core *c, struct pool *p, enum decision decision, bool acted, struct words *w)
{
	struct scaler_effect *e;

	snprintf(p->why, sizeof(p->why), "%s", w->text);
	if (acted || is_news(p->decision, decision)) {
		e = scaler_effect_push(c, p, SCALER_TELL);
		e->tell.wanted = p->wanted;
		e->tell.why = scaler_effect_bytes(c, BYTES(w->text, w->size));
	}
	p->decision = decision;
}

static void again_at(struct pool *p, usec_t us)
{
	if (us < p->again_us)
		p->again_us = us;
}

/* ---- wanted ---- */

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* Enough to do the work in the target's time, but no more than there are shards for; busy ones stay;
 * one more when a shard waits too long although nobody is idle (few and long shards). */
static uint32_t wanted_workers(const struct pool *p, const struct supply *s)
{
	const struct scaler_demand *d = &p->demand;
	uint64_t slots = p->config.cpu_milli / 1000 ? p->config.cpu_milli / 1000 : 1;
	uint64_t each_ms = (uint64_t)p->config.target_us / 1000 * p->config.cpu_milli / 1000;
	uint64_t by_work = divide_up(d->work_us / 1000, each_ms ? each_ms : 1);
	uint64_t by_shards = divide_up(d->queued_shards + d->leased_shards, slots);
	uint64_t wanted = by_work < by_shards ? by_work : by_shards;

	if (d->queued_shards > 0 && wanted == 0)
		wanted = 1;
	if (wanted < s->busy)
		wanted = s->busy;
	if (d->queued_shards > 0 && d->oldest_wait_us > p->config.target_us && s->idle == 0 &&
	    s->starting == 0 && wanted <= s->ready)
		wanted = (uint64_t)s->ready + 1;
	if (wanted < p->config.min_workers)
		wanted = p->config.min_workers;
	return wanted > p->config.max_workers ? p->config.max_workers : (uint32_t)wanted;
}

/* ---- up ---- */

static void grow(struct scaler_core *c, struct pool *p, const struct supply *s)
{
	uint32_t missing = p->wanted - s->ready - s->starting, starts;
	enum decision decision = DECIDE_START;
	struct words w = {.size = 0};

	if (c->now_us >= p->step_us + p->config.step_interval_us) {
		p->step_us = c->now_us;
		p->step_used = 0;
	}
	starts = p->config.step_max - p->step_used;
	starts = starts < missing ? starts : missing;
	say_demand(&w, p, s);
	if (p->failures > 0 && c->now_us < p->retry_us) {
		starts = 0;
		decision = DECIDE_BACKOFF;
		again_at(p, p->retry_us);
		say(&w, "%u start%s failed (%s), the next try in ", p->failures, plural(p->failures),
		    p->failure_why);
		say_time(&w, (uint64_t)(p->retry_us - c->now_us));
	} else if (starts == 0) {
		decision = DECIDE_STEP_LIMIT;
		again_at(p, p->step_us + p->config.step_interval_us);
		say(&w, "%u missing, the step limit of %u is used up for ", missing, p->config.step_max);
		say_time(&w, (uint64_t)(p->step_us + p->config.step_interval_us - c->now_us));
	} else if (p->failures > 0 && scaler_start_find(p, p->probe) != NULL) {
		starts = 0;
		decision = DECIDE_BACKOFF;
		say(&w, "%u start%s failed (%s), one is tried", p->failures, plural(p->failures),
		    p->failure_why);
	} else if (p->failures > 0) {
		starts = 1;
		p->probe = c->next_start + 1;
		say(&w, "starts 1 to see whether it works again after %u failure%s (%s)", p->failures,
		    plural(p->failures), p->failure_why);
	} else {
		say(&w, "starts %u", starts);
		if (starts < missing) {
			say(&w, " of the %u missing, the step limit", missing);
			again_at(p, p->step_us + p->config.step_interval_us);
		}
	}
	for (uint32_t i = 0; i < starts; i++)
		scaler_effect_push(c, p, SCALER_START)->start = scaler_starts_add(c, p, BYTES(NULL, 0))->id;
	p->step_used += starts;
	tell(c, p, decision, starts > 0, &w);
}

/* ---- down ---- */

/* Of those idle long enough, the one idle longest. */
static struct worker_seen *idlest(const struct scaler_core *c, struct pool *p)
{
	struct worker_seen *best = NULL;

	for (uint32_t i = 0; i < p->worker_count; i++) {
		struct worker_seen *w = &p->workers[i];

		if (w->busy || is_draining(c, w))
			continue;
		if (c->now_us < w->idle_since_us + p->config.idle_before_shrink_us)
			again_at(p, w->idle_since_us + p->config.idle_before_shrink_us);
		else if (best == NULL || w->idle_since_us < best->idle_since_us)
			best = w;
	}
	return best;
}

/* Only what was not wanted at any time of a whole interval goes: no flapping. */
static void shrink(struct scaler_core *c, struct pool *p, const struct supply *s)
{
	usec_t due_us;
	uint32_t drains = 0;
	struct worker_seen *idle;
	struct words w = {.size = 0};

	if (p->low_since_us == USEC_NEVER) {
		p->low_since_us = c->now_us;
		p->low_peak = p->wanted;
	}
	p->low_peak = p->wanted > p->low_peak ? p->wanted : p->low_peak;
	due_us = p->low_since_us + p->config.idle_before_shrink_us;
	say_demand(&w, p, s);
	if (c->now_us < due_us) {
		again_at(p, due_us);
		say(&w, "waits ");
		say_time(&w, (uint64_t)(due_us - c->now_us));
		say(&w, " whether it stays so");
		tell(c, p, DECIDE_IDLE_WAIT, false, &w);
		return;
	}
	if (c->now_us - p->workers_us >= WORKERS_FRESH_US) {
		say(&w, "looks again when the workers have been told anew");
		tell(c, p, DECIDE_IDLE_WAIT, false, &w);
		return;
	}
	while (s->ready - drains > p->low_peak && (idle = idlest(c, p)) != NULL) {
		if (drains++ == 0) {
			say(&w, "drains those idle longest, the first since ");
			say_time(&w, (uint64_t)(c->now_us - idle->idle_since_us));
		}
		idle->drain_told_us = c->now_us;
		scaler_effect_push(c, p, SCALER_DRAIN)->drain = idle->id;
	}
	if (drains > 0)
		say(&w, ", %u in all", drains);
	else
		say(&w, "no worker has been idle for long enough to be drained");
	if (drains > 0 || s->ready <= p->low_peak) {
		p->low_since_us = c->now_us;
		p->low_peak = p->wanted;
		again_at(p, c->now_us + p->config.idle_before_shrink_us);
	}
	tell(c, p, drains > 0 ? DECIDE_DRAIN : DECIDE_IDLE_WAIT, drains > 0, &w);
}

/* ---- all together ---- */

static void stay(struct scaler_core *c, struct pool *p, const struct supply *s)
{
	bool full = p->wanted == p->config.max_workers && p->demand.queued_shards > 0;
	struct words w = {.size = 0};

	say_demand(&w, p, s);
	if (full)
		say(&w, "no more than %u are allowed", p->config.max_workers);
	else
		say(&w, "that is enough");
	tell(c, p, full ? DECIDE_FULL : DECIDE_STEADY, false, &w);
}

static void hold(struct scaler_core *c, struct pool *p)
{
	struct words w = {.size = 0};

	say(&w, "no word of the demand for ");
	say_time(&w, (uint64_t)(c->now_us - p->demand_us));
	say(&w, ": nothing is started or drained");
	p->low_since_us = USEC_NEVER;
	tell(c, p, DECIDE_STALE, false, &w);
}

void scaler_decide(struct scaler_core *c, struct pool *p)
{
	struct supply s;

	p->again_us = USEC_NEVER;
	if (!p->demand_known || !p->workers_known)
		return;
	if (c->now_us >= p->demand_us + p->config.demand_stale_us) {
		hold(c, p);
		return;
	}
	again_at(p, p->demand_us + p->config.demand_stale_us);
	s = count_supply(c, p);
	p->wanted = wanted_workers(p, &s);
	if (p->wanted >= s.ready)
		p->low_since_us = USEC_NEVER;
	if (p->wanted > s.ready + s.starting)
		grow(c, p, &s);
	else if (p->wanted < s.ready)
		shrink(c, p, &s);
	else
		stay(c, p, &s);
}
