/* A plan kind that the program does not have (dates/) is one file and one row: the tables are compiled again
 * with its row, and everything else is the program's own archive. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "jobs/definition.h"
#include "jobs/instantiate.h"
#include "jobs/plan.h"
#include "jobs/template.h"

static struct buf report;
static struct arena arena;

static void setup(void)
{
	arena_init(&arena, 0);
}

static void teardown(void)
{
	arena_fini(&arena);
	buf_fini(&report);
}

TestSuite(plan_new, .init = setup, .fini = teardown);

static struct definition *parse(const char *shard, const char *argument)
{
	struct definition *d = NULL;
	struct buf text = {0};

	buf_clear(&report);
	buf_printf(&text, "version: 1\nname: a\nshard: %s\nrun: {exec: [x, '%s']}\n", shard, argument);
	if (definition_parse(buf_bytes(&text), "x", &report, &d, NULL) != 0)
		d = NULL;
	buf_fini(&text);
	return d;
}

#define LEAP "{dates: {from: 2028-02-27, to: 2028-03-02, every: 2d}}"

Test(plan_new, it_is_read_and_written)
{
	struct definition *d = parse(LEAP, "{{shard.date}}"), *again = NULL;

	cr_assert_not_null(d, "%s", buf_text(&report));
	cr_assert_not_null(strstr((const char *)d->body.text.data,
				  "\"shard\":{\"dates\":{\"every\":\"2d\",\"from\":\"2028-02-27\",\"to\":"
				  "\"2028-03-02\"}}"),
			   "%s", (const char *)d->body.text.data);
	cr_assert_eq(definition_parse(d->body.text, "x", NULL, &again, NULL), 0);
	cr_assert(bytes_equal(d->body.text, again->body.text), "canonical text is its own");
	definition_destroy(d);
	definition_destroy(again);
}

Test(plan_new, it_is_planned_and_each_shard_has_its_day)
{
	static const char *const days[] = {"2028-02-27", "2028-02-29", "2028-03-02"};
	struct definition *d = parse(LEAP, "--day={{shard.date}} {{shard.value}}");
	struct new_job job = {0};
	struct buf out = {0};
	struct template t;

	cr_assert_not_null(d, "%s", buf_text(&report));
	cr_assert_eq(definition_instantiate(d, NULL, BYTES(NULL, 0), &arena, &job, NULL), 0);
	cr_assert_eq(job.planner, PLANNER_PURE);
	cr_assert_eq(job.plan.shard_count, 3);
	cr_assert(plan_may_be_first(&job.plan));
	plan_row(job.plan.kind)->sentence(&job.plan, false, &out);
	cr_expect_str_eq(buf_text(&out), "3 shards, one for each day of those that are 2 apart");
	cr_assert_eq(template_compile(d->body.phases.items[0].run.argv.items[1].text, TEMPLATE_ALL, &arena,
				      &t, NULL, NULL),
		     0);
	for (uint32_t i = 0; i < 3; i++) {
		struct template_values v = {.plan = &job.plan, .shard = i};
		char want[60];

		buf_clear(&out);
		cr_assert_eq(template_expand(&t, &v, &out, NULL), 0);
		snprintf(want, sizeof want, "--day=%s %s", days[i], days[i]);
		cr_expect_str_eq(buf_text(&out), want);
	}
	buf_fini(&out);
	definition_destroy(d);
}

Test(plan_new, what_is_wrong_is_told_where_it_is)
{
	static const struct {
		const char *shard, *argument, *what;
	} cases[] = {
	    {"{dates: {from: 2028-02-30, to: 2028-03-02, every: 2d}}", "y",
	     "x:3:16: expected a day such as 2026-01-31, found \"2028-02-30\""},
	    {"{dates: {from: 2028-03-03, to: 2028-03-02, every: 2d}}", "y",
	     "expected a first day and a last one that is not before it, found a map"},
	    {"{dates: {from: 2028-03-03, to: 2028-03-04}}", "y", "`dates` needs the key every"},
	    {"{dates: {from: 2028-03-03, to: [], every: 1d}}", "y", "x:3:39: expected a text, found a list"},
	    {"{dates: {form: 2028-03-03, to: 2028-03-04, every: 1d}}", "y", "did you mean from?"},
	    {"{dates: 2028-03-03}", "y", "expected `dates`, a map, found \"2028-03-03\""},
	    {LEAP, "{{shard.item}}",
	     "expected one of event.PATH, job.id, job.name, shard.index, shard.count, "
	     "shard.value, shard.date, found \"shard.item\""},
	    {"{dates: {from: 2028-03-03, to: 2028-03-04, every: 1d}, count: 3}", "y",
	     "`shard` needs one of count, bytes, items, numbers, grid and dates, found 2"},
	    {"{dates: {from: 2028-03-03, to: 2028-03-04, every: 1d}, align: line}", "y",
	     "align and of go with bytes"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct definition *d = parse(cases[i].shard, cases[i].argument);

		cr_expect_null(d);
		cr_expect_not_null(strstr(buf_text(&report), cases[i].what), "%s: %s", cases[i].what,
				   buf_text(&report));
		definition_destroy(d);
	}
}
