/* A range of shard numbers of one phase: what leases, reports and journal records carry. Pure.
 *
 * Numbers are 0..SHARDS_MAX-1 (2^32-2 at most), so that an end, one past the last, always fits in
 * u32 too; it is nevertheless computed as u64, so that ranges not yet checked cannot wrap. */
#pragma once

#include "base/limits.h"
#include "base/types.h"

struct range {
	uint32_t first;
	uint32_t count; /* 0: no shards; first then says nothing */
};

/* One past the last number. */
static inline uint64_t range_end(struct range r)
{
	return (uint64_t)r.first + r.count;
}

/* From first up to, not including, end. Bounds: first <= end <= SHARDS_MAX. */
static inline struct range range_between(uint64_t first, uint64_t end)
{
	return (struct range){(uint32_t)first, (uint32_t)(end - first)};
}

/* Does it name at least one shard, and none that is not below shard_count? What comes from outside
 * passes this before anything else looks at it. */
static inline bool range_is_valid(struct range r, uint64_t shard_count)
{
	return r.count > 0 && range_end(r) <= shard_count && shard_count <= SHARDS_MAX;
}

static inline bool range_contains(struct range r, uint32_t shard)
{
	return shard >= r.first && shard < range_end(r);
}

static inline bool range_overlaps(struct range a, struct range b)
{
	return a.count > 0 && b.count > 0 && a.first < range_end(b) && b.first < range_end(a);
}

/* The numbers in both; count 0 when there are none. */
static inline struct range range_intersect(struct range a, struct range b)
{
	uint32_t first = a.first > b.first ? a.first : b.first;
	uint64_t end = range_end(a) < range_end(b) ? range_end(a) : range_end(b);

	return end > first ? range_between(first, end) : (struct range){first, 0};
}

/* For sorting: by first, then by count. Negative, 0, positive. */
static inline int range_compare(struct range a, struct range b)
{
	if (a.first != b.first)
		return a.first < b.first ? -1 : 1;
	return (a.count > b.count) - (a.count < b.count);
}
