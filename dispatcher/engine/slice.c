#include "dispatcher/engine/engine_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/plan.h"
#include "jobs/slice.h"

#define WINNER_BYTES 64 /* encoded, at most */

static int cut_items(struct engine *e, const struct plan *plan, const struct lease *l, size_t bytes_max,
		     struct arena *arena, struct slice *slice, struct error *reterr)
{
	struct text_item *items = arena_alloc(arena, sizeof(*items) * l->count);
	size_t used = 0;
	uint32_t n = 0;

	slice->items.items = items;
	if (plan->blob.size > 0)
		return e->ops->items(e->arg, plan->blob, l->first, l->count, bytes_max, arena, items,
				     &slice->items.count, reterr);
	if ((uint64_t)l->first + l->count > plan->items.count)
		return error_set(reterr, ERR_CORRUPT, "the plan has %u items, shard %u is not among them",
				 plan->items.count, l->first + l->count - 1);
	for (; n < l->count; n++) {
		used += plan->items.items[l->first + n].text.size + 5;
		if (n > 0 && used > bytes_max)
			break;
		items[n] = plan->items.items[l->first + n];
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

static int take_winner(void *arg, const struct engine_winner *w)
{
	struct gathering *g = arg;
	struct slice_winner_list *winners = &g->slice->winners;
	struct range_list *missing = &g->slice->missing;

	if (winners->count + missing->count >= g->count_max)
		return ERR_LIMIT;
	if (w->is_missing) {
		if (missing->count == g->missing_room) {
			g->missing_room = g->missing_room * 2 + 16;
			missing->items =
			    check_realloc(missing->items, g->missing_room, sizeof(*missing->items));
		}
		missing->items[missing->count++] = w->shards;
		return 0;
	}
	if (winners->count == g->winner_room) {
		g->winner_room = g->winner_room * 2 + 16;
		winners->items = check_realloc(winners->items, g->winner_room, sizeof(*winners->items));
	}
	winners->items[winners->count++] = (struct slice_winner){.first = w->shards.first,
								 .count = w->shards.count,
								 .worker = w->worker,
								 .token = w->token,
								 .segment = w->segment,
								 .whole = w->whole};
	return 0;
}

/* The inputs of as many nodes as fit; the first has to. */
static int cut_gather(struct engine *e, const struct plan *plan, const struct lease *l, size_t bytes_max,
		      struct slice *slice, uint32_t *ret_count, struct error *reterr)
{
	struct gathering g = {.slice = slice,
			      .count_max = (uint32_t)(FRAME_BYTES_MAX * 3 / 4 / WINNER_BYTES)};
	uint32_t n = 0;

	CHECK(l->phase > 0);
	for (; n < l->count; n++) {
		uint32_t winners = slice->winners.count, missing = slice->missing.count;
		int r = e->ops->winners(e->arg, l->job, l->phase - 1, plan_gather_inputs(plan, l->first + n),
					take_winner, &g, reterr);

		if (r == ERR_LIMIT && n == 0)
			return error_set(
			    reterr, ERR_LIMIT,
			    "the outputs to gather lie in more than %u ranges (set gather.fanin)",
			    g.count_max);
		if (r < 0 && r != ERR_LIMIT)
			return r;
		if (n > 0 &&
		    (r == ERR_LIMIT ||
		     (size_t)(slice->winners.count + slice->missing.count) * WINNER_BYTES > bytes_max)) {
			slice->winners.count = winners;
			slice->missing.count = missing;
			break;
		}
	}
	*ret_count = n;
	return 0;
}

/* Does history know all that became of the phase before? */
static bool gather_is_ready(struct engine *e, uint64_t job, struct arena *arena, uint64_t *ret_wait_lsn)
{
	struct view_job v;

	if (!dispatcher_view_job(e->core, job, arena, &v) || v.last_done_lsn <= e->history_lsn)
		return true;
	*ret_wait_lsn = v.last_done_lsn;
	return false;
}

int slice_cut(struct engine *e, const struct plan *plan, const struct lease *l, size_t bytes_max,
	      struct arena *arena, struct buf *out, uint32_t *ret_count, uint64_t *ret_wait_lsn,
	      struct error *reterr)
{
	struct slice slice = {0};
	uint32_t count = l->count;
	int r;

	if (plan_gathers(plan)) {
		if (!gather_is_ready(e, l->job, arena, ret_wait_lsn))
			return ERR_BUSY;
		r = cut_gather(e, plan, l, bytes_max, &slice, &count, reterr);
	} else {
		r = cut_items(e, plan, l, bytes_max, arena, &slice, reterr);
		count = slice.items.count;
	}
	if (r == 0) {
		slice_encode(&slice, out);
		*ret_count = count;
	}
	free(slice.winners.items);
	free(slice.missing.items);
	return r == ERR_BUSY ? ERR_IO : r; /* busy means one thing to our caller */
}
