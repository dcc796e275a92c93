#include "dispatcher/explain.h"

#include <inttypes.h>

#include "base/text.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "jobs/principal.h"

/* Hands the sentence on, if there is one, and empties out for the next. */
static void end(const struct explain *e, struct buf *out)
{
	if (out->size > 0)
		e->add(e->arg, buf_bytes(out));
	buf_clear(out);
}

static void say_progress(const struct explain *e, struct buf *out)
{
	const struct view_job *v = e->facts->job;
	const struct view_counts *c = &v->counts;
	const struct {
		uint64_t count;
		const char *what;
	} parts[] = {{c->leased, "leased to workers"},
		     {c->pending, "waiting to be leased"},
		     {c->delayed, "waiting for another attempt"},
		     {c->dead, "dead"}};

	buf_printf(out, "job %" PRIu64 " %.*s %s %s: ", v->job, (int)v->name.size, (const char *)v->name.data,
		   v->state == JOB_CANCELLED	  ? "was"
		   : job_state_is_ended(v->state) ? "has"
						  : "is",
		   job_word_name(v->word));
	if (v->phase < v->shards_phase && !job_state_is_ended(v->state))
		buf_printf(out, "in its plan phase, ");
	if (v->phase > v->shards_phase && !job_state_is_ended(v->state))
		buf_printf(out, "%" PRIu64 " of %" PRIu64 " shards are done; in its gather phase, ",
			   v->first_done, v->first_shards);
	buf_printf(out, "%" PRIu64 " of ", c->done);
	why_count(out, c->shards, "shard");
	buf_printf(out, "%s %s done", v->sealed || job_state_is_ended(v->state) ? "" : " known so far",
		   c->shards == 1 ? "is" : "are");
	for (size_t i = 0; i < ARRAY_LENGTH(parts) && !job_state_is_ended(v->state); i++)
		if (parts[i].count > 0)
			buf_printf(out, ", %" PRIu64 " %s", parts[i].count, parts[i].what);
	if (job_state_is_ended(v->state) && c->dead > 0)
		buf_printf(out, ", %" PRIu64 " dead", c->dead);
	end(e, out);
}

static void say_times(const struct explain *e, struct buf *out)
{
	const struct view_job *v = e->facts->job;
	usec_t now = e->facts->wall_us;

	if (v->ended_wall_us > 0) {
		buf_printf(out, "it ended ");
		why_span(out, now - v->ended_wall_us);
		buf_printf(out, " ago, ");
		why_span(out, v->ended_wall_us - v->accepted_wall_us);
		buf_printf(out, " after it was accepted");
	} else {
		buf_printf(out, "it was accepted ");
		why_span(out, now - v->accepted_wall_us);
		buf_printf(out, " ago and ");
		if (v->started_wall_us > 0) {
			buf_printf(out, "started ");
			why_span(out, v->started_wall_us - v->accepted_wall_us);
			buf_printf(out, " later");
		} else {
			buf_printf(out, "has not started yet");
		}
	}
	end(e, out);
	principal_words(&v->by, out);
	buf_printf(out, "%s", out->size > 0 ? " asked for it" : "");
	end(e, out);
	principal_words(&v->again_by, out);
	buf_printf(out, "%s", out->size > 0 ? " had it tried again last" : "");
	end(e, out);
	principal_words(&v->stopped_by, out);
	if (out->size > 0)
		buf_printf(out, v->paused ? " paused it" : " cancelled it");
	end(e, out);
	if (v->reopens > 0) {
		buf_printf(out, "it went on after an end, ");
		why_count(out, v->reopens, "time");
		buf_printf(out, ": what was done before is kept");
	}
	end(e, out);
}

static void say_limit(const struct explain *e, usec_t at_wall_us, const char *what, struct buf *out)
{
	if (at_wall_us == 0 || job_state_is_ended(e->facts->job->state))
		return;
	buf_printf(out, "it fails unless %s within ", what);
	why_span(out, at_wall_us - e->facts->wall_us);
	end(e, out);
}

static void say_waits(const struct explain *e, struct buf *out)
{
	const struct view_job *v = e->facts->job;
	struct buf why = {0};

	if (job_state_is_ended(v->state))
		buf_append_bytes(&why, v->why);
	else
		why_not(e->facts, &why);
	if (why.size > 0) {
		buf_printf(out, "%s",
			   job_state_is_ended(v->state)	   ? "its end: "
			   : v->paused && v->why.size == 0 ? "" /* the reason says it */
			   : v->paused			   ? "it is paused: "
							   : "nothing of it runs: ");
		buf_append_bytes(out, buf_bytes(&why));
	}
	buf_fini(&why);
	end(e, out);
	if (job_state_is_ended(v->state))
		return;
	if (v->max_running > 0 && v->counts.pending > 0 && v->counts.leased >= v->max_running) {
		why_count(out, v->counts.pending, "shard");
		buf_printf(out, " wait%s, as at most %u may run at a time (max_running)",
			   v->counts.pending == 1 ? "s" : "", v->max_running);
	}
	end(e, out);
	if (v->rate.count > 0) {
		buf_printf(out, "its shards start at a rate of at most ");
		why_rate(v, out);
	}
	if (v->rate.count > 0 && v->rate_wait_us > 0 && v->counts.pending > 0) {
		buf_printf(out, ": the next may in ");
		why_span(out, v->rate_wait_us);
	}
	end(e, out);
	if (v->counts.leased > 0 && v->counts.pending > 0)
		why_shared(e->facts, out);
	end(e, out);
	if (v->counts.leased > 0 && !v->paused && why_hold_is_limit(e->facts->hold)) {
		why_count(out, v->counts.pending, "shard");
		buf_printf(out, v->counts.pending == 1 ? " waits: " : " wait: ");
		why_hold(e->facts->hold, out);
	}
	end(e, out);
	if (v->counts.delayed > 0 && v->counts.leased + v->counts.pending > 0)
		why_delayed(v, e->facts->wall_us, out);
	end(e, out);
	why_outlook(e->facts, out);
	end(e, out);
	if (v->planner_failures > 0 && v->counts.pending > 0)
		why_planner(v, e->facts->wall_us, out);
	else if (!v->sealed)
		buf_printf(out, "its plan is not whole yet: more shards may come");
	end(e, out);
	say_limit(e, v->started_wall_us == 0 ? v->start_by_wall_us : 0, "its first shard starts", out);
	say_limit(e, v->deadline_wall_us, "it has ended", out);
	if (v->retries > 0)
		why_count(out, v->retries, "attempt");
	if (v->retries > 0)
		buf_printf(out, " failed and %s made again", v->retries == 1 ? "was" : "were");
	end(e, out);
	if (v->estimate_us > 0) {
		buf_printf(out, "a shard takes about ");
		why_span(out, (usec_t)v->estimate_us);
	}
	end(e, out);
	if (e->gathers && v->phase <= v->shards_phase)
		buf_printf(out, "its gather begins when all shards are done");
	end(e, out);
}

static void say_dead(const struct explain *e, struct buf *out)
{
	const struct plan plain = plan_by_number(SHARDS_MAX);

	for (size_t i = 0; i < e->dead_count; i++) {
		const struct view_dead *d = &e->dead[i];

		buf_printf(out, d->shards.count == 1 ? "shard " : "shards ");
		plan_numbers_words(e->plan != NULL && i < e->dead_in_shards ? e->plan : &plain, d->shards,
				   out);
		buf_printf(out, d->shards.count == 1 ? " is dead: " : " are dead: ");
		buf_printf(out, "%s", failure_kind_name(d->kind));
		if (d->noted && failure_code_tells(d->kind))
			buf_printf(out, " %" PRId64, d->code);
		if (d->noted && d->why.size > 0)
			buf_printf(out, "%s%.*s", text_joint(d->why, ", "), (int)d->why.size,
				   (const char *)d->why.data);
		end(e, out);
	}
}

static void say_pools(const struct explain *e, struct buf *out)
{
	if (job_state_is_ended(e->facts->job->state))
		return;
	for (uint32_t i = 0; i < e->facts->pools->count; i++) {
		const struct pool_told *p = &e->facts->pools->items[i];

		/* Both as they are: a pool that shrinks has more than it wants. */
		buf_printf(out, "the pool %s has ", p->name);
		why_count(out, p->ready, "worker");
		buf_printf(out, " and wants %u", p->wanted);
		if (p->why[0] != '\0')
			buf_printf(out, "; its scaler says: %s", p->why);
		end(e, out);
	}
}

void explain_job(const struct explain *e)
{
	struct buf out = {0};

	say_progress(e, &out);
	if (e->facts->trouble != NULL)
		buf_printf(&out, "%s", e->facts->trouble);
	end(e, &out);
	say_waits(e, &out);
	say_dead(e, &out);
	say_times(e, &out);
	say_pools(e, &out);
	buf_fini(&out);
}
