/* A command line as a definition. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/definition.h"
#include "jobs/kinds.h"

static void expect_text(struct bytes got, const char *want)
{
	cr_expect(bytes_equal(got, bytes_of(want)), "expected %s, found %.*s", want, (int)got.size, got.data);
}

Test(definition_command, a_command_line_is_a_definition)
{
	const struct bytes argv[] = {BYTES_LIT("/usr/bin/prog"), BYTES_LIT("--n={}"),
				     BYTES_LIT("{print $1}"),	 BYTES_LIT("{}"),
				     BYTES_LIT("{\"a\":{}}"),	 BYTES_LIT("{{job.id}}")};
	const struct bytes gather[] = {BYTES_LIT("xargs"), BYTES_LIT("-I{}")};
	const struct pair env[] = {{BYTES_LIT("A"), BYTES_LIT("{{not.a.template}}")},
				   {BYTES_LIT("E"), BYTES_LIT("")}};
	struct definition_command c = {.argv = argv,
				       .argc = ARRAY_LENGTH(argv),
				       .gather = gather,
				       .gather_count = ARRAY_LENGTH(gather),
				       .directory = BYTES_LIT("/there"),
				       .array = BYTES_LIT("1-1000:2"),
				       .timeout = BYTES_LIT("90s"),
				       .cpus = BYTES_LIT("2"),
				       .attempts = BYTES_LIT("1"),
				       .env = env,
				       .env_count = 2};
	struct definition *d = NULL;
	struct error e = {0};

	cr_assert_eq(definition_from_command(&c, &d, &e), 0, "%s: %s", e.where, e.what);
	expect_text(
	    d->body.text,
	    "{\"gather\":{\"directory\":\"/there\",\"durable_output\":true,\"env\":{\"A\":"
	    "\"{{{{not.a.template}}\",\"E\":\"\"},\"exec\":[\"xargs\",\"-I{}\"],\"fanin\":\"all\",\"input\":"
	    "\"stdin\",\"resources\":{\"cpus\":\"1\"},\"timeout\":\"none\"},"
	    "\"name\":\"prog\",\"priority\":0,\"queue\":\"default\",\"retry\":{\"attempts\":1,"
	    "\"backoff\":\"1s\",\"max\":\"1m\",\"oom\":\"same\"},\"run\":{\"directory\":\"/there\","
	    "\"durable_output\":true,\"env\":{"
	    "\"A\":\"{{{{not.a.template}}\",\"E\":\"\"},\"exec\":[\"/usr/bin/prog\",\"--n={{shard.value}}\","
	    "\"{print $1}\",\"{{shard.value}}\",\"{\\\"a\\\":{{shard.value}}}\",\"{{job.id}}\"],\"input\":"
	    "\"none\",\"resources\":{\"cpus\":\"2\"},\"timeout\":\"1m30s\"},\"shard\":{\"count\":\"1-999:2\"}"
	    ","
	    "\"version\":1}");
	cr_expect_eq(d->shard.count, 500);
	definition_destroy(d);
}

Test(definition_command, what_becomes_of_dead_shards)
{
	static const struct pair exits[] = {{BYTES_LIT("75-78"), BYTES_LIT("retry")},
					    {BYTES_LIT("2"), BYTES_LIT("fail")}};
	const struct bytes argv[] = {BYTES_LIT("true")};
	struct definition_command c = {
	    .argv = argv, .argc = 1, .keep_going = true, .exits = exits, .exit_count = 2};
	const struct policy *p;
	struct definition *d;

	cr_assert_eq(definition_from_command(&c, &d, NULL), 0);
	p = &d->body.phases.items[0].policy;
	cr_expect_eq(p->tolerate_kind, TOLERATE_TO_THE_END);
	cr_assert_eq(p->exit_rules.count, 2);
	cr_expect_eq(p->exit_rules.items[0].first, 2);
	cr_expect_eq(p->exit_rules.items[0].verdict, VERDICT_FAIL);
	definition_destroy(d);
	c.keep_going = false;
	c.max_failures = BYTES_LIT("12");
	cr_assert_eq(definition_from_command(&c, &d, NULL), 0);
	cr_expect_eq(d->body.phases.items[0].policy.tolerate_kind, TOLERATE_FAILURES);
	cr_expect_eq(d->body.phases.items[0].policy.tolerate, 12);
	definition_destroy(d);
}

Test(definition_command, how_many_shards_run_at_a_time_stands_behind_the_array_or_by_itself)
{
	const struct bytes argv[] = {BYTES_LIT("true")};
	struct definition_command c = {.argv = argv, .argc = 1, .array = BYTES_LIT("1,5-9%3")};
	struct definition *d;
	struct error e = {0};

	cr_assert_eq(definition_from_command(&c, &d, &e), 0, "%s", e.what);
	cr_expect_eq(d->max_running, 3);
	cr_expect_eq(d->shard.count, 6);
	definition_destroy(d);
	c.array = BYTES_LIT("5");
	c.max_running = BYTES_LIT("2");
	cr_assert_eq(definition_from_command(&c, &d, &e), 0, "%s", e.what);
	cr_expect_eq(d->max_running, 2);
	definition_destroy(d);
	c.array = BYTES_LIT("5%2");
	cr_assert_eq(definition_from_command(&c, &d, &e), ERR_INVALID);
	cr_expect_str_eq(e.what, "max_running stands behind the % of the array, too");
	c.max_running = BYTES(NULL, 0);
	c.array = BYTES_LIT("5%0");
	cr_assert_eq(definition_from_command(&c, &d, &e), ERR_INVALID);
	cr_expect_str_eq(e.what, "expected how many shards may run at a time behind %, found %0");
}

struct refusal {
	struct definition_command c;
	const char *where, *what;
};

/* Beside a command of one word. */
static void expect_refused(const struct refusal *cases, size_t count)
{
	static const struct bytes argv[] = {BYTES_LIT("true")};

	for (size_t i = 0; i < count; i++) {
		struct definition_command c = cases[i].c;
		struct definition *d = NULL;
		struct error e = {0};

		c.argv = argv;
		c.argc = 1;
		cr_expect_lt(definition_from_command(&c, &d, &e), 0, "%zu", i);
		cr_expect_str_eq(e.where, cases[i].where, "%zu: %s: %s", i, e.where, e.what);
		cr_expect_not_null(strstr(e.what, cases[i].what), "%zu: %s: %s", i, e.where, e.what);
	}
}

Test(definition_command, a_wrong_word_about_dead_shards_is_told)
{
	static const struct pair two_dies = {BYTES_LIT("2"), BYTES_LIT("dies")};
	static const struct refusal cases[] = {
	    {{.tolerate = BYTES_LIT("101%")}, "tolerate", "expected"},
	    {{.max_failures = BYTES_LIT("few")}, "max_failures", "expected a number"},
	    {{.max_failures = BYTES_LIT("1"), .keep_going = true}, "max_failures", "one of"},
	    {{.exits = &two_dies, .exit_count = 1}, "exit.2", "expected retry, fail or success"},
	};

	expect_refused(cases, ARRAY_LENGTH(cases));
}

/* What the words of a command become: {} stands for something where an option gives it a meaning, and only
 * there. */
Test(definition_command, braces_of_a_command_line)
{
#define ONE 0
#define ARRAY 1
#define EACH_LINE 2
#define CUT 4
#define LITERAL 8
	static const struct {
		unsigned how;
		const char *word, *template;
	} cases[] = {
	    {ONE, "{}", "{}"}, /* find -exec, an empty JSON object */
	    {ONE, "{\"a\":{}}", "{\"a\":{}}"},
	    {ONE, "[{},{}]", "[{},{}]"},
	    {ONE, "{{}}", "{}"},
	    {ONE, "{{job.id}}/{}", "{{job.id}}/{}"},
	    {ONE, "{{{{.Names}}", "{{{{.Names}}"},
	    {ARRAY, "{}", "{{shard.value}}"},
	    {ARRAY, "a{}b{}", "a{{shard.value}}b{{shard.value}}"},
	    {ARRAY, "{\"a\":{}}", "{\"a\":{{shard.value}}}"},
	    {ARRAY, "{{}}", "{}"},
	    {ARRAY, "{{}}{}", "{}{{shard.value}}"},
	    {ARRAY, "{{{}}}", "{{{{}}"},
	    {ARRAY, "{{{job.id}}}", "{{{job.id}}}"},
	    {ARRAY, "{{{{}", "{{{{}"},
	    {ARRAY, "{ }{", "{ }{"},
	    {EACH_LINE, "-I{}", "-I{{shard.value}}"},
	    {CUT, "{}", "{{shard.input_file}}"},
	    {CUT, "--in={}", "--in={{shard.input_file}}"},
	    {ONE | LITERAL, "{}", "{}"},
	    {ARRAY | LITERAL, "{}{{}}", "{}{{{{}}"},
	    {ARRAY | LITERAL, "{{job.id}}", "{{{{job.id}}"},
	};
	static const struct bytes item[] = {BYTES_LIT("a line")};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct bytes argv[] = {BYTES_LIT("prog"), bytes_of(cases[i].word)};
		unsigned how = cases[i].how;
		struct definition_command c = {.argv = argv, .argc = 2, .literal = how & LITERAL};
		struct definition *d = NULL;
		struct error e = {0};

		if (how & ARRAY)
			c.array = BYTES_LIT("7");
		if (how & EACH_LINE)
			c.items = item, c.item_count = 1;
		if (how & CUT)
			c.bytes = BYTES_LIT("1MiB"), c.of = BYTES_LIT("file:///a");
		cr_assert_eq(definition_from_command(&c, &d, &e), 0, "%s: %s: %s", cases[i].word, e.where,
			     e.what);
		expect_text(d->body.phases.items[0].run.argv.items[1].text, cases[i].template);
		cr_expect_eq(d->body.phases.items[0].run.input, how & CUT ? FEED_FILE : FEED_NONE);
		definition_destroy(d);
	}
#undef ONE
#undef ARRAY
#undef EACH_LINE
#undef CUT
#undef LITERAL
}

Test(definition_command, a_wrong_command_line_is_told)
{
	static const struct bytes plain[] = {BYTES_LIT("prog")},
				  binary[] = {BYTES_LIT("prog"), BYTES_LIT("\xff")},
				  template[] = {BYTES_LIT("prog"), BYTES_LIT("{{shard.vlue}}")},
				  braces[] = {BYTES_LIT("prog"), BYTES_LIT("{}")};
	static const struct pair env[] = {{.name = BYTES_LIT("A"), .value = BYTES_LIT("1")},
					  {.name = BYTES_LIT("2B"), .value = BYTES_LIT("1")}};
	static const struct refusal cases[] = {
#define PLAIN .argv = plain, .argc = 1
	    {{.argc = 0}, "", "expected a command behind --, found nothing"},
	    {{PLAIN, .array = BYTES_LIT("5-1")}, "array", "the first is behind the last in \"5-1\""},
	    {{PLAIN, .array = BYTES_LIT("0")}, "array", "expected at least one shard, found \"0\""},
	    {{PLAIN, .array = BYTES_LIT("1-5:0")}, "array", "expected a step of at least 1"},
	    {{PLAIN, .array = BYTES_LIT("x")}, "array", "expected a number of shards, or a range"},
	    {{PLAIN, .array = BYTES_LIT("5"), .bytes = BYTES_LIT("1MiB")}, "bytes", "not by both"},
	    {{PLAIN, .items = plain, .item_count = 1, .array = BYTES_LIT("5")}, "items", "not by both"},
	    {{PLAIN, .items = plain, .item_count = 1, .lines = BYTES_LIT("file:///a")},
	     "lines",
	     "not by both"},
	    {{PLAIN, .lines = BYTES_LIT("a")}, "lines", "expected s3://"},
	    {{PLAIN, .items = binary, .item_count = 2}, "items[1]", "expected UTF-8"},
	    {{PLAIN, .bytes = BYTES_LIT("x"), .of = BYTES_LIT("file:///a")}, "bytes", "expected a size"},
	    {{PLAIN, .bytes = BYTES_LIT("1MiB"), .of = BYTES_LIT("a")}, "of", "expected s3://"},
	    {{PLAIN, .bytes = BYTES_LIT("1MiB"), .align = BYTES_LIT("word")}, "align", "line"},
	    {{PLAIN, .of = BYTES_LIT("file:///a")}, "of", "goes with bytes"},
	    {{PLAIN, .bytes = BYTES_LIT("1MiB"), .of = BYTES_LIT("file:///a")},
	     "argv",
	     "nothing of its part"},
	    {{.argv = braces,
	      .argc = 2,
	      .bytes = BYTES_LIT("1MiB"),
	      .of = BYTES_LIT("file:///a"),
	      .input = BYTES_LIT("stdin")},
	     "input",
	     "{} is a file"},
	    {{PLAIN, .align = BYTES_LIT("line")}, "align", "goes with bytes"},
	    {{PLAIN, .input = BYTES_LIT("x")}, "input", "expected"},
	    {{PLAIN, .timeout = BYTES_LIT("1")},
	     "timeout",
	     "expected a duration such as 90s, 1h30m or 250ms, found \"1\": a unit must follow the number"},
	    {{PLAIN, .timeout = BYTES_LIT("0s")}, "timeout", "expected a duration above 0, found \"0s\""},
	    {{PLAIN, .cpus = BYTES_LIT("0")}, "cpus", "at least 0.001"},
	    {{PLAIN, .memory = BYTES_LIT("much")}, "memory", "expected a size"},
	    {{PLAIN, .gpus = BYTES_LIT("-1")}, "gpus", "expected a number"},
	    {{PLAIN, .attempts = BYTES_LIT("0")}, "attempts", "expected a number"},
	    {{PLAIN, .queue = BYTES_LIT("a b")}, "queue", "expected a name"},
	    {{PLAIN, .priority = BYTES_LIT("x")}, "priority", "expected a number"},
	    {{PLAIN, .output = BYTES_LIT("here")}, "output", "expected s3://"},
	    {{PLAIN, .directory = BYTES_LIT("there")}, "directory", "expected"},
	    {{PLAIN, .name = BYTES_LIT("a b")}, "name", "expected a name, found \"a b\""},
	    {{PLAIN, .env = env, .env_count = 2}, "env.2B", ""},
	    {{PLAIN, .gather = template, .gather_count = 2}, "gather[1]", "shard"},
	    {{.argv = template, .argc = 2}, "argv[1]", "vlue"},
	    {{.argv = binary, .argc = 2}, "argv[1]", "expected UTF-8 text"},
#undef PLAIN
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct definition *d = NULL;
		struct error e = {0};

		cr_expect_lt(definition_from_command(&cases[i].c, &d, &e), 0, "%zu", i);
		cr_expect_str_eq(e.where, cases[i].where, "%zu: %s: %s", i, e.where, e.what);
		cr_expect_not_null(strstr(e.what, cases[i].what), "%zu: %s: %s", i, e.where, e.what);
	}
}

static void expect_stdin(struct definition_command c, const char *canonical, struct bytes bytes,
			 const char *file)
{
	const struct bytes argv[] = {BYTES_LIT("cat")};
	struct definition *d = NULL, *again = NULL;
	struct error e = {0};
	const struct run_spec *run;

	c.argv = argv;
	c.argc = 1;
	cr_assert_eq(definition_from_command(&c, &d, &e), 0, "%s: %s", e.where, e.what);
	run = &d->body.phases.items[0].run;
	cr_expect(bytes_equal(run->stdin_bytes, bytes));
	expect_text(run->stdin_file, file);
	cr_expect_not_null(strstr((const char *)d->body.text.data, canonical), "%.*s", (int)d->body.text.size,
			   d->body.text.data);
	cr_assert_eq(definition_parse(d->body.text, "again", NULL, &again, &e), 0, "%s", e.what);
	cr_expect(codec_equal(codec_definition_body(), &d->body, &again->body));
	definition_destroy(d);
	definition_destroy(again);
}

Test(definition_command, all_shards_may_have_the_same_stdin)
{
	expect_stdin((struct definition_command){.stdin_base64 = BYTES_LIT("YSBiCg==")},
		     "\"stdin\":{\"text\":\"a b\\n\"}", BYTES_LIT("a b\n"), "");
	expect_stdin((struct definition_command){.stdin_base64 = BYTES_LIT("AP8B")},
		     "\"stdin\":{\"base64\":\"AP8B\"}", BYTES_LIT("\x00\xff\x01"), "");
	expect_stdin(
	    (struct definition_command){.stdin_file = BYTES_LIT("/in/{}.txt"), .array = BYTES_LIT("3")},
	    "\"stdin\":{\"file\":\"/in/{{shard.value}}.txt\"}", BYTES_LIT(""), "/in/{{shard.value}}.txt");
}

Test(definition_command, a_wrong_stdin_is_told)
{
	static const struct refusal cases[] = {
	    {{.stdin_file = BYTES_LIT("here")}, "stdin_file", "expected an absolute path"},
	    {{.stdin_file = BYTES_LIT("/a{{shard.vlue}}")}, "stdin_file", "vlue"},
	    {{.stdin_base64 = BYTES_LIT("YQ=")}, "stdin_base64", "expected base64"},
	    {{.stdin_base64 = BYTES_LIT("YQ=="), .stdin_file = BYTES_LIT("/a")},
	     "stdin_file",
	     "expected one of file, text and base64"},
	    {{.stdin_file = BYTES_LIT("/a"),
	      .input = BYTES_LIT("stdin"),
	      .bytes = BYTES_LIT("1MiB"),
	      .of = BYTES_LIT("file:///a")},
	     "stdin_file",
	     "stdin is the shard's part of the input already"},
	};

	expect_refused(cases, ARRAY_LENGTH(cases));
}

Test(definition_command, stdin_in_a_definition_has_a_bound)
{
	struct buf text = {0};
	struct definition *d = NULL;
	struct error e = {0};

	buf_printf(&text, "version: 1\nname: a\nrun: {exec: [cat], stdin: {text: \"");
	for (size_t i = 0; i < STDIN_BYTES_MAX + 1; i++)
		buf_append(&text, "x", 1);
	buf_printf(&text, "\"}}\n");
	cr_assert_eq(definition_parse(buf_bytes(&text), "a", NULL, &d, &e), ERR_LIMIT);
	cr_expect_not_null(strstr(e.what, "65537 bytes of stdin; a definition holds at most 65536"), "%s",
			   e.what);
	cr_expect_not_null(strstr(e.help, "--stdin FILE"), "%s", e.help);
	buf_fini(&text);
}

Test(definition_command, an_array_may_be_a_row_of_numbers)
{
	static const struct bytes argv[] = {BYTES_LIT("prog")};
	struct definition_command c = {.argv = argv, .argc = 1, .array = BYTES_LIT("1,5,9-20:2")};
	struct definition *d = NULL;
	struct error e = {0};

	cr_assert_eq(definition_from_command(&c, &d, &e), 0, "%s", e.what);
	cr_expect_eq(d->shard.count, 8);
	definition_destroy(d);
	c.array = BYTES_LIT("1,x");
	cr_assert_eq(definition_from_command(&c, &d, &e), ERR_INVALID);
	cr_expect_str_eq(e.where, "array");
}

Test(definition_command, a_group_with_a_limit_and_a_mode)
{
	static const struct {
		const char *text, *group;
		uint32_t limit;
		uint8_t mode;
	} cases[] = {{"a", "a", 1, CONCURRENCY_QUEUE},
		     {"a:3", "a", 3, CONCURRENCY_QUEUE},
		     {"a:3:skip", "a", 3, CONCURRENCY_SKIP},
		     {"a:cancel-running", "a", 1, CONCURRENCY_CANCEL_RUNNING},
		     {"a:b", "a:b", 1, CONCURRENCY_QUEUE},
		     {"a:b:2", "a:b", 2, CONCURRENCY_QUEUE},
		     {"{{event.id}}:2", "{{event.id}}", 2, CONCURRENCY_QUEUE}},
	  wrong[] = {{":2", "expected the name of a group", 0, 0}, {"a:0", "a number from 1", 0, 0}};
	const struct bytes argv[] = {BYTES_LIT("true")};
	struct definition_command c = {.argv = argv, .argc = 1};
	struct definition *d;
	struct error e = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		c.concurrency = bytes_of(cases[i].text);
		cr_assert_eq(definition_from_command(&c, &d, &e), 0, "%s", e.what);
		expect_text(d->concurrency.group, cases[i].group);
		cr_expect_eq(d->concurrency.limit, cases[i].limit);
		cr_expect_eq(d->concurrency.mode, cases[i].mode);
		definition_destroy(d);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		c.concurrency = bytes_of(wrong[i].text);
		cr_expect_lt(definition_from_command(&c, &d, &e), 0);
		cr_expect_str_eq(e.where, "concurrency");
		cr_expect(strstr(e.what, wrong[i].group) != NULL, "%s", e.what);
	}
}
