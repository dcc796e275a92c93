/* Each plan kind answers all that others ask of it, and its answers agree with one another. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "jobs/plan.h"

static struct plan_shard shard_of(const struct plan *p)
{
	return (struct plan_shard){.plan = p,
				   .shard = 1,
				   .item = BYTES_LIT("chr2"),
				   .manifest = BYTES_LIT("/tmp/manifest.jsonl"),
				   .missing = 3};
}

/* "name=value name=value …" */
static void print(const struct plan_facts *f, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < f->count; i++) {
		char digits[PLAN_FACT_DIGITS];
		struct bytes value = fact_as_text(&f->items[i], digits);

		used += (size_t)snprintf(buf + used, size - used, "%s%s=%.*s", i > 0 ? " " : "",
					 f->items[i].name, (int)value.size, (const char *)value.data);
		cr_assert_lt(used, size);
	}
}

static struct plan plan_of(uint8_t kind)
{
	return (struct plan){.kind = kind,
			     .shard_count = 3,
			     .start = -3,
			     .step = 2,
			     .url = BYTES_LIT("s3://b/k"),
			     .align = ALIGN_LINE,
			     .step_bytes = 100,
			     .size_bytes = 250,
			     .inputs = 9,
			     .fanin = 3};
}

Test(plan_kind, each_row_is_found_and_whole)
{
	const struct plan_row *row;

	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++) {
		const char *name = plan_kind_name(row->kind);

		cr_expect_eq(plan_row(row->kind), row, "%s", name);
		cr_expect_not_null(row->column, "%s", name);
		cr_expect_eq(row->size != NULL, row->input == PLAN_INPUT_PART, "%s", name);
		cr_expect_eq(row->names[0] != NULL, row->expand != NULL, "%s", name);
		if (row->keys[0].name == NULL)
			continue;
		cr_expect_str_eq(row->keys[0].name, name, "the kind is chosen by its name");
		cr_expect(row->cut != NULL && row->validate != NULL && row->sentence != NULL &&
			      row->preview != NULL,
			  "%s", name);
		for (const struct shard_key *key = row->keys; key->name != NULL; key++)
			cr_expect(key->form != SHARD_TEXT ||
				      (key->parse != NULL && key->write != NULL && key->expected != NULL),
				  "%s", key->name);
	}
	cr_assert_gt(plan_row_at(0)->kind, 0);
}

Test(plan_kind, placeholders_are_those_that_are_told)
{
	const struct plan_row *row;

	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++) {
		struct plan p = plan_of(row->kind);
		struct plan_shard s = shard_of(&p);
		struct plan_facts facts = {.count = 0};
		uint32_t count = 0;

		if (row->expand != NULL)
			row->expand(&s, &facts);
		for (; row->names[count] != NULL; count++)
			cr_expect_not_null(facts_find(&facts, bytes_of(row->names[count])), "%s",
					   row->names[count]);
		cr_expect_eq(facts.count, count, "%s", plan_kind_name(row->kind));
	}
}

Test(plan_kind, what_each_tells)
{
	static const struct {
		uint8_t kind;
		const char *preview, *environment, *runner, *describe;
	} cases[] = {
	    {PLAN_COUNT, "value=-1", "SHARDMILL_VALUE=-1", "start=-3 step=2", ""},
	    {PLAN_BYTES, "begin=100 end=200",
	     "SHARDMILL_INPUT_URL=s3://b/k SHARDMILL_INPUT_FIRST=100 SHARDMILL_INPUT_END=200",
	     "url=s3://b/k size=250 step=100 align=line",
	     "url=s3://b/k size_bytes=250 step_bytes=100 align=line"},
	    {PLAN_ITEMS, "item=chr2", "SHARDMILL_VALUE=chr2", "", "url=s3://b/k"},
	    {PLAN_GATHER, "", "SHARDMILL_MANIFEST=/tmp/manifest.jsonl SHARDMILL_MISSING=3", "", ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct plan_row *row = plan_row(cases[i].kind);
		struct plan p = plan_of(cases[i].kind);
		struct plan_shard s = shard_of(&p);
		struct plan_facts preview = {.count = 0}, environment = {.count = 0}, runner = {.count = 0},
				  describe = {.count = 0};
		char text[300];

		if (row->preview != NULL)
			row->preview(&s, &preview);
		if (row->environment != NULL)
			row->environment(&s, &environment);
		if (row->runner != NULL)
			row->runner(&p, &runner);
		if (row->describe != NULL)
			row->describe(&p, &describe);
		print(&preview, text, sizeof text);
		cr_expect_str_eq(text, cases[i].preview);
		print(&environment, text, sizeof text);
		cr_expect_str_eq(text, cases[i].environment);
		print(&runner, text, sizeof text);
		cr_expect_str_eq(text, cases[i].runner);
		print(&describe, text, sizeof text);
		cr_expect_str_eq(text, cases[i].describe);
	}
}

Test(plan_kind, where_records_begin_is_told_once_it_is_known)
{
	struct plan p = plan_of(PLAN_BYTES);
	struct plan_shard s = shard_of(&p);
	struct plan_facts facts = {.count = 0};
	char text[300];

	s.aligned = true;
	s.first = 107;
	s.end = 211;
	plan_row(PLAN_BYTES)->environment(&s, &facts);
	print(&facts, text, sizeof text);
	cr_assert_str_eq(text,
			 "SHARDMILL_INPUT_URL=s3://b/k SHARDMILL_INPUT_FIRST=107 SHARDMILL_INPUT_END=211");
}

Test(plan_kind, a_value_with_a_nul_stands_in_no_environment)
{
	struct plan p = plan_of(PLAN_ITEMS);
	struct plan_shard s = shard_of(&p);
	struct plan_facts facts = {.count = 0};

	s.item = BYTES_LIT("a\0b");
	plan_row(PLAN_ITEMS)->environment(&s, &facts);
	cr_assert_eq(facts.count, 0);
}

Test(plan_kind, one_that_is_not_known_gives_nothing)
{
	struct plan p = plan_of(200);
	struct error e = {0};

	cr_expect_eq(plan_row(200)->kind, 0);
	cr_expect_eq(plan_row(0)->input, PLAN_INPUT_NONE);
	cr_expect_not(plan_gathers(&p));
	cr_expect_not(plan_may_be_first(&p));
	cr_expect_eq(plan_validate(&p, &e), ERR_INVALID);
	cr_expect_not_null(strstr(e.what, "expected plan count, bytes, "), "%s", e.what);
	cr_expect_eq(plan_size(&p, &e), ERR_INVALID);
}

Test(plan_kind, a_tree_has_a_node_for_each_of_its_inputs)
{
	static const struct {
		uint32_t inputs, fanin, nodes;
	} cases[] = {{1, 0, 1}, {100, 0, 1}, {7, 7, 1}, {8, 7, 2}, {100, 7, 15}, {UINT32_MAX, 2, 1u << 31}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct plan p = plan_to_gather(cases[i].inputs, cases[i].fanin);

		cr_expect_eq(p.shard_count, cases[i].nodes, "%u by %u", cases[i].inputs, cases[i].fanin);
		cr_expect(plan_gathers(&p));
	}
}
