/* Jobs that history knows, as the API shows them. */
#pragma once

#include "dispatcher/api/request.h"

/* NULL and reterr: ERR_NOT_FOUND, or history cannot be read. */
json_t *job_row_json(struct server *s, uint64_t job, struct error *reterr) MUST_CHECK;
json_t *json_of_row(const struct history_job *row) MUST_CHECK;
