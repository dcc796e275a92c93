/* A job that another waits for, as people write it: "7" or "7:ok", "7:failed", "7:any". Pure. */
#pragma once

#include "base/error.h"
#include "jobs/schema.h"

/* ERR_INVALID in words. */
int after_text_parse(struct bytes text, struct after_job *ret, struct error *reterr) MUST_CHECK;
