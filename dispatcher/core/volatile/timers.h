/* Two small containers: what is due at a time, and what waits for an lsn. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Ties go to the lower job id. Entries are hints: who takes one looks whether it still holds. */
void timer_add(struct timer_heap *h, usec_t due_us, uint64_t job);
bool timer_take_due(struct timer_heap *h, usec_t now_us, uint64_t *job) MUST_CHECK;
usec_t timer_next(const struct timer_heap *h); /* USEC_NEVER when empty */

void waiting_add(struct waiting_queue *q, struct waiting w); /* its lsn is not below the last one's */
bool waiting_take(struct waiting_queue *q, uint64_t lsn, struct waiting *ret) MUST_CHECK;
