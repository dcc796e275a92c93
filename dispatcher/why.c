#include "dispatcher/why.h"

#include <inttypes.h>

#include "base/text.h"
#include "base/units.h"
#include "dispatcher/offers.h"
#include "jobs/kinds.h"

/* ---- words ---- */

void why_span(struct buf *out, usec_t us)
{
	usec_t unit = us < USEC_PER_SEC ? USEC_PER_MSEC : USEC_PER_SEC;
	char text[UNITS_TEXT_MAX];

	us = us > 0 ? (us + unit - 1) / unit * unit : 0;
	buf_printf(out, "%s", units_format_duration(us, text, sizeof(text)));
}

void why_count(struct buf *out, uint64_t n, const char *noun)
{
	buf_printf(out, "%" PRIu64 " %s%s", n, noun, n == 1 ? "" : "s");
}

static void say_name(struct buf *out, const struct pool_told *p)
{
	buf_printf(out, "the pool %s ", p->name);
}

/* What is needed of one kind, and what the largest worker has; false: it has enough. */
static bool say_lack(struct buf *out, const struct resources *need, const struct resources *most)
{
	struct offer_lack lack;

	if (!offer_lacks(need, most, &lack))
		return false;
	buf_printf(out, "no worker has %s (the most that one has is %s)", lack.needed, lack.offered);
	return true;
}

/* ---- pools ---- */

void why_pool(const struct pool_told *p, usec_t mono_us, struct buf *out)
{
	if (p->failed_starts > 0) {
		buf_printf(out, p->starting > 0 ? "tries one start: " : "starts nothing: ");
		why_count(out, p->failed_starts, "start");
		buf_printf(out, " failed, last: %s", p->failure[0] != '\0' ? p->failure : "without a reason");
		if (p->starting > 0)
			return;
		buf_printf(out, "; next try ");
		if (p->retry_us > mono_us) {
			buf_printf(out, "in ");
			why_span(out, p->retry_us - mono_us);
		} else {
			buf_printf(out, "at once");
		}
	} else if (p->starting > 0) {
		buf_printf(out, "starts ");
		why_count(out, p->starting, "worker");
	} else if (p->ready + p->draining >= p->max_workers && p->wanted >= p->max_workers) {
		buf_printf(out, "has the ");
		why_count(out, p->max_workers, "worker");
		buf_printf(out, " that it may have");
		if (p->draining > 0)
			buf_printf(out, ", %u of them leaving", p->draining);
	}
}

void why_pool_unfit(const struct pool_told *p, struct buf *out)
{
	struct named_amount items[NAMED_RESOURCES_MAX];
	struct resources offer;

	if (p->unfit_shards == 0)
		return;
	offer_of_pool(p, &offer, items);
	buf_printf(out, "starts none for ");
	why_count(out, p->unfit_shards, "shard");
	buf_printf(out, " that need%s more than its workers have (", p->unfit_shards == 1 ? "s" : "");
	offer_write(&offer, out);
	buf_printf(out, ")");
}

/* What the pool's workers have too little of; false: nothing. */
static bool pool_lacks(const struct pool_told *p, const struct resources *need, struct offer_lack *ret)
{
	struct named_amount items[NAMED_RESOURCES_MAX];
	struct resources offer;

	offer_of_pool(p, &offer, items);
	return offer_lacks(need, &offer, ret);
}

/* "; the pool p starts 2 workers" for each that has something to say. */
static void say_pools(const struct why_facts *f, struct buf *out)
{
	for (uint32_t i = 0; i < f->pools->count; i++) {
		const struct pool_told *p = &f->pools->items[i];
		struct offer_lack lack;
		struct buf does = {0};

		why_pool(p, f->mono_us, &does);
		if (pool_lacks(p, f->supply->need, &lack)) {
			buf_printf(out, "; ");
			say_name(out, p);
			buf_printf(out, "starts none with %s: its workers have %s each", lack.needed,
				   lack.offered);
		} else if (does.size > 0) {
			buf_printf(out, "; ");
			say_name(out, p);
			buf_append_bytes(out, buf_bytes(&does));
		} else if (p->ready == 0) {
			buf_printf(out, "; ");
			say_name(out, p);
			buf_printf(out, "has not started one yet");
		}
		buf_fini(&does);
	}
}

static void say_away(const struct view_supply *s, struct buf *out)
{
	const char *between = "no worker takes work: ";

	if (s->draining > 0) {
		buf_printf(out, "%s%u draining", between, s->draining);
		between = ", ";
	}
	if (s->quarantined > 0) {
		buf_printf(out, "%s%u in quarantine, since all failed there", between, s->quarantined);
		between = ", ";
	}
	if (s->resting > 0) {
		buf_printf(out, "%s%u waiting after trouble of %s own: ", between, s->resting,
			   s->resting == 1 ? "its" : "their");
		buf_append_bytes(out, s->trouble);
	}
}

/* The sentence where nobody takes work. */
static void say_nobody(const struct why_facts *f, struct buf *out)
{
	const struct view_supply *s = f->supply;
	struct error e = {0};

	if (offers_check(s->need, &(struct view_offers){0}, f->pools, &e) < 0) {
		buf_printf(out, "%s", e.what);
	} else if (s->draining + s->quarantined + s->resting > 0) {
		say_away(s, out);
	} else {
		buf_printf(out, "no worker is connected");
	}
	if (f->pools->count > 0)
		say_pools(f, out);
	else
		buf_printf(out, "%s and no scaler tells of one: start `shardmill up` or `shardmill worker`",
			   out->size > 0 ? "," : "");
}

/* ---- jobs ---- */

bool why_asks_supply(const struct view_job *v)
{
	return !job_state_is_ended(v->state) && v->state != JOB_HELD && !v->paused && v->counts.leased == 0 &&
	       v->counts.pending > v->blocked;
}

static void say_supply(const struct why_facts *f, struct buf *out)
{
	const struct view_supply *s = f->supply;

	if (s->workers == 0) {
		say_nobody(f, out);
		return;
	}
	if (s->fitting == 0) {
		if (say_lack(out, s->need, &s->largest))
			;
		else if (s->older > 0)
			buf_printf(out,
				   s->older == 1 ? "a worker is of an older version, which gives no stdin"
						 : "%u workers are of older versions, which give no stdin",
				   s->older);
		else
			buf_printf(out, "no worker has at once all that a shard needs");
		say_pools(f, out);
		return;
	}
	if (s->idle > 0)
		return; /* its leases are on their way */
	buf_printf(out,
		   s->fitting == 1		   ? "the worker that could run it works"
		   : s->fitting < VIEW_FITTING_MAX ? "the %u workers that could run it work"
						   : "all %u and more workers that could run it work",
		   s->fitting);
	buf_printf(out, " on other jobs");
	if (s->until.known) {
		buf_printf(out, "; the next shard there ends ");
		why_until(&s->until, out);
	}
	say_pools(f, out);
}

/* Whose turn it is, where others run. */
static void say_turn(const struct why_facts *f, struct buf *out)
{
	if (f->hold == NULL || f->hold->kind == VIEW_HOLD_NONE || f->supply->fitting == 0 ||
	    f->supply->idle > 0)
		return;
	buf_printf(out, "; ");
	why_hold(f->hold, out);
}

void why_planner(const struct view_job *v, usec_t wall_us, struct buf *out)
{
	if (v->planner_failures == 0)
		return;
	buf_printf(out, "its planner has failed ");
	why_count(out, v->planner_failures, "time");
	if (v->planner_why.size > 0)
		buf_printf(out, ", last: %.*s", (int)v->planner_why.size, (const char *)v->planner_why.data);
	if (v->planner_due_wall_us > wall_us) {
		buf_printf(out, "; next try in ");
		why_span(out, v->planner_due_wall_us - wall_us);
	}
}

void why_delayed(const struct view_job *v, usec_t wall_us, struct buf *out)
{
	why_count(out, v->counts.delayed, "shard");
	buf_printf(out, " failed and wait%s for the next attempt, %s in ", v->counts.delayed == 1 ? "s" : "",
		   v->counts.delayed == 1 ? "due" : "the first");
	why_span(out, v->next_attempt_wall_us - wall_us);
}

#define AFTER_SHOWN 3u

void why_after(const struct view_job *v, struct buf *out)
{
	static const char *const verbs[] = {[AFTER_ANY] = "end",
					    [AFTER_SUCCEEDED] = "succeed",
					    [AFTER_FAILED] = "fail",
					    [AFTER_SHARD] = "finish its shards, each for the same one"};
	uint32_t shown = v->after.count < AFTER_SHOWN ? v->after.count : AFTER_SHOWN;

	for (uint32_t i = 0; i < shown; i++)
		buf_printf(out, "%s job %" PRIu64 " to %s",
			   i == 0		     ? "it waits for"
			   : i + 1 == v->after_count ? " and"
						     : ",",
			   v->after.items[i].job, verbs[v->after.items[i].condition]);
	if (v->after_count > shown)
		buf_printf(out, " and for %u more", v->after_count - shown);
}

#define GROUP_SHOWN 120 /* bytes of its name */

void why_group(const struct view_job *v, struct buf *out)
{
	const struct view_group *g = &v->group;
	char name[GROUP_SHOWN];

	if (!g->waits)
		return;
	buf_printf(out, "it waits for room in the concurrency group %s (at most %u active): ",
		   text_quote(name, sizeof(name), g->name), g->limit);
	for (uint32_t i = 0; i < g->holder_count; i++)
		buf_printf(out, "%s %" PRIu64,
			   i == 0		? (g->active == 1 ? "job" : "jobs")
			   : i + 1 == g->active ? " and"
						: ",",
			   g->holders[i]);
	if (g->active > g->holder_count)
		buf_printf(out, " and %u more", g->active - g->holder_count);
	buf_printf(out, g->active == 0 ? "nobody holds it" : g->active == 1 ? " holds it" : " hold it");
	if (g->until.known) {
		buf_printf(out, g->active == 1 ? ", and should end " : "; the first should end ");
		why_until(&g->until, out);
	}
	if (g->before > 0) {
		buf_printf(out, ", and ");
		why_count(out, g->before, "older job");
		buf_printf(out, g->before == 1 ? " waits before it" : " wait before it");
	}
}

void why_rate(const struct view_job *v, struct buf *out)
{
	char per[UNITS_TEXT_MAX];

	if (v->rate.count > 0)
		buf_printf(out, "%u/%s", v->rate.count,
			   units_format_duration(v->rate.per_us, per, sizeof(per)));
}

static bool waits_for_rate(const struct view_job *v)
{
	return v->rate.count > 0 && v->rate_wait_us > 0 && v->counts.pending > 0;
}

static void say_rate(const struct view_job *v, struct buf *out)
{
	buf_printf(out, "its rate, ");
	why_rate(v, out);
	buf_printf(out, ", lets the next shard start in ");
	why_span(out, v->rate_wait_us);
}

static void say_held(const struct why_facts *f, struct buf *out)
{
	const struct view_job *v = f->job;

	why_after(v, out);
	why_group(v, out);
	if (v->group.waits)
		return;
	if (v->after_count > 0 && v->due_wall_us <= f->wall_us)
		return;
	buf_printf(out, v->after_count > 0 ? ", and starts not before " : "it is held and starts in ");
	why_span(out, v->due_wall_us - f->wall_us);
	if (v->after_count > 0)
		buf_printf(out, " have passed");
}

void why_shared(const struct why_facts *f, struct buf *out)
{
	const struct view_shared *s = f->shared;
	char used[UNITS_TEXT_MAX], total[UNITS_TEXT_MAX], need[UNITS_TEXT_MAX];

	if (s == NULL)
		return;
	units_format_cpus((uint32_t)s->total, total, sizeof(total));
	units_format_cpus((uint32_t)s->need, need, sizeof(need));
	buf_printf(out, "a shard needs %s of %.*s", need, (int)s->name.size, (const char *)s->name.data);
	if (s->need > s->total) {
		buf_printf(out, ", and all workers together have %s (--shared)", total);
		return;
	}
	buf_printf(out, ", and %s of the %s that all workers share are in use",
		   units_format_cpus((uint32_t)s->used, used, sizeof(used)), total);
	for (uint32_t i = 0; i < s->job_count; i++)
		buf_printf(out, "%s%" PRIu64,
			   i == 0		   ? ", by job "
			   : i + 1 == s->job_count ? " and "
						   : ", ",
			   s->jobs[i]);
}

void why_not(const struct why_facts *f, struct buf *out)
{
	const struct view_job *v = f->job;

	if (job_state_is_ended(v->state))
		return;
	if (v->paused) {
		if (v->why.size > 0)
			buf_append_bytes(out, v->why);
		else
			buf_printf(out, "it is paused until somebody resumes it");
	} else if (v->state == JOB_HELD) {
		say_held(f, out);
	} else if (v->counts.leased > 0) {
		return;
	} else if (!v->sealed && v->counts.pending == 0 && v->planner_failures > 0) {
		why_planner(v, f->wall_us, out);
	} else if (v->blocked > 0 && v->counts.leased == 0 && v->counts.pending == v->blocked) {
		why_after(v, out);
	} else if (waits_for_rate(v)) {
		say_rate(v, out);
	} else if (v->counts.pending > 0 && f->shared != NULL) {
		why_shared(f, out);
	} else if (v->counts.pending > 0 && why_hold_is_limit(f->hold)) {
		why_hold(f->hold, out);
	} else if (v->counts.pending > 0 && f->supply != NULL) {
		say_supply(f, out);
		say_turn(f, out);
	} else if (v->counts.delayed > 0) {
		why_delayed(v, f->wall_us, out);
	}
}

void why_outlook(const struct why_facts *f, struct buf *out)
{
	const struct view_job *v = f->job;
	char share[UNITS_TEXT_MAX];

	if (f->policy == NULL || job_state_is_ended(v->state) || v->phase != v->shards_phase ||
	    v->counts.dead == 0)
		return;
	why_count(out, v->counts.dead, "shard");
	buf_printf(out, v->counts.dead == 1 ? " is dead: " : " are dead: ");
	switch (f->policy->tolerate_kind) {
	case TOLERATE_TO_THE_END:
		buf_printf(out, "the job fails when all others have ended (keep_going)");
		break;
	case TOLERATE_FAILURES:
		buf_printf(out,
			   "the job fails when all others have ended, or when more than %" PRIu64
			   " are dead (max_failures)",
			   f->policy->tolerate);
		break;
	case TOLERATE_COUNT:
		buf_printf(out, "the job fails when more than %" PRIu64 " are (tolerate)",
			   f->policy->tolerate);
		break;
	case TOLERATE_PPM:
		buf_printf(out, "the job fails when more than %s are (tolerate)",
			   units_format_percent((uint32_t)f->policy->tolerate, share, sizeof(share)));
		break;
	default:
		buf_printf(out, "the job fails");
	}
}
