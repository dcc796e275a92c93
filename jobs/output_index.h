/* The index of an output segment: where each successful attempt's output lies. Pure.
 *
 * A segment is three files below output/<worker id>/: NNNNNNNN.out and .err, which children write
 * straight into, and .idx, one fixed entry for each success that wrote something. A shard that
 * its worker reported done and that has no entry wrote nothing. Entries of one token may stand in
 * any order; the last one of a shard counts.
 *
 * An entry, little endian: epoch u32, shard u32, lease u64, out offset u64, out length u64,
 * err offset u64, err length u64, crc32c of the out bytes u32, crc32c of the entry before it u32. */
#pragma once

#include "jobs/schema.h"

#define OUTPUT_ENTRY_BYTES 56

struct output_entry {
	struct token token;
	uint32_t shard;
	uint64_t out_offset, out_length;
	uint64_t err_offset, err_length;
	uint32_t out_crc;
};

void output_entry_encode(const struct output_entry *e, uint8_t ret[OUTPUT_ENTRY_BYTES]);
/* ERR_CORRUPT when the checksum is wrong. */
int output_entry_decode(const uint8_t in[OUTPUT_ENTRY_BYTES], struct output_entry *ret) MUST_CHECK;

/* "out", "err" or "idx" of a segment, below the output directory: "<worker>/00000001.out". */
void output_path(const struct uuid *worker, uint32_t segment, const char *kind, char *ret, size_t size);
/* 32 hex digits and a NUL. */
void uuid_text(const struct uuid *u, char ret[33]);
int uuid_parse(struct bytes text, struct uuid *ret) MUST_CHECK;

/* Puts the entries of `token` with a shard of `range` into ret[shard - range.first]; shards without
 * one keep what is there. Damaged entries and a cut-off last one are counted in *damaged_ret. */
void output_index_collect(struct bytes index, struct token token, struct range range,
			  struct output_entry *ret, uint32_t *damaged_ret);
