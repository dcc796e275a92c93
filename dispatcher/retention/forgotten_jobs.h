/* Which jobs are forgotten, as ranges in memory: of those that history noted, the newest ranges. Pure.
 * Thread: one. */
#pragma once

#include "base/types.h"

#define FORGOTTEN_RANGES_MAX 65536u /* 1 MiB; of more, the first are not known any more */

struct forgotten_jobs {
	struct forgotten_range {
		uint64_t first, last;
	} * items; /* in order; they do not touch */
	uint32_t count, room;
	uint64_t jobs; /* in all, also those that are not known any more */
};

void forgotten_jobs_add(struct forgotten_jobs *f, uint64_t first, uint64_t last);
bool forgotten_jobs_have(const struct forgotten_jobs *f, uint64_t job);
void forgotten_jobs_fini(struct forgotten_jobs *f);
