/* The SLICE level of a lease's parameters: what just the leased shards need. Pure.
 *
 * items: one text per shard of the lease, in order.
 * gather: the winners' ranges of the phase before, in shard order, for all the lease's nodes, and the
 * ranges that have no winner (dead shards).
 * Encoded as struct slice (parts.def); empty bytes when a plan needs none. */
#pragma once

#include "jobs/schema.h"

static inline void slice_encode(const struct slice *s, struct buf *out)
{
	codec_encode(codec_slice(), s, out);
}

static inline int slice_decode(struct bytes in, struct slice *ret, struct arena *arena, struct error *reterr)
{
	*ret = (struct slice){0};
	return in.size == 0 ? 0 : codec_decode(codec_slice(), in, ret, arena, reterr);
}
