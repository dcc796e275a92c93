/* Segments of output that no row of history names, and since when that is known: something may still come
 * of them, from a worker that has not told all of its work. A segment is settled when
 *
 * - its worker is here or has leases: the worker has closed the segment (OUTPUT_INDEX_CLOSED), has no lease
 *   that is as old, and had time to tell what it had to tell again;
 * - its worker is gone: for some time, and longer when it did not close the segment.
 *
 * Pure: what the core knows of the worker is an argument. Bound: CANDIDATES_MAX. Thread: one. */
#pragma once

#include "dispatcher/core/view.h"

#define CANDIDATES_MAX 4096u

struct candidate_found {
	struct uuid worker;
	uint32_t segment;
	bool closed;
};

struct candidates;

struct candidates *candidates_create(usec_t worker_timeout_us) MUST_CHECK;
void candidates_destroy(struct candidates *c); /* NULL is fine */
/* It was found again. last: of the leases that were granted until now. True: it is settled, and is no
 * candidate any more. */
bool candidates_see(struct candidates *c, const struct candidate_found *found,
		    const struct view_presence *worker, struct token last, usec_t now_us);
/* Those that were not found for some time go. */
void candidates_sweep(struct candidates *c, usec_t now_us);
uint32_t candidates_count(const struct candidates *c);
