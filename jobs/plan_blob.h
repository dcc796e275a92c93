/* A plan blob: the items of a phase, frozen when it was planned, so that shard n is the same item for
 * ever. Pure: bytes in, bytes out; the files are the shell's.
 *
 * The file is a row of blocks, each at a multiple of PLAN_BLOB_BLOCK_BYTES; what a block does not fill
 * is zero or, behind the last, absent. A block stands alone (a damaged one loses its own items, and is
 * told), and its header says which items it holds, so that an item is found by bisection over headers.
 * A block is twice as large as the largest item, so that no item is cut. Little endian:
 *
 *   0 magic "smPB" | 4 crc32c of all behind it u32 | 8 first item u32 | 12 item count u32
 *   16 payload bytes u32 | 20 zero u32 | 24 payload: each item as length u32 and bytes */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "jobs/range.h"

#define PLAN_BLOB_BLOCK_BYTES ((size_t)(128 * KIB))
#define PLAN_BLOB_HEADER_BYTES ((size_t)24)

struct plan_blob_block {
	struct range items;
	uint32_t payload_bytes;
};

/* A block in the making. All zero with `first` set is an empty one. */
struct plan_blob_writer {
	uint32_t first; /* item number of the block's first */
	uint32_t count;
	struct buf payload;
};

/* False: the block is full, take it first. item.size <= ITEM_BYTES_MAX. */
bool plan_blob_add(struct plan_blob_writer *w, struct bytes item) MUST_CHECK;
/* Appends the block (nothing when it is empty) without its filling, and begins the next one. */
void plan_blob_take(struct plan_blob_writer *w, struct buf *out);
void plan_blob_writer_fini(struct plan_blob_writer *w);

/* What a block's header says; its first PLAN_BLOB_HEADER_BYTES are enough. ERR_CORRUPT. */
int plan_blob_header(struct bytes head, struct plan_blob_block *ret, struct error *reterr) MUST_CHECK;
/* Checks the whole block. ERR_CORRUPT in words. */
int plan_blob_check(struct bytes block, struct plan_blob_block *ret, struct error *reterr) MUST_CHECK;
/* Where plan_blob_item was last: items asked for in order cost nothing each. All zero at first, and
 * again for another block. */
struct plan_blob_place {
	uint32_t item;
	uint32_t offset; /* in the payload; 0 with item 0 = at the front */
};
/* An item of a block that was checked; empty bytes when it does not hold it. */
struct bytes plan_blob_item(struct bytes block, uint32_t item, struct plan_blob_place *place);
