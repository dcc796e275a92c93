/* Rows of numbers and ranges: which number a shard has, one spelling, none twice, what is refused. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "jobs/definition.h"
#include "jobs/instantiate.h"
#include "jobs/plan.h"

static struct arena arena;
static struct definition *d;

static int define(const char *numbers, struct error *e)
{
	struct buf text = {0};
	int rc;

	*e = (struct error){0};
	buf_printf(&text, "version: 1\nname: a\nrun: {exec: [p]}\nshard: {numbers: '%s'}\n", numbers);
	definition_destroy(d);
	d = NULL;
	rc = definition_parse(buf_bytes(&text), "d", NULL, &d, e);
	buf_fini(&text);
	return rc;
}

static const struct plan *plan(const char *numbers)
{
	static struct new_job job;
	struct error e;

	cr_assert_eq(define(numbers, &e), 0, "%s: %s", numbers, e.what);
	cr_assert_eq(definition_instantiate(d, NULL, BYTES(NULL, 0), &arena, &job, &e), 0, "%s", e.what);
	cr_assert_eq(job.planner, PLANNER_PURE);
	cr_assert_eq(plan_validate(&job.plan, &e), 0, "%s", e.what);
	return &job.plan;
}

static int64_t value(const struct plan *p, uint32_t shard)
{
	struct plan_shard s = {.plan = p, .shard = shard};
	struct plan_facts facts = {.count = 0};

	plan_row(p->kind)->expand(&s, &facts);
	cr_assert_eq(facts.count, 1);
	return facts.items[0].number;
}

static void init(void)
{
	arena_init(&arena, 0);
}

static void fini(void)
{
	definition_destroy(d);
	arena_fini(&arena);
}

TestSuite(numbers, .init = init, .fini = fini);

Test(numbers, a_shard_has_the_number_at_its_place)
{
	static const int64_t want[] = {7, 1, 4, 10, 20, 21};
	const struct plan *p = plan("7,1-5:3,10,20-21");
	struct buf words = {0};

	cr_assert_eq(p->shard_count, ARRAY_LENGTH(want));
	for (uint32_t i = 0; i < p->shard_count; i++)
		cr_expect_eq(value(p, i), want[i], "shard %u is %lld", i, (long long)value(p, i));
	plan_row(p->kind)->sentence(p, false, &words);
	cr_expect_str_eq(buf_text(&words), "6 shards, with the numbers 7, 1-4:3, 10, 20-21");
	buf_fini(&words);
}

Test(numbers, have_one_spelling)
{
	struct buf words = {0};
	struct bytes text;
	struct error e;

	cr_assert_eq(define("007,1-6:3,9-9:5,10-11:7", &e), 0);
	text = d->body.text;
	cr_expect_not_null(memmem(text.data, text.size, "\"7,1-4:3,9,10\"", 14), "%.*s", (int)text.size,
			   (const char *)text.data);
	plan_row(d->shard.kind)->sentence(plan("1,2,3,4,5,6-900"), false, &words);
	cr_expect_str_eq(buf_text(&words), "900 shards, with the numbers 1, 2, 3, 4, 5, … 900");
	buf_fini(&words);
}

Test(numbers, many_are_as_few)
{
	const struct plan *p = plan("0,10-4294967303");

	cr_expect_eq(p->shard_count, 4294967295u);
	cr_expect_eq(value(p, 4294967294u), 4294967303);
}

Test(numbers, that_are_wrong_are_refused_in_words)
{
	static const struct {
		const char *numbers, *why;
	} cases[] = {
	    {"1,,2", "expected numbers and ranges such as 5, 9-20 or 9-20:2 between commas, found \"\""},
	    {"1,", "found \"\""},
	    {"1, 2", "found \" 2\""},
	    {"1,5-3", "found \"5-3\""},
	    {"1,3-5:0", "found \"3-5:0\""},
	    {"1,-5", "found \"-5\""},
	    {"1,99999999999999999999", "found \"99999999999999999999\""},
	    {"1,5,1", "the number 1 stands in it twice"},
	    {"1-10:3,20,2-10:2", "the number 4 stands in it twice"},
	    {"0-9000000000000000000:4294967296,4294967296-9000000000000000000:4294967311",
	     "the number 4294967296 stands in it twice"},
	    {"0-4294967295,5000000000", "4294967296 shards; at most"},
	};
	struct error e;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		cr_expect_neq(define(cases[i].numbers, &e), 0, "%s", cases[i].numbers);
		cr_expect_not_null(strstr(e.what, cases[i].why), "%s: %s", cases[i].numbers, e.what);
	}
	cr_expect_eq(define("1-9:2,2-8:2,0-90:30", &e), 0, "%s", e.what);
}

Test(numbers, a_plan_from_outside_keeps_the_rules)
{
	struct plan p = *plan("1,5");
	struct text_item bad = {BYTES_LIT("1,x")};

	p.shard_count = 3;
	cr_expect_eq(plan_validate(&p, NULL), ERR_INVALID);
	p.items.items = &bad;
	cr_expect_eq(plan_validate(&p, NULL), ERR_INVALID);
	p.items.count = 0;
	cr_expect_eq(plan_validate(&p, NULL), ERR_INVALID);
}

/* ---- what people call shards ---- */

static const struct plan *array(const char *text)
{
	static const struct bytes argv[] = {BYTES_LIT("true")};
	static struct new_job job;
	struct definition_command c = {.argv = argv, .argc = 1, .array = bytes_of(text)};

	definition_destroy(d);
	d = NULL;
	cr_assert_eq(definition_from_command(&c, &d, NULL), 0, "%s", text);
	cr_assert_eq(definition_instantiate(d, NULL, BYTES(NULL, 0), &arena, &job, NULL), 0);
	return &job.plan;
}

Test(numbers, each_number_finds_the_shard_that_has_it)
{
	static const char *const arrays[] = {"3", "5-9", "1-1000:2", "9,5,1", "7-9,1-5:2,1000", "0,1,3,2,4"};

	for (size_t i = 0; i < ARRAY_LENGTH(arrays); i++) {
		const struct plan *p = array(arrays[i]);
		uint32_t found = 0, shards = 0;

		for (uint32_t shard = 0; shard < p->shard_count; shard++) {
			cr_assert(plan_find(p, plan_number(p, shard), &found), "%s", arrays[i]);
			cr_assert_eq(found, shard, "%s", arrays[i]);
		}
		for (int64_t number = -5; number < 2000; number++)
			shards += plan_find(p, number, &found);
		cr_expect_eq(shards, p->shard_count, "%s: no others", arrays[i]);
		cr_expect(!plan_find(p, INT64_MAX, &found) && !plan_find(p, INT64_MIN, &found));
	}
}

Test(numbers, runs_of_shards_are_told_as_arrays)
{
	static const struct {
		const char *array;
		struct range shards;
		const char *numbers, *words;
	} cases[] = {
	    {"10", {3, 1}, "3", "3"},
	    {"10", {3, 2}, "3-4", "3 to 4"},
	    {"5-9", {0, 5}, "5-9", "5 to 9"},
	    {"5-9", {4, 1}, "9", "9"},
	    {"1-99:7", {1, 3}, "8-22:7", "8-22:7"},
	    {"1,5,9-20:2", {1, 3}, "5,9-11:2", "5,9-11:2"},
	    {"1,5,9-20:2", {3, 2}, "11-13:2", "11-13:2"},
	    {"9,5,1", {1, 1}, "5", "5"},
	    {"1000000000,2000000000,3000000000,4000000000,5000000000,6000000000,7000000000",
	     {0, 7},
	     "1000000000,2000000000,3000000000,4000000000,5000000000,6000000000,7000000000",
	     "1000000000 … 7000000000"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct plan *p = array(cases[i].array);
		struct buf out = {0};

		plan_numbers(p, cases[i].shards, &out);
		cr_expect_str_eq(buf_text(&out), cases[i].numbers);
		buf_clear(&out);
		plan_numbers_words(p, cases[i].shards, &out);
		cr_expect_str_eq(buf_text(&out), cases[i].words);
		buf_fini(&out);
	}
}

Test(numbers, arrays_from_0_on_have_the_shards_own)
{
	static const char *const plain[] = {"10", "0-9", "1"}, *const numbered[] = {"1-10", "0-9:3", "0,2,1",
										    "0,1,3,2,4"};
	const struct plan of_items = {.kind = PLAN_ITEMS, .shard_count = 9};
	uint32_t shard = 0;

	for (size_t i = 0; i < 3; i++)
		cr_expect(!plan_is_numbered(array(plain[i])), "%s", plain[i]);
	for (size_t i = 0; i < 4; i++)
		cr_expect(plan_is_numbered(array(numbered[i])), "%s", numbered[i]);
	cr_expect(!plan_is_numbered(&of_items));
	cr_expect_eq(plan_number(&of_items, 4), 4);
	cr_expect(plan_find(&of_items, 8, &shard) && shard == 8);
	cr_expect(!plan_find(&of_items, 9, &shard) && !plan_find(&of_items, -1, &shard));
}
