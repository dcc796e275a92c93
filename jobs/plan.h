/* What the shards of a phase are. A shard's parameters are a pure function of (plan, number).
 * The struct itself stands in parts.def. Pure. */
#pragma once

#include "jobs/schema.h"

/* Shards of `size_bytes` cut every `step_bytes`; 1 shard (empty) for an empty object.
 * ERR_LIMIT beyond SHARDS_MAX, with the smallest step that would do. */
int plan_bytes_count(uint64_t size_bytes, uint64_t step_bytes, uint32_t *count_ret,
		     struct error *reterr) MUST_CHECK;

/* The value that `{{shard.value}}` stands for in a count plan. */
int64_t plan_count_value(const struct plan *p, uint32_t shard);

/* The byte range [first, end) of a shard in a bytes plan, before alignment. */
void plan_bytes_range(const struct plan *p, uint32_t shard, uint64_t *first_ret, uint64_t *end_ret);

/* The inputs [first, first+count) that shard `node` of a gather plan reads. */
struct range plan_gather_inputs(const struct plan *p, uint32_t node);

/* Whether a plan that came from outside keeps its kind's rules: ERR_INVALID in words. */
int plan_validate(const struct plan *p, struct error *reterr) MUST_CHECK;
