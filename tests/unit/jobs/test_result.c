/* Where results stand, and which shards make one. */
#include <criterion/criterion.h>

#include "base/limits.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "jobs/result.h"

static struct text_item names[] = {{BYTES_LIT("event.detail.object.key")}};
static struct text_item keys[1];
static const struct text_item_list name_list = {names, 1}, key_list = {keys, 1};

static int url_of(const char *output, const char *key, bool gathered, struct buf *url)
{
	struct template_values v = {.job = 12, .job_name = BYTES_LIT("qc"), .values = &key_list};

	keys[0].text = bytes_of(key);
	return result_url(bytes_of(output), &name_list, &v, gathered, 7, url, NULL);
}

Test(result, names_follow_from_job_and_shard)
{
	static const struct {
		const char *output, *key;
		bool gathered;
		const char *expected; /* NULL: refused */
	} cases[] = {
	    {"s3://b/{{job.id}}/", "k", true, "s3://b/12/result"},
	    {"s3://b/{{job.id}}", "k", false, "s3://b/12/shard-0000000007"},
	    {"s3://b/{{event.detail.object.key}}/", "a b/../c", true, "s3://b/a b/../c/result"},
	    {"file:///out/{{event.detail.object.key}}", "a/b", true, "file:///out/a/b/result"},
	    {"file:///out/{{event.detail.object.key}}", "a..b/..c", true, "file:///out/a..b/..c/result"},
	    {"file:///out/{{event.detail.object.key}}", "../etc", true, NULL},
	    {"file:///out/{{event.detail.object.key}}/x", "a/..", true, NULL},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf url = {0};
		int rc = url_of(cases[i].output, cases[i].key, cases[i].gathered, &url);

		cr_assert_eq(rc, cases[i].expected != NULL ? 0 : ERR_INVALID, "%s", cases[i].output);
		cr_assert_str_eq(buf_text(&url), cases[i].expected != NULL ? cases[i].expected : "");
		buf_fini(&url);
	}
}

Test(result, hostile_values_are_refused)
{
	static char longest[URL_BYTES_MAX + 1];
	struct template_values v = {.values = &key_list};
	struct buf url = {0};

	for (size_t i = 0; i < URL_BYTES_MAX; i++)
		longest[i] = 'k';
	cr_assert_eq(url_of("s3://b/{{event.detail.object.key}}", longest, true, &url), ERR_LIMIT);
	keys[0].text = BYTES_LIT("a\0b");
	cr_assert_eq(
	    result_url(BYTES_LIT("s3://b/{{event.detail.object.key}}"), &name_list, &v, true, 0, &url, NULL),
	    ERR_INVALID);
	cr_assert_eq(url.size, 0);
	buf_fini(&url);
}

Test(result, gather_makes_the_only_one)
{
	struct phase_run phases[] = {
	    {.name = BYTES_LIT("plan")}, {.name = BYTES_LIT("shards")}, {.name = BYTES_LIT("gather")}};
	struct run_definition d = {.output = BYTES_LIT("s3://b/"), .phases = {phases, 3}};
	struct plan one = {.kind = PLAN_GATHER, .shard_count = 1},
		    tree = {.kind = PLAN_GATHER, .shard_count = 4};
	struct plan count = {.kind = PLAN_COUNT, .shard_count = 1};

	cr_assert(result_is_made(&d, &phases[2], &one));
	cr_assert_not(result_is_made(&d, &phases[2], &tree), "a level of a tree that is not the last");
	cr_assert_not(result_is_made(&d, &phases[1], &count));
	d.phases.count = 2;
	cr_assert(result_is_made(&d, &phases[1], &count));
	cr_assert_not(result_is_made(&d, &phases[0], &count), "what a planner's command writes is no result");
	d.output.size = 0;
	cr_assert_not(result_is_made(&d, &phases[1], &count));
}

Test(result, streams_stand_in_place_of_an_output)
{
	static const struct {
		const char *text, *out, *err;
	} cases[] = {
	    {"out file:///a\nerr s3://b/c", "file:///a", "s3://b/c"},
	    {"out file:///a", "file:///a", ""},
	    {"err file:///a", "", "file:///a"},
	};
	static const char *const outputs[] = {"file:///out ", "s3://b/k", "", "out ",
					      "err file:///a\nout file:///b"};
	struct result_streams s;
	struct buf again = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		cr_assert(result_streams_read(bytes_of(cases[i].text), &s), "%s", cases[i].text);
		cr_expect(bytes_equal(s.out, bytes_of(cases[i].out)));
		cr_expect(bytes_equal(s.err, bytes_of(cases[i].err)));
		buf_clear(&again);
		result_streams_write(&s, &again);
		cr_expect_str_eq(buf_text(&again), cases[i].text);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(outputs); i++)
		cr_expect_not(result_streams_read(bytes_of(outputs[i]), &s), "%s", outputs[i]);
	buf_fini(&again);
}

/* What a worker that knows of no streams would do with them. */
Test(result, an_output_that_is_none_is_no_place)
{
	const struct plan plan = plan_by_number(3);
	const struct template_values v = {.plan = &plan, .values = &(struct text_item_list){NULL, 0}};
	struct buf url = {0};

	cr_expect_eq(
	    result_url(BYTES_LIT("out file:///a/{{shard.index}}"), v.values, &v, false, 1, &url, NULL),
	    ERR_INVALID, "output has no placeholders of shards");
	buf_fini(&url);
}

Test(result, a_stream_is_a_file_of_its_shard)
{
	const struct plan plan = {.kind = PLAN_COUNT, .start = 5, .step = 1, .shard_count = 3};
	const struct template_values v = {
	    .job = 7, .plan = &plan, .shard = 2, .values = &(struct text_item_list){NULL, 0}};
	struct buf url = {0};

	cr_assert_eq(result_stream_url(BYTES_LIT("file:///a/{{job.id}}-{{shard.value}}.txt"), v.values, &v,
				       &url, NULL),
		     0);
	cr_expect_str_eq(buf_text(&url), "file:///a/7-7.txt");
	buf_clear(&url);
	cr_expect_eq(result_stream_url(BYTES_LIT("file:///a/../b"), v.values, &v, &url, NULL), ERR_INVALID);
	buf_clear(&url);
	cr_expect_eq(result_stream_url(BYTES_LIT("file:///a/"), v.values, &v, &url, NULL), ERR_INVALID);
	buf_fini(&url);
}
