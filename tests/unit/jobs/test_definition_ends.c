/* Definitions: when dead shards end a job, and where the shards' files go. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/definition.h"
#include "jobs/kinds.h"

static void expect_text(struct bytes got, const char *want)
{
	cr_expect(bytes_equal(got, bytes_of(want)), "expected %s, found %.*s", want, (int)got.size, got.data);
}

static struct definition *parse(struct bytes text)
{
	struct definition *d = NULL;
	struct buf report = {0};

	cr_assert_eq(definition_parse(text, "d.yaml", &report, &d, NULL), 0, "%s", buf_text(&report));
	buf_fini(&report);
	return d;
}

Test(definition_ends, dead_shards_end_a_job_at_once_or_later)
{
	static const struct {
		const char *text;
		uint8_t kind;
		uint64_t tolerate;
		const char *canonical, *problem;
	} cases[] = {
	    {"keep_going: true", TOLERATE_TO_THE_END, 0, "\"keep_going\":true,", NULL},
	    {"keep_going: false", TOLERATE_NONE, 0, NULL, NULL},
	    {"keep_going: false\ntolerate: 2", TOLERATE_COUNT, 2, "\"tolerate\":2,", NULL},
	    {"tolerate: 0\nkeep_going: true", TOLERATE_TO_THE_END, 0, "\"keep_going\":true,", NULL},
	    {"max_failures: 7", TOLERATE_FAILURES, 7, "\"max_failures\":7,", NULL},
	    {"max_failures: 0", TOLERATE_NONE, 0, NULL, NULL},
	    {"max_failures: 3\nkeep_going: true", 0, 0, NULL, "a definition has one of `tolerate`"},
	    {"max_failures: 3\ntolerate: 1%", 0, 0, NULL, "a definition has one of `tolerate`"},
	    {"max_failures: 2%", 0, 0, NULL, "expected a number from 0"},
	    {"keep_going: yes", 0, 0, NULL, "expected true or false"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf yaml = {0};
		struct definition *d = NULL, *again = NULL;
		struct error e = {0};
		int rc;

		buf_printf(&yaml,
			   "version: 1\nname: a\nshard: {count: 9}\nrun: {exec: [x]}\n"
			   "gather: {exec: [y]}\n%s\n",
			   cases[i].text);
		rc = definition_parse(buf_bytes(&yaml), "a.yaml", NULL, &d, &e);
		buf_fini(&yaml);
		if (cases[i].problem != NULL) {
			cr_assert_lt(rc, 0, "%s", cases[i].text);
			cr_expect(strstr(e.what, cases[i].problem) != NULL, "%s", e.what);
			continue;
		}
		cr_assert_eq(rc, 0, "%s: %s", cases[i].text, e.what);
		cr_expect_eq(d->body.phases.items[0].policy.tolerate_kind, cases[i].kind, "%s",
			     cases[i].text);
		cr_expect_eq(d->body.phases.items[0].policy.tolerate, cases[i].tolerate);
		cr_expect_eq(d->body.phases.items[1].policy.tolerate_kind, TOLERATE_NONE);
		cr_expect_eq(d->body.phases.items[1].policy.tolerate, 0);
		cr_expect(cases[i].canonical == NULL ||
			      strstr((const char *)d->body.text.data, cases[i].canonical) != NULL,
			  "%s", d->body.text.data);
		again = parse(d->body.text);
		cr_expect(bytes_equal(again->body.sha256, d->body.sha256), "canonical text is its own");
		definition_destroy(again);
		definition_destroy(d);
	}
}

Test(definition_ends, a_file_a_shard_tells_shards_apart)
{
	static const struct {
		const char *shard, *text, *output, *problem;
	} cases[] = {
	    {"count: 3", "out: 'file:///a/{{shard.index}}'", "out file:///a/{{shard.index}}", NULL},
	    {"count: 3", "out: 'file:///{{shard.value}}'\nerr: 's3://b/{{job.id}}/{{shard.value}}'",
	     "out file:///{{shard.value}}\nerr s3://b/{{job.id}}/{{shard.value}}", NULL},
	    {"count: 1", "err: file:///a", "err file:///a", NULL},
	    {"count: 3", "out: file:///a", NULL, "all shards would write the same file"},
	    {"count: 3", "out: 'file:///{{shard.count}}'", NULL, "all shards would write the same file"},
	    {"items: [a, b]", "out: file:///a", NULL, "all shards would write the same file"},
	    {"items: [a, b]", "out: 'file:///{{shard.item}}'", "out file:///{{shard.item}}", NULL},
	    {"grid: {a: 1-2, b: 1-2}", "out: 'file:///{{shard.a}}-{{shard.a}}'", NULL, "the same file"},
	    {"grid: {a: 1-2, b: 1-2}", "out: 'file:///{{shard.a}}-{{shard.b}}'",
	     "out file:///{{shard.a}}-{{shard.b}}", NULL},
	    {"grid: {a: 1-2, b: 1-2}", "out: 'file:///{{shard.value}}'", "out file:///{{shard.value}}", NULL},
	    {"count: 3", "out: 'a/{{shard.index}}'", NULL, "the name of a file"},
	    {"count: 3", "out: 'file:///{{shard.index}}/'", NULL, "the name of a file"},
	    {"count: 3", "out: 'file:///{{shard.index}}'\nerr: 'file:///{{shard.index}}'", NULL,
	     "stdout is written to the same file"},
	    {"count: 3", "out: 'file:///{{shard.index}}'\noutput: file:///b", NULL,
	     "do not go with `output`"},
	    {"count: 3", "out: 'file:///{{shard.index}}'\ngather: {exec: [x]}", NULL,
	     "do not go with `gather`"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf yaml = {0};
		struct definition *d = NULL, *again;
		struct error e = {0};
		int rc;

		buf_printf(&yaml, "version: 1\nname: a\nshard: {%s}\nrun: {exec: [x]}\n%s\n", cases[i].shard,
			   cases[i].text);
		rc = definition_parse(buf_bytes(&yaml), "a.yaml", NULL, &d, &e);
		buf_fini(&yaml);
		cr_assert_eq(rc == 0, cases[i].problem == NULL, "%s: %s", cases[i].text, e.what);
		if (rc != 0) {
			cr_expect(strstr(e.what, cases[i].problem) != NULL, "%s: %s", cases[i].text, e.what);
			continue;
		}
		expect_text(d->body.output, cases[i].output);
		again = parse(d->body.text);
		cr_expect(bytes_equal(again->body.sha256, d->body.sha256), "canonical text is its own");
		definition_destroy(again);
		definition_destroy(d);
	}
}
