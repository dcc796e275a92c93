/* Job rows by id, in blocks. A row stays where it is until it is removed. Pure. */
#pragma once

#include "dispatcher/core/durable/state.h"

/* NULL when there is none. O(1) while ids are dense, else O(log blocks). */
struct job_row *job_table_get(const struct job_table *t, uint64_t job);
/* The next id that is there, above resp. below; 0 when none. */
uint64_t job_table_next(const struct job_table *t, uint64_t after);
uint64_t job_table_previous(const struct job_table *t, uint64_t before);

/* The row's body: what was written by job_row_set_body, in the arena (which has no bound). */
void job_row_body(const struct job_row *row, const struct codec *codec, void *value, struct arena *arena);

void blob_set(struct blob *b, struct bytes value); /* a copy */
/* Nobody takes no room. Decoded in the arena, which has no bound. */
void blob_set_principal(struct blob *b, const struct principal *p);
struct principal blob_principal(const struct blob *b, struct arena *arena);
void blob_fini(struct blob *b);
static inline struct bytes blob_bytes(const struct blob *b)
{
	return BYTES(b->data, b->size);
}
