/* The parts of a file of keys, for those who read and write them (key_file.h has the drawing). */
#pragma once

#include "dispatcher/dedup/key_file.h"

#define KEY_MAGIC "shmillDK"
#define KEY_VERSION 1u

struct key_header {
	char magic[8];
	uint32_t version, zero;
	uint64_t keys;
	int64_t first_us, last_us;
	uint64_t block_count, filter_blocks;
	uint32_t index_crc;
	uint32_t crc;
};
_Static_assert(sizeof(struct key_header) == 64, "the header is packed by itself");

struct key_block {
	uint32_t crc, count;
	uint64_t zeros[3];
	struct key_entry entries[KEY_BLOCK_ENTRIES];
};
_Static_assert(sizeof(struct key_block) == KEY_BLOCK_BYTES, "a block is a page");

static inline uint64_t key_filter_offset(uint64_t block_count)
{
	return KEY_BLOCK_BYTES * (1 + block_count);
}

/* All zero, at a cache line. */
uint64_t *key_filter_create(uint64_t blocks) MUST_CHECK;
