/* The ends of jobs as events: job.succeeded and job.failed start what rules say. The core remembers ends
 * that were not offered (SETTLED), also over restarts; a key keeps a second offer from a second job. */
#pragma once

#include "dispatcher/server/server.h"

struct ended;

struct ended *ended_create(struct server *s) MUST_CHECK;
void ended_destroy(struct ended *e); /* NULL is fine */
/* The JOB_ENDED effect, when the end is durable. */
void ended_offer(struct server *s, const struct job_ended *job);
