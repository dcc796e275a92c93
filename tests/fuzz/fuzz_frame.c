/* A journal's segment with any changes: what recovery gives out is what was written, from the first frame
 * on, or it says what is wrong.
 *
 * The first byte makes up the segment. Then each change is six bytes: what to do, a place (three bytes),
 * a value and a length. One kind of change gives a header or a frame a right checksum again, as only
 * somebody who means harm does; then the frames are somebody's, but they must lie inside the segment. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "jobs/frame_layout.h"
#include "tests/fuzz/fuzz.h"

#define BLOCKS 12
#define FRAMES_MAX BLOCKS

struct written {
	struct buf segment;
	struct frame_segment header;
	struct frame frames[FRAMES_MAX];
	size_t frame_count;
	struct buf payloads[FRAMES_MAX];
};

static void write_segment(struct written *w, struct rng *r)
{
	struct frame_chain chain = {.lsn = 1 + rng_below(r, 1000), .prev_crc = 77, .epoch = 3};
	size_t frames = rng_below(r, 9);

	w->header = (struct frame_segment){.cluster_hi = 1,
					   .cluster_lo = 2,
					   .first_lsn = chain.lsn,
					   .segment_bytes = BLOCKS * FRAME_BLOCK_BYTES,
					   .seed = (uint32_t)rng_u64(r),
					   .epoch = chain.epoch,
					   .prev_crc = chain.prev_crc};
	frame_segment_encode(&w->header, &w->segment);
	for (size_t i = 0; i < frames; i++) {
		size_t room = w->header.segment_bytes - w->segment.size;
		size_t size = rng_below(r, rng_below(r, 3) == 0 ? 9000 : 100);
		struct frame *f = &w->frames[i];

		if (frame_size_bytes(size) > room)
			break;
		for (size_t k = 0; k < size; k++)
			buf_append(&w->payloads[i], &(uint8_t){(uint8_t)rng_u64(r)}, 1);
		chain.epoch += (uint32_t)rng_below(r, 2);
		*f = (struct frame){.lsn = chain.lsn,
				    .record_count = 1 + (uint32_t)rng_below(r, 5),
				    .epoch = chain.epoch,
				    .payload = buf_bytes(&w->payloads[i]),
				    .offset = w->segment.size};
		frame_encode(&chain, w->header.seed, f->payload, f->record_count, &w->segment);
		w->frame_count++;
	}
	buf_append_zeros(&w->segment, w->header.segment_bytes - w->segment.size);
}

static void fix_checksum(struct written *w, size_t block)
{
	uint8_t *p = w->segment.data + block * FRAME_BLOCK_BYTES;
	size_t room = w->segment.size - block * FRAME_BLOCK_BYTES;
	uint32_t length = get_u32(p + FRAME_AT_LENGTH);

	if (block == 0)
		put_u32(p + SEGMENT_AT_CRC, crc32c(0, p, SEGMENT_AT_CRC));
	else if (length <= room - FRAME_HEADER_BYTES)
		put_u32(p + FRAME_AT_CRC, frame_crc(w->header.seed, p, length));
}

/* True when it forged a checksum. */
static bool change(struct written *w, const uint8_t *how)
{
	size_t at = (how[1] | how[2] << 8 | (size_t)how[3] << 16) % w->segment.size;
	size_t room = w->segment.size - at, size = 1 + how[5];
	size_t block = at / FRAME_BLOCK_BYTES, to = how[4] % BLOCKS;

	size = size < room ? size : room;
	switch (how[0] % 6) {
	case 0: /* a byte near the beginning of a block, where the headers are */
		w->segment.data[block * FRAME_BLOCK_BYTES + at % 64] ^= how[4];
		break;
	case 1:
		w->segment.data[at] ^= how[4];
		break;
	case 2:
		memset(w->segment.data + at, how[4], size);
		break;
	case 3:
		memset(w->segment.data + at, 0, room);
		break;
	case 4:
		memcpy(w->segment.data + to * FRAME_BLOCK_BYTES, w->segment.data + block * FRAME_BLOCK_BYTES,
		       to == block ? 0 : FRAME_BLOCK_BYTES);
		break;
	default:
		fix_checksum(w, block);
		return true;
	}
	return false;
}

static void check_frame(const struct written *w, const struct frame *f, size_t i, bool forged)
{
	CHECK(f->payload.data >= w->segment.data + FRAME_BLOCK_BYTES);
	CHECK(f->payload.data + f->payload.size <= w->segment.data + w->segment.size);
	CHECK(f->record_count > 0);
	if (forged)
		return;
	CHECK(i < w->frame_count);
	CHECK(f->lsn == w->frames[i].lsn && f->epoch == w->frames[i].epoch);
	CHECK(f->record_count == w->frames[i].record_count && f->offset == w->frames[i].offset);
	CHECK(bytes_equal(f->payload, w->frames[i].payload));
}

static void recover(const struct written *w, bool changed, bool forged, bool is_last)
{
	struct frame_expect e = {.cluster_hi = 1, .cluster_lo = 2, .is_first = true, .is_last = is_last};
	struct error error = {0};
	struct frame_cursor c;
	enum frame_status status;
	struct frame f;
	size_t i = 0;

	if (frame_recover(&c, buf_bytes(&w->segment), &e, &error) < 0) {
		CHECK(changed && error.what[0] != '\0');
		return;
	}
	while ((status = frame_next(&c, &f, &error)) == FRAME_OK)
		check_frame(w, &f, i++, forged);
	CHECK(status == frame_next(&c, &f, &error));
	CHECK(c.offset <= w->segment.size && c.offset % FRAME_BLOCK_BYTES == 0);
	if (!changed)
		CHECK(status == FRAME_END && i == w->frame_count);
	if (status == FRAME_TORN)
		CHECK(is_last && c.torn_first < c.torn_end && c.torn_end <= w->segment.size);
	if (status == FRAME_DAMAGED)
		CHECK(c.lost_first <= c.lost_end);
	if (status != FRAME_END)
		CHECK(error.what[0] != '\0' && error.where[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct written *w = check_calloc(1, sizeof *w);
	bool forged = false, changed = false;
	struct rng r;

	rng_seed(&r, size > 0 ? data[0] : 0);
	write_segment(w, &r);
	for (size_t i = 1; i + 6 <= size; i += 6) {
		forged |= change(w, data + i);
		changed = true;
	}
	recover(w, changed, forged, true);
	recover(w, changed, forged, false);
	buf_fini(&w->segment);
	for (size_t i = 0; i < FRAMES_MAX; i++)
		buf_fini(&w->payloads[i]);
	free(w);
	return 0;
}
