/* Where the fields of headers and frames stand, for frame.c and frame_recover.c. */
#pragma once

#include <string.h>

#include "base/crc32c.h"
#include "jobs/frame.h"

#define SEGMENT_MAGIC "shmillSG"
#define FRAME_MAGIC 0x52466d73u /* "smFR" */

enum {
	SEGMENT_AT_MAGIC = 0,
	SEGMENT_AT_VERSION = 8,
	SEGMENT_AT_SEED = 12,
	SEGMENT_AT_CLUSTER_HI = 16,
	SEGMENT_AT_CLUSTER_LO = 24,
	SEGMENT_AT_FIRST_LSN = 32,
	SEGMENT_AT_BYTES = 40,
	SEGMENT_AT_EPOCH = 48,
	SEGMENT_AT_PREV_CRC = 52,
	SEGMENT_AT_CRC = 60,
	SEGMENT_HEADER_BYTES = 64,

	FRAME_AT_MAGIC = 0,
	FRAME_AT_CRC = 4,
	FRAME_AT_LENGTH = 8,
	FRAME_AT_COUNT = 12,
	FRAME_AT_LSN = 16,
	FRAME_AT_EPOCH = 24,
	FRAME_AT_PREV_CRC = 28,
};

static inline void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u32(p + 4, (uint32_t)(v >> 32));
}

static inline uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

/* The crc of the frame that begins at p, header (without magic and crc) and payload being contiguous. */
static inline uint32_t frame_crc(uint32_t seed, const uint8_t *p, size_t payload_bytes)
{
	uint8_t seed_bytes[4];

	put_u32(seed_bytes, seed);
	return crc32c(crc32c(0, seed_bytes, sizeof seed_bytes), p + FRAME_AT_LENGTH,
		      FRAME_HEADER_BYTES - FRAME_AT_LENGTH + payload_bytes);
}
