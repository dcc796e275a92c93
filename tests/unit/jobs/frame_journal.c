#include "tests/unit/jobs/frame_journal.h"

#include <criterion/criterion.h>
#include <string.h>

static void lay_out(struct journal *j)
{
	buf_clear(&j->bytes);
	frame_segment_encode(&j->segment, &j->bytes);
	buf_append_zeros(&j->bytes, j->segment.segment_bytes - j->bytes.size);
	j->end = FRAME_BLOCK_BYTES;
}

void journal_begin(struct journal *j, size_t segment_bytes, uint64_t first_lsn)
{
	*j = (struct journal){
	    .segment = {.cluster_hi = 0x0123456789abcdef,
			.cluster_lo = 0xfedcba9876543210,
			.first_lsn = first_lsn,
			.segment_bytes = segment_bytes,
			.seed = 0xc0ffee11},
	    .chain = {.lsn = first_lsn},
	};
	lay_out(j);
}

void journal_next_segment(struct journal *j)
{
	j->segment.first_lsn = j->chain.lsn;
	j->segment.epoch = j->chain.epoch;
	j->segment.prev_crc = j->chain.prev_crc;
	j->segment.seed++;
	j->frame_count = 0;
	lay_out(j);
}

void journal_end(struct journal *j)
{
	buf_fini(&j->bytes);
	for (size_t i = 0; i < JOURNAL_FRAMES_MAX; i++)
		buf_fini(&j->payloads[i]);
}

void journal_write(struct journal *j, struct rng *r, size_t payload_bytes, uint32_t record_count)
{
	size_t i = j->frame_count++;
	struct buf out = {0};
	uint8_t *p;

	cr_assert_lt(i, JOURNAL_FRAMES_MAX);
	buf_clear(&j->payloads[i]);
	p = buf_reserve(&j->payloads[i], payload_bytes);
	for (size_t k = 0; k < payload_bytes; k++)
		p[k] = (uint8_t)(1 + rng_below(r, 255));
	j->payloads[i].size = payload_bytes;
	j->offsets[i] = j->end;
	j->lsns[i] = j->chain.lsn;
	j->counts[i] = record_count;
	j->epochs[i] = j->chain.epoch;
	frame_encode(&j->chain, j->segment.seed, buf_bytes(&j->payloads[i]), record_count, &out);
	cr_assert_leq(out.size, j->bytes.size - j->end);
	memcpy(j->bytes.data + j->end, out.data, out.size);
	j->written_end = j->end + FRAME_HEADER_BYTES + payload_bytes;
	j->end += out.size;
	buf_fini(&out);
}

bool journal_write_random(struct journal *j, struct rng *r)
{
	size_t max = frame_payload_bytes_max(j->segment.segment_bytes);
	size_t size = rng_below(r, rng_chance(r, 500000) ? 200 : max + 1);

	if (j->end + frame_size_bytes(size) > j->bytes.size || j->frame_count == JOURNAL_FRAMES_MAX)
		return false;
	j->chain.epoch += (uint32_t)rng_below(r, 2);
	journal_write(j, r, size, 1 + (uint32_t)rng_below(r, 1000));
	return true;
}

void journal_write_twenty(struct journal *j)
{
	static const struct {
		uint32_t epoch, records;
		size_t bytes;
	} commits[] = {
	    {3, 1, 30},	  {3, 2, 4064}, {3, 1, 100}, {3, 3, 5000}, {4, 1, 1},
	    {4, 5, 9000}, {4, 1, 700},	{4, 2, 0},   {4, 4, 6000},
	};
	struct rng r;

	rng_seed(&r, 20);
	for (size_t i = 0; i < ARRAY_LENGTH(commits); i++) {
		j->chain.epoch = commits[i].epoch;
		journal_write(j, &r, commits[i].bytes, commits[i].records);
	}
}

size_t journal_frame_at(const struct journal *j, size_t byte)
{
	size_t i = 0;

	if (byte >= j->end)
		return j->frame_count;
	while (i + 1 < j->frame_count && j->offsets[i + 1] <= byte)
		i++;
	return i;
}

struct outcome journal_recover(const struct journal *j, bool is_last)
{
	struct frame_expect e = {.cluster_hi = j->segment.cluster_hi,
				 .cluster_lo = j->segment.cluster_lo,
				 .is_first = true,
				 .is_last = is_last};
	struct outcome o = {.status = FRAME_END};
	struct frame f;

	o.refused = frame_recover(&o.cursor, BYTES(j->bytes.data, j->bytes.size), &e, &o.error);
	if (o.refused < 0)
		return o;
	while ((o.status = frame_next(&o.cursor, &f, &o.error)) == FRAME_OK) {
		size_t i = o.frames++;

		cr_assert_lt(i, j->frame_count, "a frame that nobody wrote");
		cr_assert_eq(f.lsn, j->lsns[i]);
		cr_assert_eq(f.record_count, j->counts[i]);
		cr_assert_eq(f.epoch, j->epochs[i]);
		cr_assert_eq(f.offset, j->offsets[i]);
		cr_assert(bytes_equal(f.payload, buf_bytes(&j->payloads[i])), "frame %zu", i);
	}
	return o;
}
