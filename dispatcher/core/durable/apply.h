/* The only functions that change durable state, live and in replay. They ask no clock, no definition
 * and no configuration: what a record says is all there is. Pure. */
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

int apply_accepted(struct durable *d, const struct accepted *r, uint64_t lsn, struct error *reterr);
int apply_piece(struct durable *d, const struct plan_piece *r, struct error *reterr);
int apply_sealed(struct durable *d, const struct plan_sealed *r, struct error *reterr);
int apply_plan_failed(struct durable *d, const struct plan_failed *r, struct error *reterr);
int apply_crashed(struct durable *d, const struct crashed *r, struct error *reterr);
int apply_changed(struct durable *d, const struct job_changed *r, struct error *reterr);
int apply_phase(struct durable *d, const struct phase_started *r, uint64_t lsn, struct error *reterr);
int apply_retried(struct durable *d, const struct retried *r, struct error *reterr);
int apply_ended(struct durable *d, const struct job_ended *r, uint64_t lsn, struct error *reterr);
int apply_ended_block(struct durable *d, const struct ended_block *r, uint64_t lsn, struct error *reterr);
int apply_forgotten(struct durable *d, const struct forgotten *r, struct error *reterr);
int apply_settled(struct durable *d, const struct event_settled *r);
int apply_reopened(struct durable *d, const struct reopened *r, uint64_t lsn, struct error *reterr);
int apply_slice(struct durable *d, const struct job_slice *r, uint64_t lsn, struct error *reterr);

/* The row of a live job, touched. NULL: it is not known yet; in replay its id is noted. */
struct job_row *apply_job(struct durable *d, uint64_t job);
/* A row for a job that is not known, or only noted; then as it was accepted. */
struct job_row *apply_new_row(struct durable *d, uint64_t job);
void apply_fill_row(struct durable *d, struct job_row *row, const struct new_job *j, usec_t wall_us);
void apply_plan(struct run *run, const struct plan *plan);
/* Its run, made when there is none. */
struct run *apply_run(struct job_row *row, uint64_t job);
/* ERR_CORRUPT unless all of them are shards of the row's phase. */
int apply_check_ranges(const struct job_row *row, const struct range_list *ranges, struct error *reterr);
int apply_corrupt(uint64_t job, const char *what, struct error *reterr);
/* Takes the job's row out of the table, and its reference to its definition. */
void durable_remove_job(struct durable *d, uint64_t job);
