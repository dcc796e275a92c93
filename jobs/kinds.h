/* The enumerations of kinds.def, and their names both ways. Pure. */
#pragma once

#include "base/types.h"

#define KINDS(e) enum e {
#define KIND(constant, n, nm, doc) constant = n,
#define KINDS_END(e)                                                                                         \
	}                                                                                                    \
	;                                                                                                    \
	const char *e##_name(uint32_t kind); /* "unknown" when it is none */                                 \
	uint8_t e##_of(struct bytes name);   /* 0 when it is none */                                         \
	const char *e##_names(void);	     /* "a, b or c", for errors */
#include "jobs/kinds.def"
#undef KINDS
#undef KIND
#undef KINDS_END

/* exit, signal, timeout, oom, …: the shard's own, which use its retry budget. */
static inline bool failure_is_own(uint32_t kind)
{
	return kind > 0 && kind < FAILURE_LOST;
}

/* The worker's trouble: any other shard would have met it there. */
static inline bool failure_is_workers(uint32_t kind)
{
	return kind == FAILURE_START || kind == FAILURE_OUTPUT;
}

/* The code of a failure that no other attempt can mend: the object changed, access is denied, the directory
 * that the definition names does not exist. The shard is dead at once. */
#define FAILURE_CODE_FINAL (-1)

static inline bool failure_is_final(uint32_t kind, int64_t code)
{
	return (kind == FAILURE_INPUT || kind == FAILURE_PUBLISH || kind == FAILURE_NO_PROGRAM) &&
	       code == FAILURE_CODE_FINAL;
}

/* The code says something to a person. Of the others it is an errno or nothing: their words say why. */
static inline bool failure_code_tells(uint32_t kind)
{
	return kind == FAILURE_EXIT || kind == FAILURE_SIGNAL || kind == FAILURE_RUNNER;
}

static inline bool job_state_is_ended(uint32_t state)
{
	return state >= JOB_SUCCEEDED;
}
