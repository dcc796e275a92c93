/* Patterns mean what EventBridge says they mean. AWS's own answers stand in tests/conformance. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/json.h"
#include "jobs/pattern.h"

static struct arena arena;
static struct problems problems;

static void teardown(void)
{
	arena_fini(&arena);
	problems_fini(&problems);
}

TestSuite(pattern, .fini = teardown);

static int compile(struct bytes text, const struct pattern **ret)
{
	struct node *n;
	int rc;

	teardown();
	arena_init(&arena, 0);
	problems_init(&problems, "p", text);
	rc = node_parse(text, &arena, &problems, &n);
	return rc < 0 ? rc : pattern_compile(n, &arena, &problems, ret);
}

static json_t *read_json(struct bytes text)
{
	struct error e = {0};
	json_t *value = json_read(text, MIB, 80, &e);

	cr_assert_not_null(value, "%s: %s", e.where, e.what);
	return value;
}

struct match_case {
	const char *pattern, *event;
	bool want;
};

static void check_cases(const struct match_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct pattern *p = NULL;
		json_t *event = read_json(bytes_of(cases[i].event));

		cr_assert_eq(compile(bytes_of(cases[i].pattern), &p), 0, "%s", problems_text(&problems));
		cr_expect_eq(pattern_matches(p, event), cases[i].want, "%s on %s", cases[i].pattern,
			     cases[i].event);
		json_decref(event);
	}
}

Test(pattern, what_matches_and_what_does_not)
{
	static const struct match_case cases[] = {
	    /* a value is exact, its type included */
	    {"a: [x]", "{\"a\":\"x\"}", true},
	    {"a: [x]", "{\"a\":\"xy\"}", false},
	    {"a: [x]", "{\"a\":\"X\"}", false},
	    {"a: [1]", "{\"a\":1}", true},
	    {"a: [1]", "{\"a\":\"1\"}", false},
	    {"a: ['1']", "{\"a\":1}", false},
	    {"a: [1.5]", "{\"a\":1.5}", true},
	    {"a: [1]", "{\"a\":1.0}", true},
	    {"a: [true]", "{\"a\":true}", true},
	    {"a: [true]", "{\"a\":\"true\"}", false},
	    {"a: [false]", "{\"a\":true}", false},
	    {"a: [null]", "{\"a\":null}", true},
	    {"a: [null]", "{}", false},
	    {"a: ['']", "{\"a\":\"\"}", true},
	    /* any alternative, all members */
	    {"a: [x, y, 3]", "{\"a\":\"y\"}", true},
	    {"a: [x, y, 3]", "{\"a\":3}", true},
	    {"a: [x]\nb: [y]", "{\"a\":\"x\",\"b\":\"y\",\"c\":1}", true},
	    {"a: [x]\nb: [y]", "{\"a\":\"x\",\"b\":\"z\"}", false},
	    {"a: [x]\nb: [y]", "{\"a\":\"x\"}", false},
	    /* beginnings and ends */
	    {"a: [prefix: x/]", "{\"a\":\"x/1\"}", true},
	    {"a: [prefix: x/]", "{\"a\":\"x/\"}", true},
	    {"a: [prefix: x/]", "{\"a\":\"x\"}", false},
	    {"a: [prefix: '']", "{\"a\":\"\"}", true},
	    {"a: [prefix: '']", "{\"a\":1}", false},
	    {"a: [suffix: .gz]", "{\"a\":\"x.gz\"}", true},
	    {"a: [suffix: .gz]", "{\"a\":\".gz\"}", true},
	    {"a: [suffix: .gz]", "{\"a\":\"gz\"}", false},
	    {"a: [{prefix: x}, {suffix: z}]", "{\"a\":\"yz\"}", true},
	    /* deeper */
	    {"a: {b: [x]}", "{\"a\":{\"b\":\"x\"}}", true},
	    {"a: {b: [x]}", "{\"a\":\"x\"}", false},
	    {"a: {b: [x]}", "{\"a\":{\"b\":{\"c\":\"x\"}}}", false},
	    {"a: [x]", "{\"a\":{\"x\":\"x\"}}", false},
	    /* a list matches by any element; in one element all members together */
	    {"a: [x]", "{\"a\":[\"w\",\"x\"]}", true},
	    {"a: [x]", "{\"a\":[[\"w\"],[[\"x\"]]]}", true},
	    {"a: [x]", "{\"a\":[]}", false},
	    {"a: {b: [1], c: [2]}", "{\"a\":[{\"b\":1,\"c\":2}]}", true},
	    {"a: {b: [1], c: [2]}", "{\"a\":[{\"b\":1},{\"c\":2}]}", false},
	    {"a: {b: [1]}", "{\"a\":[{\"b\":[0,1]}]}", true},
	    /* a dotted key spells nesting */
	    {"a: {b: {c: [x]}}", "{\"a.b\":{\"c\":\"x\"}}", true},
	    {"a: {b: {c: [x]}}", "{\"a\":{\"b.c\":\"x\"}}", true},
	    {"a: {b: {c: [x]}}", "{\"a.b.c\":\"x\"}", true},
	    {"a.b: [x]", "{\"a.b\":\"x\"}", true},
	    {"a.b: [x]", "{\"a\":{\"b\":\"x\"}}", true},
	};

	check_cases(cases, ARRAY_LENGTH(cases));
}

Test(pattern, what_may_be_absent_and_what_stands_beside_or)
{
	static const struct match_case cases[] = {
	    /* of $or one, with what stands beside it */
	    {"$or: [{a: [x]}, {b: [y]}]", "{\"b\":\"y\"}", true},
	    {"$or: [{a: [x]}, {b: [y]}]", "{\"b\":\"x\"}", false},
	    {"a: [x]\n$or: [{b: [1], c: [1]}, {b: [2]}]", "{\"a\":\"x\",\"b\":2}", true},
	    {"a: [x]\n$or: [{b: [1], c: [1]}, {b: [2]}]", "{\"a\":\"x\",\"b\":1}", false},
	    {"a: {$or: [{b: [1]}, {c: [1]}], d: [1]}", "{\"a\":[{\"d\":1},{\"c\":1}]}", false},
	    {"a: {$or: [{b: [1]}, {c: [1]}], d: [1]}", "{\"a\":[{\"d\":1},{\"c\":1,\"d\":1}]}", true},
	    /* what is not there */
	    {"a: [{exists: false}]", "{}", true},
	    {"a: [{exists: false}]", "{\"a\":null}", false},
	    {"a: [{exists: false}, x]", "{\"a\":\"x\"}", true},
	    {"a: [{exists: true}]", "{\"a\":[]}", false},
	    {"a: {b: [1], c: [{exists: false}]}", "{\"a\":[{\"b\":1,\"c\":1},{\"b\":1}]}", true},
	    {"a: {b: [1], c: [{exists: false}]}", "{\"a\":[{\"b\":1,\"c\":1},{\"b\":2}]}", false},
	};

	check_cases(cases, ARRAY_LENGTH(cases));
}

Test(pattern, what_operators_match)
{
	static const struct match_case cases[] = {
	    /* numbers by their value, as long as a double tells them apart */
	    {"a: [1.5e3]", "{\"a\":1500}", true},
	    {"a: [9007199254740993]", "{\"a\":9007199254740993}", true},
	    {"a: [9007199254740993]", "{\"a\":9007199254740992}", false},
	    {"a: [numeric: ['>', 0, '<=', 5]]", "{\"a\":5.0}", true},
	    {"a: [numeric: ['>', 0, '<=', 5]]", "{\"a\":0}", false},
	    {"a: [numeric: ['>', 0]]", "{\"a\":9007199254740993}", false},
	    /* addresses have several spellings */
	    {"a: ['::1']", "{\"a\":\"0:0::0:1\"}", true},
	    {"a: [cidr: 10.0.0.0/24]", "{\"a\":\"10.0.0.255\"}", true},
	    {"a: [cidr: 10.0.0.0/24]", "{\"a\":\"10.0.1.0\"}", false},
	    {"a: [cidr: '2001:db8::/33']", "{\"a\":\"2001:db8:8000::\"}", false},
	    {"a: [cidr: '::/0']", "{\"a\":\"10.0.0.1\"}", false},
	    /* capitals or not */
	    {"a: [equals-ignore-case: straße]", "{\"a\":\"STRASSE\"}", true},
	    {"a: [prefix: {equals-ignore-case: ünï}]", "{\"a\":\"ÜNÏcode\"}", true},
	    {"a: [suffix: {equals-ignore-case: .FASTQ}]", "{\"a\":\"x.fastq\"}", true},
	    {"a: [suffix: .FASTQ]", "{\"a\":\"x.fastq\"}", false},
	    /* stars */
	    {"a: [wildcard: 'a*b*c']", "{\"a\":\"abbc\"}", true},
	    {"a: [wildcard: 'a*b*c']", "{\"a\":\"ac\"}", false},
	    {"a: [wildcard: 'ab*ba']", "{\"a\":\"aba\"}", false},
	    {"a: [wildcard: 'a\\*b']", "{\"a\":\"a*b\"}", true},
	    {"a: [wildcard: 'a\\*b']", "{\"a\":\"axb\"}", false},
	    /* all but */
	    {"a: [anything-but: x]", "{\"a\":\"y\"}", true},
	    {"a: [anything-but: x]", "{\"a\":1}", true},
	    {"a: [anything-but: x]", "{}", false},
	    {"a: [anything-but: [x, y]]", "{\"a\":[\"x\",\"y\"]}", false},
	    {"a: [anything-but: [x, y]]", "{\"a\":[\"x\",\"z\"]}", true},
	    {"a: [anything-but: {wildcard: [x*, y*]}]", "{\"a\":\"yz\"}", false},
	};

	check_cases(cases, ARRAY_LENGTH(cases));
}

Test(pattern, a_wrong_pattern_is_refused_at_its_place)
{
	static const struct {
		const char *pattern, *where, *what, *help;
	} cases[] = {
	    {"[x]", "p:1:1", "expected a pattern, a map, found a list", ""},
	    {"{}", "p:1:1", "expected a pattern of at least one key: an empty one would match every event",
	     ""},
	    {"a: {}", "p:1:4", "a: expected at least one key, found an empty map", ""},
	    {"a: []", "p:1:4", "a: expected at least one alternative, found an empty list",
	     "leave the key out to match any value"},
	    {"a: {b: x}", "p:1:8", "a.b: expected a list of alternatives, found \"x\"", "write [\"x\"]"},
	    {"a:", "p:1:1", "a: expected a list of alternatives, found nothing", "write [value]"},
	    {"a: [[x]]", "p:1:5",
	     "a: expected a value or an operator such as {prefix: text}, found a list in the list", ""},
	    {"a: [{prefix: x, suffix: y}]", "p:1:5", "a: expected one operator, found a map of 2 keys", ""},
	    {"a: [{prefix: 5}]", "p:1:14",
	     "a: expected a text or {equals-ignore-case: text} behind prefix, found \"5\"",
	     "put it in quotes if it is text"},
	    {"a: [{suffix: [x]}]", "p:1:14",
	     "a: expected a text or {equals-ignore-case: text} behind suffix, found a list", ""},
	    {"a: [{Prefix: x}]", "p:1:6", "a: the operator \"Prefix\" is not known", "did you mean prefix?"},
	    {"a: [{exist: true}]", "p:1:6", "a: the operator \"exist\" is not known", "did you mean exists?"},
	    {"a: [{exists: 1}]", "p:1:14", "a: expected true or false behind exists, found \"1\"",
	     "put it in quotes if it is text"},
	    {"a: [{wildcard: 'x**'}]", "p:1:16",
	     "a: character 2 of the wildcard: one * stands for any characters, two are not taken",
	     "\\* and \\\\ stand for * and \\ themselves"},
	    {"a: [{cidr: 10.0.0.0/32}]", "p:1:12",
	     "a: expected a block of addresses such as \"10.0.0.0/24\" or \"2001:db8::/32\" behind cidr, "
	     "found "
	     "\"10.0.0.0/32\"",
	     "put it in quotes if it is text"},
	    {"a: [{numeric: ['<', 5, '>', 1]}]", "p:1:24",
	     "a: a range begins with > or >=", "write the lower bound first: [\">\", 0, \"<=\", 5]"},
	    {"a: [{numeric: ['>', x]}]", "p:1:21", "a: expected a number behind the comparison, found \"x\"",
	     ""},
	    {"a: [{anything-but: [x, 1]}]", "p:1:24",
	     "a: expected texts or numbers behind anything-but, not both; found \"1\"", ""},
	    {"a: [{anything-but: {cidr: x}}]", "p:1:21",
	     "a: the operator \"cidr\" does not stand below anything-but",
	     "expected one of prefix, suffix, equals-ignore-case, wildcard"},
	    {"$or: [{a: [x]}]", "p:1:6", "$or: expected a list of two or more maps, found a shorter one",
	     "write $or: [{…}, {…}]"},
	    {"a: [x]\n$or: [{a: [y]}, {b: [z]}]", "p:2:8", "the field \"a\" is given twice, first in line 1",
	     "put it into each branch of $or, or into one list"},
	    {"$or: [{prefix: [x]}, {b: [z]}]", "p:1:8",
	     "$or.prefix: a field below $or may not have the name of an operator",
	     "an operator stands in a list: [{prefix: text}]"},
	    {"\"a\\nb\": x", "p:1:9", "a\\nb: expected a list of alternatives, found \"x\"", "write [\"x\"]"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct pattern *p = NULL;

		cr_expect_lt(compile(bytes_of(cases[i].pattern), &p), 0, "%s", cases[i].pattern);
		cr_expect_str_eq(problems.first.where, cases[i].where, "%s: %s", cases[i].pattern,
				 problems.first.where);
		cr_expect_str_eq(problems.first.what, cases[i].what);
		cr_expect_str_eq(problems.first.help, cases[i].help);
	}
}

/* An event that nobody can match need not be made. */
Test(pattern, says_whether_a_source_is_allowed)
{
	static const struct {
		const char *pattern;
		bool allows;
	} cases[] = {
	    {"{source: [shardmill]}", true},
	    {"{source: [aws.s3, {prefix: shard}], detail: {state: [failed]}}", true},
	    {"{source: [{suffix: mill}]}", true},
	    {"{detail-type: [x]}", true}, /* of any source */
	    {"{source: [aws.s3]}", false},
	    {"{source: [shardmill.bucket, {prefix: shardmills}, 7, null]}", false},
	    {"{source: [{anything-but: aws.s3}]}", true},
	    {"{source: [{anything-but: {prefix: shard}}]}", false},
	    {"{source: [{exists: true}]}", true},
	    {"{source: [{exists: false}]}", false},
	    {"{source: [{exists: false}, {wildcard: 's*l'}]}", true},
	    {"{account: [{exists: false}]}", true},
	    {"{$or: [{source: [aws.s3]}, {detail-type: [x]}]}", true},
	    {"{$or: [{source: [aws.s3]}, {source: [aws.ec2]}]}", false},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct pattern *p = NULL;

		cr_assert_eq(compile(bytes_of(cases[i].pattern), &p), 0, "%s", problems_text(&problems));
		cr_assert_eq(pattern_allows(p, BYTES_LIT("source"), BYTES_LIT("shardmill")), cases[i].allows,
			     "%s", cases[i].pattern);
	}
}

/* Each field alone matches in each element, and no element has all: what could be tried is 40^20. */
Test(pattern, lists_are_not_searched_without_end)
{
	struct buf text = {0}, event_text = {0};
	const struct pattern *p = NULL;
	json_t *event;

	for (int list = 0; list < 20; list++)
		buf_printf(&text, "l%02d: {x: [1], y: [%d]}\n", list, list == 19 ? 2 : 1);
	cr_assert_eq(compile(buf_bytes(&text), &p), 0, "%s", problems_text(&problems));
	for (int list = 0; list < 20; list++) {
		buf_printf(&event_text, "%c\"l%02d\":[", list == 0 ? '{' : ',', list);
		for (int i = 0; i < 40; i++)
			buf_printf(&event_text, "%s{\"x\":1,\"y\":1}", i > 0 ? "," : "");
		buf_printf(&event_text, "]");
	}
	buf_printf(&event_text, "}");
	event = read_json(buf_bytes(&event_text));
	cr_assert(!pattern_matches(p, event));
	json_decref(event);
	buf_fini(&text);
	buf_fini(&event_text);
}

static void ignore(void *arg, const struct pattern_decision *d)
{
	(void)arg;
	(void)d;
}

/* What is absent may be so by each choice before it: this search has a bound, and each way through $or
 * counts. */
Test(pattern, a_search_ends_and_says_so)
{
	struct buf text = {0}, event_text = {0};
	const struct pattern *p = NULL;
	bool too_long = false;
	uint32_t way = 0;
	json_t *event;

	for (int list = 0; list < 20; list++)
		buf_printf(&text, "l%02d: {x: [1]}\n", list);
	buf_printf(&text, "zz: [{exists: false}]\n$or: [");
	for (int i = 0; i < 200; i++)
		buf_printf(&text, "{a%d: [{exists: false}]},", i);
	buf_printf(&text, "]\n");
	cr_assert_eq(compile(buf_bytes(&text), &p), 0, "%s", problems_text(&problems));
	buf_printf(&event_text, "{\"zz\":1");
	for (int list = 0; list < 20; list++) {
		buf_printf(&event_text, ",\"l%02d\":[", list);
		for (int i = 0; i < 40; i++)
			buf_printf(&event_text, "%s{\"x\":1}", i > 0 ? "," : "");
		buf_printf(&event_text, "]");
	}
	buf_printf(&event_text, "}");
	event = read_json(buf_bytes(&event_text));
	cr_assert(!pattern_matches(p, event));
	cr_assert(!pattern_explain(p, event, ignore, NULL, &way, &too_long));
	cr_assert(too_long);
	json_decref(event);
	buf_fini(&text);
	buf_fini(&event_text);
}

/* Of 50,001 elements the last has both: each is looked at once. */
Test(pattern, a_long_list_costs_what_is_in_it)
{
	const struct pattern *p = NULL;
	json_t *event = json_object(), *list = json_array();

	cr_assert_eq(compile(BYTES_LIT("l: {x: [1], y: [2]}"), &p), 0, "%s", problems_text(&problems));
	for (int i = 0; i <= 50000; i++)
		json_array_append_new(list, json_pack("{sisi}", "x", 1, "y", i == 50000 ? 2 : 1));
	json_object_set_new(event, "l", list);
	cr_assert(pattern_matches(p, event));
	json_decref(event);
}

Test(pattern, a_thousand_ways_are_taken_and_not_more)
{
	struct buf text = {0};
	const struct pattern *p = NULL;

	for (int i = 0; i < 3; i++) {
		buf_printf(&text, "m%d: {$or: [", i);
		for (int j = 0; j < 10; j++)
			buf_printf(&text, "{a%d: [1]}, ", j);
		buf_printf(&text, "]}\n");
	}
	cr_assert_eq(compile(buf_bytes(&text), &p), 0, "%s", problems_text(&problems));
	cr_assert_eq(pattern_rule_count(p), PATTERN_RULES_MAX);
	buf_printf(&text, "$or: [{a: [1]}, {b: [1]}]\n");
	cr_assert_eq(compile(buf_bytes(&text), &p), ERR_LIMIT);
	cr_assert_str_eq(problems.first.what, "the $or of this pattern have over 1000 combinations");
	buf_fini(&text);
}

Test(pattern, thousands_of_values_are_found_and_bounded)
{
	struct buf text = {0};
	const struct pattern *p = NULL;
	json_t *event;

	buf_printf(&text, "a: [");
	for (int i = 0; i < PATTERN_VALUES_MAX; i++)
		buf_printf(&text, "v%d,", i * 7919 % PATTERN_VALUES_MAX);
	buf_printf(&text, "]");
	cr_assert_eq(compile(buf_bytes(&text), &p), 0, "%s", problems_text(&problems));
	for (int i = 0; i < PATTERN_VALUES_MAX; i += 13) {
		char value[16];

		snprintf(value, sizeof value, "v%d", i);
		event = json_pack("{ss}", "a", value);
		cr_assert(pattern_matches(p, event), "%s", value);
		json_decref(event);
	}
	event = json_pack("{ss}", "a", "v4096");
	cr_assert(!pattern_matches(p, event));
	json_decref(event);

	text.size--;
	buf_printf(&text, "one more]");
	cr_assert_eq(compile(buf_bytes(&text), &p), ERR_LIMIT);
	cr_assert_str_eq(problems.first.what, "a pattern of over 4096 values");

	buf_clear(&text);
	for (int i = 0; i <= PATTERN_DEPTH_MAX; i++)
		buf_printf(&text, "{a: ");
	buf_printf(&text, "[x]");
	for (int i = 0; i <= PATTERN_DEPTH_MAX; i++)
		buf_printf(&text, "}");
	cr_assert_eq(compile(buf_bytes(&text), &p), ERR_LIMIT);
	cr_assert_str_eq(problems.first.what, "a pattern deeper than 32 levels");
	buf_fini(&text);
}
