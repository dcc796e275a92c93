/* What recovery refuses, and the words that it finds for it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "tests/unit/jobs/frame_journal.h"

static struct journal j;

static void setup(void)
{
	journal_begin(&j, 20 * FRAME_BLOCK_BYTES, 1);
	journal_write_twenty(&j);
}

static void teardown(void)
{
	journal_end(&j);
}

TestSuite(frame_refused, .init = setup, .fini = teardown);

static void assert_says(const struct outcome *o, const char *words)
{
	char text[1024];

	error_text(&o->error, text, sizeof text);
	cr_assert_not_null(strstr(text, words), "expected \"%s\" in \"%s\"", words, text);
}

Test(frame_refused, damage_says_where_it_is_and_what_is_lost)
{
	struct outcome o;

	j.bytes.data[j.offsets[2] + 40] ^= 1;
	o = journal_recover(&j, true);
	cr_assert_eq(o.status, FRAME_DAMAGED);
	cr_assert_eq(o.cursor.lost_first, 4);
	cr_assert_eq(o.cursor.lost_end, 21);
	assert_says(&o, "byte 12288: the frame of record 4 is damaged: its checksum is wrong");
	assert_says(&o, "a good frame follows at byte 16384: going on would lose records 4 to 20");
}

Test(frame_refused, the_frame_of_a_lost_write_is_damage_when_a_later_one_stands)
{
	struct outcome o;

	memset(j.bytes.data + j.offsets[3], 0, j.offsets[4] - j.offsets[3]);
	o = journal_recover(&j, true);
	cr_assert_eq(o.status, FRAME_DAMAGED);
	cr_assert_eq(o.frames, 3);
	assert_says(&o, "it does not begin as a frame");
}

/* Whole frames, but not in their place: swapped, repeated, left out. */
Test(frame_refused, frames_cannot_be_swapped_repeated_or_left_out)
{
	uint8_t *d = j.bytes.data;
	uint8_t a[4096], b[4096];
	struct outcome o;

	memcpy(a, d + j.offsets[1], sizeof a);
	memcpy(b, d + j.offsets[2], sizeof b);
	memcpy(d + j.offsets[1], b, sizeof b);
	memcpy(d + j.offsets[2], a, sizeof a);
	o = journal_recover(&j, true);
	cr_assert_eq(o.status, FRAME_DAMAGED);
	cr_assert_eq(o.frames, 1);
	assert_says(&o, "it is whole, but bears the number of another record");

	memcpy(d + j.offsets[1], a, sizeof a);
	o = journal_recover(&j, true);
	cr_assert_eq(o.status, FRAME_DAMAGED);
	cr_assert_eq(o.frames, 2);

	memcpy(d + j.offsets[2], b, sizeof b);
	memcpy(d + j.end, b, sizeof b);
	o = journal_recover(&j, true);
	cr_assert_eq(o.status, FRAME_DAMAGED, "also where a torn tail could be: it is a whole frame");
	cr_assert_eq(o.frames, j.frame_count);
}

/* Frames that bear the right number, with a crc of their own that is right. */
Test(frame_refused, a_whole_frame_of_another_history_is_damage)
{
	static const struct {
		const char *what;
		struct frame_chain change; /* added to the chain */
		const char *words;
	} cases[] = {
	    {"number", {.lsn = 1}, "bears the number of another record"},
	    {"follows", {.prev_crc = 1}, "follows another frame than the one before it"},
	    {"epoch", {.epoch = (uint32_t)-1}, "of an older epoch"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct frame_chain chain = j.chain;
		struct buf out = {0};
		struct outcome o;

		chain.lsn += cases[i].change.lsn;
		chain.prev_crc += cases[i].change.prev_crc;
		chain.epoch += cases[i].change.epoch;
		frame_encode(&chain, j.segment.seed, BYTES_LIT("x"), 1, &out);
		memcpy(j.bytes.data + j.end, out.data, out.size);
		o = journal_recover(&j, true);
		cr_assert_eq(o.status, FRAME_DAMAGED, "%s", cases[i].what);
		cr_assert_eq(o.frames, j.frame_count);
		assert_says(&o, cases[i].words);
		buf_fini(&out);
	}
}

/* A user's bytes that look like frames do not turn a torn tail into damage: they lack the seed. */
Test(frame_refused, what_users_bring_cannot_look_like_a_frame)
{
	struct frame_chain chain = {.lsn = 1000, .epoch = 9};
	struct buf payload = {0}, out = {0};
	size_t first = j.end;
	struct outcome o;

	buf_append_zeros(&payload, FRAME_BLOCK_BYTES - FRAME_HEADER_BYTES);
	for (uint32_t seed = 0; seed < 3; seed++)
		frame_encode(&chain, seed, BYTES_LIT("forged"), 1, &payload);
	frame_encode(&j.chain, j.segment.seed, buf_bytes(&payload), 1, &out);
	memcpy(j.bytes.data + first, out.data, out.size);
	j.bytes.data[first + 100] ^= 1;
	o = journal_recover(&j, true);
	cr_assert_eq(o.status, FRAME_TORN);
	cr_assert_eq(o.frames, j.frame_count);
	buf_fini(&payload);
	buf_fini(&out);
}

Test(frame_refused, more_garbage_than_one_commit_can_leave_is_damage)
{
	struct outcome o;

	journal_end(&j);
	journal_begin(&j, FRAME_BYTES_MAX + 16 * FRAME_BLOCK_BYTES, 1);
	j.bytes.data[FRAME_BLOCK_BYTES + 8 * MIB] = 1;
	cr_assert_eq(journal_recover(&j, true).status, FRAME_TORN);
	j.bytes.data[FRAME_BLOCK_BYTES + 8 * MIB + 2 * FRAME_BLOCK_BYTES] = 1;
	o = journal_recover(&j, true);
	cr_assert_eq(o.status, FRAME_DAMAGED);
	assert_says(&o, "more bytes follow than one commit can have left");
}

static void fix_header_crc(void)
{
	uint32_t crc = crc32c(0, j.bytes.data, 60);

	for (int i = 0; i < 4; i++)
		j.bytes.data[60 + i] = (uint8_t)(crc >> (8 * i));
}

Test(frame_refused, a_newer_format_and_a_foreign_cluster_are_told_apart)
{
	struct outcome o;

	j.bytes.data[8] = FRAME_FORMAT_VERSION + 1;
	fix_header_crc();
	o = journal_recover(&j, true);
	cr_assert_eq(o.refused, ERR_VERSION);
	assert_says(&o, "the journal is of format 5, this build reads formats up to 4");
	j.bytes.data[8] = FRAME_FORMAT_VERSION;
	j.bytes.data[16] ^= 0xff;
	fix_header_crc();
	o = journal_recover(&j, true);
	cr_assert_eq(o.refused, ERR_DENIED);
	assert_says(&o, "belongs to cluster");
}

Test(frame_refused, a_header_with_impossible_sizes_is_refused_though_its_checksum_is_right)
{
	static const size_t at[] = {40, 41, 45}; /* the segment's size: unaligned, small, huge */

	for (size_t i = 0; i < ARRAY_LENGTH(at); i++) {
		uint8_t *p = &j.bytes.data[at[i]];
		uint8_t was = *p;

		*p ^= 0x11;
		fix_header_crc();
		cr_assert_eq(journal_recover(&j, true).refused, ERR_CORRUPT, "byte %zu", at[i]);
		*p = was;
	}
}

Test(frame_refused, a_segment_that_does_not_continue_the_last_one)
{
	struct frame_expect e;
	struct frame_cursor c;
	struct error error;

	journal_next_segment(&j);
	e = (struct frame_expect){.cluster_hi = j.segment.cluster_hi,
				  .cluster_lo = j.segment.cluster_lo,
				  .is_last = true,
				  .chain = j.chain};
	cr_assert_eq(frame_recover(&c, BYTES(j.bytes.data, j.bytes.size), &e, &error), 0);
	e.chain.lsn -= 3;
	cr_assert_eq(frame_recover(&c, BYTES(j.bytes.data, j.bytes.size), &e, &error), ERR_CORRUPT);
	cr_assert_not_null(strstr(error.what, "expected the segment that begins with record 18, found record "
					      "21: records between are missing"),
			   "%s", error.what);
	e.chain = j.chain;
	e.chain.prev_crc ^= 1;
	cr_assert_eq(frame_recover(&c, BYTES(j.bytes.data, j.bytes.size), &e, &error), ERR_CORRUPT);
	e.is_first = true;
	cr_assert_eq(frame_recover(&c, BYTES(j.bytes.data, j.bytes.size), &e, &error), 0);
}

/* tests/data/journal/format-N.segment was written by the first build that knew format N. Every later build
 * reads it; the newest it also writes, byte by byte. */
static void read_golden(const char *name, bool is_newest)
{
	struct journal golden = j;
	FILE *f = fopen(name, "rb");
	struct outcome o;

	cr_assert_not_null(f);
	golden.bytes.data = malloc(j.bytes.size + 1);
	cr_assert_not_null(golden.bytes.data);
	cr_assert_eq(fread(golden.bytes.data, 1, j.bytes.size + 1, f), j.bytes.size);
	fclose(f);
	o = journal_recover(&golden, true);
	cr_assert_eq(o.status, FRAME_END);
	cr_assert_eq(o.frames, j.frame_count);
	cr_assert_eq(o.cursor.chain.lsn, 21);
	cr_assert_eq(o.cursor.segment.format == FRAME_FORMAT_VERSION, is_newest);
	cr_assert_eq(memcmp(golden.bytes.data, j.bytes.data, j.bytes.size) == 0, is_newest);
	free(golden.bytes.data);
}

Test(frame_refused, the_golden_files_are_read_and_the_newest_is_written)
{
	read_golden("tests/data/journal/format-1.segment", false);
	read_golden("tests/data/journal/format-2.segment", false);
	read_golden("tests/data/journal/format-3.segment", false);
	read_golden("tests/data/journal/format-4.segment", true);
}
