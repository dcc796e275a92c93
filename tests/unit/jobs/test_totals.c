/* The table of totals, and that messages and records have them where they always had. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "jobs/schema.h"

#define TOTALS .totals = {.run_us = 0x101, .output_bytes = 0x102, .cpu_us = 0x103, .max_rss_bytes = 0x104}

Test(totals, sums_are_added_and_the_largest_is_kept)
{
	struct totals t = {0};

	totals_add(&t, &(struct totals){.run_us = 5, .output_bytes = 1, .cpu_us = 3, .max_rss_bytes = 100});
	totals_add(&t, &(struct totals){.run_us = 7, .cpu_us = 4, .max_rss_bytes = 90});
	cr_assert_eq(t.run_us, 12);
	cr_assert_eq(t.output_bytes, 1);
	cr_assert_eq(t.cpu_us, 7);
	cr_assert_eq(t.max_rss_bytes, 100);
}

Test(totals, what_came_since_a_look_is_the_difference_of_sums_and_the_largest_so_far)
{
	const struct totals before = {.cpu_us = 40, .max_rss_bytes = 100, .run_us = 9};
	const struct totals now = {.cpu_us = 50, .max_rss_bytes = 70};
	struct totals came = totals_since(&now, &before);

	cr_assert_eq(came.cpu_us, 10);
	cr_assert_eq(came.max_rss_bytes, 100, "it never falls");
	cr_assert_eq(came.run_us, 0, "it was not looked at");
}

/* As the versions that are in use write a struct. */
struct golden {
	const struct codec *(*codec)(void);
	const char *hex;
	const void *value;
};

static struct bytes behind_header(struct bytes b)
{
	size_t header = b.data[0] == 0xdc ? 3 : 1;

	return BYTES(b.data + header, b.size - header);
}

static struct bytes bytes_of_hex(const char *hex, uint8_t *ret)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		unsigned byte;

		cr_assert_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
		ret[i] = (uint8_t)byte;
	}
	return BYTES(ret, size);
}

/* Totals that came later may follow at the end; what was there stands where it was. */
static void check_golden(const struct golden *g)
{
	uint8_t data[300];
	struct bytes golden = bytes_of_hex(g->hex, data), old = behind_header(golden), now;
	struct buf written = {0};
	struct arena arena;
	union {
		struct outcome outcome;
		struct outcome_taken taken;
		struct job_ended ended;
		struct reopened reopened;
		struct job_slice slice;
	} read;

	codec_encode(g->codec(), g->value, &written);
	now = behind_header(buf_bytes(&written));
	cr_assert(now.size >= old.size && memcmp(now.data, old.data, old.size) == 0, "%s", g->codec()->name);
	if (codec_later_totals()->field_count == 0)
		cr_assert(bytes_equal(buf_bytes(&written), golden), "%s", g->codec()->name);
	arena_init(&arena, 0);
	cr_assert_eq(codec_decode(g->codec(), golden, &read, &arena, NULL), 0);
	cr_assert(codec_equal(g->codec(), &read, g->value), "%s", g->codec()->name);
	arena_fini(&arena);
	buf_fini(&written);
}

Test(totals, messages_and_records_have_them_where_they_always_had)
{
	const struct golden goldens[] = {
	    {codec_outcome, "9d920000010290909000cd0101cd010203cd0103cd0104c3",
	     &(struct outcome){.job = 1, .phase = 2, .segment = 3, .whole = true, TOTALS}},
	    {codec_outcome_taken, "9c9200000102909090c2cd0101cd010203cd0103cd0104",
	     &(struct outcome_taken){.job = 1, .phase = 2, .segment = 3, TOTALS}},
	    {codec_job_ended, "dc00190100a00000000002cd0101cd0102030000c2a0c4000000000004cd0103cd01049005",
	     &(struct job_ended){
		 .job = 1, .retries = 2, .accepted_wall_us = 3, .shards_phase = 4, .reopens = 5, TOTALS}},
	    {codec_reopened,
	     "9f01009b00c400a0000000009d00000000c400c400000000a0900000900000009d00000000c400c400000000a0"
	     "90000090920000000002cd0101cd0102cd0103cd010403",
	     &(struct reopened){.job = 1, .retries = 2, .wall_us = 3, TOTALS}},
	    {codec_job_slice,
	     "dc00240100c2000000009090909090909b00c400a0000000009d00000000c400c400000000a090000090000000"
	     "c2a09d00000000c400c400000000a0900000c2c4000000000002cd0101cd010203000490cd0103cd0104900592"
	     "0000",
	     &(struct job_slice){
		 .job = 1, .retries = 2, .first_shards = 3, .first_dead = 4, .reopens = 5, TOTALS}},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(goldens); i++)
		check_golden(&goldens[i]);
}

/* An array that a later version made longer, and one that an older version ended sooner. */
Test(totals, later_ones_may_be_missing_or_unknown)
{
	static const uint8_t later[] = {0x9e, 0x92, 0, 0, 1, 2,	 0x90, 0x90, 0x90,
					0,    7,    8, 3, 9, 10, 0xc2, 0x91, 0x2a};
	static const uint8_t first[] = {0x9a, 0x92, 0, 0, 1, 2, 0x90, 0x90, 0x90, 0, 7, 8, 3};
	struct arena arena;
	struct outcome o;

	arena_init(&arena, 0);
	cr_assert_eq(codec_decode(codec_outcome(), BYTES(later, sizeof later), &o, &arena, NULL), 0);
	cr_assert_eq(o.totals.cpu_us, 9);
	cr_assert_eq(o.totals.max_rss_bytes, 10);
	cr_assert_eq(codec_decode(codec_outcome(), BYTES(first, sizeof first), &o, &arena, NULL), 0);
	cr_assert_eq(o.totals.output_bytes, 8);
	cr_assert_eq(o.totals.cpu_us, 0);
	arena_fini(&arena);
}
