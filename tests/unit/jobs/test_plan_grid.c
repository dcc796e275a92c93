/* Grids: each value of a name with each of the others; names, values, spellings, what is refused. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "jobs/definition.h"
#include "jobs/instantiate.h"
#include "jobs/plan.h"

static struct arena arena;
static struct definition *d;

static int define(const char *grid, const char *word, struct error *e)
{
	struct buf text = {0};
	int rc;

	*e = (struct error){0};
	buf_printf(&text, "version: 1\nname: a\nrun: {exec: [p, '%s']}\nshard: {grid: %s}\n", word, grid);
	definition_destroy(d);
	d = NULL;
	rc = definition_parse(buf_bytes(&text), "d", NULL, &d, e);
	buf_fini(&text);
	return rc;
}

static const struct plan *plan(const char *grid)
{
	static struct new_job job;
	struct error e;

	cr_assert_eq(define(grid, "", &e), 0, "%s: %s", grid, e.what);
	cr_assert_eq(definition_instantiate(d, NULL, BYTES(NULL, 0), &arena, &job, &e), 0, "%s", e.what);
	cr_assert_eq(job.planner, PLANNER_PURE);
	cr_assert_eq(plan_validate(&job.plan, &e), 0, "%s", e.what);
	return &job.plan;
}

static void expect_fact(const struct plan_facts *facts, const char *name, const char *value)
{
	const struct plan_fact *f = facts_find(facts, bytes_of(name));

	cr_assert_not_null(f, "%s", name);
	cr_expect(bytes_equal(f->text, bytes_of(value)), "%s: %.*s, not %s", name, (int)f->text.size,
		  (const char *)f->text.data, value);
}

static void expect_point(const struct plan *p, uint32_t shard, const char *point)
{
	struct plan_shard s = {.plan = p, .shard = shard};
	struct plan_facts facts = {.count = 0};

	plan_row(p->kind)->expand(&s, &facts);
	cr_assert_eq(facts.count, p->items.count + 1);
	expect_fact(&facts, "shard.value", point);
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

TestSuite(grid, .init = init, .fini = fini);

Test(grid, each_value_meets_each_of_the_others_and_the_last_name_changes_first)
{
	static const char *const points[] = {"seed=1,lr=0.1,m=a",  "seed=1,lr=0.1,m=b", "seed=1,lr=0.01,m=a",
					     "seed=1,lr=0.01,m=b", "seed=2,lr=0.1,m=a", "seed=2,lr=0.1,m=b",
					     "seed=2,lr=0.01,m=a", "seed=2,lr=0.01,m=b"};
	const struct plan *p = plan("{seed: 1-2, lr: [0.1, 0.01], m: 'a,b'}");
	struct plan_shard s = {.plan = p, .shard = 6};
	struct plan_facts facts = {.count = 0}, variables = {.count = 0}, runner = {.count = 0};
	struct buf sentence = {0};

	cr_assert_eq(p->shard_count, 8);
	for (uint32_t i = 0; i < 8; i++)
		expect_point(p, i, points[i]);
	plan_row(p->kind)->expand(&s, &facts);
	expect_fact(&facts, "shard.seed", "2");
	expect_fact(&facts, "shard.lr", "0.01");
	plan_row(p->kind)->environment(&s, &variables);
	expect_fact(&variables, "SHARDMILL_VALUE", "seed=2,lr=0.01,m=a");
	expect_fact(&variables, "SHARDMILL_GRID_LR", "0.01");
	plan_row(p->kind)->runner(p, &runner);
	expect_fact(&runner, "grid_seed", "1-2");
	plan_row(p->kind)->sentence(p, false, &sentence);
	cr_expect_str_eq(buf_text(&sentence),
			 "8 shards, with 2 values of seed times 2 values of lr times 2 values of m");
	buf_fini(&sentence);
}

Test(grid, values_are_texts_and_ranges_and_have_one_spelling)
{
	static const struct {
		const char *grid, *canonical, *first, *last;
		uint32_t count;
	} cases[] = {
	    {"{a: 1-10:3}", "[\"a=1-10:3\"]", "a=1", "a=10", 4},
	    {"{a: '9,1-11:3,x'}", "[\"a=9,1-10:3,x\"]", "a=9", "a=x", 6},
	    {"[a=5-5]", "[\"a=5\"]", "a=5", "a=5", 1},
	    {"[a=007]", "[\"a=007\"]", "a=007", "a=007", 1},
	    {"[a=2026-01-31]", "[\"a=2026-01-31\"]", "a=2026-01-31", "a=2026-01-31", 1},
	    {"[a=-1]", "[\"a=-1\"]", "a=-1", "a=-1", 1},
	    {"[b=x, a=y]", "[\"b=x\",\"a=y\"]", "b=x,a=y", "b=x,a=y", 1},
	    {"{a: [1-3, 'p,q', 'r\\s']}", "[\"a=1\\\\-3,p\\\\,q,r\\\\\\\\s\"]", "a=1-3", "a=r\\s", 3},
	    {"['a=x=y']", "[\"a=x=y\"]", "a=x=y", "a=x=y", 1},
	    {"{a: 1-65535, b: 1-65537}", "[\"a=1-65535\",\"b=1-65537\"]", "a=1,b=1", "a=65535,b=65537",
	     UINT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct plan *p = plan(cases[i].grid);
		struct definition *again;
		struct buf want = {0};

		cr_expect_eq(p->shard_count, cases[i].count, "%s: %u", cases[i].grid, p->shard_count);
		expect_point(p, 0, cases[i].first);
		expect_point(p, p->shard_count - 1, cases[i].last);
		buf_printf(&want, "\"shard\":{\"grid\":%s}", cases[i].canonical);
		cr_expect_not_null(strstr((const char *)d->body.text.data, buf_text(&want)), "%s: %s",
				   buf_text(&want), (const char *)d->body.text.data);
		cr_assert_eq(definition_parse(d->body.text, "again", NULL, &again, NULL), 0);
		cr_expect(bytes_equal(again->body.sha256, d->body.sha256), "%s", cases[i].grid);
		definition_destroy(again);
		buf_fini(&want);
	}
}

/* As much as is allowed of everything: the texts of a shard have room. */
Test(grid, the_largest_shard_fits)
{
	struct buf grid = {0};
	struct plan_facts facts = {.count = 0}, variables = {.count = 0};
	struct plan_shard s = {.shard = 0};

	buf_printf(&grid, "[");
	for (int i = 0; i < 8; i++)
		buf_printf(&grid, "%sname_of_twenty_four_byt%d=%0120d", i > 0 ? ", " : "", i, 7);
	buf_printf(&grid, "]");
	s.plan = plan(buf_text(&grid));
	plan_row(s.plan->kind)->expand(&s, &facts);
	plan_row(s.plan->kind)->environment(&s, &variables);
	cr_expect_eq(facts.count, 9);
	cr_expect_eq(variables.count, 9);
	buf_fini(&grid);
}

Test(grid, what_is_wrong_is_told)
{
	static const struct {
		const char *grid, *what;
	} cases[] = {
	    {"3", "expected names with their values"},
	    {"{}", "expected names with their values"},
	    {"[a]", "expected NAME=VALUES, found \"a\""},
	    {"{a: {b: 1}}", "expected names with their values"},
	    {"{a: [[1]]}", "expected a text"},
	    {"{a: 1, A: 2}", "the name \"A\" stands in it twice"},
	    {"{2a: 1}", "expected a name of at most 24 letters, digits and _"},
	    {"{a-b: 1}", "expected a name of at most 24 letters, digits and _"},
	    {"{index: 1}", "{{shard.index}} is something else"},
	    {"{value: 1}", "{{shard.value}} is something else"},
	    {"['a=']", "expected values of 1 to 120 bytes without NUL, found an empty one"},
	    {"['a=1,,2']", "found an empty one"},
	    {"[a=9-1]", "expected a range such as 1-100 or 1-100:2, found \"9-1\""},
	    {"[a=1-5:0]", "expected a range such as 1-100"},
	    {"{a: 1-65536, b: 1-65536}", "4294967296 shards; at most"},
	    {"{a: 1-9999999999}", "9999999999 shards; at most"},
	    {"[a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1]", "more than 8 names"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error e;

		cr_expect_lt(define(cases[i].grid, "", &e), 0, "%s", cases[i].grid);
		cr_expect_not_null(strstr(e.what, cases[i].what), "%s: %s", cases[i].grid, e.what);
	}
}

Test(grid, placeholders_are_its_names)
{
	struct error e;

	cr_expect_eq(define("{seed: 1-9}", "{{shard.seed}} {{shard.value}} {{shard.index}}", &e), 0, "%s",
		     e.what);
	cr_expect_lt(define("{seed: 1-9}", "{{shard.sed}}", &e), 0);
	cr_expect_str_eq(e.what, "`grid` has no value \"shard.sed\"");
	cr_expect_lt(define("{seed: 1-9}", "{{shard.item}}", &e), 0, "of items");
}

Test(grid, a_plan_from_outside_is_checked)
{
	struct text_item items[2] = {{BYTES_LIT("a=1-3")}, {BYTES_LIT("b=x,y")}};
	struct plan p = {.kind = PLAN_GRID, .shard_count = 6, .items = {items, 2}};

	cr_expect_eq(plan_validate(&p, NULL), 0);
	p.shard_count = 5;
	cr_expect_eq(plan_validate(&p, NULL), ERR_INVALID);
	p.shard_count = 6;
	items[1].text = BYTES_LIT("A=x,y");
	cr_expect_eq(plan_validate(&p, NULL), ERR_INVALID);
	items[1].text = BYTES_LIT("x,y");
	cr_expect_eq(plan_validate(&p, NULL), ERR_INVALID);
	p.items.count = 0;
	cr_expect_eq(plan_validate(&p, NULL), ERR_INVALID);
}
