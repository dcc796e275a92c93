/* A job as the API shows it: from the core while it is there, else from history. */
#pragma once

#include "dispatcher/api/request.h"

/* NULL: there is no such job. reterr is set when history cannot be read, too. */
json_t *job_json(struct server *s, uint64_t job, struct error *reterr) MUST_CHECK;
/* Of the core alone. */
json_t *job_json_live(struct server *s, const struct view_job *v) MUST_CHECK;
/* Of a job that history says has ended. */
json_t *job_json_row(const struct history_job *row) MUST_CHECK;
/* enum job_state, of the core or of history; errors as job_json. */
int job_state_now(struct server *s, uint64_t job, uint8_t *ret, struct error *reterr) MUST_CHECK;
/* ERR_NOT_FOUND, in words. */
int job_refuse_unknown(struct server *s, uint64_t job, struct error *reterr);
/* Has it ended, as far as anybody may know? False also when there is no such job. */
bool job_has_ended(struct server *s, uint64_t job);
bool job_is_live(struct server *s, uint64_t job);
