/* All that there is to say of a job: a sentence a fact. The one that says why it does not run is why.h's.
 * Pure. */
#pragma once

#include "dispatcher/why.h"

#define EXPLAIN_DEAD_MAX 3 /* runs of dead shards that are told */

struct explain {
	const struct why_facts *facts;
	const struct view_dead *dead;	   /* the first ones */
	size_t dead_count, dead_in_shards; /* those of the shards phase come first */
	const struct plan *plan;	   /* of the shards phase, where people call them otherwise; NULL */
	bool gathers;			   /* the definition has a gather phase */
	void (*add)(void *arg, struct bytes sentence);
	void *arg;
};

void explain_job(const struct explain *e);
