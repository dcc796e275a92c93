/* A fingerprint of durable state: FNV-1a over numbers in an order that both a live core and a replayed
 * one have; sums where they do not. */
#include "dispatcher/core/durable/digest.h"

#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/durable/queue_table.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/shard_waits.h"
#include "dispatcher/core/durable/waits.h"
#include "dispatcher/core/durable/windows.h"

#define mix digest_mix
#define mix_bytes digest_mix_bytes

static uint64_t mix_set(uint64_t h, const struct shard_set *s)
{
	struct range r;

	h = mix(h, shard_set_count(s));
	for (uint64_t at = 0; shard_set_next_range(s, at, &r); at = range_end(r))
		h = mix(mix(h, r.first), r.count);
	return h;
}

#define SEED DIGEST_SEED

static uint64_t leases_digest(const struct run *run)
{
	const struct lease_entry *lease;
	uint64_t sum = 0;

	DL_FOREACH2(run->leases, lease, job_next)
	{
		uint64_t h = mix(mix(SEED, lease->token.epoch), lease->token.lease);

		h = mix(mix(h, lease->worker->id.hi), lease->worker->id.lo);
		h = mix(mix(mix(h, lease->attempt), lease->traits.crashes), lease->traits.doublings);
		sum += mix_set(h, &lease->held);
	}
	return sum;
}

static uint64_t run_digest(uint64_t h, const struct run *run)
{
	h = mix_set(mix(h, run->frontier), &run->returned);
	h = mix_set(h, &run->done);
	h = mix_set(h, &run->blocked);
	for (uint32_t i = 0; i < run->dead_count; i++)
		if (!shard_set_is_empty(&run->dead[i].shards))
			h = mix_set(mix(h, run->dead[i].kind), &run->dead[i].shards);
	for (uint32_t i = 0; i < run->failed_count; i++)
		if (!shard_set_is_empty(&run->failed[i]))
			h = mix_set(mix(h, i), &run->failed[i]);
	for (uint32_t i = 0; i < run->delayed_count; i++)
		h = mix_set(
		    mix(mix(mix(h, (uint64_t)run->delayed[i].due_wall_us), run->delayed[i].traits.crashes),
			run->delayed[i].traits.doublings),
		    &run->delayed[i].shards);
	for (uint32_t i = 0; i < run->special_count; i++) {
		const struct special *s = &run->special[i];

		h = mix(mix(h, s->shards.first), s->shards.count);
		h = mix(mix(h, s->traits.crashes), s->traits.doublings);
	}
	h = mix(h, leases_digest(run));
	h = mix_bytes(mix_bytes(h, blob_bytes(&run->cursor)), blob_bytes(&run->why));
	h = mix_bytes(mix_bytes(h, blob_bytes(&run->paused_by)), blob_bytes(&run->again_by));
	h = mix(mix(h, run->planner_failures), (uint64_t)run->planner_due_wall_us);
	h = mix(mix(h, (uint64_t)run->started_wall_us), run->retries);
#define TOTAL(name, add, json, form, doc) h = mix(h, run->totals.name);
	TOTALS_ALL(TOTAL)
#undef TOTAL
	h = mix(mix(mix(h, run->reopens), run->earlier.epoch), run->earlier.lease);
	for (uint32_t i = 0; i < run->later_count; i++)
		h = mix(mix(mix(h, run->later[i].shards), run->later[i].done), run->later[i].dead);
	return mix(mix(mix(h, run->first_shards), run->first_done), run->first_dead);
}

static uint64_t job_digest(const struct dispatcher_core *core, uint64_t h, uint64_t job,
			   const struct job_row *row)
{
	static const struct run nothing;
	struct arena arena;
	struct buf text = {0};
	struct new_job body;
	struct plan plan;

	h = mix(mix(h, job), row->state);
	h = mix_bytes(h, BYTES(job_definition(core, row)->sha256, 32));
	if (job_state_is_ended(row->state))
		return h;
	arena_init(&arena, 0);
	job_row_body(row, codec_new_job(), &body, &arena);
	job_plan(core, row, &plan, &arena);
	body.due_wall_us = 0;
	body.plan = (struct plan){0};
	codec_encode(codec_new_job(), &body, &text);
	codec_encode(codec_plan(), &plan, &text);
	h = mix_bytes(h, buf_bytes(&text));
	buf_fini(&text);
	arena_fini(&arena);
	h = mix(mix(mix(h, row->shard_count), row->phase), row->flags & (JOB_PAUSED | JOB_SEALED));
	h = mix(mix(h, (uint64_t)row->accepted_wall_us), (uint64_t)row->due_wall_us);
	h = mix(h, waits_digest(&core->d, job));
	if (shard_wait_find(&core->d, job) != NULL)
		h = mix(h, shard_wait_find(&core->d, job)->parent);
	return run_digest(h, row->run != NULL ? row->run : &nothing);
}

static uint64_t dedup_digest(const struct dedup *t)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < t->bucket_count; i++)
		for (uint32_t k = 0; k < t->buckets[i]->count; k++) {
			const struct dedup_item *item =
			    &t->buckets[i]->chunks[k / DEDUP_CHUNK][k % DEDUP_CHUNK];
			uint64_t h = mix(SEED, (uint64_t)t->buckets[i]->start_wall_us);

			sum += mix(mix(mix(mix(h, item->hi), item->lo), item->job), item->job_count);
		}
	return mix(sum, (uint64_t)t->sealed_wall_us);
}

uint64_t dispatcher_core_digest(const struct dispatcher_core *core)
{
	const struct durable *d = &core->d;
	uint64_t h = mix(mix(SEED, d->epoch), d->next_job), marks = 0;

	for (uint64_t job = job_table_next(&d->jobs, 0); job != 0; job = job_table_next(&d->jobs, job)) {
		const struct job_row *row = job_table_get(&d->jobs, job);

		/* An ended one whose event is settled waits for history only. */
		if (row->state != 0 && (!job_state_is_ended(row->state) || (row->flags & JOB_EVENT_DUE)))
			h = job_digest(core, h, job, row);
	}
	for (uint32_t i = 0; i < d->mark_count; i++)
		marks += mix_bytes(mix_bytes(SEED, blob_bytes(&d->marks[i].intake)),
				   blob_bytes(&d->marks[i].position));
	h = mix(mix(mix(h, dedup_digest(&d->dedup)), marks), windows_digest(d));
	return mix(h, queues_digest(d));
}
