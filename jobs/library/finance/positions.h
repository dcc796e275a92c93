/* What is held: a CSV file `asset,quantity`, a line for each asset. Pure.
 * A quantity is a number of units; negative: sold short. Any fraction is fine. */
#pragma once

#include "jobs/library/finance/prices.h"

#define POSITION_FILE_BYTES_MAX (1ull << 20)

struct position {
	uint32_t asset; /* index into the price table */
	double quantity;
};

struct position_list {
	struct position *items; /* by asset: their order in the file says nothing */
	uint32_t count;
};

/* name is what errors call the file. The caller frees ret->items. */
int positions_parse(struct bytes text, const char *name, const struct price_table *prices,
		    struct position_list *ret, struct error *reterr) MUST_CHECK;
