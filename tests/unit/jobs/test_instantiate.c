/* A definition and an event make a job whose plan is as whole as the event allows. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/event_bucket.h"
#include "jobs/instantiate.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "tests/unit/jobs/data.h"

static struct arena arena;
static struct event_list events;
static struct definition *definition;

static void setup(void)
{
	arena_init(&arena, 0);
}

static void teardown(void)
{
	arena_fini(&arena);
	events_fini(&events);
	definition_destroy(definition);
}

TestSuite(instantiate, .init = setup, .fini = teardown);

static void define(const char *rest)
{
	struct buf text = {0}, report = {0};

	buf_printf(&text, "version: 1\nname: d\n%s\n", rest);
	definition_destroy(definition);
	definition = NULL;
	cr_assert_eq(definition_parse(buf_bytes(&text), "d", &report, &definition, NULL), 0, "%s",
		     buf_text(&report));
	buf_fini(&text);
	buf_fini(&report);
}

static const struct event *event_of(const char *source, const char *detail)
{
	struct buf text = {0};
	struct error e = {0};

	buf_printf(&text, "{\"id\":\"1\",\"source\":\"%s\",\"detail-type\":\"Object Created\",\"detail\":%s}",
		   source, detail);
	events_fini(&events);
	cr_assert_eq(events_read(buf_bytes(&text), 0, &events, &e), 0, "%s: %s", e.where, e.what);
	buf_fini(&text);
	return &events.items[0];
}

static void expect_bytes(struct bytes got, const char *want)
{
	cr_expect(bytes_equal(got, bytes_of(want)), "expected %s, found %.*s", want, (int)got.size, got.data);
}

static void define_named(const char *name)
{
	struct buf text = {0};

	buf_printf(&text, "version: 1\nname: '%s'\nrun: {exec: [p]}\n", name);
	definition_destroy(definition);
	definition = NULL;
	cr_assert_eq(definition_parse(buf_bytes(&text), "d", NULL, &definition, NULL), 0);
	buf_fini(&text);
}

static struct new_job instantiate(const struct event *e)
{
	struct new_job job = {0};
	struct error err = {0};

	cr_assert_eq(definition_instantiate(definition, e, BYTES(NULL, 0), &arena, &job, &err), 0, "%s",
		     err.what);
	if (job.planner == PLANNER_PURE)
		cr_expect_eq(plan_validate(&job.plan, &err), 0, "%s", err.what);
	return job;
}

#define OBJECT                                                                                               \
	"{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"in/a b%+é\",\"size\":1000,\"etag\":\"e1\"}}"
#define SIZELESS "{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"k\",\"etag\":\"e1\"}}"
#define TAGLESS "{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"k\",\"size\":1000}}"
#define RUN "run: {exec: [p]}\n"
#define READ "run: {exec: [p], input: stdin}\n"

Test(instantiate, a_name_may_say_what_the_event_is_about)
{
	const struct event *e;
	struct new_job job;
	struct error err = {0};
	char long_key[200], detail[300];

	define_named("qc {{event.detail.object.key}} {{{{x}}");
	expect_bytes(definition->body.name, "qc {{event.detail.object.key}} {{{{x}}");
	job = instantiate(event_of("aws.s3", OBJECT));
	expect_bytes(job.name, "qc in/a b%+é {{x}}");
	cr_assert_eq(definition_instantiate(definition, NULL, BYTES_LIT("{{as}} it is"), &arena, &job, &err),
		     0);
	expect_bytes(job.name, "{{as}} it is");
	cr_assert_eq(definition_instantiate(definition, NULL, BYTES(NULL, 0), &arena, &job, &err),
		     ERR_INVALID);
	cr_assert_str_eq(err.what, "the definition names \"event.detail.object.key\", and there is no event");
	memset(long_key, 'k', 120);
	for (int size = 119; size <= 120; size++) {
		snprintf(detail, sizeof detail, "{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"%.*s\"}}",
			 size, long_key);
		e = event_of("aws.s3", detail);
		cr_assert_eq(definition_instantiate(definition, e, BYTES(NULL, 0), &arena, &job, &err),
			     size == 119 ? 0 : ERR_LIMIT);
	}
	cr_assert_str_eq(err.what,
			 "the job's name has 129 bytes with the values of its event; at most 128 are taken");
	define_named("{{event.detail.x}}");
	e = event_of("a", "{\"x\":\"\"}");
	cr_assert_eq(definition_instantiate(definition, e, BYTES(NULL, 0), &arena, &job, &err), ERR_INVALID);
	cr_assert_str_eq(err.what, "the job's name is empty with the values of its event");
	e = event_of("a", "{\"x\":\"a?b\",\"x-base64\":\"YQBi\"}");
	cr_assert_eq(definition_instantiate(definition, e, BYTES(NULL, 0), &arena, &job, &err), ERR_INVALID);
	cr_assert_str_eq(err.what, "the job's name has a NUL byte");
}

static void define_fair_by(const char *fair_by)
{
	struct buf text = {0};

	buf_printf(&text, "version: 1\nname: a\nrun: {exec: [p]}\nfair_by: '%s'\n", fair_by);
	definition_destroy(definition);
	definition = NULL;
	cr_assert_eq(definition_parse(buf_bytes(&text), "d", NULL, &definition, NULL), 0);
	buf_fini(&text);
}

Test(instantiate, a_fairness_key_is_made_of_the_event)
{
	struct new_job job;
	struct error err = {0};
	char detail[KEY_BYTES_MAX + 40];

	define_named("a");
	expect_bytes(instantiate(NULL).fair_key, "");
	define_fair_by("tenant {{event.detail.tenant}}");
	expect_bytes(instantiate(event_of("a", "{\"tenant\":\"x\"}")).fair_key, "tenant x");
	cr_expect_eq(instantiate(event_of("a", "{\"tenant\":\"x\"}")).values.count, 0, "no worker needs it");
	cr_assert_eq(
	    definition_instantiate(definition, event_of("a", "{}"), BYTES(NULL, 0), &arena, &job, &err),
	    ERR_NOT_FOUND);
	snprintf(detail, sizeof detail, "{\"tenant\":\"%0*d\"}", KEY_BYTES_MAX - 6, 0);
	cr_assert_eq(
	    definition_instantiate(definition, event_of("a", detail), BYTES(NULL, 0), &arena, &job, &err),
	    ERR_LIMIT);
	cr_assert_str_eq(err.what,
			 "the fairness key has 1025 bytes with the values of its event; at most 1024 "
			 "are taken");
}

Test(instantiate, a_concurrency_group_is_made_of_the_event_or_of_the_rule)
{
	struct new_job job;
	struct error e = {0};

	define("run: {exec: [p]}\nconcurrency: {group: 'of {{event.detail.n}}', limit: 4, mode: skip}");
	job = instantiate(event_of("a", "{\"n\":7}"));
	expect_bytes(job.concurrency.group, "of 7");
	cr_expect_eq(job.concurrency.limit, 4);
	cr_expect_eq(job.concurrency.mode, CONCURRENCY_SKIP);
	define("run: {exec: [p]}\nconcurrency: '{{event.detail.n}}'");
	cr_expect_eq(definition_instantiate(definition, event_of("a", "{\"n\":\"\"}"), BYTES(NULL, 0), &arena,
					    &job, &e),
		     ERR_INVALID);
	cr_expect_str_eq(e.what, "the concurrency group is empty with the values of its event");
	define("run: {exec: [p]}\nmax_jobs: 5");
	job = instantiate(NULL);
	expect_bytes(job.concurrency.group, "rule:d");
	cr_expect_eq(job.concurrency.limit, 5);
	cr_expect_eq(job.concurrency.mode, CONCURRENCY_QUEUE);
	define("run: {exec: [p]}");
	cr_expect_eq(instantiate(NULL).concurrency.group.size, 0);
}

Test(instantiate, the_jobs_that_it_waits_for_are_named_by_the_event)
{
	const char *text =
	    "version: 1\nname: a\nrun: {exec: [p]}\nafter: [7, '8:any', '{{event.detail.job}}:failed']\n";
	struct new_job job;
	struct error err = {0};

	definition_destroy(definition);
	definition = NULL;
	cr_assert_eq(definition_parse(bytes_of(text), "d", NULL, &definition, NULL), 0);
	job = instantiate(event_of("a", "{\"job\":9}"));
	cr_assert_eq(job.after.count, 3);
	cr_expect(job.after.items[0].job == 7 && job.after.items[0].condition == AFTER_SUCCEEDED);
	cr_expect(job.after.items[1].job == 8 && job.after.items[1].condition == AFTER_ANY);
	cr_expect(job.after.items[2].job == 9 && job.after.items[2].condition == AFTER_FAILED);
	cr_expect_eq(job.values.count, 0, "no worker needs it");
	cr_assert_eq(definition_instantiate(definition, event_of("a", "{\"job\":\"x\"}"), BYTES(NULL, 0),
					    &arena, &job, &err),
		     ERR_INVALID);
	cr_expect_not_null(strstr(err.what, "expected the number of a job, and perhaps a condition"), "%s",
			   err.what);
	cr_expect_str_eq(err.where, "after");
}

Test(instantiate, an_event_that_knows_its_object_makes_a_whole_plan)
{
	struct new_job job;

	define(READ "shard: {bytes: 64, align: fastq}");
	job = instantiate(event_of("aws.s3", OBJECT));
	cr_expect_eq(job.planner, PLANNER_PURE);
	cr_expect_eq(job.plan.kind, PLAN_BYTES);
	cr_expect_eq(job.plan.shard_count, 16);
	cr_expect_eq(job.plan.size_bytes, 1000);
	cr_expect_eq(job.plan.align, ALIGN_FASTQ);
	expect_bytes(job.plan.url, "s3://b/in/a b%+é");
	expect_bytes(job.plan.etag, "e1");
	expect_bytes(job.name, "d");
	cr_expect(bytes_equal(job.definition, definition->body.sha256));
}

Test(instantiate, a_file_of_a_watched_directory_is_cut_where_it_lies)
{
	struct bucket_file f = {.bucket = "b",
				.key = BYTES_LIT("x\xff.fastq"),
				.path = BYTES_LIT("/data/x\xff.fastq"),
				.size_bytes = 65,
				.inode = 1,
				.mtime_ns = 2};
	struct event e;
	struct new_job job;

	define(READ "shard: {bytes: 64}");
	cr_assert_eq(event_bucket_created(&f, &e, NULL), 0);
	job = instantiate(&e);
	cr_expect_eq(job.planner, PLANNER_PURE);
	cr_expect_eq(job.plan.shard_count, 2);
	expect_bytes(job.plan.url, "file:///data/x\xff.fastq");
	expect_bytes(job.plan.etag, "1-41-2");
	event_fini(&e);
}

Test(instantiate, what_is_not_known_is_left_to_a_planner)
{
	static const struct {
		const char *rest, *detail;
		uint8_t planner;
		const char *url, *etag;
	} cases[] = {
	    {READ "shard: {bytes: 64}", SIZELESS, PLANNER_SIZE, "s3://b/k", "e1"},
	    {READ "shard: {bytes: 64}", TAGLESS, PLANNER_SIZE, "s3://b/k", ""},
	    {READ "shard: {bytes: 64, of: 's3://x/{{event.detail.object.key}}.idx'}", OBJECT, PLANNER_SIZE,
	     "s3://x/in/a b%+é.idx", ""},
	    {READ "shard: {bytes: 64, of: 'file:///d/{{event.detail.object.etag}}'}", OBJECT, PLANNER_SIZE,
	     "file:///d/e1", ""},
	    {RUN "shard: {items: {lines: '{{event.object}}'}}", OBJECT, PLANNER_LINES, "s3://b/in/a b%+é",
	     ""},
	    {RUN "shard: {items: {json-lines: 'file:///x.jsonl'}}", OBJECT, PLANNER_JSON_LINES,
	     "file:///x.jsonl", ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct new_job job;

		define(cases[i].rest);
		job = instantiate(event_of("aws.s3", cases[i].detail));
		cr_expect_eq(job.planner, cases[i].planner);
		cr_expect_eq(job.plan.shard_count, 0);
		expect_bytes(job.plan.url, cases[i].url);
		expect_bytes(job.plan.etag, cases[i].etag);
	}
}

Test(instantiate, counts_and_items_need_no_event)
{
	struct new_job job;

	define(RUN "shard: {count: 1-1000:2}\npriority: 7");
	job = instantiate(NULL);
	cr_expect_eq(job.plan.shard_count, 500);
	cr_expect_eq(plan_count_value(&job.plan, 499), 999);
	cr_expect_eq(job.priority, 7);
	cr_expect_eq(job.depth, 0);

	define(RUN "shard: {count: 4294967295}");
	cr_expect_eq(instantiate(NULL).plan.shard_count, 4294967295u);

	define(RUN "shard: {items: [a, b]}");
	job = instantiate(NULL);
	cr_expect_eq(job.plan.shard_count, 2);
	expect_bytes(job.plan.items.items[1].text, "b");

	define(RUN "shard: {items: {lines: {exec: [ls]}}}");
	job = instantiate(NULL);
	cr_expect_eq(job.planner, PLANNER_PURE);
	cr_expect_eq(job.plan.kind, PLAN_COUNT, "first the command runs, as one shard");
	cr_expect_eq(job.plan.shard_count, 1);

	define(RUN);
	cr_expect_eq(instantiate(NULL).plan.shard_count, 1);
}

Test(instantiate, an_empty_object_is_one_empty_shard)
{
	struct new_job job;

	define(READ "shard: {bytes: 64}");
	job = instantiate(event_of(
	    "aws.s3", "{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"k\",\"size\":0,\"etag\":\"e1\"}}"));
	cr_expect_eq(job.planner, PLANNER_PURE);
	cr_expect_eq(job.plan.shard_count, 1);
}

Test(instantiate, the_values_that_templates_name_go_with_the_job)
{
	struct new_job job;

	define("run: {exec: [p, '{{event.detail.object.key}}', '{{event.detail.n}}'], env: {K: "
	       "'{{event.object}}'}}\n"
	       "output: s3://out/{{event.detail.object.key}}");
	job = instantiate(event_of("aws.s3", "{\"n\":[1,2],\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":"
					     "\"../-rf $(x)\\n'\\\"\",\"size\":1}}"));
	cr_assert_eq(job.values.count, 3);
	expect_bytes(job.values.items[0].text, "../-rf $(x)\n'\"");
	expect_bytes(job.values.items[1].text, "[1,2]");
	expect_bytes(job.values.items[2].text, "s3://b/../-rf $(x)\n'\"");
}

Test(instantiate, what_cannot_become_a_job_is_refused_in_words)
{
	static const struct {
		const char *rest, *source, *detail; /* detail NULL: no event */
		int rc;
		const char *what;
	} cases[] = {
	    {"run: {exec: [p, '{{event.detail.x}}']}", "s", "{}", ERR_NOT_FOUND,
	     "the event has no \"event.detail.x\""},
	    {"run: {exec: [p, '{{event.detail.x}}']}", "s", NULL, ERR_INVALID,
	     "the definition names \"event.detail.x\", and there is no event"},
	    {READ "shard: {bytes: 64}", "s", NULL, ERR_INVALID,
	     "the definition names \"event.object\", and there is no event"},
	    {READ "shard: {bytes: 64}", "s", "{}", ERR_NOT_FOUND, "the event is about no object"},
	    {READ "shard: {bytes: 1}", "aws.s3",
	     "{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"k\",\"size\":4294967296,\"etag\":\"e1\"}}",
	     ERR_LIMIT,
	     "4294967296 bytes in shards of 1 make 4294967296 shards; at most 4294967295 are allowed"},
	    {READ "shard: {bytes: 64, of: 'file:///data/{{event.detail.k}}'}", "s",
	     "{\"k\":\"../../etc/passwd\"}", ERR_INVALID,
	     "expected a path that does not climb by .., found \"file:///data/../../etc/passwd\""},
	    {READ "shard: {bytes: 64, of: 'file:///data/{{event.detail.k}}'}", "s", "{\"k\":\"..\"}",
	     ERR_INVALID, "expected a path that does not climb by .., found \"file:///data/..\""},
	    {READ "shard: {bytes: 64, of: 'file:///data/{{event.detail.k}}'}", "s", "{\"k\":\"\"}",
	     ERR_INVALID, "expected a file, not a directory, found \"file:///data/\""},
	    {READ "shard: {bytes: 64, of: '{{event.detail.k}}'}", "s", "{\"k\":\"http://x/y\"}", ERR_INVALID,
	     "expected s3://bucket/key or file:///path, found \"http://x/y\""},
	    {READ "shard: {bytes: 64, of: '{{event.detail.k}}'}", "s", "{\"k\":\"s3://bucket\"}", ERR_INVALID,
	     "expected s3://bucket/key, found \"s3://bucket\""},
	    {RUN, "shardmill", "{\"depth\":17}", ERR_LIMIT,
	     "a chain of jobs that start jobs, 17 deep; at most 16 are allowed"},
	    {"run: {exec: [p, '{{event.detail.k}}']}", "s", "{\"k\":\"x\",\"k-base64\":\"YQBi\"}",
	     ERR_INVALID, "the value of \"event.detail.k\" has a NUL byte, which no argument can carry"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct event *e =
		    cases[i].detail == NULL ? NULL : event_of(cases[i].source, cases[i].detail);
		struct new_job job = {.job = 99};
		struct error err = {0};

		define(cases[i].rest);
		cr_expect_eq(definition_instantiate(definition, e, BYTES(NULL, 0), &arena, &job, &err),
			     cases[i].rc);
		cr_expect_str_eq(err.what, cases[i].what);
		cr_expect_eq(job.job, 99, "outputs are written only on success");
	}
}

Test(instantiate, one_job_starts_another_and_the_chain_is_counted)
{
	struct ended_job j = {.job = 1,
			      .name = BYTES_LIT("first"),
			      .definition = BYTES_LIT("first"),
			      .state = JOB_SUCCEEDED,
			      .output = BYTES_LIT("file:///out/1/result"),
			      .cluster = "c"};
	struct event e;
	struct new_job job;

	define(RUN "on: [{pattern: {source: [shardmill], detail-type: [job.succeeded], detail: {definition: "
		   "[first]}}}]\n"
		   "shard: {items: {lines: '{{event.detail.output}}'}}");
	cr_assert_eq(event_job_ended(&j, &e, NULL), 0);
	cr_expect(definition_matches(definition, &e));
	job = instantiate(&e);
	cr_expect_eq(job.depth, 1);
	expect_bytes(job.plan.url, "file:///out/1/result");
	event_fini(&e);

	j.state = JOB_FAILED;
	cr_assert_eq(event_job_ended(&j, &e, NULL), 0);
	cr_expect(!definition_matches(definition, &e));
	event_fini(&e);
}

Test(instantiate, a_real_notification_starts_the_definition_of_the_manual)
{
	struct buf text = {0};
	struct new_job job;

	cr_assert_eq(definition_parse(data_read(&text, "definitions/good/fastq-qc.yaml"), "d", NULL,
				      &definition, NULL),
		     0);
	cr_assert_eq(events_read(data_read(&text, "events/s3-event.json"), 0, &events, NULL), 0);
	cr_expect(!definition_matches(definition, &events.items[0]), "another bucket");
	cr_expect(definition_matches(
	    definition, event_of("aws.s3", "{\"bucket\":{\"name\":\"reads\"},\"object\":{\"key\":"
					   "\"x.fastq\",\"size\":134217729,\"etag\":\"e1\"}}")));
	job = instantiate(&events.items[0]);
	cr_expect_eq(job.plan.shard_count, 3);
	buf_fini(&text);
}
