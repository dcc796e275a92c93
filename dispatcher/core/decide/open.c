/* Replay is over: an epoch begins. Volatile state is built from durable state, and what is still due is
 * done again: plans that are not whole, ends whose events were not offered. */
#include <stdlib.h>

#include "base/array.h"
#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/groups.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/paces.h"
#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/volatile/shared.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"
#include "dispatcher/core/volatile/turns.h"
#include "dispatcher/core/decide/verdict.h"
#include "dispatcher/core/durable/shard_waits.h"
#include "dispatcher/core/durable/waits.h"
#include "dispatcher/core/durable/windows.h"

struct dispatcher_core *dispatcher_core_create(const struct dispatcher_config *config)
{
	struct dispatcher_core *core = check_calloc(1, sizeof *core);

	dispatcher_config_check(config);
	core->config = *config;
	shared_init(core);
	durable_init(&core->d);
	turns_init(core);
	core->steal_us = core->adopt_until_us = USEC_NEVER;
	return core;
}

void dispatcher_core_destroy(struct dispatcher_core *core)
{
	struct definition *def, *next;

	if (core == NULL)
		return;
	while (core->sessions != NULL)
		session_destroy(core, core->sessions);
	HASH_ITER (hh, core->d.definitions.by_hash, def, next)
		def->queue = NULL;
	durable_fini(&core->d); /* leases name fairness keys */
	runnable_fini(core);
	groups_fini(core);
	paces_fini(core);
	for (uint32_t i = 0; i < core->shape_count; i++)
		if (core->shapes[i] != NULL) {
			arena_fini(&core->shapes[i]->arena);
			free(core->shapes[i]);
		}
	free(core->shapes);
	resource_names_fini(core);
	free(core->held.items);
	free(core->late.items);
	free(core->retries.items);
	free(core->paced.items);
	free(core->durable_waits.items);
	free(core->history_waits.items);
	free(core->ended.items);
	free(core);
}

int dispatcher_core_apply(struct dispatcher_core *core, uint32_t type, const void *record, uint64_t lsn,
			  struct error *reterr)
{
	if (core->open || core->replayed)
		return error_set(reterr, ERR_INVALID, "a record is applied after the replay's end");
	if (core->d.last_lsn != 0 && lsn != core->d.last_lsn + 1)
		return error_set(reterr, ERR_CORRUPT, "record %llu follows record %llu",
				 (unsigned long long)lsn, (unsigned long long)core->d.last_lsn);
	return durable_apply(&core->d, type, record, lsn, reterr);
}

int dispatcher_core_replay_end(struct dispatcher_core *core, struct error *reterr)
{
	struct definition *def, *next;

	for (uint64_t job = job_table_next(&core->d.jobs, 0); job != 0;
	     job = job_table_next(&core->d.jobs, job)) {
		const struct job_row *row = job_table_get(&core->d.jobs, job);

		if (row->state == 0)
			return apply_corrupt(job, "records name it, but none says what it is", reterr);
		if (row->flags & JOB_LOADING)
			return apply_corrupt(job, "not all of its carried slices are there", reterr);
		if (!definition_at(&core->d.definitions, row->definition)->known &&
		    !job_state_is_ended(row->state))
			return apply_corrupt(job, "its definition is not there", reterr);
	}
	if (windows_check_known(&core->d, reterr) < 0 || waits_check_known(&core->d, reterr) < 0 ||
	    shard_waits_check_known(&core->d, reterr) < 0)
		return ERR_CORRUPT;
	HASH_ITER (hh, core->d.definitions.by_hash, def, next) {
		if (def->references == 0)
			durable_remove_definition(&core->d, def);
		else if (def->known && definition_check(&def->body, reterr) < 0)
			return ERR_CORRUPT;
		else if (def->known && definition_bind(core, def, reterr) < 0)
			return ERR_CORRUPT;
	}
	limits_revive(core);
	core->replayed = true;
	return 0;
}

static int compare_waiting(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	if (x->lsn != y->lsn)
		return x->lsn < y->lsn ? -1 : 1;
	return (x->job > y->job) - (x->job < y->job);
}

struct waits {
	struct waiting *items;
	uint32_t count, capacity;
};

static void collect(struct waits *w, uint64_t lsn, uint64_t job)
{
	ARRAY_GROW(w->items, w->capacity, w->count);
	w->items[w->count++] = (struct waiting){.lsn = lsn, .job = job};
}

static void release(struct waits *w, struct waiting_queue *q)
{
	if (w->count > 0)
		qsort(w->items, w->count, sizeof(struct waiting), compare_waiting);
	for (uint32_t i = 0; i < w->count; i++)
		waiting_add(q, w->items[i]);
	free(w->items);
}

static void revive_live(struct dispatcher_core *core, uint64_t job, struct job_row *row,
			struct waits *history)
{
	struct run *run = row->run;
	struct lease_entry *lease;

	core->live_jobs++;
	limits_job_begins(core, row);
	expire_await(core, job, row);
	if (row->state == JOB_HELD) {
		core->held_jobs++;
		return;
	}
	if (run == NULL) {
		row->live_flags |= JOB_READY;
	} else {
		run->ready_count = run->queued_count = row->shard_count;
		DL_FOREACH2(run->leases, lease, job_next)
		session_bind(core, lease, job_shape(core, row));
		for (uint32_t i = 0; i < run->delayed_count; i++)
			timer_add(&core->retries, run->delayed[i].due_wall_us, job);
		if (run->planner_due_wall_us > 0)
			timer_add(&core->retries, run->planner_due_wall_us, job);
		if (row->phase > 0 && run->phase_lsn > core->history_lsn)
			collect(history, run->phase_lsn, job);
	}
	planner_start(core, job, row);
	runnable_refresh(core, job, row);
	durable_touch(&core->d, job); /* what follows from its state is decided, if it was not */
}

static void revive_jobs(struct dispatcher_core *core)
{
	struct waits history = {0}, ended = {0};
	uint64_t job = job_table_next(&core->d.jobs, 0), next;

	for (; job != 0; job = next) {
		struct job_row *row = job_get(core, job);

		next = job_table_next(&core->d.jobs, job);
		if (!job_state_is_ended(row->state)) {
			revive_live(core, job, row, &history);
			continue;
		}
		core->ended_jobs++;
		if (row->flags & JOB_EVENT_DUE)
			job_offer_event(core, row, 0);
		if (row->lsn <= core->history_lsn)
			ended_forget(core, job);
		else
			collect(&ended, row->lsn, job);
	}
	release(&history, &core->history_waits);
	release(&ended, &core->ended);
}

/* What waits for its next attempt was dated by the steady clock of its time, at most a backoff ahead. A
 * wall clock that was set back since may not make it wait longer: steady time does not go back over a
 * start. */
static usec_t steady_reached_us(const struct dispatcher_core *core)
{
	usec_t reached_us = core->wall_us;

	for (uint64_t job = job_table_next(&core->d.jobs, 0); job != 0;
	     job = job_table_next(&core->d.jobs, job)) {
		const struct job_row *row = job_table_get(&core->d.jobs, job);
		usec_t due_us, bound_us;

		if (row->run == NULL || job_state_is_ended(row->state))
			continue;
		due_us = row->run->planner_due_wall_us;
		bound_us = backoff_longest_us(job_policy(core, row));
		if (row->run->delayed_count > 0 &&
		    row->run->delayed[row->run->delayed_count - 1].due_wall_us > due_us)
			due_us = row->run->delayed[row->run->delayed_count - 1].due_wall_us;
		if (due_us > bound_us && due_us - bound_us > reached_us)
			reached_us = due_us - bound_us;
	}
	return reached_us;
}

int step_open(struct dispatcher_core *core, const struct input_open *in)
{
	struct epoch_started r = {.epoch = core->d.epoch + (PLANTED(epoch_not_grown) ? 0 : 1),
				  .wall_us = core->wall_us,
				  .seed = in->seed};

	if (!core->replayed)
		return ERR_INVALID;
	if (r.epoch == 0)
		r.epoch = 1;
	core->open = true;
	durable_begin(&core->d);
	core->durable_lsn = core->d.last_lsn;
	core->history_lsn = in->history_lsn;
	core->forgotten_before_lsn = core->d.last_lsn; /* an earlier start may have forgotten anything */
	turns_init(core);
	core->offset_us = steady_reached_us(core) - core->mono_us;
	core->live_us = 0;
	rng_seed(&core->rng, in->seed);
	emit(core, RECORD_EPOCH, &r);
	core->epoch_lsn = core->d.last_lsn;
	if (core->d.leases != NULL)
		core->adopt_until_us = core->live_us + core->config.adopt_wait_us;
	revive_jobs(core);
	seal_next(core);
	return 0;
}
