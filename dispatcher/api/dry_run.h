/* A submission that makes nothing: what it would be, and what it would wait for. */
#pragma once

#include "dispatcher/api/submission.h"

struct dry_run;

/* As the core stands now, for dry_run_reply, which frees it; the job is as it is handed to the core. */
struct dry_run *dry_run_of(struct request *r, const struct submission *u);
/* arg: that. Answers. */
void dry_run_reply(void *arg, const struct dispatcher_reply *reply);
