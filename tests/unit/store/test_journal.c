/* A journal's life: begun, written, closed, read again, trimmed. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "jobs/frame_layout.h"
#include "tests/unit/store/journal_kit.h"

static struct kit k;

static void setup(void)
{
	kit_begin(&k);
}

static void teardown(void)
{
	kit_end(&k);
}

TestSuite(journal, .init = setup, .fini = teardown);

Test(journal, a_missing_one_is_never_taken_for_an_empty_one)
{
	k.options.create = false;
	cr_assert_eq(kit_open(&k), ERR_CORRUPT);
	kit_says(&k, "the journal is missing");
	cr_assert_eq(mkdir(k.journal, 0700), 0);
	cr_assert_eq(kit_open(&k), ERR_CORRUPT);
	kit_says(&k, "the journal is missing");
	k.options.create = true;
	kit_reopen(&k);
	cr_assert_eq(journal_next_lsn(k.j), 1);
	cr_assert_eq(journal_durable_lsn(k.j), 0);
	cr_assert_eq(journal_epoch(k.j), 0);
	k.options.create = false;
	kit_reopen(&k);
	cr_assert_eq(journal_next_lsn(k.j), 1, "begun, and still empty");
}

Test(journal, what_was_written_is_read_again_over_many_segments)
{
	struct rng r;
	uint64_t last = 0;
	uint32_t epoch = 0;

	rng_seed(&r, 3);
	for (int run = 0; run < 6; run++) {
		kit_reopen(&k);
		cr_assert_eq(journal_next_lsn(k.j), last + 1);
		cr_assert_eq(journal_epoch(k.j), epoch);
		epoch++;
		for (int i = 0; i < 40; i++) {
			last = kit_write(&k, epoch, 1 + (uint32_t)rng_below(&r, 20), true);
			cr_assert_eq(journal_durable_lsn(k.j), last);
		}
	}
	struct journal_stats s;

	journal_stats(k.j, &s);
	cr_assert_gt(s.segment_count, 20);
	cr_assert_eq(s.oldest_lsn, 1);
	cr_assert_eq(s.commit_count, 40);
	for (uint64_t from = 0; from <= last + 1; from += 13) {
		uint64_t seen;

		cr_assert_eq(kit_replay(&k, from, &seen), 0);
		cr_assert_eq(seen, last);
	}
	cr_assert_eq(kit_replay(&k, last + 2, &last), ERR_NOT_FOUND);
	kit_says(&k, "the journal ends with record");
}

Test(journal, a_batch_as_large_as_a_segment_fits)
{
	struct buf payload = {0};
	struct journal_stats s;

	kit_reopen(&k);
	buf_append_zeros(&payload, journal_payload_bytes_max(k.j));
	for (int i = 0; i < 3; i++)
		journal_submit(k.j, 1, buf_bytes(&payload), 1, true);
	cr_assert_eq(journal_durable_lsn(k.j), 3);
	journal_stats(k.j, &s);
	cr_assert_eq(s.segment_count, 3);
	cr_assert_eq(s.bytes, 3 * KIT_SEGMENT_BYTES);
	buf_fini(&payload);
}

Test(journal, a_torn_tail_is_told_and_zeroed_before_the_first_append)
{
	struct buf before = {0}, after = {0};
	struct error torn;
	uint64_t last;

	kit_reopen(&k);
	kit_write(&k, 1, 3, true);
	kit_write(&k, 1, 6, true);
	kit_close(&k);
	kit_flip(&k, 1, 2 * FRAME_BLOCK_BYTES + 4000);
	kit_read(&k, 1, &before);

	cr_assert_eq(journal_open(&k.j, k.journal, &k.options, NULL), 0);
	cr_assert(journal_was_torn(k.j, &torn));
	cr_assert_not_null(
	    strstr(torn.what, "the last commit, from record 4 on, was not written to its end"));
	cr_assert_not_null(strstr(torn.where, "00000000000000000001.segment, bytes 8192 to"));
	cr_assert_eq(kit_replay(&k, 0, &last), 0);
	cr_assert_eq(last, 3);
	kit_read(&k, 1, &after);
	cr_assert(bytes_equal(buf_bytes(&before), buf_bytes(&after)), "until start, nothing is written");
	cr_assert_eq(journal_start(k.j, NULL), 0);
	kit_read(&k, 1, &after);
	for (size_t i = 2 * FRAME_BLOCK_BYTES; i < after.size; i++)
		cr_assert_eq(after.data[i], 0);
	kit_write(&k, 2, 2, true);
	kit_reopen(&k);
	cr_assert_not(journal_was_torn(k.j, NULL));
	cr_assert_eq(journal_next_lsn(k.j), 6);
	buf_fini(&before);
	buf_fini(&after);
}

Test(journal, damage_is_refused_with_its_place_and_nothing_is_changed)
{
	struct buf before = {0}, after = {0};

	kit_reopen(&k);
	for (int i = 0; i < 5; i++)
		kit_write(&k, 1, 2, true);
	kit_close(&k);
	kit_flip(&k, 1, 2 * FRAME_BLOCK_BYTES + 33);
	kit_read(&k, 1, &before);
	cr_assert_eq(kit_open(&k), ERR_CORRUPT);
	kit_says(&k, "00000000000000000001.segment, byte 8192: the frame of record 3 is damaged");
	kit_says(&k, "going on would lose records 3 to 10");
	kit_read(&k, 1, &after);
	cr_assert(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	buf_fini(&before);
	buf_fini(&after);
}

Test(journal, damage_in_an_old_segment_is_found_by_replay)
{
	kit_reopen(&k);
	while (!kit_exists(&k, 4))
		kit_write(&k, 1, 3, true);
	kit_close(&k);
	kit_flip(&k, 2, 5 * FRAME_BLOCK_BYTES);
	cr_assert_eq(kit_open(&k), ERR_CORRUPT);
	kit_says(&k, "00000000000000000002.segment, byte");
}

Test(journal, a_lost_segment_is_noticed)
{
	char path[160];

	kit_reopen(&k);
	while (!kit_exists(&k, 4))
		kit_write(&k, 1, 3, true);
	kit_close(&k);
	kit_segment_path(&k, 2, path, sizeof path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(kit_open(&k), ERR_CORRUPT);
	kit_says(&k, "segments 1 and 3 are there, but not those between");
}

Test(journal, another_clusters_journal_and_a_newer_format_are_refused)
{
	kit_reopen(&k);
	kit_write(&k, 1, 3, true);
	kit_close(&k);
	k.options.cluster_lo++;
	cr_assert_eq(kit_open(&k), ERR_DENIED);
	kit_says(&k, "the segment belongs to cluster 00000000000000c10000000000000005");
	k.options.cluster_lo--;
	kit_flip(&k, 1, 8);
	cr_assert_eq(kit_open(&k), ERR_VERSION);
	kit_says(&k, "the journal is of format 20, this build reads formats up to 4");
}

/* As an older build wrote it: what this one writes stands in a segment of its own. */
Test(journal, an_older_format_is_read_and_left_behind)
{
	struct buf bytes = {0};
	char path[160];
	uint32_t crc;
	uint64_t last;
	int fd;

	kit_reopen(&k);
	kit_write(&k, 1, 3, true);
	kit_close(&k);
	kit_read(&k, 1, &bytes);
	bytes.data[SEGMENT_AT_VERSION] = 1;
	crc = crc32c(0, bytes.data, SEGMENT_AT_CRC);
	for (int i = 0; i < 4; i++)
		bytes.data[SEGMENT_AT_CRC + i] = (uint8_t)(crc >> 8 * i);
	kit_segment_path(&k, 1, path, sizeof path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, bytes.data, FRAME_BLOCK_BYTES, 0), FRAME_BLOCK_BYTES);
	close(fd);
	kit_reopen(&k);
	last = kit_write(&k, 1, 1, true);
	kit_close(&k);
	kit_read(&k, 2, &bytes);
	cr_assert_eq(bytes.data[SEGMENT_AT_VERSION], FRAME_FORMAT_VERSION);
	kit_reopen(&k);
	cr_assert_eq(kit_write(&k, 1, 1, true), last + 1);
	kit_close(&k);
	kit_read(&k, 2, &bytes);
	cr_assert_neq(bytes.data[2 * FRAME_BLOCK_BYTES], 0, "it is left once: both commits stand there");
	buf_fini(&bytes);
}

/* What a crash may leave of the making of a segment, each beside a journal of 3 records. */
Test(journal, an_interrupted_preparation_is_nothing)
{
	static const struct {
		const char *what, *name;
		size_t bytes;
		size_t header; /* of a header that was being written */
	} cases[] = {
	    {"begun", "prepared.tmp", 0, 0},
	    {"half", "prepared.tmp", 5000, 0},
	    {"not named", "prepared.tmp", KIT_SEGMENT_BYTES, 0},
	    {"named", "00000000000000000002.segment", KIT_SEGMENT_BYTES, 0},
	    {"of another size", "00000000000000000002.segment", 2 * KIT_SEGMENT_BYTES, 0},
	    {"header torn", "00000000000000000002.segment", KIT_SEGMENT_BYTES, 20},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf first = {0};
		char path[160];
		int fd;

		kit_reopen(&k);
		kit_write(&k, 1, 3, true);
		kit_close(&k);
		kit_read(&k, 1, &first);
		kit_path(&k, cases[i].name, path, sizeof path);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		cr_assert_eq(ftruncate(fd, (off_t)cases[i].bytes), 0);
		cr_assert_eq(pwrite(fd, first.data, cases[i].header, 0), (ssize_t)cases[i].header);
		close(fd);
		kit_reopen(&k);
		cr_assert_eq(journal_next_lsn(k.j), 4, "%s", cases[i].what);
		while (!kit_exists(&k, 3))
			kit_write(&k, 1, 5, true);
		kit_reopen(&k);
		kit_end(&k);
		kit_begin(&k);
		buf_fini(&first);
	}
}

Test(journal, bytes_behind_an_invalid_header_are_not_thrown_away)
{
	kit_reopen(&k);
	while (!kit_exists(&k, 2))
		kit_write(&k, 1, 5, true);
	kit_close(&k);
	kit_flip(&k, 2, 33);
	cr_assert_eq(kit_open(&k), ERR_CORRUPT);
	kit_says(&k, "00000000000000000002.segment: the segment's header has a wrong checksum");
}

Test(journal, trimming_removes_whole_segments_of_old_records)
{
	struct journal_stats s;
	uint64_t last;

	kit_reopen(&k);
	while (!kit_exists(&k, 4))
		kit_write(&k, 1, 2, true);
	journal_stats(k.j, &s);
	cr_assert_eq(s.segment_count, 4);
	journal_trim(k.j, s.second_lsn - 1);
	cr_assert(kit_exists(&k, 1), "its last record is still wanted");
	journal_trim(k.j, s.second_lsn);
	cr_assert_not(kit_exists(&k, 1));
	cr_assert_eq(journal_oldest_lsn(k.j), s.second_lsn);
	cr_assert_eq(kit_replay(&k, s.second_lsn - 1, &last), ERR_NOT_FOUND);
	kit_says(&k, "is not in the journal any more");
	journal_trim(k.j, journal_next_lsn(k.j) + 1000);
	journal_stats(k.j, &s);
	cr_assert_eq(s.segment_count, 1, "the active one stays");
	kit_reopen(&k);
	cr_assert_eq(journal_oldest_lsn(k.j), s.oldest_lsn);
	kit_write(&k, 2, 1, true);
}

Test(journal, segments_may_change_their_size_from_start_to_start)
{
	uint64_t last = 0;

	for (size_t blocks = 8; blocks <= 40; blocks += 8) {
		k.options.segment_bytes = blocks * FRAME_BLOCK_BYTES;
		kit_reopen(&k);
		cr_assert_eq(journal_next_lsn(k.j), last + 1);
		for (int i = 0; i < 20; i++)
			last = kit_write(&k, 1, 3, true);
	}
	kit_reopen(&k);
}

Test(journal, impossible_segment_sizes_are_refused)
{
	k.options.segment_bytes = 1;
	cr_assert_eq(kit_open(&k), ERR_INVALID);
	kit_says(&k, "expected a segment size of 8192 to 1073741824 bytes");
}
