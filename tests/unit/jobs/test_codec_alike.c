/* Lists of items that are alike: what differs is written, and everything comes back. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "base/rng.h"
#include "jobs/schema.h"

#define OUTCOMES 5000
#define LEASE "\x99\x92\x01\x02\x01\x00\xc4\x00\x00\x01\x01\x00\xc4\x00"

static struct arena arena;
static struct buf plain, deltas;

static void setup(void)
{
	arena_init(&arena, 64 * MIB);
}

static void teardown(void)
{
	arena_fini(&arena);
	buf_fini(&plain);
	buf_fini(&deltas);
}

TestSuite(codec_alike, .init = setup, .fini = teardown);

/* Writes both forms, and reads the short one again. */
static void check(uint32_t type, const void *value)
{
	const struct codec *c = codec_union_find(&message_union, type)->codec();
	struct bytes in;
	uint32_t type_again;
	void *again;

	buf_clear(&plain);
	buf_clear(&deltas);
	codec_union_encode(&message_union, type, value, &plain);
	codec_union_encode_deltas(&message_union, type, value, &deltas);
	in = buf_bytes(&deltas);
	cr_assert_eq(codec_union_decode(&message_union, &in, &type_again, &again, &arena, NULL), 0);
	cr_assert_eq(in.size, 0);
	cr_assert_eq(type_again, type);
	cr_assert(codec_equal(c, value, again));
}

static struct lease *leases_of(uint32_t count)
{
	struct lease *leases = arena_alloc(&arena, count * sizeof *leases);

	for (uint32_t i = 0; i < count; i++)
		leases[i] = (struct lease){.token = {3, 100 + i},
					   .job = 1000 + i,
					   .definition = BYTES_LIT("0123456789abcdef0123456789abcdef"),
					   .count = 1,
					   .attempt = 1};
	return leases;
}

Test(codec_alike, what_grows_by_the_same_each_time_is_said_once)
{
	struct leases m = {.session = 1, .leases = {leases_of(4096), 4096}};

	check(MESSAGE_LEASES, &m);
	cr_assert_lt(deltas.size, 100);
	cr_assert_gt(plain.size, 4096 * 40);
}

Test(codec_alike, lists_of_every_small_size_come_back)
{
	for (uint32_t count = 0; count < 70; count++) {
		struct leases m = {.leases = {leases_of(count), count}};

		for (uint32_t i = 0; i < count; i++) /* so that each is a value of its own */
			m.leases.items[i].job = i * i;
		check(MESSAGE_LEASES, &m);
	}
}

Test(codec_alike, one_that_differs_in_a_text_or_a_list_stands_between_others)
{
	static struct range two[] = {{0, 1}, {5, 2}};
	struct outcome *o = arena_alloc(&arena, OUTCOMES * sizeof *o);
	struct report m = {.outcomes = {o, OUTCOMES}};
	struct rng rng;

	rng_seed(&rng, 7);
	for (uint32_t i = 0; i < OUTCOMES; i++) {
		o[i] = (struct outcome){
		    .token = {1, i}, .job = 50 + i, .done = {two, i % 7 == 0 ? 2 : 1}, .segment = i / 100};
		o[i].totals.run_us = rng_below(&rng, 1000);
		o[i].whole = rng_below(&rng, 3) == 0;
	}
	check(MESSAGE_REPORT, &m);
	cr_assert_lt(deltas.size, plain.size * 2 / 3);
}

Test(codec_alike, numbers_wrap_and_signs_change)
{
	struct shard_failure f[] = {{.first = 0xffffffff, .code = INT64_MAX, .kind = 255, .dead = true},
				    {.first = 0, .code = INT64_MIN, .kind = 0},
				    {.first = 7, .code = -1, .kind = 3, .dead = true, .why = BYTES_LIT("no")},
				    {.first = 7, .code = 0, .kind = 2, .dead = true, .why = BYTES_LIT("no")}};
	struct outcome_taken o = {.failed = {f, ARRAY_LENGTH(f)}};
	struct outcomes_taken m = {.outcomes = {&o, 1}};
	struct bytes in;
	uint32_t type;
	void *again;

	codec_union_encode_deltas(&record_union, RECORD_OUTCOMES, &m, &deltas);
	in = buf_bytes(&deltas);
	cr_assert_eq(codec_union_decode(&record_union, &in, &type, &again, &arena, NULL), 0);
	cr_assert(codec_equal(codec_outcomes_taken(), &m, again));
}

/* A newer writer's field of a kilobyte would be read for each of 60,000 items. */
Test(codec_alike, a_frame_does_not_cost_more_than_its_bytes_and_items)
{
	static const char head[] =
	    "\x92\x12\x92\x01\x93\xce\x00\x00\xea\x60" LEASE "\x82\x00\xcd\xea\x5f\x60\xdc\x03\xe8";
	struct bytes in;
	struct error e = {0};
	uint32_t type;
	void *got;

	buf_append(&plain, head, sizeof head - 1);
	for (int i = 0; i < 1000; i++)
		buf_append(&plain, "\xc0", 1);
	in = buf_bytes(&plain);
	cr_assert_eq(codec_union_decode(&message_union, &in, &type, &got, &arena, &e), ERR_LIMIT, "%s",
		     e.what);
}

/* Items that differ in more fields than a map may name are written whole. */
Test(codec_alike, items_that_have_little_in_common_are_written_whole)
{
	struct outcome o[3] = {{.job = 1}, {.job = 2}, {.job = 3}};
	struct report m = {.outcomes = {o, 3}};
	uint8_t *totals = (uint8_t *)&o[1].totals;

	for (size_t i = 0; i < sizeof o[1].totals; i += 8)
		totals[i] = 1;
	check(MESSAGE_REPORT, &m);
}

static const struct {
	const char *what;
	struct bytes frame; /* [LEASES, [session, leases]] */
	enum error_code code;
} refused[] = {
    {"fewer items than it says", BYTES_LIT("\x92\x12\x92\x01\x92\x03" LEASE), ERR_INVALID},
    {"more items than it says", BYTES_LIT("\x92\x12\x92\x01\x93\x01" LEASE "\x80"), ERR_INVALID},
    {"four billion items", BYTES_LIT("\x92\x12\x92\x01\x92\xce\xff\xff\xff\xff" LEASE), ERR_LIMIT},
    {"a difference before the first item", BYTES_LIT("\x92\x12\x92\x01\x92\x01\x80"), ERR_INVALID},
    {"a difference for no item", BYTES_LIT("\x92\x12\x92\x01\x93\x02" LEASE "\x81\x00\x00"), ERR_INVALID},
    {"a text that grows", BYTES_LIT("\x92\x12\x92\x01\x93\x02" LEASE "\x81\x04\x05"), ERR_INVALID},
    {"a text for many items",
     BYTES_LIT("\x92\x12\x92\x01\x93\x03" LEASE "\x82\x04"
	       "\xc4\x00\x00\x02"),
     ERR_INVALID},
    {"no item at all", BYTES_LIT("\x92\x12\x92\x01\x91\x00"), ERR_INVALID},
};

Test(codec_alike, what_cannot_be_a_list_is_refused_in_words)
{
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		struct bytes in = refused[i].frame;
		struct error e = {0};
		uint32_t type;
		void *got;

		cr_assert_eq(codec_union_decode(&message_union, &in, &type, &got, &arena, &e),
			     refused[i].code, "%s: %s", refused[i].what, e.what);
		cr_assert(e.what[0] != '\0', "%s", refused[i].what);
	}
}

Test(codec_alike, a_newer_writers_field_is_skipped)
{
	struct bytes in = BYTES_LIT("\x92\x12\x92\x01\x93\x02" LEASE "\x82\x02\x05\x60\x93\x01\x02\x03");
	uint32_t type;
	void *got;
	struct leases *m;

	cr_assert_eq(codec_union_decode(&message_union, &in, &type, &got, &arena, NULL), 0);
	m = got;
	cr_assert_eq(m->leases.count, 2);
	cr_assert_eq(m->leases.items[1].job, 6);
	cr_assert_eq(m->leases.items[1].token.lease, 2);
}
