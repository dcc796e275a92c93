/* What all intakes share: an event becomes one job per rule that it matches, in one ACCEPT. */
#pragma once

#include "dispatcher/server/server.h"

struct intake_error {
	char rule[NAME_BYTES_MAX + 1];
	struct error error;
};

#define INTAKE_ERRORS_MAX 8 /* more are counted */

/* What came of an event at once. */
struct intake_result {
	uint32_t matched;	   /* rules */
	uint32_t jobs;		   /* handed to the core: fn will run. 0: the event is done with */
	uint32_t errors;	   /* rules that it matched and that made no job: in the log, and these */
	struct intake_error *list; /* INTAKE_ERRORS_MAX, or NULL when nobody wants to know */
};

/* key 0,0: no deduplication. fn is called with the core's answer if ret->jobs > 0. */
void intake_offer(struct server *s, const struct event *e, struct dedup_key key, reply_fn *fn, void *arg,
		  struct intake_result *ret);
