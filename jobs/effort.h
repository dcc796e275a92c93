/* What attempts took: of the first EFFORTS_APART_MAX shards of a phase one by one, of all others, and of
 * shards of a runner, as sums of ranges. So a job of 10^9 shards tells no more of itself than one of 10^4.
 * Pure. */
#pragma once

#include "jobs/schema.h"

/* What comes next becomes part of `into`, which it follows, when both may be added up and ended alike. False:
 * it is told by itself. */
bool effort_join(struct effort *into, const struct effort *next);
/* The same for both whether they may or not, as long as they follow each other and ended alike. */
bool effort_press(struct effort *into, const struct effort *next);
/* The part of it that lies in r, which meets it: sums are shared out evenly. */
struct effort effort_part(const struct effort *e, struct range r);
