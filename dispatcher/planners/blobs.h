/* Reading plan blobs (jobs/plan_blob.h) of the plans/ directory: a few files and one block of each are
 * kept at hand. Thread: any. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "jobs/schema.h"

struct blobs;

struct blobs *blobs_create(const char *plans_dir) MUST_CHECK;
void blobs_destroy(struct blobs *b); /* NULL is fine */

/* The items [first, first+count), copied into the arena and appended to items (with room for count): as
 * many as fit bytes_max, one at least; *ret_count of them. ERR_CORRUPT, ERR_IO, ERR_NOT_FOUND. */
int blobs_items(struct blobs *b, struct bytes name, uint32_t first, uint32_t count, size_t bytes_max,
		struct arena *arena, struct text_item *items, uint32_t *ret_count,
		struct error *reterr) MUST_CHECK;
bool blobs_have(const struct blobs *b, struct bytes name); /* is the file there? */
/* The file will go away. */
void blobs_forget(struct blobs *b, struct bytes name);

/* "12-0.items": the name of a phase's blob. */
#define BLOB_NAME_BYTES 48
const char *blob_name(uint64_t job, uint32_t phase, char buf[BLOB_NAME_BYTES]);
/* The job that a name names; 0 when it is no blob's name. */
uint64_t blob_job(const char *name);
