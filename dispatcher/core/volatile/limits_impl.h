/* What the files of limits*.c and whoever refuses submissions share. */
#pragma once

#include "dispatcher/core/volatile/limits.h"

/* Of the queue's row, or none. */
const struct queue_limits *limits_of(const struct queue *q);
const struct queue_limits *limits_of_owners(const struct queue *q);
bool limits_bound_owners(const struct queue *q);
/* How many more shards that need so much may run. */
uint64_t limits_room_of(const struct queue_limits *l, uint64_t running, uint64_t cpu_milli, uint64_t need);
uint64_t limits_queue_room(const struct queue *q, const struct shape *shape);
uint64_t limits_owner_room(const struct queue_owner *o, const struct shape *shape); /* NULL: no bound */

/* How the owner of a job is called. */
void limits_owner_words(const struct new_job *j, struct buf *out);
/* Made if there is none: of a queue that has_owners. */
struct queue_owner *limits_owner_named(struct dispatcher_core *core, struct queue *q, struct bytes name);
/* One more of its jobs lives. */
void limits_owner_begins(struct dispatcher_core *core, struct queue *q, const struct job_row *row);
bool limits_owner_is_idle(const struct queue_owner *o, usec_t now_us);
void limits_owner_drop(struct queue_owner *o);

/* It is looked at in limits_settle. */
void limits_queue_changed(struct queue *q);
void limits_owner_changed(struct queue_owner *o);
