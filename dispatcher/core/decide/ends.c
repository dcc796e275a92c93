/* Jobs of one shard that succeed in the same step and ended alike: one record for all of them. Of millions of
 * such jobs the record of an end was most of what is written and read again. */
#include <stdlib.h>

#include "dispatcher/core/decide/advance.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/volatile/timers.h"

/* Nothing of its end is its own but what a block says of each. */
static bool is_plain(const struct dispatcher_core *core, const struct job_row *row)
{
	const struct run *run = row != NULL ? row->run : NULL;

	return run != NULL && row->state == JOB_ACTIVE && row->shard_count == 1 && row->phase == 0 &&
	       (row->flags & JOB_SEALED) && shard_set_count(&run->done) == 1 && run->leases == NULL &&
	       run->retries == 0 && run->reopens == 0 && !run->planning && run->again_by.size == 0 &&
	       job_definition(core, row)->body.phases.count == 1 &&
	       row->depth < core->config.chain_depth_max && /* else it is told, one by one */
	       !job_event_is_due(core, row, JOB_SUCCEEDED);
}

static bool goes_with(const struct job_ended *all, const struct job_ended *r)
{
	return r->depth == all->depth && (r->by.kind == 0) == (all->by.kind == 0) &&
	       bytes_equal(r->definition, all->definition) && bytes_equal(r->owner, all->owner) &&
	       bytes_equal(r->traceparent, all->traceparent);
}

static void add(struct ended_block *b, const struct job_ended *r)
{
	struct block_end *own = &b->jobs.items[b->jobs.count++];

	*own = (struct block_end){.job = r->job,
				  .accepted_wall_us = r->accepted_wall_us,
				  .started_wall_us = r->started_wall_us,
				  .wall_us = r->wall_us,
				  .totals = r->totals,
				  .event_id_hi = r->event_id_hi,
				  .event_id_lo = r->event_id_lo};
	if (!bytes_equal(r->name, b->all.name))
		own->name = r->name;
	if (!codec_equal(codec_principal(), &r->by, &b->all.by))
		own->by = r->by;
}

static void emit_block(struct dispatcher_core *core, struct ended_block *b)
{
	for (uint32_t i = 0; i < b->jobs.count; i++)
		job_before_end(core, b->jobs.items[i].job, JOB_SUCCEEDED);
	emit(core, RECORD_ENDED_BLOCK, b);
	for (uint32_t i = 0; i < b->jobs.count; i++)
		job_after_end(core, b->jobs.items[i].job);
	b->jobs.count = 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void end_together(struct dispatcher_core *core)
{
	uint64_t *jobs = step_alloc(core, core->d.touched_count * sizeof *jobs);
	struct ended_block block = {.jobs = {.count = 0}};
	uint32_t count = 0;

	for (uint32_t i = 0; i < core->d.touched_count; i++)
		if (is_plain(core, job_get_live(core, core->d.touched[i])))
			jobs[count++] = core->d.touched[i];
	if (count < 2)
		return;
	qsort(jobs, count, sizeof *jobs, by_number);
	block.jobs.items = step_alloc(core, count * sizeof *block.jobs.items);
	for (uint32_t i = 0; i < count; i++) {
		struct job_ended r = {.state = JOB_SUCCEEDED};

		job_fill_end(core, jobs[i], job_get_live(core, jobs[i]), &r);
		if (block.jobs.count > 0 &&
		    (block.jobs.count == ENDED_BLOCK_MAX || !goes_with(&block.all, &r)))
			emit_block(core, &block);
		if (block.jobs.count == 0) {
			block.all = r;
			block.all.job = block.all.event_id_hi = block.all.event_id_lo = 0;
			block.all.totals = (struct totals){0};
		}
		add(&block, &r);
	}
	emit_block(core, &block);
}
