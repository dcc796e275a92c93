/* What the shards of a phase are. A shard's parameters are a pure function of (plan, number).
 * The struct itself stands in parts.def; what differs from kind to kind in plan_kind.h. Pure. */
#pragma once

#include "jobs/plan_kind.h"
#include "jobs/schema.h"

#define EVENT_OBJECT "{{event.object}}" /* the template of what an event is about */

/* ---- any kind ---- */

/* Whether a plan that came from outside keeps its kind's rules: ERR_INVALID in words. */
int plan_validate(const struct plan *p, struct error *reterr) MUST_CHECK;
/* Of a plan whose shards get parts of an object: its size is known now. ERR_LIMIT beyond SHARDS_MAX. */
int plan_size(struct plan *p, struct error *reterr) MUST_CHECK;
/* Do its shards read what those of the phase before wrote? Such a plan is made when they are through. */
bool plan_gathers(const struct plan *p);
/* May a definition ask for it? */
bool plan_may_be_first(const struct plan *p);

/* ---- what people call shards ---- */

/* Has it other numbers than 0, 1, …? */
bool plan_is_numbered(const struct plan *p);
int64_t plan_number(const struct plan *p, uint32_t shard);
/* The shard of that number; false: there is none. */
bool plan_find(const struct plan *p, int64_t number, uint32_t *ret) MUST_CHECK;
/* Appends the numbers of a run of shards as --array takes them: "5", "5-9", "1-9:2", "1,5,9". */
void plan_numbers(const struct plan *p, struct range shards, struct buf *out);
/* The same in a few words: "5", "3 to 7", "1,5,9", "1 … 9000". */
void plan_numbers_words(const struct plan *p, struct range shards, struct buf *out);

/* ---- plans that the program makes by itself ---- */

/* Shards that differ by nothing but their number (jobs/plans/count.c). */
struct plan plan_by_number(uint32_t shard_count);
/* A shard for each item of a list that is not read yet; blob: as far as it is known (jobs/plans/items.c). */
struct plan plan_of_list(struct bytes blob);
/* Nodes that read the outputs of so many shards; fanin 0 = all (jobs/plans/gather.c). */
struct plan plan_to_gather(uint32_t inputs, uint32_t fanin);
/* `shard` of a definition that has none: one shard. */
struct shard_section shard_section_default(void);

/* ---- what a shard gets ---- */

/* Shards of `size_bytes` cut every `step_bytes`; 1 shard (empty) for an empty object.
 * ERR_LIMIT beyond SHARDS_MAX, with the smallest step that would do. */
int plan_bytes_count(uint64_t size_bytes, uint64_t step_bytes, uint32_t *count_ret,
		     struct error *reterr) MUST_CHECK;

/* The number of a shard that is one of a row of numbers. */
int64_t plan_count_value(const struct plan *p, uint32_t shard);

/* PLAN_INPUT_PART: the byte range [first, end) of a shard, before alignment. */
void plan_bytes_range(const struct plan *p, uint32_t shard, uint64_t *first_ret, uint64_t *end_ret);

/* PLAN_INPUT_OUTPUTS: the inputs [first, first+count) that shard `node` reads. */
struct range plan_gather_inputs(const struct plan *p, uint32_t node);

/* preview, expand and environment of a kind whose shards have numbers (its row's `number`). */
void plan_number_preview(const struct plan_shard *s, struct plan_facts *ret);
void plan_number_expand(const struct plan_shard *s, struct plan_facts *ret);
void plan_number_environment(const struct plan_shard *s, struct plan_facts *ret);
