/* What was written is found again, whole and in order; what was not, or not so, is told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/support/effort.h"
#include "tests/unit/jobs/frame_journal.h"

static struct journal j;

static void setup(void)
{
	journal_begin(&j, 20 * FRAME_BLOCK_BYTES, 1);
}

static void teardown(void)
{
	journal_end(&j);
}

TestSuite(frame, .init = setup, .fini = teardown);

Test(frame, twenty_records_in_nine_commits_come_back)
{
	journal_write_twenty(&j);
	struct outcome o = journal_recover(&j, true);

	cr_assert_eq(o.status, FRAME_END);
	cr_assert_eq(o.frames, j.frame_count);
	cr_assert_eq(o.cursor.chain.lsn, 21);
	cr_assert_eq(o.cursor.chain.prev_crc, j.chain.prev_crc);
	cr_assert_eq(o.cursor.chain.epoch, 4);
	cr_assert_eq(o.cursor.offset, j.end);
}

Test(frame, an_empty_segment_is_an_end)
{
	struct outcome o = journal_recover(&j, true);

	cr_assert_eq(o.status, FRAME_END);
	cr_assert_eq(o.frames, 0);
	cr_assert_eq(o.cursor.chain.lsn, 1);
	cr_assert_eq(o.cursor.offset, FRAME_BLOCK_BYTES);
}

/* Random commits over several segments, each segment continuing the one before. */
Test(frame, random_journals_come_back)
{
	struct rng r;

	for (uint64_t seed = 1; seed <= effort(20, 60, 1000); seed++) {
		rng_seed(&r, seed);
		journal_end(&j);
		journal_begin(&j, (2 + rng_below(&r, 40)) * FRAME_BLOCK_BYTES, 1 + rng_below(&r, UINT32_MAX));
		for (int segment = 0; segment < 4; segment++) {
			struct outcome o;

			while (journal_write_random(&j, &r))
				;
			o = journal_recover(&j, rng_below(&r, 2) != 0);
			cr_assert_eq(o.status, FRAME_END, "seed %llu", (unsigned long long)seed);
			cr_assert_eq(o.frames, j.frame_count, "seed %llu", (unsigned long long)seed);
			cr_assert_eq(o.cursor.chain.lsn, j.chain.lsn);
			journal_next_segment(&j);
		}
	}
}

static struct outcome flip(size_t byte, int bit, bool is_last)
{
	struct outcome o;

	j.bytes.data[byte] ^= (uint8_t)(1u << bit);
	o = journal_recover(&j, is_last);
	j.bytes.data[byte] ^= (uint8_t)(1u << bit);
	return o;
}

/* A flip before the last frame is damage. In the last frame, or in the zeros behind it, it may pass
 * for a commit that was cut off. It is never silent, and recovery never gives out a wrong record:
 * journal_recover compares each frame with what was written. */
Test(frame, no_flipped_bit_is_silent)
{
	const size_t stride = effort(5, 1, 1); /* odd: other bytes of each block */

	journal_write_twenty(&j);
	for (size_t byte = 0; byte < j.bytes.size; byte += stride) {
		size_t hit = journal_frame_at(&j, byte);

		for (int bit = 0; bit < 8; bit++) {
			struct outcome o = flip(byte, bit, true);

			if (byte < FRAME_BLOCK_BYTES) {
				cr_assert(o.refused < 0, "header byte %zu bit %d", byte, bit);
				cr_assert_eq(o.frames, 0);
				continue;
			}
			cr_assert_eq(o.refused, 0);
			/* behind the last frame: it counts, only the zeros are torn */
			cr_assert(o.frames == hit || (o.frames == j.frame_count && o.status == FRAME_TORN),
				  "byte %zu bit %d", byte, bit);
			if (hit + 1 < j.frame_count)
				cr_assert_eq(o.status, FRAME_DAMAGED, "byte %zu bit %d", byte, bit);
			else
				cr_assert(o.status == FRAME_DAMAGED || o.status == FRAME_TORN,
					  "byte %zu bit %d", byte, bit);
			if (o.status == FRAME_TORN)
				cr_assert(o.cursor.torn_first <= byte && byte < o.cursor.torn_end);
		}
	}
}

Test(frame, in_a_segment_that_was_left_behind_each_flipped_bit_is_damage)
{
	journal_write_twenty(&j);
	for (size_t byte = FRAME_BLOCK_BYTES; byte < j.bytes.size; byte += 7) {
		struct outcome o = flip(byte, (int)(byte % 8), false);

		cr_assert_eq(o.status, FRAME_DAMAGED, "byte %zu", byte);
		cr_assert_eq(o.frames, journal_frame_at(&j, byte));
	}
}

/* A segment has its full size before it bears its name: a shorter file is damage, wherever it ends,
 * also between two frames, where nothing else would tell. */
Test(frame, a_file_cut_off_at_any_byte_is_refused)
{
	size_t size = j.bytes.size;

	journal_write_twenty(&j);
	for (size_t at = 0; at < size; at++) {
		struct outcome o;

		j.bytes.size = at;
		o = journal_recover(&j, true);
		cr_assert_eq(o.refused, ERR_CORRUPT, "cut at %zu", at);
	}
	j.bytes.size = size;
}

/* The write of the last frame stopped after any of its bytes. */
Test(frame, a_commit_cut_off_at_any_byte_is_a_torn_tail)
{
	size_t first, end;
	uint8_t *copy;

	journal_write_twenty(&j);
	first = j.offsets[j.frame_count - 1];
	end = j.written_end;
	copy = malloc(end - first);
	cr_assert_not_null(copy);
	memcpy(copy, j.bytes.data + first, end - first);
	cr_assert_neq(copy[end - first - 1], 0, "the last byte says something");
	for (size_t size = 1; size < end - first; size++) {
		struct outcome o;

		memset(j.bytes.data + first, 0, end - first);
		memcpy(j.bytes.data + first, copy, size);
		o = journal_recover(&j, true);
		cr_assert_eq(o.status, FRAME_TORN, "after %zu bytes", size);
		cr_assert_eq(o.frames, j.frame_count - 1);
		cr_assert_eq(o.cursor.torn_first, first);
		cr_assert(o.cursor.torn_end >= first + size - 8 && o.cursor.torn_end <= j.end);
		memset(j.bytes.data + first, 0, o.cursor.torn_end - first);
		o = journal_recover(&j, true);
		cr_assert_eq(o.status, FRAME_END, "zeroed as told");
	}
	free(copy);
}

/* Blocks of one write reach the disk in any order: each subset of the last frame's. */
Test(frame, a_commit_that_lacks_any_of_its_blocks_is_a_torn_tail)
{
	struct rng r;
	size_t first, blocks = 5;
	uint8_t copy[5 * 4096];

	rng_seed(&r, 5);
	journal_write_twenty(&j);
	first = j.end;
	journal_write(&j, &r, (blocks - 1) * FRAME_BLOCK_BYTES + 100, 3);
	memcpy(copy, j.bytes.data + first, sizeof copy);
	for (unsigned subset = 1; subset + 1 < 1u << blocks; subset++) {
		struct outcome o;

		for (size_t b = 0; b < blocks; b++) {
			uint8_t *p = j.bytes.data + first + b * FRAME_BLOCK_BYTES;

			memset(p, 0, FRAME_BLOCK_BYTES);
			if (subset & 1u << b)
				memcpy(p, copy + b * FRAME_BLOCK_BYTES, FRAME_BLOCK_BYTES);
		}
		o = journal_recover(&j, true);
		cr_assert_eq(o.status, FRAME_TORN, "subset %u", subset);
		cr_assert_eq(o.frames, j.frame_count - 1);
		cr_assert_eq(journal_recover(&j, false).status, FRAME_DAMAGED);
	}
}

Test(frame, a_garbage_tail_is_told_and_never_read)
{
	struct rng r;

	rng_seed(&r, 77);
	journal_write_twenty(&j);
	for (int i = 0; i < 500; i++) {
		size_t room = j.bytes.size - j.end;
		size_t first = j.end + rng_below(&r, room);
		size_t size = 1 + rng_below(&r, j.bytes.size - first);
		struct outcome o;

		for (size_t k = 0; k < size; k++)
			j.bytes.data[first + k] = (uint8_t)(rng_u64(&r) | 1);
		o = journal_recover(&j, true);
		cr_assert_eq(o.status, FRAME_TORN);
		cr_assert_eq(o.frames, j.frame_count);
		cr_assert(o.cursor.torn_end >= first + size);
		memset(j.bytes.data + j.end, 0, room);
	}
}
