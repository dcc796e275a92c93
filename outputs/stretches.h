/* Which part of an output index holds the entries of a lease. Thread: one. */
#pragma once

#include "jobs/output_index.h"

/* [first, end) bytes of the index; entries of others may stand between. */
struct stretch {
	struct token token;
	uint64_t first, end;
};

/* Of all leases, in the order of their tokens once they are settled; before, a lease may have several. */
struct stretches {
	struct stretch *items;
	size_t count, room;
};

void stretches_fini(struct stretches *s);
/* An entry of the lease lies at `at`, behind all that were added before. The slots of a worker write to one
 * segment by turns: 64 leases of 10,000 shards each take room for 64, and for 256 meanwhile. */
void stretches_add(struct stretches *s, struct token token, uint64_t at);
/* To be called when the last entry has been added; more may be added later. */
void stretches_settle(struct stretches *s);
/* NULL: it has no entry. They are settled. */
const struct stretch *stretches_find(const struct stretches *s, struct token token);
