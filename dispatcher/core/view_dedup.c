/* Deduplication keys, as they are read. */
#include "dispatcher/core/durable/dedup.h"
#include "dispatcher/core/view.h"
#include "dispatcher/core/volatile/state.h"

uint32_t dispatcher_view_sealing(const struct dispatcher_core *core, usec_t bucket_wall_us, uint32_t first,
				 uint32_t max, struct dedup_entry *ret)
{
	const struct dedup_bucket *b = dedup_bucket_find(&core->d.dedup, bucket_wall_us);
	uint32_t count = 0;

	for (; b != NULL && count < max && first + count < b->count; count++) {
		const struct dedup_item *item = dedup_item_at(b, first + count);

		ret[count] = (struct dedup_entry){item->hi, item->lo, item->job, item->job_count};
	}
	return count;
}

bool dispatcher_view_has_key(const struct dispatcher_core *core, uint64_t hi, uint64_t lo)
{
	return dedup_find(&core->d.dedup, hi, lo) != NULL;
}
