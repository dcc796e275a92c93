/* What attempts took, as one struct from the slot to the API: see totals.def. Pure. */
#pragma once

#include <stdint.h>

#include "jobs/totals.def"

struct totals {
#define TOTAL(name, add, json, form, doc) uint64_t name;
	TOTALS_ALL(TOTAL)
#undef TOTAL
};

void totals_add(struct totals *to, const struct totals *from);
/* Of `part` of `whole` attempts: sums are shared out evenly, maxima stay. Both are
 * numbers of shards. */
void totals_share(struct totals *t, uint64_t part, uint64_t whole);
/* What came since `before`, of totals of one process that only grow: sums are less by it, maxima stay. A sum
 * that could not be looked at any more (0) says that nothing came. */
struct totals totals_since(const struct totals *now, const struct totals *before);
