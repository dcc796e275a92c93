/* `after` of a submission: the jobs whose ends it waits for. Those that the dispatcher does not have any more
 * are looked up in history, so that the core is told how they ended. Thread: the loop's. */
#pragma once

#include "dispatcher/api/submission.h"

/* Fills u->job.after from the body's texts. ERR_INVALID. */
int after_read(struct submission *u, struct error *reterr) MUST_CHECK;
/* Starts the submission when it is known how the jobs that it waits for stand; the answer follows. u, on the
 * heap, is taken over: it is the request's state. */
void after_start(struct request *r, struct submission *u);
