/* What answers tell of jobs that stands in history alone: which event a job was made for, and where the
 * results of one that has ended are. It is read in a reader's thread, and history is a little behind what was
 * accepted. */
#pragma once

#include "dispatcher/api/request.h"

struct job_events;

struct job_events *job_events_create(struct request *r);
void job_events_destroy(struct job_events *e);
/* The job's value gets its member "event": {"id", "source", "detail-type", "key", "key-base64"}, or null
 * where it has none. It gets no such member where history could not be read, or is far behind. */
void job_events_add(struct job_events *e, json_t *job, struct dedup_key event);
/* The job's value gets its "output", where it has one. Of one job at most. */
void job_events_add_output(struct job_events *e, json_t *job, const struct view_job *v);
/* Answers with value, which is taken over and holds the jobs, once they have what they get. */
void job_events_answer(struct job_events *e, json_t *value);
