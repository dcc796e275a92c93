/* Vectors of resources, for sums and comparisons: what a worker has, what is used of it, what an attempt
 * needs. Named resources have numbers, which whoever adds up vectors gives them. Pure.
 *
 * No amount is above AMOUNT_UNBOUNDED, so that sums of two do not wrap. */
#pragma once

#include "base/check.h"
#include "base/limits.h"
#include "jobs/schema.h"

/* More than anybody asks for: what a worker offers of something that it does not bound. */
#define AMOUNT_UNBOUNDED (UINT64_MAX / 4)

enum { AMOUNT_CPU, AMOUNT_MEMORY, AMOUNT_GPUS, AMOUNT_NAMED };
#define AMOUNTS (AMOUNT_NAMED + NAMED_RESOURCES_MAX)

/* Thousandths of a core, bytes, thousandths of a gpu, thousandths of each named resource. */
struct amounts {
	uint64_t v[AMOUNTS];
};

/* A resource's number is its place. The bytes are the owner's. */
struct amount_names {
	struct bytes items[NAMED_RESOURCES_MAX];
	uint32_t count;
};

/* NAMED_RESOURCES_MAX: it has none. */
uint32_t amount_names_find(const struct amount_names *names, struct bytes name);

/* What an attempt needs. false: some of *ret_unknown, which has no number. */
bool amounts_needed(const struct resources *r, const struct amount_names *names, struct amounts *ret,
		    struct bytes *ret_unknown) MUST_CHECK;
/* What a worker offers: memory 0 is not bounded; what has no number is left out. */
void amounts_offered(const struct resources *r, const struct amount_names *names, struct amounts *ret);
/* Back into words; those named of which there is something are put into named[]. */
void amounts_write(const struct amounts *a, const struct amount_names *names, struct resources *ret,
		   struct named_amount named[NAMED_RESOURCES_MAX]);

static inline void amounts_add(struct amounts *a, struct amounts b)
{
	for (uint32_t i = 0; i < AMOUNTS; i++)
		a->v[i] += b.v[i];
}

/* CHECKs that it is there. */
static inline void amounts_subtract(struct amounts *a, struct amounts b)
{
	for (uint32_t i = 0; i < AMOUNTS; i++) {
		CHECK(a->v[i] >= b.v[i]);
		a->v[i] -= b.v[i];
	}
}

/* With twice the memory, `doublings` times. */
static inline struct amounts amounts_doubled(const struct amounts *a, uint32_t doublings)
{
	struct amounts r = *a;

	for (; doublings > 0 && r.v[AMOUNT_MEMORY] < AMOUNT_UNBOUNDED / 2; doublings--)
		r.v[AMOUNT_MEMORY] *= 2;
	return r;
}

/* used + need <= offered, in all that is needed. */
static inline bool amounts_fit(const struct amounts *used, const struct amounts *need,
			       const struct amounts *offered)
{
	for (uint32_t i = 0; i < AMOUNTS; i++)
		if (need->v[i] > 0 && (need->v[i] > offered->v[i] || used->v[i] > offered->v[i] - need->v[i]))
			return false;
	return true;
}

/* How many of need are in offered; 1 when nothing is needed. */
static inline uint64_t amounts_slots(const struct amounts *offered, const struct amounts *need)
{
	uint64_t slots = UINT64_MAX;

	for (uint32_t i = 0; i < AMOUNTS; i++)
		if (need->v[i] > 0 && offered->v[i] / need->v[i] < slots)
			slots = offered->v[i] / need->v[i];
	return slots == UINT64_MAX ? 1 : slots;
}
