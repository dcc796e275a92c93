#include "dispatcher/engine/slice.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "base/limits.h"
#include "jobs/plan.h"
#include "jobs/slice.h"

#define WINNER_BYTES 64 /* encoded, at most */

bool slice_is_needed(const struct plan *plan)
{
	uint8_t input = plan_row(plan->kind)->input;

	return input == PLAN_INPUT_ITEM || input == PLAN_INPUT_OUTPUTS;
}

bool slice_is_read(const struct plan *plan)
{
	return plan_gathers(plan) || (slice_is_needed(plan) && plan->blob.size > 0);
}

static int cut_items(const struct slice_request *rq, const struct slice_sources *from, struct arena *arena,
		     struct slice *slice, struct error *reterr)
{
	const struct text_item_list *all = &rq->plan.items;
	struct text_item *items = arena_alloc(arena, sizeof(*items) * rq->shards.count);
	size_t used = 0;
	uint32_t n = 0;

	slice->items.items = items;
	if (rq->plan.blob.size > 0)
		return from->items(from->arg, rq->plan.blob, rq->shards.first, rq->shards.count,
				   rq->bytes_max, arena, items, &slice->items.count, reterr);
	if (range_end(rq->shards) > all->count)
		return error_set(reterr, ERR_CORRUPT, "the plan has %u items, shard %llu is not among them",
				 all->count, (unsigned long long)range_end(rq->shards) - 1);
	for (; n < rq->shards.count; n++) {
		used += all->items[rq->shards.first + n].text.size + 5;
		if (n > 0 && used > rq->bytes_max)
			break;
		items[n] = all->items[rq->shards.first + n];
	}
	slice->items.count = n;
	return 0;
}

/* Winners as history tells them, in growing lists. */
struct gathering {
	struct slice *slice;
	uint32_t winner_room, missing_room;
	uint32_t count_max;
};

static int take_winner(void *arg, const struct slice_source_winner *w)
{
	struct gathering *g = arg;
	struct slice_winner_list *winners = &g->slice->winners;
	struct range_list *missing = &g->slice->missing;

	if (winners->count + missing->count >= g->count_max)
		return ERR_LIMIT;
	if (w->is_missing) {
		ARRAY_GROW(missing->items, g->missing_room, missing->count);
		missing->items[missing->count++] = w->shards;
		return 0;
	}
	ARRAY_GROW(winners->items, g->winner_room, winners->count);
	winners->items[winners->count++] = (struct slice_winner){.first = w->shards.first,
								 .count = w->shards.count,
								 .worker = w->worker,
								 .token = w->token,
								 .segment = w->segment,
								 .whole = w->whole};
	return 0;
}

/* The inputs of as many nodes as fit; the first has to. */
static int cut_gather(const struct slice_request *rq, const struct slice_sources *from, struct slice *slice,
		      uint32_t *ret_count, struct error *reterr)
{
	struct gathering g = {.slice = slice,
			      .count_max = (uint32_t)(FRAME_BYTES_MAX * 3 / 4 / WINNER_BYTES)};
	uint32_t n = 0;

	CHECK(rq->phase > 0);
	for (; n < rq->shards.count; n++) {
		uint32_t winners = slice->winners.count, missing = slice->missing.count;
		int r = from->winners(from->arg, rq->job, rq->phase - 1,
				      plan_gather_inputs(&rq->plan, rq->shards.first + n), take_winner, &g,
				      reterr);

		if (r == ERR_LIMIT && n == 0)
			return error_set(
			    reterr, ERR_LIMIT,
			    "the outputs to gather lie in more than %u ranges (set gather.fanin)",
			    g.count_max);
		if (r < 0 && r != ERR_LIMIT)
			return r;
		if (n > 0 &&
		    (r == ERR_LIMIT ||
		     (size_t)(slice->winners.count + slice->missing.count) * WINNER_BYTES > rq->bytes_max)) {
			slice->winners.count = winners;
			slice->missing.count = missing;
			break;
		}
	}
	*ret_count = n;
	return 0;
}

int slice_cut(const struct slice_request *rq, const struct slice_sources *sources, struct buf *out,
	      uint32_t *ret_count, struct error *reterr)
{
	struct slice slice = {0};
	struct arena arena;
	int r;

	arena_init(&arena, 0);
	if (plan_gathers(&rq->plan)) {
		r = cut_gather(rq, sources, &slice, ret_count, reterr);
	} else {
		r = cut_items(rq, sources, &arena, &slice, reterr);
		*ret_count = slice.items.count;
	}
	if (r == 0)
		slice_encode(&slice, out);
	free(slice.winners.items);
	free(slice.missing.items);
	arena_fini(&arena);
	return r;
}
