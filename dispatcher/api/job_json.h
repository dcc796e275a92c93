/* A job as the API shows it: from the core while it is there, else from history. */
#pragma once

#include "dispatcher/api/request.h"
#include "dispatcher/store/history_reader.h"
#include "dispatcher/why.h"

/* Also why nothing of it runs. NULL: there is no such job. reterr is set when history cannot be read, too.
 * ret_event (may be NULL): whose row in history its event is; 0, 0 = none. */
json_t *job_json(struct services *s, uint64_t job, struct dedup_key *ret_event,
		 struct error *reterr) MUST_CHECK;
/* api/job_output.c: adds "output", where its results stand, when its definition says. */
void job_add_output(struct services *s, uint64_t job, json_t *value);
/* Of the core alone, as lists show it: "why" is only that of a pause or an end. */
json_t *job_json_live(struct services *s, const struct view_job *v) MUST_CHECK;
/* Of a job that history says has ended. */
json_t *job_json_row(const struct history_job *row) MUST_CHECK;
/* enum job_state, of the core or of history; errors as job_json. */
int job_state_now(struct services *s, uint64_t job, uint8_t *ret, struct error *reterr) MUST_CHECK;
/* The job that the path names, when there is one; false: it was answered with the error. */
bool request_known_job(struct request *r, uint64_t *ret) MUST_CHECK;
/* ERR_NOT_FOUND, in words. */
int job_refuse_unknown(struct services *s, uint64_t job, struct error *reterr);
/* Of the core, or of history when it has ended; in the arena. Errors as job_json. */
int job_view(struct services *s, uint64_t job, struct arena *arena, struct view_job *ret,
	     struct error *reterr) MUST_CHECK;
/* Calls use with what why.h wants to know of a live job. */
void job_with_facts(struct services *s, const struct view_job *v,
		    void (*use)(void *arg, const struct why_facts *f), void *arg);
/* api/pools.c: a list. */
json_t *pools_json(struct services *s) MUST_CHECK;
/* api/rules.c: their number, and what is wrong with them; the words are reterr's. */
void rules_add_status(const struct services *s, struct api_status *status, struct error *reterr);
/* It has ended, and history does not know that yet: what it says may be of an earlier life. */
bool job_history_lags(struct services *s, uint64_t job);
/* Has it ended, as far as anybody may know? False also when there is no such job. */
bool job_has_ended(struct services *s, uint64_t job);
bool job_is_live(struct services *s, uint64_t job);
