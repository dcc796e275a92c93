#include "jobs/ended_block.h"

#include "base/limits.h"
#include "jobs/kinds.h"

int ended_block_check(const struct ended_block *b, struct error *reterr)
{
	uint64_t before = 0;

	if (b->jobs.count == 0 || b->jobs.count > ENDED_BLOCK_MAX)
		return error_set(reterr, ERR_CORRUPT, "expected 1 to %d ends in a block, found %u",
				 ENDED_BLOCK_MAX, b->jobs.count);
	if (b->all.job != 0 || b->all.shards != 1 || b->all.event_due || b->all.later.count > 0)
		return error_set(reterr, ERR_CORRUPT,
				 "a block of ends is for jobs of one shard whose events are not due");
	if (!job_state_is_ended(b->all.state) || b->all.state > JOB_CANCELLED || b->all.definition.size != 32)
		return error_set(reterr, ERR_CORRUPT, "the ends of a block are none");
	for (uint32_t i = 0; i < b->jobs.count; before = b->jobs.items[i++].job)
		if (b->jobs.items[i].job <= before)
			return error_set(reterr, ERR_CORRUPT, "the jobs of a block of ends are not in order");
	return 0;
}

struct job_ended ended_block_at(const struct ended_block *b, uint32_t i)
{
	const struct block_end *own = &b->jobs.items[i];
	struct job_ended r = b->all;

	r.job = own->job;
	r.accepted_wall_us = own->accepted_wall_us;
	r.started_wall_us = own->started_wall_us;
	r.wall_us = own->wall_us;
	r.totals = own->totals;
	r.event_id_hi = own->event_id_hi;
	r.event_id_lo = own->event_id_lo;
	if (own->name.size > 0)
		r.name = own->name;
	if (own->by.kind != 0)
		r.by = own->by;
	return r;
}
