/* Many ends in one record (ENDED_BLOCK): each is as if it had one of its own. Pure. */
#pragma once

#include "jobs/schema.h"

/* Do they follow one another, as one of them: 1 to ENDED_BLOCK_MAX jobs, by number, of one shard each, that
 * have ended, and whose events are not due? */
int ended_block_check(const struct ended_block *b, struct error *reterr) MUST_CHECK;
/* The i-th of them; borrows from the block. */
struct job_ended ended_block_at(const struct ended_block *b, uint32_t i);
