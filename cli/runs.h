/* Sets of numbers as runs: which of millions of shards were shown. */
#pragma once

#include "base/types.h"

/* Apart and in order. All zero: empty. */
struct runs {
	struct run {
		uint64_t first, end;
	} * items;
	size_t count;
};

bool runs_have(const struct runs *r, uint64_t n);
void runs_add(struct runs *r, uint64_t first, uint64_t end);
uint64_t runs_size(const struct runs *r); /* how many numbers */
/* The first number from n on that is not there. */
uint64_t runs_next_absent(const struct runs *r, uint64_t n);
void runs_fini(struct runs *r);
