/* Workers by the pool that they say they belong to. */
#pragma once

#include "base/limits.h"
#include "dispatcher/services.h"

struct pool_count {
	char name[NAME_BYTES_MAX + 1];
	uint64_t workers, busy, draining, quarantined, leases;
	uint64_t cpu_milli; /* of those that take leases */
};

/* Their number. */
size_t demand_count_pools(struct services *s, struct pool_count ret[POOLS_MAX]);
