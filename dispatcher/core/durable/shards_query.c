#include "dispatcher/core/durable/shards.h"

bool shards_is_dead(const struct run *run, uint32_t shard)
{
	for (uint32_t i = 0; i < run->dead_count; i++)
		if (shard_set_contains(&run->dead[i].shards, shard))
			return true;
	return false;
}

bool shards_is_free(const struct run *run, uint32_t shard)
{
	if (shard >= run->frontier || shard_set_contains(&run->returned, shard))
		return true;
	for (uint32_t i = 0; i < run->special_count; i++)
		if (range_contains(run->special[i].shards, shard))
			return true;
	for (uint32_t i = 0; i < run->delayed_count; i++)
		if (shard_set_contains(&run->delayed[i].shards, shard))
			return true;
	return false;
}

uint64_t shards_dead_count(const struct run *run)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < run->dead_count; i++)
		n += shard_set_count(&run->dead[i].shards);
	return n;
}

uint64_t shards_delayed_count(const struct run *run)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < run->delayed_count; i++)
		n += shard_set_count(&run->delayed[i].shards);
	return n;
}

uint64_t shards_special_count(const struct run *run)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < run->special_count; i++)
		n += run->special[i].shards.count;
	return n;
}

uint32_t shards_failures(const struct run *run, uint32_t shard, uint64_t limit, uint64_t *end)
{
	uint32_t times = 0;
	struct range r;

	/* failed[k] holds failed[k + 1]: the last one that has it gives the count and where it ends */
	while (times < run->failed_count && shard_set_contains(&run->failed[times], shard))
		times++;
	if (end == NULL)
		return times;
	if (times > 0)
		limit = shard_set_next_absent(&run->failed[times - 1], shard, limit);
	if (times < run->failed_count && shard_set_next_range(&run->failed[times], shard, &r) &&
	    r.first < limit)
		limit = r.first;
	*end = limit;
	return times;
}

size_t shards_bytes(const struct run *run)
{
	size_t bytes =
	    shard_set_bytes(&run->returned) + shard_set_bytes(&run->done) + shard_set_bytes(&run->blocked) +
	    run->special_count * sizeof(struct special) + run->delayed_count * sizeof(struct delayed) +
	    run->dead_count * sizeof(struct dead_kind) + run->failed_count * sizeof(struct shard_set) +
	    run->note_count * sizeof(struct dead_note); /* few, so their texts are left out */

	for (uint32_t i = 0; i < run->delayed_count; i++)
		bytes += shard_set_bytes(&run->delayed[i].shards);
	for (uint32_t i = 0; i < run->dead_count; i++)
		bytes += shard_set_bytes(&run->dead[i].shards);
	for (uint32_t i = 0; i < run->failed_count; i++)
		bytes += shard_set_bytes(&run->failed[i]);
	return bytes;
}
