/* Which gpus of the worker a slot has. Each gpu is whole, or has parts: nothing of it is given out twice.
 *
 * A slot of n whole gpus has n of them for itself. A part of one (0.5) shares a gpu with other parts, and
 * never with a whole one. 1.5 is a whole one and half of another. What a slot was given is its own until it
 * closes. Pure. */
#pragma once

#include "base/check.h"
#include "base/types.h"

#define WORKER_GPUS_MAX 64
#define GPU_MILLI 1000u

/* What slots have left of each; a gpu is its place. */
struct gpus {
	uint32_t count;
	uint16_t free_milli[WORKER_GPUS_MAX];
};

/* The gpus of a slot: all of each, and of the last a part when milli is not whole. */
struct gpu_share {
	uint32_t milli;
	uint8_t count;
	uint8_t items[WORKER_GPUS_MAX];
};

/* CHECKs that there are no more than WORKER_GPUS_MAX. */
void gpus_init(struct gpus *g, uint32_t count);
/* Whole gpus are taken in their order. A part is taken of the gpu that it leaves least of, so that others
 * stay whole. false, and nothing is taken: they are not there. */
bool gpus_take(struct gpus *g, uint64_t milli, struct gpu_share *ret);
bool gpus_fit(const struct gpus *g, uint64_t milli);
/* CHECKs that it was taken. */
void gpus_give_back(struct gpus *g, const struct gpu_share *s);
