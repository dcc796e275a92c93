/* What follows when shards have ended: the rule of tolerance, apart for its table of cases; the ends of jobs,
 * one by one (advance.c) or many in a record (ends.c). Pure. */
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

/* Somebody waits for the event of its end: a rule, or who keeps its items, which go with it. */
bool job_event_is_due(const struct dispatcher_core *core, const struct job_row *row, enum job_state state);
/* Its end as a record; state, why, event_due and ended_by are the caller's. */
void job_fill_end(struct dispatcher_core *core, uint64_t job, const struct job_row *row, struct job_ended *r);
/* Before and after the record that ends it. */
void job_before_end(struct dispatcher_core *core, uint64_t job, enum job_state state);
void job_after_end(struct dispatcher_core *core, uint64_t job);
/* Those that the step touched and that succeed alike, in as few records as may be. */
void end_together(struct dispatcher_core *core);
