/* YAML becomes a tree that knows its places; what cannot be meant is refused there. */
#include <criterion/criterion.h>

#include "jobs/json.h"
#include "jobs/node.h"

static struct arena arena;
static struct problems problems;

static void teardown(void)
{
	arena_fini(&arena);
	problems_fini(&problems);
}

TestSuite(node, .fini = teardown);

static int parse(const char *yaml, struct node **ret)
{
	arena_fini(&arena);
	arena_init(&arena, 0);
	problems_fini(&problems);
	problems_init(&problems, "x.yaml", bytes_of(yaml));
	return node_parse(bytes_of(yaml), &arena, &problems, ret);
}

Test(node, yaml_and_json_are_read_as_the_same_values)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
	    {"a: 1\nb: [x, 'y', \"z\"]\nc:\n  d: |\n    text\ne:", "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"],"
								   "\"c\":{\"d\":\"text\\n\"},\"e\":null}"},
	    {"{\"b\":[true,null,1.50,\"\\u00e9\\ud83d\\ude00\"],\"a\":{}}",
	     "{\"a\":{},\"b\":[true,null,1.5,\"é😀\"]}"},
	    {"[1.0, -0, +7, 1e3, .5, 0.1, yes, 1.2.3, 0x1f, 1_000, a-, 'null', ~]",
	     "[1.0,0,7,1000.0,0.5,0.1,\"yes\",\"1.2.3\",\"0x1f\",\"1_000\",\"a-\",\"null\",null]"},
	    {"plain", "\"plain\""},
	    {"%YAML 1.1\n---\non: [off, on]", "{\"on\":[\"off\",\"on\"]}"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct node *n;
		struct buf out = {0};
		json_t *value;

		cr_assert_eq(parse(cases[i].yaml, &n), 0, "%s", problems_text(&problems));
		value = node_to_json(n, &problems);
		cr_assert_not_null(value, "%s", problems_text(&problems));
		json_write(&out, value);
		cr_expect_str_eq(buf_text(&out), cases[i].json);
		json_decref(value);
		buf_fini(&out);
	}
}

Test(node, what_cannot_be_meant_is_refused_at_its_place)
{
	static const struct {
		const char *yaml, *report;
	} cases[] = {
	    {"", "x.yaml: expected YAML, found nothing\n"},
	    {"# only this\n", "x.yaml: expected YAML, found nothing\n"},
	    {"a: 1\n b: 2",
	     "x.yaml:1:4: expected YAML: \"invalid multiline plain key\"\n    a: 1\n       ^\n"},
	    {"a: 1\nb: 2\na: 3",
	     "x.yaml:3:1: the key \"a\" is given twice, first in line 1\n    a: 3\n    ^\n"},
	    {"a: &x 1", "x.yaml:1:7: anchors (&name) and aliases (*name) are not read\n    a: &x 1\n"
			"          ^\n  help: write the value out where it is used\n"},
	    {"a: *x", "x.yaml:1:5: anchors (&name) and aliases (*name) are not read\n    a: *x\n        ^\n"
		      "  help: write the value out where it is used\n"},
	    {"a: !!str 1", "x.yaml:1:10: tags (!name) are not read\n    a: !!str 1\n             ^\n"
			   "  help: put the value in quotes to make it text\n"},
	    {"a: 1\n---\nb: 2", "x.yaml:2:1: expected one document, found a second\n    ---\n    ^\n"
				"  help: use one file for each\n"},
	    {"é: {{x}}", "x.yaml:1:5: expected a key, found a list or a map in its place\n    é: {{x}}\n"
			 "        ^\n  help: a text that begins with {{ has to stand in quotes\n"},
	    {"\tkey: \xff", "x.yaml:1:7: expected UTF-8, found the byte 0xff\n    \tkey: ?\n    \t     ^\n"
			    "  help: save the file as UTF-8\n"},
	    {"a: \x07", "x.yaml:1:4: expected text, found the control character 0x07\n    a: ?\n       ^\n"
			"  help: in double quotes it can be written as an escape: \"\\x07\"\n"},
	    {"a: \"x\\0\"", "x.yaml:1:4: a NUL character (\\0) is not taken\n    a: \"x\\0\"\n       ^\n"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct node *n = NULL;

		cr_expect_lt(parse(cases[i].yaml, &n), 0, "%s", cases[i].yaml);
		cr_expect_str_eq(problems_text(&problems), cases[i].report);
	}
}

Test(node, numbers_that_would_change_are_refused)
{
	static const struct {
		const char *yaml, *what;
	} cases[] = {
	    {"[012345678901]", "the number \"012345678901\" begins with a zero that would be lost"},
	    {"[9223372036854775808]", "the number \"9223372036854775808\" does not fit into 64 bits"},
	    {"[1e999]", "the number \"1e999\" does not fit into 64 bits"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct node *n;

		cr_assert_eq(parse(cases[i].yaml, &n), 0);
		cr_assert_null(node_to_json(n, &problems));
		cr_assert_str_eq(problems.first.what, cases[i].what);
		cr_assert_str_eq(problems.first.where, "x.yaml:1:2");
		cr_assert_str_eq(problems.first.help, "put it in quotes if it is text");
	}
}

Test(node, depth_is_bounded)
{
	char yaml[NODE_DEPTH_MAX + 2];
	struct node *n;

	memset(yaml, '[', sizeof yaml);
	yaml[sizeof yaml - 1] = '\0';
	cr_assert_eq(parse(yaml, &n), ERR_LIMIT);
	cr_assert_str_eq(problems.first.what, "nested deeper than 40 levels");
}

Test(node, a_long_line_is_cut_around_the_place)
{
	char yaml[400];
	struct node *n;

	snprintf(yaml, sizeof yaml, "{%0*d: 1, b: *x}", 300, 0);
	cr_assert_lt(parse(yaml, &n), 0);
	cr_assert_not_null(strstr(problems_text(&problems), "0: 1, b: *x}\n"));
	cr_assert_lt(problems.report.size, 350);
}

/* An empty value is at its key, or where its list or map begins; a quoted one at its quote. Versions of
 * libfyaml tell neither alike. */
Test(node, every_value_knows_its_place)
{
	static const struct {
		const char *yaml;
		struct place places[3]; /* of the root's children */
	} cases[] = {
	    {"a:\nb: 1\nc:", {{1, 1}, {2, 4}, {3, 1}}},
	    {"a:   # nothing\n\nb:\n", {{1, 1}, {3, 1}}},
	    {"{a: , b: \"\", c: ''}", {{1, 2}, {1, 10}, {1, 17}}},
	    {"- \n- x\n-\n", {{1, 1}, {2, 3}, {1, 1}}},
	    {"a: \"x\"\nb: 'y'\n\"c\": z", {{1, 4}, {2, 4}, {3, 6}}},
	    {"[\"\",\"a\",\"\"]", {{1, 2}, {1, 5}, {1, 9}}},
	    {"{\"a\":\"b\",\"c\":\"\"}", {{1, 6}, {1, 14}}},
	    {"é: 'ü'\nb: [1]\nc: {d: 1}", {{1, 4}, {2, 4}, {3, 4}}},
	    {"a: \"\\\"x\"\nb: 'it''s'", {{1, 4}, {2, 4}}},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct node *n;
		size_t k = 0;

		cr_assert_eq(parse(cases[i].yaml, &n), 0, "%s", problems_text(&problems));
		for (const struct node *child = n->children; child != NULL; child = child->next, k++) {
			cr_expect_eq(child->at.line, cases[i].places[k].line, "%zu.%zu: line %u", i, k,
				     child->at.line);
			cr_expect_eq(child->at.column, cases[i].places[k].column, "%zu.%zu: column %u", i, k,
				     child->at.column);
		}
	}
}
