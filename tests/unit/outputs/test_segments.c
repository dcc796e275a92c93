/* Outputs are found by lease and shard in the indexes of many segments, and damage is told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "outputs/holes.h"
#include "outputs/segments.h"
#include "outputs/stretches.h"
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
	segments = segments_create(scratch_path(""), NULL);
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
	cr_assert_eq(collect(2, 7, 100, found), ERR_CORRUPT, "a segment that is not there is lost");
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

/* A worker goes on writing to its segment: an entry over what was zeros, and bytes behind the file's end. */
Test(segments, what_was_added_is_seen_when_looked_at_again, .init = setup, .fini = teardown)
{
	struct output_entry found[10];
	struct buf index = {0}, more = {0};

	for (uint32_t shard = 0; shard < 2; shard++) {
		add(&index, 7, shard, shard);
		add(&more, 7, shard, shard);
	}
	buf_append(&index, (const uint8_t[OUTPUT_ENTRY_BYTES]){0}, OUTPUT_ENTRY_BYTES);
	write_index(1, &index);
	write_out(1, 10);
	cr_assert_eq(collect(1, 7, 0, found), 0);
	cr_assert_eq(collect(1, 8, 0, found), 0);
	cr_assert_eq(found[5].out_length, 0);
	add(&more, 7, 2, 20);
	add(&more, 8, 5, 10);
	write_index(1, &more);
	write_out(1, 100);
	segments_look_again(segments);
	cr_assert_eq(collect(1, 7, 0, found), 0);
	cr_assert_eq(found[1].out_offset, 1);
	cr_assert_eq(found[2].out_offset, 20);
	cr_assert_eq(collect(1, 8, 0, found), 0, "no damage was counted where there was room");
	cr_assert_eq(found[5].out_offset, 10);
}

Test(segments, a_damaged_entry_is_told, .init = setup, .fini = teardown)
{
	struct output_entry found[10];
	struct buf index = {0};

	for (uint32_t shard = 0; shard < 3; shard++)
		add(&index, 7, shard, shard);
	index.data[OUTPUT_ENTRY_BYTES + 20] ^= 1;
	write_index(1, &index);
	write_out(1, 100);
	cr_assert_eq(collect(1, 7, 0, found), ERR_CORRUPT);
}

/* Only shards whose own entry is gone are lost; the reason names each, and the file. */
static int note_lost(void *arg, struct range shards, const struct error *why)
{
	char *text = arg;

	sprintf(text + strlen(text), "%u+%u %s; ", shards.first, shards.count, strrchr(why->where, '.'));
	return 0;
}

static const char *lost(uint32_t segment, uint32_t first)
{
	static char text[1000];
	struct output_entry found[10] = {0};
	struct error e = {0};

	text[0] = '\0';
	cr_assert_eq(segments_collect_found(segments, &worker, segment, (struct token){1, 7},
					    (struct range){first, 10}, found, note_lost, text, &e),
		     0, "%s", e.what);
	return text;
}

Test(segments, those_that_are_lost_are_told_one_by_one, .init = setup, .fini = teardown)
{
	struct buf index = {0};
	struct range range = {0, 10000000};

	cr_assert_str_eq(lost(9, 0), "0+10 .idx; ");
	write_index(2, &index); /* a segment is named only for what has an entry */
	cr_assert_str_eq(lost(2, 0), "0+10 .idx; ");
	for (uint32_t shard = 0; shard < 10; shard += 2)
		add(&index, 7, shard, shard * 100);
	add(&index, 7, 9000000, 1ull << 62);
	write_index(3, &index);
	write_out(3, 700);
	cr_assert_str_eq(lost(3, 0), "8+1 .out; ", "those without an entry wrote nothing");
	cr_assert_str_eq(lost(3, 9000000), "9000000+1 .out; ");
	range.first = 9;
	cr_assert_eq(segments_narrow(segments, &worker, 3, (struct token){1, 7}, &range, NULL), 0);
	cr_assert_eq(range.first, 9000000, "what lies between has no entry");
	cr_assert_lt(range.count, 1000);
}

Test(segments, without_a_good_entry_in_a_damaged_index_all_may_be_lost, .init = setup, .fini = teardown)
{
	struct range range = {4, 100};
	struct buf index = {0};

	for (uint32_t shard = 0; shard < 10; shard += 2)
		add(&index, 7, shard, shard * 100);
	index.data[OUTPUT_ENTRY_BYTES + 20] ^= 1;
	write_index(4, &index);
	write_out(4, 2000);
	cr_assert_str_eq(lost(4, 0), "1+1 .idx; 2+1 .idx; 3+1 .idx; 5+1 .idx; 7+1 .idx; 9+1 .idx; ");
	cr_assert_eq(segments_narrow(segments, &worker, 4, (struct token){1, 7}, &range, NULL), 0);
	cr_assert_eq(range.count, 100, "none may be passed over");
	/* Zeros behind the last entry are room that a crash left, zeros before it are damage. */
	for (uint32_t shard = 0; shard < 2; shard++)
		add(&index, 7, shard, shard * 100);
	buf_reserve(&index, OUTPUT_ENTRY_BYTES);
	memset(index.data + index.size, 0, OUTPUT_ENTRY_BYTES);
	index.size += OUTPUT_ENTRY_BYTES;
	cr_assert_eq(output_index_size(buf_bytes(&index)), 2 * OUTPUT_ENTRY_BYTES);
	write_index(5, &index);
	write_out(5, 2000);
	cr_assert_str_eq(lost(5, 0), "");
}

Test(segments, a_missing_file_is_told_with_its_path, .init = setup, .fini = teardown)
{
	struct error e = {0};
	int fd = -1;

	cr_assert_eq(segments_open(segments, &worker, 3, "out", &fd, &e), ERR_CORRUPT);
	cr_assert_not_null(strstr(e.where, "00000003.out"), "%s", e.where);
}

/* By turns, as slots write; each lease is found again, and no more room is taken than the leases need. */
Test(segments, leases_that_alternate_are_told_apart, .init = setup, .fini = teardown)
{
	struct stretches stretches = {0};
	struct output_entry found[10];
	struct buf index = {0};

	for (uint32_t shard = 0; shard < 10; shard++)
		for (uint64_t lease = 500; lease > 0; lease--)
			add(&index, lease * 3, shard, lease * 1000 + shard);
	for (size_t at = 0; at < index.size; at += OUTPUT_ENTRY_BYTES) {
		struct output_entry e;

		cr_assert_eq(output_entry_decode(index.data + at, &e), 0);
		stretches_add(&stretches, e.token, at);
		cr_assert_leq(stretches.room, 1024);
	}
	stretches_settle(&stretches);
	cr_assert_eq(stretches.count, 500);
	cr_assert_eq(stretches_find(&stretches, (struct token){1, 3})->end, index.size);
	cr_assert_null(stretches_find(&stretches, (struct token){2, 3}));
	stretches_fini(&stretches);
	write_index(1, &index);
	write_out(1, 600000);
	for (uint64_t lease = 1; lease <= 500; lease++) {
		cr_assert_eq(collect(1, lease * 3, 0, found), 0);
		for (uint32_t shard = 0; shard < 10; shard++)
			cr_assert_eq(found[shard].out_offset, lease * 1000 + shard);
		cr_assert_eq(collect(1, lease * 3 - 1, 0, found), 0);
		cr_assert_eq(found[0].token.lease, 0);
	}
}

Test(segments, who_reads_no_stderr_misses_none, .init = setup, .fini = teardown)
{
	const struct segments_options options = {.no_stderr = true, .lost_help = "run it again"};
	const struct range one = {4, 1};
	const struct output_entry e = {.token = {1, 7}, .shard = 4, .out_length = 5, .err_length = 6};
	struct output_entry found = {0};
	struct buf index = {0};
	uint8_t raw[OUTPUT_ENTRY_BYTES];
	struct error why = {0};

	output_entry_encode(&e, raw);
	buf_append(&index, raw, sizeof(raw));
	write_index(1, &index);
	write_out(1, 5);
	cr_assert_eq(segments_collect(segments, &worker, 1, e.token, one, &found, &why), ERR_CORRUPT);
	cr_assert_str_eq(why.what, "the output of shard 4 is lost: its file is gone");
	cr_assert_not_null(strstr(why.where, "00000001.err"));
	cr_assert_str_eq(why.help, "", "who asks knows the job");
	segments_destroy(segments);
	segments = segments_create(scratch_path(""), &options);
	cr_assert_eq(segments_collect(segments, &worker, 1, e.token, one, &found, &why), 0);
	cr_assert_eq(found.out_length, 5);
	write_out(1, 4);
	segments_look_again(segments);
	cr_assert_eq(segments_collect(segments, &worker, 1, e.token, one, &found, &why), ERR_CORRUPT);
	cr_assert_str_eq(why.what, "the output of shard 4 is lost: its file ends before it should");
	cr_assert_str_eq(why.help, "run it again");
}

Test(segments, an_index_is_looked_at_before_its_shards_are, .init = setup, .fini = teardown)
{
	const struct segments_options options = {.held_bytes_max = 2 * OUTPUT_ENTRY_BYTES,
						 .lost_help = "run it again",
						 .gone_help = "look there first"};
	static const struct {
		uint32_t segment;
		int expected;
		const char *what, *help;
	} cases[] = {
	    {0, 0, "", ""}, /* nothing was written */
	    {1, 0, "", ""},
	    {2, ERR_CORRUPT, "the outputs of shards 3 to 6 are lost: the segment's index is empty",
	     "run it again"},
	    {3, ERR_LIMIT, "expected an index of at most 112 bytes, found 168", ""},
	    {4, ERR_CORRUPT, "the outputs of shards 3 to 6 are lost: the segment's index is gone",
	     "look there first"},
	};

	for (uint32_t segment = 1; segment <= 3; segment++) {
		struct buf index = {0};

		for (uint32_t shard = 0; segment != 2 && shard < segment; shard++)
			add(&index, 7, shard, shard);
		write_index(segment, &index);
		write_out(segment, 10);
	}
	segments_destroy(segments);
	segments = segments_create(scratch_path(""), &options);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error e = {0};

		cr_assert_eq(segments_look(segments, &worker, cases[i].segment, (struct range){3, 4}, &e),
			     cases[i].expected);
		if (cases[i].expected == 0)
			continue;
		cr_assert_str_eq(e.what, cases[i].what);
		cr_assert_str_eq(e.help, cases[i].help);
		cr_assert_not_null(strstr(e.where, ".idx"));
	}
}

/* Held in memory or read again: the same is found, also of what was added, and where zeros had been. */
Test(segments, an_index_that_is_held_is_not_opened_again, .init = setup, .fini = teardown)
{
	const struct segments_options options = {.held_bytes_max = MIB, .no_stderr = true};
	struct range range = {0, 1000};
	struct output_entry found[10];
	struct buf index = {0}, more = {0};
	char path[128];

	for (uint32_t shard = 0; shard < 3; shard++) {
		add(&index, 7, shard, shard * 10);
		add(&more, 7, shard, shard * 10);
	}
	buf_append(&index, (const uint8_t[OUTPUT_ENTRY_BYTES]){0}, OUTPUT_ENTRY_BYTES);
	add(&more, 8, 5, 40);
	write_index(1, &index);
	write_out(1, 100);
	segments_destroy(segments);
	segments = segments_create(scratch_path(""), &options);
	cr_assert_eq(collect(1, 7, 0, found), 0);
	write_index(1, &more);
	segments_look_again(segments);
	cr_assert_eq(collect(1, 8, 0, found), 0);
	cr_assert_eq(found[5].out_offset, 40);
	output_path(&worker, 1, "idx", path, sizeof(path));
	cr_assert_eq(unlink(scratch_path(path)), 0);
	cr_assert_eq(collect(1, 7, 0, found), 0);
	cr_assert_eq(found[2].out_offset, 20);
	cr_assert_eq(segments_narrow(segments, &worker, 1, (struct token){1, 8}, &range, NULL), 0);
	cr_assert_eq(range.first, 5);
	segments_look_again(segments);
	cr_assert_eq(collect(1, 7, 0, found), ERR_CORRUPT, "now it is missed");
}

/* ---- holes ---- */

#define BIG 10000u

static bool lease_is_needed(void *arg, struct token token)
{
	return token.lease == *(uint64_t *)arg;
}

/* 100 leases of 3 shards each, by turns; each wrote BIG bytes of its number. */
static void write_by_turns(void)
{
	struct buf index = {0}, out = {0};
	char path[128];

	for (uint32_t shard = 0; shard < 3; shard++)
		for (uint32_t lease = 1; lease <= 100; lease++) {
			struct output_entry e = {.token = {.epoch = 1, .lease = lease},
						 .shard = shard,
						 .out_offset = out.size,
						 .out_length = BIG};
			uint8_t entry[OUTPUT_ENTRY_BYTES];

			memset(buf_reserve(&out, BIG), (int)lease, BIG);
			out.size += BIG;
			output_entry_encode(&e, entry);
			buf_append(&index, entry, sizeof(entry));
		}
	output_path(&worker, 1, "out", path, sizeof(path));
	cr_assert_eq(fs_write_file(scratch_path(path), buf_bytes(&out), 0644, NULL), 0);
	buf_fini(&out);
	write_index(1, &index);
}

static void expect_bytes(uint32_t lease)
{
	static struct output_entry found[10];
	uint8_t bytes[BIG];
	int fd;

	cr_assert_eq(collect(1, lease, 0, found), 0);
	cr_assert_eq(segments_open(segments, &worker, 1, "out", &fd, NULL), 0);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(found[i].out_length, BIG);
		cr_assert_eq(pread(fd, bytes, BIG, (off_t)found[i].out_offset), BIG);
		for (uint32_t k = 0; k < BIG; k++)
			cr_assert_eq(bytes[k], lease);
	}
	for (uint32_t i = 3; i < 10; i++) /* they wrote nothing, and are not lost */
		cr_assert_eq(found[i].token.lease, 0);
	close(fd);
}

Test(holes, what_nobody_needs_is_given_back_and_the_rest_stands_where_it_stood, .init = setup,
     .fini = teardown)
{
	struct holes_made made;
	uint64_t kept = 50;

	write_by_turns();
	expect_bytes(7);
	cr_assert_eq(holes_make(scratch_path(""), &worker, 1, lease_is_needed, &kept, &made, NULL), 0);
	if (made.unable) {
		fprintf(stderr, "mill: skipped: outputs-segments: this file system makes no holes\n");
		cr_skip_test("this file system makes no holes");
	}
	cr_assert_gt(made.given_back_bytes, 280 * BIG);
	cr_assert_gt(made.taken_bytes, 300 * BIG);
	expect_bytes(50); /* as it was found before */
	segments_look_again(segments);
	expect_bytes(50);
	segments_destroy(segments);
	segments = segments_create(scratch_path(""), NULL);
	expect_bytes(50);
	cr_assert_eq(holes_make(scratch_path(""), &worker, 1, lease_is_needed, &kept, &made, NULL), 0);
	cr_assert_eq(made.given_back_bytes, 0, "there is nothing more to give");
	cr_assert_lt(made.dead_bytes, made.taken_bytes / 2);
}

static bool most_are_needed(void *arg, struct token token)
{
	(void)arg;
	return token.lease % 5 < 3;
}

Test(holes, less_than_half_is_not_worth_while, .init = setup, .fini = teardown)
{
	struct holes_made made;

	write_by_turns();
	cr_assert_eq(holes_make(scratch_path(""), &worker, 1, most_are_needed, NULL, &made, NULL), 0);
	cr_assert_eq(made.given_back_bytes, 0);
	cr_assert_gt(made.dead_bytes, 0);
	expect_bytes(5);
}

Test(holes, a_damaged_index_and_one_that_is_gone_are_left_alone, .init = setup, .fini = teardown)
{
	struct holes_made made;
	uint64_t kept = 50;
	char path[128];
	FILE *f;

	write_by_turns();
	output_path(&worker, 1, "idx", path, sizeof(path));
	f = fopen(scratch_path(path), "r+b");
	cr_assert_eq(fseek(f, 5 * OUTPUT_ENTRY_BYTES + 3, SEEK_SET), 0);
	fputc(0xff, f);
	fclose(f);
	cr_assert_eq(holes_make(scratch_path(""), &worker, 1, lease_is_needed, &kept, &made, NULL), 0);
	cr_assert(made.unable);
	cr_assert_eq(made.given_back_bytes, 0);
	cr_assert_eq(unlink(scratch_path(path)), 0);
	cr_assert_eq(holes_make(scratch_path(""), &worker, 1, lease_is_needed, &kept, &made, NULL),
		     ERR_NOT_FOUND);
}
