/* The body of POST /v1/jobs and /v1/plan: a definition, or a command line that is made into one, and the job
 * that it would be. */
#pragma once

#include "dispatcher/api/past.h"
#include "dispatcher/api/request.h"
#include "jobs/instantiate.h"

struct submission {
	json_t *body;
	struct api_submission asked; /* borrowed from it */
	struct definition *definition;
	struct event event;
	bool has_event;
	struct new_job job;	      /* in the arena; borrows the definition */
	struct ended_fact_list ended; /* of the jobs that it waits for: after.h; in the arena */
	struct arena arena;
};

/* body is taken over; submission_fini is due in any case. */
int submission_read(struct submission *u, json_t *body, struct error *reterr) MUST_CHECK;
/* Accepts it as a job, by the request's Idempotency-Key or the body's "id"; the answer follows. */
int submission_start(struct request *r, struct submission *u, struct error *reterr) MUST_CHECK;
/* Answers when it was refused. */
bool submission_refused(struct request *r, const struct dispatcher_reply *reply);
void submission_fini(struct submission *u);
/* again.c: the body of POST /v1/jobs that would have made the job; NULL: reterr. */
json_t *again_body(const struct history_job *row, const struct past_texts *texts,
		   struct error *reterr) MUST_CHECK;
