/* What follows from what a step changed: a job that has too many dead shards fails, a phase that is
 * through makes room for the next, the last one ends the job. */
#include "dispatcher/core/decide/advance.h"

#include <stdio.h>

#include "base/plant.h"
#include "base/text.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shard_waits.h"
#include "dispatcher/core/volatile/groups.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"
#include "jobs/plan.h"

uint64_t tolerated(const struct tolerance *t)
{
	const struct policy *policy = t->policy;

	if (!t->is_shards)
		return 0;
	switch (policy->tolerate_kind) {
	case TOLERATE_COUNT:
		return policy->tolerate;
	case TOLERATE_PPM:
		if (!t->sealed)
			return UINT64_MAX;
		if (policy->tolerate >= 1000000)
			return t->shard_count;
		return t->shard_count * policy->tolerate / 1000000;
	case TOLERATE_TO_THE_END:
		return t->through ? 0 : UINT64_MAX;
	case TOLERATE_FAILURES:
		return t->through ? 0 : policy->tolerate;
	default:
		return 0;
	}
}

static const char *end_why(struct dispatcher_core *core, const struct job_row *row, uint64_t dead,
			   uint64_t allowed)
{
	const struct run *run = row->run;
	const struct definition *def = job_definition(core, row);
	const char *phase = (const char *)def->body.phases.items[definition_phase(def, row->phase)].name.data;
	struct plan plan;

	if (run->note_count > 0) {
		const struct dead_note *n = &run->notes[0];
		char code[24] = "";

		if (failure_code_tells(n->kind))
			snprintf(code, sizeof(code), " %lld", (long long)n->code);
		job_plan(core, row, &plan, &core->out->arena);
		return step_text(core, "%s: %llu dead, %llu allowed; shard %lld: %s%s%s%.*s", phase,
				 (unsigned long long)dead, (unsigned long long)allowed,
				 (long long)plan_number(&plan, n->shards.first), failure_kind_name(n->kind),
				 code, text_joint(blob_bytes(&n->why), ", "), (int)n->why.size,
				 (const char *)n->why.data);
	}
	return step_text(core, "%s: %llu dead, %llu allowed", phase, (unsigned long long)dead,
			 (unsigned long long)allowed);
}

/* KILL for its leases, one message a session. */
static void kill_leases(struct dispatcher_core *core, const struct job_row *row, uint64_t after_lsn)
{
	struct lease_entry *lease;

	if (row->run == NULL)
		return;
	DL_FOREACH2(row->run->leases, lease, job_next)
	{
		struct session *s = lease->worker->session;
		struct kill *k;

		if (s == NULL)
			continue;
		if (s->kill == NULL) {
			s->kill = step_alloc(core, sizeof *k);
			s->kill->session = s->id;
			s->kill->tokens.items =
			    step_alloc(core, lease->worker->lease_count * sizeof(struct token));
			effect_send(core, s->peer, MESSAGE_KILL, s->kill, after_lsn);
		}
		k = s->kill;
		k->tokens.items[k->tokens.count++] = lease->token;
	}
	DL_FOREACH2(row->run->leases, lease, job_next)
	if (lease->worker->session != NULL) {
		lease->worker->session->kill = NULL;
		session_is_hungry(core, lease->worker->session);
	}
}

/* All phases behind the shards: those that are through, and the one in work. */
static void fill_later(struct dispatcher_core *core, const struct job_row *row, struct job_ended *r)
{
	const struct run *run = row->run;

	r->later.items = step_alloc(core, (run->later_count + 1) * sizeof *run->later);
	for (uint32_t i = 0; i < run->later_count; i++)
		r->later.items[r->later.count++] = run->later[i];
	r->later.items[r->later.count++] =
	    (struct phase_counts){row->shard_count, shard_set_count(&run->done), shards_dead_count(run)};
}

void job_fill_end(struct dispatcher_core *core, uint64_t job, const struct job_row *row, struct job_ended *r)
{
	const struct definition *def = job_definition(core, row);
	const struct run *run = row->run;
	struct new_job body;

	r->shards_phase = phases_shards(&def->body);
	job_row_body(row, codec_new_job(), &body, &core->out->arena);
	r->job = job;
	r->name = body.name.size > 0 ? body.name : def->body.name;
	r->definition = BYTES(def->sha256, 32);
	r->depth = row->depth;
	r->phase = row->phase;
	r->event_id_hi = body.event_id_hi;
	r->event_id_lo = body.event_id_lo;
	r->by = body.by;
	r->owner = body.owner;
	r->traceparent = body.traceparent;
	r->accepted_wall_us = row->accepted_wall_us;
	r->wall_us = core->wall_us;
	if (row->phase == r->shards_phase)
		r->shards = row->shard_count;
	if (run != NULL) {
		if (row->phase == r->shards_phase) {
			r->done = shard_set_count(&run->done);
			r->dead = shards_dead_count(run);
		} else if (row->phase > r->shards_phase) {
			r->shards = run->first_shards;
			r->done = run->first_done;
			r->dead = run->first_dead;
		}
		r->retries = run->retries;
		r->totals = run->totals;
		r->started_wall_us = run->started_wall_us;
		r->again_by = blob_principal(&run->again_by, &core->out->arena);
		r->reopens = PLANTED(ends_alike) ? 0 : run->reopens;
	}
	r->dropped = r->shards - r->done - r->dead;
	if (row->phase > r->shards_phase && run != NULL)
		fill_later(core, row, r);
}

void job_offer_event(struct dispatcher_core *core, const struct job_row *row, uint64_t after_lsn)
{
	struct job_ended *r = step_alloc(core, sizeof *r);

	job_row_body(row, codec_job_ended(), r, &core->out->arena);
	/* Bytes stay where they are, in the row: it may go before the effect does. */
	r->definition = arena_copy(&core->out->arena, r->definition);
	effect_add(core, DISPATCHER_JOB_ENDED, after_lsn)->ended = r;
}

bool job_event_is_due(const struct dispatcher_core *core, const struct job_row *row, enum job_state state)
{
	return state != JOB_CANCELLED && row->depth < core->config.chain_depth_max &&
	       (!core->ends_unwanted || job_may_have_items(core, row) ||
		(row->run != NULL && row->run->reopens > 0));
}

void job_before_end(struct dispatcher_core *core, uint64_t job, enum job_state state)
{
	struct job_row *row = job_get_live(core, job);

	runnable_remove(core, job, row);
	core->live_jobs--;
	limits_job_ends(core, row);
	if (row->state == JOB_HELD || (row->live_flags & JOB_WAITED))
		core->held_jobs--;
	core->ended_jobs++;
	core->ended_by_state[state - JOB_SUCCEEDED]++;
}

void job_after_end(struct dispatcher_core *core, uint64_t job)
{
	struct job_row *row = job_get(core, job);

	if (row->flags & JOB_GROUPED)
		group_leave(core, job);
	expire_forget(core, job, row);
	waiting_add(&core->ended, (struct waiting){.lsn = core->d.last_lsn, .job = job});
}

void job_end(struct dispatcher_core *core, uint64_t job, enum job_state state, const char *why,
	     const struct principal *by)
{
	struct job_row *row = job_get_live(core, job);
	struct job_ended r = {.state = (uint8_t)state, .why = bytes_of(why)};
	uint64_t lsn = core->d.last_lsn + 1;

	if (by != NULL)
		r.ended_by = *by;
	job_fill_end(core, job, row, &r);
	r.event_due = job_event_is_due(core, row, state);
	if (state != JOB_CANCELLED && row->depth >= core->config.chain_depth_max)
		tell(core, true, job,
		     step_text(core, "job %llu is %u jobs deep in a chain: its end starts nothing",
			       (unsigned long long)job, row->depth));
	kill_leases(core, row, lsn);
	if (row->run != NULL && row->run->planning)
		effect_add(core, DISPATCHER_PLAN_STOP, lsn)->plan.job = job;
	job_before_end(core, job, state);
	emit(core, RECORD_ENDED, &r);
	job_after_end(core, job);
	if (r.event_due)
		job_offer_event(core, row, lsn);
}

/* The phase in work is through. */
static void next_phase(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	const struct definition *def = job_definition(core, row);
	struct phase_started r = {.job = job, .phase = row->phase + 1u, .wall_us = core->wall_us};
	uint32_t shards = phases_shards(&def->body);
	bool listed = row->phase < shards;

	if (row->phase > shards ? row->shard_count == 1
				: row->phase == shards && !phases_have_gather(&def->body)) {
		job_end(core, job, JOB_SUCCEEDED, "", NULL);
		return;
	}
	if (listed) /* what its planner reads in the outputs of this phase */
		r.plan = plan_of_list(BYTES(NULL, 0));
	else
		r.plan = plan_to_gather(row->shard_count, def->body.phases.items[shards + 1].fanin);
	runnable_remove(core, job, row);
	emit(core, RECORD_PHASE_STARTED, &r);
	if (listed)
		planner_await_history(core, job, row);
}

/* Of the end of jobs that others wait for, also for room in a group, in one step: those are touched or ended.
 * The rest follows in the next steps. */
#define CONSEQUENCES_MAX 1000

static void pause_if_large(struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	struct job_changed r = {
	    .job = job, .change = CHANGE_PAUSED, .wall_us = core->wall_us, .by = {.kind = BY_DISPATCHER}};
	const char *why;

	if (row->run == NULL || (row->flags & JOB_PAUSED) ||
	    shards_bytes(row->run) <= core->config.job_state_bytes_max)
		return;
	why = step_text(core, "its shards' state passed job_state_max, %llu bytes: too many scattered shards",
			(unsigned long long)core->config.job_state_bytes_max);
	r.why = bytes_of(why);
	emit(core, RECORD_JOB_CHANGED, &r);
	tell(core, true, job, why);
}

/* One thing that follows; false when nothing does. */
static bool advance_once(struct dispatcher_core *core, uint64_t job)
{
	struct job_row *row = job_get_live(core, job);
	struct tolerance t;
	uint64_t dead = 0, done = 0, barred, allowed;

	if (row == NULL || row->state != JOB_ACTIVE)
		return false;
	if (row->run != NULL) {
		dead = shards_dead_count(row->run);
		done = shard_set_count(&row->run->done);
	}
	barred = shards_barred(&core->d, row->run);
	t.policy = job_policy(core, row);
	t.is_shards = row->phase == phases_shards(&job_definition(core, row)->body);
	t.sealed = (row->flags & JOB_SEALED) != 0;
	t.shard_count = row->shard_count;
	t.through = t.sealed && row->shard_count == dead + done + barred;
	allowed = tolerated(&t);
	if (dead + barred > allowed) {
		job_end(core, job, JOB_FAILED,
			dead > 0 ? end_why(core, row, dead, allowed) : shard_wait_why(core, barred), NULL);
		return true;
	}
	if (t.through) {
		next_phase(core, job, row);
		return true;
	}
	return false;
}

static void settle_job(struct dispatcher_core *core, uint64_t job)
{
	struct job_row *row;

	while (advance_once(core, job))
		;
	row = job_get_live(core, job);
	if (row == NULL)
		return;
	pause_if_large(core, job, row);
	planner_start(core, job, row);
	job_await_durable(core, job, row);
	runnable_refresh(core, job, row);
}

void step_settle(struct dispatcher_core *core)
{
	uint32_t settled = 0;
	uint64_t job = 0;

	end_together(core);
	for (uint32_t left = CONSEQUENCES_MAX;; left--) {
		for (; settled < core->d.touched_count; settled++)
			settle_job(core, core->d.touched[settled]);
		job = left > 0 ? wait_settle_one(core) : 0;
		if (job == 0 && left > 0)
			job = group_settle_one(core);
		if (job == 0)
			return;
		settle_job(core, job); /* it may have been touched before */
	}
}
