/* Room that outputs take which nobody needs any more is given back: holes are made in the files of a segment
 * that its worker has closed, once more than half of what they take would become free. Nothing moves: an
 * entry names the same bytes of the same file, so that whoever has them open, or found them in the index
 * before, reads on; and a kill at any point leaves a segment that is whole. Entries of the index that nobody
 * needs become zeros; before the first of them goes, the index is marked (OUTPUT_INDEX_HOLES), since zeros
 * would be damage otherwise. Blocks. */
#pragma once

#include "jobs/output_index.h"

/* Does anybody need what attempts of this lease wrote? */
typedef bool holes_needed_fn(void *arg, struct token token);

struct holes_made {
	uint64_t taken_bytes;	   /* of the disk, by the files of the segment, as they were */
	uint64_t dead_bytes;	   /* of these, what holes would give back */
	uint64_t given_back_bytes; /* 0: it was not worth while, or cannot be done */
	bool unable; /* the index is damaged, or the file system makes no holes: not to be tried again */
};

/* ERR_IO; ERR_NOT_FOUND: its index is gone. */
int holes_make(const char *output_dir, const struct uuid *worker, uint32_t segment, holes_needed_fn *needed,
	       void *arg, struct holes_made *ret, struct error *reterr) MUST_CHECK;
