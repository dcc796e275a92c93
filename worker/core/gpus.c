#include "worker/core/gpus.h"

void gpus_init(struct gpus *g, uint32_t count)
{
	CHECK(count <= WORKER_GPUS_MAX);
	*g = (struct gpus){.count = count};
	for (uint32_t i = 0; i < count; i++)
		g->free_milli[i] = GPU_MILLI;
}

static uint16_t part_of(const struct gpu_share *s, uint32_t at)
{
	bool is_part = at + 1u == s->count && s->milli % GPU_MILLI > 0;

	return (uint16_t)(is_part ? s->milli % GPU_MILLI : GPU_MILLI);
}

/* The gpu that has the least left of those that have enough; count when none has. */
static uint32_t best_for(const struct gpus *g, uint32_t milli)
{
	uint32_t best = g->count;

	for (uint32_t i = 0; i < g->count; i++)
		if (g->free_milli[i] >= milli && (best == g->count || g->free_milli[i] < g->free_milli[best]))
			best = i;
	return best;
}

bool gpus_take(struct gpus *g, uint64_t milli, struct gpu_share *ret)
{
	struct gpu_share share = {0};
	struct gpus left = *g;

	if (milli > (uint64_t)g->count * GPU_MILLI)
		return false;
	share.milli = (uint32_t)milli;
	share.count = (uint8_t)((milli + GPU_MILLI - 1) / GPU_MILLI);
	for (uint32_t i = 0; i < share.count; i++) {
		uint16_t part = part_of(&share, i);
		uint32_t at = best_for(&left, part);

		if (at == g->count)
			return false;
		left.free_milli[at] = (uint16_t)(left.free_milli[at] - part);
		share.items[i] = (uint8_t)at;
	}
	*g = left;
	*ret = share;
	return true;
}

bool gpus_fit(const struct gpus *g, uint64_t milli)
{
	struct gpus left = *g;
	struct gpu_share share;

	return milli == 0 || gpus_take(&left, milli, &share);
}

void gpus_give_back(struct gpus *g, const struct gpu_share *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		uint16_t part = part_of(s, i);

		CHECK(s->items[i] < g->count && g->free_milli[s->items[i]] + part <= GPU_MILLI);
		g->free_milli[s->items[i]] = (uint16_t)(g->free_milli[s->items[i]] + part);
	}
}
