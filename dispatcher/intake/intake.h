/* What all intakes share: an event becomes one job per rule that it matches, in one ACCEPT. */
#pragma once

#include "dispatcher/services.h"

/* A rule that the event matched and whose job cannot be planned. The job is accepted all the same, and has
 * failed with that reason in the same commit: so the event is accounted for. */
struct intake_error {
	char rule[NAME_BYTES_MAX + 1];
	uint32_t job; /* among the jobs of the event */
	struct error error;
};

#define INTAKE_ERRORS_MAX 8 /* more are counted */

/* What came of an event at once. */
struct intake_result {
	uint32_t jobs; /* one for each rule that it matched, handed to the core: fn will run. 0: done with */
	uint32_t errors;	   /* of these jobs, those that fail at once: in the log, and these */
	struct intake_error *list; /* INTAKE_ERRORS_MAX of them, or NULL when nobody wants to know */
};

/* key 0,0: no deduplication. by: who brought it; the jobs are asked for by their rules. The ticket is for the
 * core's answer, if ret->jobs > 0. */
void intake_offer(struct services *s, const struct event *e, struct dedup_key key, const struct principal *by,
		  const struct ticket *ticket, struct intake_result *ret);
/* The same to the rule of this name only (NULL: to all); not counted when it does not match. */
void intake_offer_to(struct services *s, const char *rule, const struct event *e, struct dedup_key key,
		     const struct principal *by, const struct ticket *ticket, struct intake_result *ret);
