#include "dispatcher/core/decide/carry.h"

#include <stdlib.h>

#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/shard_waits.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/durable/waits.h"
#include "dispatcher/core/decide/steps.h"

#ifndef RUNS_PER_SLICE
#define RUNS_PER_SLICE 1024u
#endif

/* Where the run that would be one too many begins; end if there is none. */
static uint64_t cut_set(const struct shard_set *s, uint64_t from, uint64_t end)
{
	struct range r;
	uint32_t n = 0;

	for (uint64_t at = from; shard_set_next_range(s, at, &r) && r.first < end; at = range_end(r))
		if (n++ == RUNS_PER_SLICE)
			return r.first;
	return end;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t cut_leases(struct dispatcher_core *core, const struct run *run, uint64_t from, uint64_t end)
{
	const struct lease_entry *lease;
	uint64_t *starts;
	uint32_t runs = 0, n = 0;
	struct range r;

	DL_FOREACH2(run->leases, lease, job_next)
	runs += shard_set_run_count(&lease->held);
	if (runs <= RUNS_PER_SLICE)
		return end;
	starts = step_alloc(core, runs * sizeof *starts);
	DL_FOREACH2(run->leases, lease, job_next)
	for (uint64_t at = from; shard_set_next_range(&lease->held, at, &r); at = range_end(r))
		starts[n++] = r.first;
	qsort(starts, n, sizeof *starts, compare_u64);
	return n > RUNS_PER_SLICE && starts[RUNS_PER_SLICE] < end ? starts[RUNS_PER_SLICE] : end;
}

static uint64_t cut_special(const struct run *run, uint64_t from, uint64_t end)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < run->special_count; i++) {
		struct range s = run->special[i].shards;

		if (s.first < from)
			continue;
		if (n++ == RUNS_PER_SLICE && s.first < end)
			end = s.first;
		/* A special part is leased as one: it is not cut. */
		if (s.first < end && range_end(s) > end)
			end = s.first > from ? s.first : range_end(s);
	}
	return end;
}

static uint64_t window_end(struct dispatcher_core *core, const struct job_row *row, uint64_t from)
{
	const struct run *run = row->run;
	uint64_t end = row->shard_count;

	end = cut_set(&run->done, from, end);
	end = cut_set(&run->blocked, from, end);
	for (uint32_t i = 0; i < run->dead_count; i++)
		end = cut_set(&run->dead[i].shards, from, end);
	for (uint32_t i = 0; i < run->failed_count; i++)
		end = cut_set(&run->failed[i], from, end);
	for (uint32_t i = 0; i < run->delayed_count; i++)
		end = cut_set(&run->delayed[i].shards, from, end);
	end = cut_leases(core, run, from, end);
	return cut_special(run, from, end);
}

static uint32_t count_runs(const struct shard_set *s, struct range window)
{
	struct range r;
	uint32_t n = 0;

	for (uint64_t at = window.first; shard_set_next_range(s, at, &r) && r.first < range_end(window);
	     at = range_end(r))
		n++;
	return n;
}

static struct range_list ranges_in(struct dispatcher_core *core, const struct shard_set *s,
				   struct range window)
{
	struct range_list list = {.items = step_alloc(core, count_runs(s, window) * sizeof(struct range))};
	struct range r;

	for (uint64_t at = window.first; shard_set_next_range(s, at, &r) && r.first < range_end(window);
	     at = range_end(r))
		list.items[list.count++] = range_intersect(r, window);
	return list;
}

static void append_numbered(struct dispatcher_core *core, struct shard_count_range_list *list,
			    const struct shard_set *s, struct range window, uint32_t number)
{
	struct range_list part = ranges_in(core, s, window);
	struct shard_count_range *items = step_alloc(core, (list->count + part.count) * sizeof *items);

	for (uint32_t i = 0; i < list->count; i++)
		items[i] = list->items[i];
	for (uint32_t i = 0; i < part.count; i++)
		items[list->count + i] =
		    (struct shard_count_range){part.items[i].first, part.items[i].count, number};
	list->items = items;
	list->count += part.count;
}

/* Exactly k failures: in failed[k], not in failed[k + 1]. */
static void fill_failed(struct dispatcher_core *core, const struct run *run, struct range window,
			struct job_slice *r)
{
	for (uint32_t k = 0; k < run->failed_count; k++) {
		struct shard_set exact = {0};

		shard_set_copy(&exact, &run->failed[k]);
		if (k + 1 < run->failed_count)
			shard_set_subtract(&exact, &run->failed[k + 1]);
		append_numbered(core, &r->failed, &exact, window, k + 1);
		shard_set_fini(&exact);
	}
}

static void fill_delayed(struct dispatcher_core *core, const struct run *run, struct range window,
			 struct job_slice *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < run->delayed_count; i++)
		n += count_runs(&run->delayed[i].shards, window);
	r->delayed.items = step_alloc(core, n * sizeof(struct shard_due));
	for (uint32_t i = 0; i < run->delayed_count; i++) {
		const struct delayed *d = &run->delayed[i];
		struct range_list part = ranges_in(core, &d->shards, window);

		for (uint32_t k = 0; k < part.count; k++)
			r->delayed.items[r->delayed.count++] =
			    (struct shard_due){part.items[k].first, part.items[k].count, d->due_wall_us,
					       d->traits.crashes, d->traits.doublings};
	}
}

static void fill_leased(struct dispatcher_core *core, const struct run *run, struct range window,
			struct job_slice *r)
{
	const struct lease_entry *lease;

	r->leased.items = step_alloc(core, run->lease_count * sizeof(struct shard_held));
	DL_FOREACH2(run->leases, lease, job_next)
	{
		struct range_list held = ranges_in(core, &lease->held, window);

		if (held.count > 0)
			r->leased.items[r->leased.count++] =
			    (struct shard_held){.token = lease->token,
						.worker = lease->worker->id,
						.attempt = lease->attempt,
						.crashes = lease->traits.crashes,
						.doublings = lease->traits.doublings,
						.held = held};
	}
}

void slice_window(struct dispatcher_core *core, const struct job_row *row, uint32_t from, struct job_slice *r)
{
	const struct run *run = row->run;
	struct range window;

	r->window_first = from;
	r->window_end = row->shard_count;
	r->last = true;
	if (run == NULL)
		return;
	r->window_end = (uint32_t)window_end(core, row, from);
	r->last = r->window_end == row->shard_count;
	r->frontier = run->frontier;
	window = range_between(from, r->window_end);
	r->done = ranges_in(core, &run->done, window);
	r->blocked = ranges_in(core, &run->blocked, window);
	for (uint32_t i = 0; i < run->dead_count; i++)
		append_numbered(core, &r->dead, &run->dead[i].shards, window, run->dead[i].kind);
	fill_failed(core, run, window, r);
	fill_delayed(core, run, window, r);
	r->special.items = step_alloc(core, run->special_count * sizeof(struct shard_special));
	for (uint32_t i = 0; i < run->special_count; i++) {
		const struct special *s = &run->special[i];

		if (range_overlaps(s->shards, window))
			r->special.items[r->special.count++] = (struct shard_special){
			    s->shards.first, s->shards.count, s->traits.crashes, s->traits.doublings};
	}
	fill_leased(core, run, window, r);
}

/* What it still waits for: what is met is not asked again, though the ends that met it are trimmed. */
static struct after_job_list after_left(struct dispatcher_core *core, uint64_t job)
{
	const struct waiter *w = waiter_find(&core->d, job);
	const struct shard_wait *shards = shard_wait_find(&core->d, job);
	struct after_job_list list = {0};

	if (w == NULL && shards == NULL)
		return list;
	list.items = step_alloc(core, ((w != NULL ? w->left : 0) + 1) * sizeof *list.items);
	for (uint32_t i = 0; w != NULL && i < w->count; i++)
		if (w->waits[i].parent != 0)
			list.items[list.count++] =
			    (struct after_job){w->waits[i].parent, w->waits[i].condition, 0};
	if (shards != NULL)
		list.items[list.count++] = (struct after_job){shards->parent, AFTER_SHARD, shards->phase};
	return list;
}

static void fill_head(struct dispatcher_core *core, uint64_t job, const struct job_row *row,
		      struct job_slice *r)
{
	struct arena *arena = &core->out->arena;
	const struct run *run = row->run;
	uint32_t planned;

	job_row_body(row, codec_new_job(), &r->body, arena);
	planned = r->body.plan.shard_count;
	r->body.job = job;
	r->body.definition = BYTES(job_definition(core, row)->sha256, 32);
	r->body.due_wall_us = row->due_wall_us;
	r->body.after = after_left(core, job);
	r->state = row->state;
	r->paused = (row->flags & JOB_PAUSED) != 0;
	r->sealed = (row->flags & JOB_SEALED) != 0;
	r->accepted_wall_us = row->accepted_wall_us;
	if ((run != NULL && run->plan.size > 0) || row->shard_count != planned)
		job_plan(core, row, &r->plan, arena);
	if (run == NULL)
		return;
	r->why = arena_copy(arena, blob_bytes(&run->why));
	r->paused_by = blob_principal(&run->paused_by, arena);
	r->again_by = blob_principal(&run->again_by, arena);
	r->cursor = arena_copy(arena, blob_bytes(&run->cursor));
	r->planner_failures = run->planner_failures;
	r->planner_due_wall_us = run->planner_due_wall_us;
	r->started_wall_us = run->started_wall_us;
	r->retries = run->retries;
	r->totals = run->totals;
	r->later.items = step_alloc(core, run->later_count * sizeof *run->later);
	for (uint32_t i = 0; i < run->later_count; i++)
		r->later.items[r->later.count++] = run->later[i];
	r->first_shards = run->first_shards;
	r->first_done = run->first_done;
	r->first_dead = run->first_dead;
	r->reopens = run->reopens;
	r->earlier = run->earlier;
	r->notes.items = step_alloc(core, run->note_count * sizeof(struct shard_failure));
	for (uint32_t i = 0; i < run->note_count; i++) {
		const struct dead_note *n = &run->notes[i];

		r->notes.items[r->notes.count++] =
		    (struct shard_failure){.first = n->shards.first,
					   .count = n->shards.count,
					   .kind = n->kind,
					   .code = n->code,
					   .dead = true,
					   .why = arena_copy(arena, blob_bytes(&n->why))};
	}
}

void carry_job(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	struct carry *c = &core->carry;
	struct job_slice *r = step_alloc(core, sizeof *r);

	if (c->job == 0) {
		c->job = job;
		c->phase = row->phase;
		c->part = 0;
		c->from = 0;
	}
	r->job = job;
	r->part = c->part;
	r->phase = row->phase;
	if (c->part == 0)
		fill_head(core, job, row, r);
	slice_window(core, row, c->from, r);
	emit(core, RECORD_JOB_SLICE, r);
	c->part++;
	c->from = r->window_end;
	if (r->last)
		c->job = 0;
}
