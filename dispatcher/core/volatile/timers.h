/* Two small containers: what is due at a time, and what waits for an lsn. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Ties go to the lower job id. Entries are hints: who takes one looks whether it still holds. */
void timer_add(struct timer_heap *h, usec_t due_us, uint64_t job);
bool timer_take_due(struct timer_heap *h, usec_t now_us, uint64_t *job) MUST_CHECK;
usec_t timer_next(const struct timer_heap *h); /* USEC_NEVER when empty */
/* Entries that do not hold any more go, once there are many beyond `most`, of which those that hold may have
 * as many: so that jobs that have ended leave nothing behind. O(1) a job. */
typedef bool timer_holds_fn(const void *ctx, uint64_t job);
void timer_sweep(struct timer_heap *h, uint64_t most, timer_holds_fn *holds, const void *ctx);

void waiting_add(struct waiting_queue *q, struct waiting w); /* its lsn is not below the last one's */
bool waiting_take(struct waiting_queue *q, uint64_t lsn, struct waiting *ret) MUST_CHECK;
