/* The ends of jobs as events: job.succeeded and job.failed start what rules say. The core remembers ends
 * that were not offered (SETTLED), also over restarts; a key keeps a second offer from a second job. */
#pragma once

#include "dispatcher/services.h"

struct ended;

/* Subscribes; before the epoch begins, which tells of ends that were not settled. */
void ended_open(struct services *s);
void ended_close(struct services *s);
