/* Rows in columns: what goes in comes out, and what is damaged is told or read as zeros, never believed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "dispatcher/store/history_block.h"
#include "dispatcher/store/lz.h"

#define ROWS 700

static struct buf ids, body;

static void fini(void)
{
	buf_fini(&ids);
	buf_fini(&body);
}

TestSuite(block, .fini = fini);

/* Texts are static: a row names them. */
static struct history_entry entry_of(uint32_t i, struct rng *rng)
{
	static char names[ROWS][24];
	uint64_t random = rng_u64(rng);
	struct history_entry e = {.job = {.job = 100 + i + (i > 300 ? random % 3 + 3 * i : 0),
					  .state = 3,
					  .priority = -7,
					  .shards = 1,
					  .done = 1,
					  .by = {3, BYTES_LIT("rule"), 0},
					  .accepted_wall_us = 1000000 + (usec_t)(random % 1000)}};

	snprintf(names[i], sizeof names[i], "name %u", i % 50);
	e.job.name = bytes_of(names[i]);
	e.job.started_wall_us = e.job.accepted_wall_us + (usec_t)(random % 77);
	e.job.ended_wall_us = e.job.started_wall_us + (usec_t)(random % 99);
	if (i % 7 == 0)
		e.job.why = BYTES_LIT("for no reason");
	if (i % 5 > 0) {
		e.job.event_id_hi = random;
		e.job.event_id_lo = ~random;
		e.range = (struct history_range){
		    .shards.count = 1, .place = {2, {3, random % 100}, 4}, .wall_us = e.job.ended_wall_us};
	}
	if (i % 9 == 0)
		e.job.totals.run_us = e.effort.effort.totals.run_us = INT64_MAX - random % 5;
	e.effort.effort.code = i % 11 == 0 ? INT64_MIN : 0;
	return e;
}

static void make(void)
{
	struct block_builder *b = block_builder_create(history_block_fields(HISTORY_ENDED));
	struct rng rng;

	rng_seed(&rng, 1);
	for (uint32_t i = 0; i < ROWS; i++) {
		struct history_entry e = entry_of(i, &rng);

		block_builder_add(b, &e);
	}
	cr_expect_eq(block_builder_count(b), ROWS);
	block_builder_end(b, &ids, &body);
	cr_expect_eq(block_builder_count(b), 0);
	block_builder_destroy(b);
}

static void expect_alike(const struct history_entry *a, const struct history_entry *b, uint32_t i)
{
	struct history_entry x = *a, y = *b;

	cr_expect(bytes_equal(x.job.name, y.job.name), "row %u", i);
	cr_expect(bytes_equal(x.job.why, y.job.why), "row %u", i);
	cr_expect(bytes_equal(x.job.by.name, y.job.by.name), "row %u", i);
	x.job.name = y.job.name = x.job.why = y.job.why = x.job.by.name = y.job.by.name = (struct bytes){0};
	cr_expect_eq(memcmp(&x.job.totals, &y.job.totals, sizeof x.job.totals), 0, "row %u", i);
	cr_expect_eq(memcmp(&x.range, &y.range, sizeof x.range), 0, "row %u", i);
	cr_expect_eq(memcmp(&x.effort, &y.effort, sizeof x.effort), 0, "row %u", i);
	cr_expect_eq(x.job.job, y.job.job);
	cr_expect_eq(x.job.priority, y.job.priority);
	cr_expect_eq(x.job.event_id_hi, y.job.event_id_hi, "row %u", i);
	cr_expect_eq(x.job.event_id_lo, y.job.event_id_lo, "row %u", i);
	cr_expect_eq(x.job.started_wall_us, y.job.started_wall_us, "row %u", i);
	cr_expect_eq(x.job.ended_wall_us, y.job.ended_wall_us, "row %u", i);
}

Test(block, what_goes_in_comes_out)
{
	struct block_view *v;
	struct rng rng;

	make();
	cr_assert_eq(block_view_create(&v, history_block_fields(HISTORY_ENDED), buf_bytes(&ids), NULL), 0);
	cr_assert_eq(block_view_count(v), ROWS);
	cr_assert_eq(block_view_add_body(v, buf_bytes(&body), NULL), 0);
	rng_seed(&rng, 1);
	for (uint32_t i = 0; i < ROWS; i++) {
		struct history_entry e = entry_of(i, &rng), found = {0};

		block_view_row(v, i, &found);
		expect_alike(&e, &found, i);
		cr_expect_eq(block_view_ids(v)[i], (int64_t)e.job.job);
		cr_expect_eq(block_view_number(
				 v, (uint32_t)history_block_field(HISTORY_ENDED, PART_RANGE, "segment"), i),
			     e.range.place.segment);
	}
	cr_expect_not(block_view_is_damaged(v));
	cr_expect_lt(body.size, ROWS * 60);
	block_view_destroy(v);
}

static void read_all(struct bytes of_ids, struct bytes of_body)
{
	struct history_entry e;
	struct block_view *v;

	if (block_view_create(&v, history_block_fields(HISTORY_ENDED), of_ids, NULL) < 0)
		return;
	if (block_view_add_body(v, of_body, NULL) == 0)
		for (uint32_t i = 0; i < block_view_count(v) && i < ROWS; i++)
			block_view_row(v, i, &e);
	block_view_destroy(v);
}

Test(block, what_is_damaged_or_cut_is_survived)
{
	struct rng rng;

	make();
	rng_seed(&rng, 2);
	for (uint32_t i = 0; i < 3000; i++) {
		size_t at = rng_u64(&rng) % body.size, at_id = rng_u64(&rng) % ids.size;
		uint8_t flip = (uint8_t)(1u << rng_u64(&rng) % 8), *cut = malloc(at + 1);

		body.data[at] ^= flip;
		read_all(buf_bytes(&ids), buf_bytes(&body));
		body.data[at] ^= flip;
		ids.data[at_id] ^= flip;
		read_all(buf_bytes(&ids), buf_bytes(&body));
		ids.data[at_id] ^= flip;
		memcpy(cut, body.data, at); /* of its own, so that a sanitizer sees what is read behind it */
		read_all(buf_bytes(&ids), BYTES(cut, at));
		free(cut);
	}
}

Test(block, bytes_are_pressed_and_expanded)
{
	static const char text[] = "{\"detail\":{\"object\":{\"key\":\"in/%08u.fastq\"}},\"id\":\"%u\"}";
	struct buf plain = {0}, pressed = {0};

	for (uint32_t n = 0; n < 3000; n += n < 40 ? 1 : 500) {
		uint8_t *out;

		buf_clear(&plain);
		buf_clear(&pressed);
		for (uint32_t i = 0; i < n; i++)
			buf_printf(&plain, text, i, i * i);
		lz_press(buf_bytes(&plain), &pressed);
		out = malloc(plain.size + 1);
		cr_assert(lz_expand(buf_bytes(&pressed), out, plain.size), "%u", n);
		cr_assert_eq(memcmp(out, plain.data != NULL ? plain.data : out, plain.size), 0, "%u", n);
		if (plain.size > 0)
			cr_expect_not(lz_expand(buf_bytes(&pressed), out, plain.size - 1));
		free(out);
	}
	cr_expect_lt(pressed.size * 3, plain.size);
	buf_fini(&plain);
	buf_fini(&pressed);
}

Test(block, an_events_names_are_found)
{
	static const struct {
		const char *json, *id, *key, *base64;
	} cases[] = {
	    {"{\"id\":\"x\"}", "x", "", ""},
	    {"{\"detail\":{\"object\":{\"key\":\"a/b\",\"key-base64\":\"YQ==\"}},\"id\":\"7\"}", "7", "a/b",
	     "YQ=="},
	    {"{\"a\":{\"id\":\"no\",\"x\":[1,{\"id\":\"no\"},\"}\"]},\"b\":-1.5e3,\"c\":null,\"id\":"
	     "\"y\\\"z\"}",
	     "y\"z", "", ""},
	    {"{ \"id\" : \"\\u00e4\\ud83d\\ude00\\n\" , \"detail\" : [ ] }", "ä😀\n", "", ""},
	    {"{\"id\":5}", "", "", ""},
	    {"{\"detail\":{\"object\":\"key\"}}", "", "", ""},
	    {"{\"id\":\"cut", "", "", ""},
	    {"{\"id\":\"cut\\", "", "", ""},
	    {"{\"x\":[[[", "", "", ""},
	    {"no", "", "", ""},
	    {"", "", "", ""},
	};
	struct arena arena;

	arena_init(&arena, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct event_names names;

		event_names_find(bytes_of(cases[i].json), &arena, &names);
		cr_expect(bytes_equal(names.id, bytes_of(cases[i].id)), "%s", cases[i].json);
		cr_expect(bytes_equal(names.key, bytes_of(cases[i].key)), "%s", cases[i].json);
		cr_expect(bytes_equal(names.key_base64, bytes_of(cases[i].base64)), "%s", cases[i].json);
	}
	arena_fini(&arena);
}

Test(block, a_filter_has_what_was_put_in_and_little_else)
{
	uint64_t hashes[1000];
	struct buf filter = {0};
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < 1000; i++)
		hashes[i] = filter_hash(FILTER_ID, BYTES(&i, sizeof i));
	filter_make(hashes, 1000, &filter);
	cr_expect_leq(filter.size, 1252);
	for (uint32_t i = 0; i < 11000; i++)
		if (i < 1000)
			cr_expect(filter_may_have(buf_bytes(&filter), hashes[i]));
		else
			wrong +=
			    filter_may_have(buf_bytes(&filter), filter_hash(FILTER_ID, BYTES(&i, sizeof i)));
	cr_expect_lt(wrong, 200, "%u of 10000", wrong);
	cr_expect_neq(filter_hash(FILTER_ID, BYTES_LIT("a")), filter_hash(FILTER_OBJECT, BYTES_LIT("a")));
	buf_fini(&filter);
}
