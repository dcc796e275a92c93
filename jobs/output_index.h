/* The index of an output segment: where each attempt's output lies that has ended. Pure.
 *
 * A segment is three files below output/<worker id>/: NNNNNNNN.out and .err, to which the worker puts what
 * its attempts wrote, and .idx, one fixed entry for each attempt that ended and wrote something. A shard
 * that its worker reported done and that has no entry wrote nothing. Entries of one token may stand in
 * any order; the last one of a shard counts.
 *
 * The index of a segment that its worker has closed, so that nothing is added to it any more, has the sticky
 * bit among its modes (OUTPUT_INDEX_CLOSED): whoever removes segments that nobody needs looks for that.
 *
 * Entries that nobody needs any more become zeros, if the index says by its setgid bit (OUTPUT_INDEX_HOLES)
 * that it may have such holes; without it, zeros before an entry are damage.
 *
 * An entry, little endian: epoch u32, shard u32, lease u64, out offset u64, out length u64,
 * err offset u64, err length u64, crc32c of the out bytes u32, crc32c of the entry before it u32. */
#pragma once

#include "base/limits.h"
#include "jobs/schema.h"

#define OUTPUT_ENTRY_BYTES 56
#define OUTPUT_INDEX_CLOSED 01000 /* S_ISVTX */
#define OUTPUT_INDEX_HOLES 02000  /* S_ISGID; without S_IXGRP it means nothing else to Linux */

struct output_entry {
	struct token token;
	uint32_t shard;
	uint64_t out_offset, out_length;
	uint64_t err_offset, err_length;
	uint32_t out_crc;
};

void output_entry_encode(const struct output_entry *e, uint8_t ret[OUTPUT_ENTRY_BYTES]);
/* ERR_CORRUPT when the checksum is wrong, or the entry names bytes that no file can have. */
int output_entry_decode(const uint8_t in[OUTPUT_ENTRY_BYTES], struct output_entry *ret) MUST_CHECK;

/* Do the entry's bytes lie within files of these sizes? Without wrapping around. */
bool output_entry_fits(const struct output_entry *e, uint64_t out_size, uint64_t err_size);

/* "out", "err" or "idx" of a segment, below the output directory: "<worker>/00000001.out". */
void output_path(const struct uuid *worker, uint32_t segment, const char *kind, char *ret, size_t size);

/* The size of an index without what a crash may leave behind its last entry: half an entry, or zeros.
 * Whatever was reported had been synced before, so it does not lie there. */
size_t output_index_size(struct bytes index);
/* The first shard of `range` of which `token` has an entry; the range's last when there is none. */
uint32_t output_index_next(struct bytes index, struct token token, struct range range);
/* Puts the entries of `token` with a shard of `range` into ret[shard - range.first]; shards without
 * one keep what is there. Damaged entries and a cut-off last one are counted in *damaged_ret. */
void output_index_collect(struct bytes index, struct token token, struct range range,
			  struct output_entry *ret, uint32_t *damaged_ret);
