/* A value lands in its element byte for byte, or the text is refused where it is wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/rng.h"
#include "jobs/file_tag.h"
#include "jobs/kinds.h"
#include "jobs/template.h"

#define ALL TEMPLATE_ALL

static struct arena arena;
static struct buf out;

static void setup(void)
{
	arena_init(&arena, 0);
}

static void teardown(void)
{
	arena_fini(&arena);
	buf_fini(&out);
}

TestSuite(template, .init = setup, .fini = teardown);

static struct template compile(struct bytes text)
{
	struct template t = {0};
	struct error e = {0};

	cr_assert_eq(template_compile(text, ALL, &arena, &t, NULL, &e), 0, "%s", e.what);
	return t;
}

static struct text_item values_of_job[] = {{BYTES_LIT("reads/a b.fastq")}, {BYTES_LIT("7")}};
static struct text_item names_of_job[] = {{BYTES_LIT("event.detail.object.key")},
					  {BYTES_LIT("event.detail.object.size")}};
static const struct text_item_list value_list = {values_of_job, 2}, name_list = {names_of_job, 2};

static struct plan plan_of(uint8_t kind)
{
	return (struct plan){.kind = kind,
			     .shard_count = 4,
			     .start = -3,
			     .step = 2,
			     .url = BYTES_LIT("s3://b/k y"),
			     .step_bytes = 100,
			     .size_bytes = 350};
}

static struct template_values values_of(const struct plan *p, uint32_t shard)
{
	return (struct template_values){.job = 42,
					.job_name = BYTES_LIT("qc"),
					.values = &value_list,
					.plan = p,
					.shard = shard,
					.item = BYTES_LIT("chr1"),
					.input_file = BYTES_LIT("/tmp/in put")};
}

static const char *expand(const char *text, uint8_t kind, uint32_t shard)
{
	struct template t = compile(bytes_of(text));
	struct plan p = plan_of(kind);
	struct template_values v = values_of(&p, shard);
	struct error e = {0};

	buf_clear(&out);
	cr_assert_eq(template_resolve(&t, &name_list, &e), 0, "%s", e.what);
	cr_assert_eq(template_expand(&t, &v, &out, &e), 0, "%s", e.what);
	return buf_text(&out);
}

Test(template, names_stand_for_what_they_say)
{
	static const struct {
		const char *text;
		uint8_t kind;
		uint32_t shard;
		const char *want;
	} cases[] = {
	    {"", PLAN_COUNT, 0, ""},
	    {"plain", PLAN_COUNT, 0, "plain"},
	    {"{{job.id}}/{{job.name}}", PLAN_COUNT, 0, "42/qc"},
	    {"{{shard.index}} of {{shard.count}}", PLAN_COUNT, 3, "3 of 4"},
	    {"{{shard.value}}", PLAN_COUNT, 0, "-3"},
	    {"{{shard.value}}", PLAN_COUNT, 3, "3"},
	    {"{{shard.value}}={{shard.item}}", PLAN_ITEMS, 0, "chr1=chr1"},
	    {"{{shard.first_byte}}-{{shard.end_byte}}:{{shard.byte_count}}", PLAN_BYTES, 3, "300-350:50"},
	    {"{{ shard.url\t}}", PLAN_BYTES, 0, "s3://b/k y"},
	    {"{{shard.input_file}}", PLAN_BYTES, 0, "/tmp/in put"},
	    {"k={{event.detail.object.key}},{{event.detail.object.size}}", PLAN_COUNT, 0,
	     "k=reads/a b.fastq,7"},
	    /* braces that are only braces */
	    {"{print $1}", PLAN_COUNT, 0, "{print $1}"},
	    {"{}", PLAN_COUNT, 0, "{}"},
	    {"}} } {", PLAN_COUNT, 0, "}} } {"},
	    {"{", PLAN_COUNT, 0, "{"},
	    {"{\"a\":{\"n\":{{shard.index}}}}", PLAN_COUNT, 2, "{\"a\":{\"n\":2}}"},
	    {"{{{shard.index}}}", PLAN_COUNT, 2, "{2}"},
	    {"{{{{", PLAN_COUNT, 0, "{{"},
	    {"{{{{shard.index}}", PLAN_COUNT, 0, "{{shard.index}}"},
	    {"{{{{{{shard.index}}", PLAN_COUNT, 2, "{{2"},
	    {"{{{{{", PLAN_COUNT, 0, "{{{"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_assert_str_eq(expand(cases[i].text, cases[i].kind, cases[i].shard), cases[i].want, "%s",
				 cases[i].text);
}

Test(template, a_wrong_text_is_refused_where_it_is_wrong)
{
	static const struct {
		const char *text;
		unsigned scope;
		size_t offset;
		const char *what;
	} cases[] = {
	    {"ab {{event.id", ALL, 3, "a placeholder is opened by {{ and not closed by }}"},
	    {"ab {{", ALL, 3, "a placeholder is opened by {{ and not closed by }}"},
	    {"{{}}", TEMPLATE_JOB, 0, "expected one of job.id, job.name, found \"\""},
	    {"x{{job.nme}}", TEMPLATE_JOB, 1, "expected one of job.id, job.name, found \"job.nme\""},
	    {"{{shard.item}}", TEMPLATE_SHARD, 0,
	     "expected one of shard.index, shard.count, found \"shard.item\""},
	    {"{{event.id}}", TEMPLATE_JOB, 0, "expected one of job.id, job.name, found \"event.id\""},
	    {"{{event.}}", ALL, 0, "\"event.\" has an empty step"},
	    {"{{event.detail..x}}", ALL, 0, "\"event.detail..x\" has an empty step"},
	    {"{{event.detial.x}}", ALL, 0, "an event has no \"event.detial.x\""},
	    {"{{event.idx}}", ALL, 0, "an event has no \"event.idx\""},
	    {"{{event.id.x}}", ALL, 0, "an event has no \"event.id.x\""},
	    {"{{{{{{{\nno}}", TEMPLATE_JOB, 5, "expected one of job.id, job.name, found \"\\nno\""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct template t;
		struct error e = {0};
		size_t offset = 999;

		cr_assert_eq(
		    template_compile(bytes_of(cases[i].text), cases[i].scope, &arena, &t, &offset, &e),
		    ERR_INVALID, "%s", cases[i].text);
		cr_assert_str_eq(e.what, cases[i].what);
		cr_assert_eq(offset, cases[i].offset, "%s: %zu", cases[i].text, offset);
	}
}

Test(template, hostile_values_stay_inside_their_element)
{
	static const char *const hostile[] = {
	    "../../etc/passwd", "a\nb",	 "$(reboot)",  "`id`",		 "-rf",
	    "\xff\xfe\x80",	"'\"\\", "{{job.id}}", "{{{{event.id}}", "; rm -rf /",
	    "\x1b[2J",		" ",	 "",	       "*?[a]~",	 "%s%n%999999d",
	    "a\\x00b",
	};
	struct template t = compile(BYTES_LIT("--in={{event.detail.object.key}}]"));
	struct text_item value;
	struct text_item_list list = {&value, 1};
	struct template_values v = {.values = &list};

	cr_assert_eq(template_resolve(&t, &name_list, NULL), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(hostile); i++) {
		char want[64];

		value.text = bytes_of(hostile[i]);
		buf_clear(&out);
		cr_assert_eq(template_expand(&t, &v, &out, NULL), 0);
		snprintf(want, sizeof want, "--in=%s]", hostile[i]);
		cr_assert_str_eq(buf_text(&out), want);
	}
}

Test(template, a_nul_byte_and_an_endless_argument_are_refused)
{
	struct template t = compile(BYTES_LIT("a{{event.detail.object.key}}"));
	struct text_item value = {BYTES_LIT("x\0y")};
	struct text_item_list list = {&value, 1};
	struct template_values v = {.values = &list};
	struct error e = {0};
	static uint8_t large[ARG_BYTES_MAX];

	cr_assert_eq(template_resolve(&t, &name_list, NULL), 0);
	buf_append(&out, "before", 6);
	cr_assert_eq(template_expand(&t, &v, &out, &e), ERR_INVALID);
	cr_assert_str_eq(e.what, "the value of \"event.detail.object.key\" has a NUL byte, which no argument "
				 "can carry");
	cr_assert_eq(out.size, 6, "a failed expansion leaves the buffer as it was");

	memset(large, 'x', sizeof large);
	value.text = BYTES(large, sizeof large - 1);
	cr_assert_eq(template_expand(&t, &v, &out, &e), ERR_LIMIT);
	cr_assert_eq(out.size, 6);
	value.text.size--;
	cr_assert_eq(template_expand(&t, &v, &out, &e), 0);
}

Test(template, a_name_that_the_job_has_no_value_of_is_told)
{
	struct template t = compile(BYTES_LIT("{{event.id}}"));
	struct error e = {0};

	cr_assert_eq(template_resolve(&t, &name_list, &e), ERR_NOT_FOUND);
	cr_assert_str_eq(e.what, "the job keeps no value of \"event.id\"");
}

Test(template, escaped_text_expands_to_itself)
{
	const uint64_t seed = 20261123;
	struct buf text = {0}, escaped = {0};
	struct rng rng;

	rng_seed(&rng, seed);
	for (int round = 0; round < 2000; round++) {
		struct template t;
		struct template_values v = {0};
		size_t size = rng_below(&rng, 24);

		buf_clear(&text);
		buf_clear(&escaped);
		buf_clear(&out);
		for (size_t i = 0; i < size; i++)
			buf_append(&text, &"{{{}}a"[rng_below(&rng, 6)], 1);
		template_escape(&escaped, buf_bytes(&text));
		t = compile(buf_bytes(&escaped));
		cr_assert(template_is_literal(&t), "seed %llu round %d", (unsigned long long)seed, round);
		cr_assert_eq(template_expand(&t, &v, &out, NULL), 0);
		cr_assert(bytes_equal(buf_bytes(&out), buf_bytes(&text)), "seed %llu round %d",
			  (unsigned long long)seed, round);
		arena_reset(&arena);
	}
	buf_fini(&text);
	buf_fini(&escaped);
}

Test(template, a_file_s_tag_changes_with_each_of_its_parts)
{
	char tag[FILE_TAG_BYTES_MAX], longest[FILE_TAG_BYTES_MAX];

	cr_assert_eq(file_tag(0x1234, 5, 0x77, tag), 9);
	cr_assert_str_eq(tag, "1234-5-77");
	cr_assert_eq(file_tag(UINT64_MAX, UINT64_MAX, -1, longest), 50);
}
