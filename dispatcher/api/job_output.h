/* What the definition of a job says, as members of its value: "output", where its results stand; "array",
 * what numbers its shards have, where those are not 0, 1, …. */
#pragma once

#include "dispatcher/api/past.h"
#include "dispatcher/api/request.h"

/* Of a job that lives, from the core alone. False: it does not. */
bool job_add_definition_live(struct services *s, const struct view_job *v, json_t *value) MUST_CHECK;

/* Of one that has ended: what it takes beside its texts. */
struct job_output {
	uint64_t job;
	struct bytes name;
	usec_t accepted_wall_us;
};
void job_add_definition(const struct job_output *o, const struct past_texts *texts, json_t *value);

/* The plan of its shards phase, in the arena; false: people call them by 0, 1, …, as everybody else does. */
bool job_array_live(struct services *s, const struct view_job *v, struct arena *arena, struct plan *ret);
bool job_array_of_text(struct bytes definition, struct arena *arena, struct plan *ret);
