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
