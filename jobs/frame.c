#include "jobs/frame.h"

#include "base/check.h"
#include "jobs/frame_layout.h"

static size_t round_up_to_block(size_t size)
{
	return (size + FRAME_BLOCK_BYTES - 1) / FRAME_BLOCK_BYTES * FRAME_BLOCK_BYTES;
}

size_t frame_size_bytes(size_t payload_bytes)
{
	return round_up_to_block(FRAME_HEADER_BYTES + payload_bytes);
}

size_t frame_payload_bytes_max(uint64_t segment_bytes)
{
	uint64_t room;

	CHECK(segment_bytes >= SEGMENT_BYTES_MIN);
	room = segment_bytes - FRAME_BLOCK_BYTES - FRAME_HEADER_BYTES;
	return room < FRAME_BYTES_MAX ? (size_t)room : (size_t)FRAME_BYTES_MAX;
}

void frame_segment_encode(const struct frame_segment *s, struct buf *out)
{
	uint8_t *p;

	CHECK(s->segment_bytes >= SEGMENT_BYTES_MIN && s->segment_bytes <= SEGMENT_BYTES_MAX);
	CHECK(s->segment_bytes % FRAME_BLOCK_BYTES == 0);
	CHECK(s->first_lsn > 0);
	p = buf_reserve(out, FRAME_BLOCK_BYTES);
	memset(p, 0, FRAME_BLOCK_BYTES);
	memcpy(p + SEGMENT_AT_MAGIC, SEGMENT_MAGIC, sizeof SEGMENT_MAGIC - 1);
	put_u32(p + SEGMENT_AT_VERSION, FRAME_FORMAT_VERSION);
	put_u32(p + SEGMENT_AT_SEED, s->seed);
	put_u64(p + SEGMENT_AT_CLUSTER_HI, s->cluster_hi);
	put_u64(p + SEGMENT_AT_CLUSTER_LO, s->cluster_lo);
	put_u64(p + SEGMENT_AT_FIRST_LSN, s->first_lsn);
	put_u64(p + SEGMENT_AT_BYTES, s->segment_bytes);
	put_u32(p + SEGMENT_AT_EPOCH, s->epoch);
	put_u32(p + SEGMENT_AT_PREV_CRC, s->prev_crc);
	put_u32(p + SEGMENT_AT_CRC, crc32c(0, p, SEGMENT_AT_CRC));
	out->size += FRAME_BLOCK_BYTES;
}

void frame_encode(struct frame_chain *chain, uint32_t seed, struct bytes payload, uint32_t record_count,
		  struct buf *out)
{
	size_t size = frame_size_bytes(payload.size);
	size_t used = FRAME_HEADER_BYTES + payload.size;
	uint32_t crc;
	uint8_t *p;

	CHECK(record_count > 0 && payload.size <= FRAME_BYTES_MAX);
	CHECK(chain->lsn > 0 && chain->lsn <= UINT64_MAX - record_count);
	p = buf_reserve(out, size);
	put_u32(p + FRAME_AT_MAGIC, FRAME_MAGIC);
	put_u32(p + FRAME_AT_LENGTH, (uint32_t)payload.size);
	put_u32(p + FRAME_AT_COUNT, record_count);
	put_u64(p + FRAME_AT_LSN, chain->lsn);
	put_u32(p + FRAME_AT_EPOCH, chain->epoch);
	put_u32(p + FRAME_AT_PREV_CRC, chain->prev_crc);
	if (payload.size > 0)
		memcpy(p + FRAME_HEADER_BYTES, payload.data, payload.size);
	memset(p + used, 0, size - used);
	crc = frame_crc(seed, p, payload.size);
	put_u32(p + FRAME_AT_CRC, crc);
	out->size += size;
	chain->lsn += record_count;
	chain->prev_crc = crc;
}
