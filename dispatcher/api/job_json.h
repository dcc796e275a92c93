/* A job as the API shows it: from the core while it is there, else from history (past.h). */
#pragma once

#include "dispatcher/api/past.h"
#include "dispatcher/api/request.h"
#include "dispatcher/why.h"

/* past: where its row is when the core does not have it; NULL: nowhere. In the arena, and the past's.
 * ERR_NOT_FOUND, in words. */
int job_view(struct services *s, const struct past *past, uint64_t job, struct arena *arena,
	     struct view_job *ret, struct error *reterr) MUST_CHECK;
/* History was restored from a copy that ends before the job did: how it ended, nobody knows. */
static inline bool job_is_lost(const struct view_job *v)
{
	return v->word == 0;
}
/* ERR_NOT_FOUND, in words. */
int job_refuse_lost(const struct view_job *v, struct error *reterr);
/* Also why nothing of it runs. */
json_t *job_json(struct services *s, const struct view_job *v) MUST_CHECK;
/* "why" is only that of a pause or an end, as lists show it. */
json_t *job_json_live(struct services *s, const struct view_job *v) MUST_CHECK;
/* Of a job that the core does not have. */
json_t *job_json_row(const struct history_job *row) MUST_CHECK;
/* ERR_NOT_FOUND, in words. */
int job_refuse_unknown(struct services *s, uint64_t job, struct error *reterr);
/* Calls use with what why.h wants to know of a live job. */
void job_with_facts(struct services *s, const struct view_job *v,
		    void (*use)(void *arg, const struct why_facts *f), void *arg);

/* Goes on with a job that there is, perhaps before this returns: past is for job_view. Else the request is
 * answered with the error. Until then the request has no state of its own. */
typedef void request_job_fn(struct request *r, uint64_t job, const struct past *past);
void request_with_job(struct request *r, uint64_t job, request_job_fn *fn);

/* api/pools.c: a list. */
json_t *pools_json(struct services *s) MUST_CHECK;
/* api/rules.c: their number, and what is wrong with them; the words are reterr's. */
void rules_add_status(const struct services *s, struct api_status *status, struct error *reterr);
/* It has ended, and history does not know that yet: what it says may be of an earlier life. */
bool job_history_lags(struct services *s, uint64_t job);
/* Has it ended, as far as anybody may know? False also when there is no such job. */
bool job_has_ended(struct services *s, uint64_t job);
bool job_is_live(struct services *s, uint64_t job);
bool job_is_of_core(struct services *s, uint64_t job);
