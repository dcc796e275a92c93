/* How durable state changes, live and in replay: by records. Applying one asks no clock, no definition and no
 * configuration: what the record says is all there is. Pure.
 *
 * Behind these doors writer.h changes the state; whoever decides sees it as const. */
#pragma once

#include "dispatcher/core/durable/state.h"

/* ERR_CORRUPT when the record cannot follow what was applied before. lsn becomes last_lsn. */
int durable_apply(struct durable *d, uint32_t type, const void *record, uint64_t lsn,
		  struct error *reterr) MUST_CHECK;
void durable_fini(struct durable *d);

/* Parts of GRANTED and OUTCOMES, which a step decides and applies one by one: the next decision sees
 * the last. durable_apply is a loop over these. */
int apply_hint(struct durable *d, struct uuid worker, const struct grant_hint *hint, usec_t wall_us,
	       struct error *reterr) MUST_CHECK;
int apply_outcome(struct durable *d, const struct outcome_taken *o, struct error *reterr) MUST_CHECK;

/* Says in words that the journal is not as it was written; ERR_CORRUPT. */
int apply_corrupt(uint64_t job, const char *what, struct error *reterr);

/* What changes without a record of its own. */

void durable_init(struct durable *d);
/* The replay is over: what is applied from now on is decided here. */
void durable_begin(struct durable *d);
/* A record whose parts were applied one by one was written: it takes the next lsn. */
void durable_applied(struct durable *d);
/* What follows from the job's state is to be decided, as if a record had changed it. */
void durable_touch(struct durable *d, uint64_t job);
/* A job that waited for others and does so no more, or in vain; 0: there is none. Each comes once. */
uint64_t durable_take_waited(struct durable *d);
/* Its run, made when there is none: an empty one says no more. */
struct run *durable_run(struct job_row *row, uint64_t job);
/* Outcomes that counted for nothing. They are written with the next COUNTERS, and not before. */
void durable_count(struct durable *d, uint64_t late, uint64_t duplicate);
/* Takes the job's row out of the table, and its reference to its definition. History has an ended job: a
 * replay that meets its end removes it again. */
void durable_remove_job(struct durable *d, uint64_t job);
/* No job names it (CHECKed): a replay leaves it out at its end. */
void durable_remove_definition(struct durable *d, struct definition *def);
