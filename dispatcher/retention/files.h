/* Files of output segments: removed, looked at, looked for. In a reader's thread. */
#pragma once

#include <dirent.h>

#include "dispatcher/retention/candidates.h"
#include "dispatcher/store/history_kept.h"

/* Removes what is there of a segment and syncs the directory; the directory goes, too, when it is empty. 0
 * also when nothing was there. ERR_IO. */
int segment_files_remove(const char *output_dir, const struct uuid *worker, uint32_t segment,
			 struct error *reterr) MUST_CHECK;
/* Has its worker closed it? False also when it is not there. */
bool segment_files_are_closed(const char *output_dir, const struct uuid *worker, uint32_t segment);

/* A walk through the outputs of the workers that history knows: finds segments that its table lacks. All
 * zero: it begins anew. */
struct segment_walk {
	DIR *workers, *segments; /* NULL: between two */
	struct uuid worker;
	int64_t number; /* in history */
};

/* Looks at `entries` files at most. True: there is more to look at. */
bool segment_walk_step(struct segment_walk *w, const char *output_dir, struct history_reader *history,
		       uint32_t entries, history_segment_fn *fn, void *arg);
void segment_walk_end(struct segment_walk *w);
