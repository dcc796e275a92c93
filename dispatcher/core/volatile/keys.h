/* Fairness keys, by queue and name: whose share of a queue a job is. A key is made when a job with it comes
 * into line. It stays for a while when nobody names it, for what it was served; those are dropped when there
 * are many. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/turns.h"

/* That of the job: what its definition's fair_by made of its event; else its owner; else who asked for it. */
struct fair_key *keys_of_job(struct dispatcher_core *core, struct queue *q, const struct job_row *row);
/* All of a queue that is dropped: no job and no lease names one. */
void keys_drop_of(struct dispatcher_core *core, const struct queue *q);
/* The queue's settings changed: its keys have their weights. */
void keys_weigh(struct dispatcher_core *core, const struct queue *q);
void keys_shrink(struct dispatcher_core *core, uint32_t halvings);
void keys_fini(struct dispatcher_core *core);
