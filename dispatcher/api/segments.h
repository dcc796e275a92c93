/* Finding outputs: the index files of output segments, mapped, with the stretch of each lease in them, so
 * that a range of shards is found without reading the whole index again. A few are kept. */
#pragma once

#include "jobs/output_index.h"

struct segments;

struct segments *segments_create(const char *output_dir) MUST_CHECK;
void segments_destroy(struct segments *s); /* NULL is fine */

/* The entries of the shards `range` of a lease, in ret[range.count]; those that wrote nothing are left
 * as they are, as all do of segment 0. ERR_NOT_FOUND: a segment's index is not there (any more), so that
 * its outputs are lost; ERR_IO. */
int segments_collect(struct segments *s, const struct uuid *worker, uint32_t segment, struct token token,
		     struct range range, struct output_entry *ret, struct error *reterr) MUST_CHECK;
/* Opens the "out" or "err" file of a segment for reading. */
int segments_open(struct segments *s, const struct uuid *worker, uint32_t segment, const char *kind,
		  int *ret_fd, struct error *reterr) MUST_CHECK;
