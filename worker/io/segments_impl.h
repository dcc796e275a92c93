/* What segments.c and segments_sync.c share. With the lock, unless they say otherwise. */
#pragma once

#include "worker/io/segments.h"

/* "cannot VERB an output segment", with errno's words and the directory. */
int segments_error(const struct output_dir *d, const char *verb, struct error *reterr);
bool segments_has_failed(const struct output_dir *d, uint32_t number);
void segments_add_failed(struct output_dir *d, uint32_t number);
/* Are these files still those of their names? Without the lock, too. */
bool segments_are_there(const struct output_dir *d, const struct output_segment *g,
			const bool files[SEGMENT_FILES]);
/* Syncs it; lets the lock go meanwhile. It is not busy. */
void segments_sync_one(struct output_dir *d, struct output_segment *g, struct error *reterr);
/* Closes a retired segment that is synced and that nobody writes to. */
void segments_end_if_over(struct output_dir *d, struct output_segment *g);
