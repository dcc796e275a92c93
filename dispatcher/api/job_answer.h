/* Answering a request with one job. */
#pragma once

#include "dispatcher/api/request.h"

enum job_answer_parts {
	JOB_ANSWER_EVENT = 1, /* which event it was made for: may wait for history */
	JOB_ANSWER_ENDED = 2, /* who asks waits for its end: one that is lost is refused in words */
};

/* Answers with the job as it is now, or in words that there is none. The request has no state any more.
 * reopened: NULL, or the value's member of that name; taken over. */
void job_answer(struct request *r, uint64_t job, unsigned parts, json_t *reopened);
