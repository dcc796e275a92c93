/* The rule of tolerance, apart for its table of cases. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

struct tolerance {
	const struct policy *policy;
	bool is_shards; /* the phase in work is */
	bool sealed;
	bool through; /* each of its shards is done or dead */
	uint64_t shard_count;
};

/* More dead shards than these, and the job fails now. UINT64_MAX: however many, others are run first. */
uint64_t tolerated(const struct tolerance *t);
