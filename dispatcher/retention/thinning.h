/* Segments of output of which most is forgotten, though some job still needs them: what nobody needs is given
 * back as holes (outputs/holes.h). A part that goes over history's table of segments, some at a time. One is
 * looked at when fewer rows name it than half the entries that its index has, its worker has closed it, and
 * nothing can come of it any more (candidates.h); then history says which leases are needed, as of a record
 * behind that moment, and a reader's thread makes the holes. It waits for twenty times what that took.
 *
 * A segment of which too little was free is looked at again when it has lost a quarter of its rows. Nothing
 * is kept over a start: to look again finds the same. Without all of history (history_is_whole) nothing is
 * done, as what history never saw would look as if nobody needed it. Thread: the loop's. */
#pragma once

#include "base/types.h"

struct services;

struct thinning_figures {
	uint64_t segments;	   /* that got holes, since the start, as the next */
	uint64_t given_back_bytes; /* of the disk */
	uint64_t dead_bytes;	   /* that nobody needs, of segments that keep them, as far as it is known */
};
void thinning_figures(const struct services *s, struct thinning_figures *ret);
