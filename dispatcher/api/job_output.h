/* Where the results of a job stand, when its definition says `output`: the member "output" of its value. */
#pragma once

#include "dispatcher/api/past.h"
#include "dispatcher/api/request.h"

/* Of a job that lives, from the core alone. False: it does not. */
bool job_add_output_live(struct services *s, const struct view_job *v, json_t *value) MUST_CHECK;

/* Of one that has ended: what it takes beside its texts. */
struct job_output {
	uint64_t job;
	struct bytes name;
	usec_t accepted_wall_us;
};
void job_add_output(const struct job_output *o, const struct past_texts *texts, json_t *value);
