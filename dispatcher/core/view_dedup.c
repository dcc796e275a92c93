/* Deduplication keys, as they are read. */
#include "dispatcher/core/durable/dedup.h"
#include "dispatcher/core/view.h"
#include "dispatcher/core/volatile/state.h"

uint32_t dispatcher_view_sealing(const struct dispatcher_core *core, usec_t up_to_wall_us,
				 struct view_sealing *at, uint32_t max, struct dedup_entry *ret)
{
	const struct dedup_bucket *b = dedup_bucket_from(&core->d.dedup, at->bucket_wall_us);
	uint32_t count = 0;

	if (b != NULL && b->start_wall_us == at->bucket_wall_us && at->next == b->count)
		b = dedup_bucket_from(&core->d.dedup, at->bucket_wall_us + 1);
	if (b == NULL || b->start_wall_us > up_to_wall_us)
		return 0;
	if (b->start_wall_us != at->bucket_wall_us)
		*at = (struct view_sealing){.bucket_wall_us = b->start_wall_us};
	for (; count < max && at->next < b->count; count++) {
		const struct dedup_item *item = dedup_item_at(b, at->next++);

		ret[count] = (struct dedup_entry){item->hi, item->lo, item->job, item->job_count};
	}
	return count;
}

bool dispatcher_view_has_key(const struct dispatcher_core *core, uint64_t hi, uint64_t lo)
{
	return dedup_find(&core->d.dedup, hi, lo) != NULL;
}
