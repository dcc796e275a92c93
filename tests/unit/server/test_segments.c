/* Outputs are found by lease and shard in the indexes of many segments, and damage is told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "dispatcher/api/segments.h"
#include "tests/support/scratch.h"

static const struct uuid worker = {.hi = 0x1122334455667788, .lo = 0x99aabbccddeeff00};
static struct segments *segments;

static void setup(void)
{
	char path[128];

	scratch_make();
	output_path(&worker, 1, "idx", path, sizeof(path));
	*strrchr(path, '/') = '\0';
	cr_assert_eq(fs_make_dirs(scratch_path(path), 0755, NULL), 0);
	segments = segments_create(scratch_path(""));
}

static void teardown(void)
{
	segments_destroy(segments);
	scratch_remove();
}

static void add(struct buf *index, uint64_t lease, uint32_t shard, uint64_t offset)
{
	uint8_t entry[OUTPUT_ENTRY_BYTES];
	struct output_entry e = {.token = {.epoch = 1, .lease = lease},
				 .shard = shard,
				 .out_offset = offset,
				 .out_length = shard + 1};

	output_entry_encode(&e, entry);
	buf_append(index, entry, sizeof(entry));
}

static void write_index(uint32_t segment, struct buf *index)
{
	char path[128];

	output_path(&worker, segment, "idx", path, sizeof(path));
	cr_assert_eq(fs_write_file(scratch_path(path), buf_bytes(index), 0644, NULL), 0);
	buf_fini(index);
}

static void write_out(uint32_t segment, size_t size)
{
	char path[128];
	uint8_t *zeros = check_calloc(size, 1);

	output_path(&worker, segment, "out", path, sizeof(path));
	cr_assert_eq(fs_write_file(scratch_path(path), BYTES(zeros, size), 0644, NULL), 0);
	free(zeros);
}

static int collect(uint32_t segment, uint64_t lease, uint32_t first, struct output_entry ret[10])
{
	memset(ret, 0, sizeof(*ret) * 10);
	return segments_collect(segments, &worker, segment, (struct token){.epoch = 1, .lease = lease},
				(struct range){.first = first, .count = 10}, ret, NULL);
}

Test(segments, find_a_lease_among_others, .init = setup, .fini = teardown)
{
	struct output_entry found[10];
	struct buf index = {0};

	for (uint32_t shard = 0; shard < 10; shard++) {
		add(&index, 7, 100 + shard, shard * 1000);
		add(&index, 8, 200 + shard, shard * 1000 + 500);
	}
	add(&index, 7, 103, 77777); /* the last one of a shard counts */
	write_index(1, &index);
	write_out(1, 80000);

	cr_assert_eq(collect(1, 7, 100, found), 0);
	for (uint32_t i = 0; i < 10; i++) {
		cr_assert_eq(found[i].out_length, 101 + i);
		cr_assert_eq(found[i].out_offset, i == 3 ? 77777 : i * 1000);
	}
	cr_assert_eq(collect(1, 8, 200, found), 0);
	cr_assert_eq(found[9].out_offset, 9500);
	cr_assert_eq(collect(1, 9, 100, found), 0, "a lease that wrote nothing is no error");
	cr_assert_eq(found[0].out_length, 0);
	cr_assert_eq(collect(0, 7, 100, found), 0, "nor are shards that name no segment");
	cr_assert_eq(found[0].out_length, 0);
	cr_assert_eq(collect(2, 7, 100, found), ERR_NOT_FOUND, "a segment that is not there is lost");
}

Test(segments, more_than_are_kept_open, .init = setup, .fini = teardown)
{
	for (uint32_t segment = 1; segment <= 40; segment++) {
		struct buf index = {0};

		add(&index, segment, 5, segment);
		write_index(segment, &index);
		write_out(segment, 100);
	}
	for (int round = 0; round < 3; round++) {
		for (uint32_t segment = 1; segment <= 40; segment++) {
			struct output_entry found[10];

			cr_assert_eq(collect(segment, segment, 5, found), 0);
			cr_assert_eq(found[0].out_offset, segment);
		}
	}
}

Test(segments, a_damaged_entry_is_told, .init = setup, .fini = teardown)
{
	struct output_entry found[10];
	struct buf index = {0};

	for (uint32_t shard = 0; shard < 3; shard++)
		add(&index, 7, shard, shard);
	index.data[OUTPUT_ENTRY_BYTES + 20] ^= 1;
	write_index(1, &index);
	cr_assert_eq(collect(1, 7, 0, found), ERR_CORRUPT);
}

Test(segments, a_missing_file_is_told_with_its_path, .init = setup, .fini = teardown)
{
	struct error e = {0};
	int fd = -1;

	cr_assert_eq(segments_open(segments, &worker, 3, "out", &fd, &e), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(e.where, "00000003.out"), "%s", e.where);
}
