/* Which event a job was made for, as answers tell it. Events stand in history: they are read in its thread,
 * and history is a little behind what was accepted. */
#pragma once

#include "dispatcher/api/request.h"

struct job_events;

struct job_events *job_events_create(struct request *r);
void job_events_destroy(struct job_events *e);
/* The job's value gets its member "event": {"id", "source", "detail-type", "key", "key-base64"}, or null
 * where it has none. It gets no such member where history could not be read, or is far behind. */
void job_events_add(struct job_events *e, json_t *job, struct dedup_key event);
/* Answers with value, which is taken over and holds the jobs, once they have their events. */
void job_events_answer(struct job_events *e, json_t *value);

/* Answers with the job as it is now. The request has no state yet. */
void job_answer(struct request *r, uint64_t job);
