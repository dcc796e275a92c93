/* What history says of jobs. It is asked in a reader's thread, then fn is called in the loop; until then a
 * job may have ended, or have been reopened. So whoever tells of a job looks at the core first, and takes a
 * row only of a job that the core does not have (job_view of job_json.h does so). Such a row is the job's
 * last word at some moment since it was asked for. Thread: the loop's. */
#pragma once

#include "dispatcher/readers.h"
#include "dispatcher/services.h"
#include "dispatcher/store/history_reader.h"

#define PAST_JOBS_MAX 256u /* of one question */

struct past;

/* Called once, never before past_ask has returned; it may drop the past. rc: 0, or why history could not be
 * asked (the reason is e); ERR_CLOSED when the dispatcher stops. */
typedef void past_fn(void *arg, struct past *p, int rc, const struct error *e);
/* In the reader's thread, for each job that history has: what else is to be read of it. Called again should
 * the row have to be read again. */
typedef int past_more_fn(void *arg, struct history_reader *history, const struct history_job *row,
			 struct arena *arena, struct error *reterr);

/* more: may be NULL. Who has one must not drop the past while it is asked. */
struct past *past_create(struct services *s, past_more_fn *more, past_fn *fn, void *arg) MUST_CHECK;
/* Before it is asked, at most PAST_JOBS_MAX jobs. */
void past_add(struct past *p, uint64_t job);
void past_ask(struct past *p);
/* The row lives as long as the past. NULL: history does not have the job, or it was not asked for. */
const struct history_job *past_row(const struct past *p, uint64_t job);
bool past_asked(const struct past *p, uint64_t job);
/* At any time: fn is not called any more. NULL is fine. */
void past_drop(struct past *p);

/* What a job was made of. Size 0: not kept, or there was none. */
struct past_texts {
	struct bytes definition, event; /* in the arena */
};
/* In a reader's thread. sha256 and key: as in history_job. */
int past_read_texts(struct history_reader *history, struct bytes sha256, uint64_t event_hi, uint64_t event_lo,
		    struct arena *arena, struct past_texts *ret, struct error *reterr) MUST_CHECK;
