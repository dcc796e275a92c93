/* Definitions: what they compile to, what is said of a wrong one, and what names a version. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/rng.h"
#include "jobs/definition.h"
#include "jobs/json.h"
#include "jobs/kinds.h"
#include "tests/unit/jobs/data.h"

static struct definition *parse(struct bytes text)
{
	struct definition *d = NULL;
	struct buf report = {0};

	cr_assert_eq(definition_parse(text, "d.yaml", &report, &d, NULL), 0, "%s", buf_text(&report));
	buf_fini(&report);
	return d;
}

static struct definition *parse_file(const char *name)
{
	struct buf text = {0};
	struct definition *d = parse(data_read(&text, name));

	buf_fini(&text);
	return d;
}

static void expect_text(struct bytes got, const char *want)
{
	cr_expect(bytes_equal(got, bytes_of(want)), "expected %s, found %.*s", want, (int)got.size, got.data);
}

static const char *const good[] = {"fastq-qc", "least", "everything", "array", "lines", "limits"};

Test(definition, a_good_one_has_the_canonical_text_that_is_written_down)
{
	struct buf want = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		char name[100];
		struct definition *d;
		struct bytes text;

		snprintf(name, sizeof name, "definitions/good/%s.yaml", good[i]);
		d = parse_file(name);
		snprintf(name, sizeof name, "definitions/good/%s.json", good[i]);
		text = data_read(&want, name);
		text.size--; /* the file's newline */
		cr_expect(bytes_equal(d->body.text, text), "%s: found %.*s", name, (int)d->body.text.size,
			  d->body.text.data);
		definition_destroy(d);
	}
	buf_fini(&want);
}

Test(definition, spelling_order_and_comments_make_no_new_version)
{
	struct definition *a = parse_file("definitions/good/fastq-qc.yaml");
	struct definition *b = parse_file("definitions/good/fastq-qc-otherwise.yaml");

	cr_expect(bytes_equal(a->body.sha256, b->body.sha256));
	cr_expect(codec_equal(codec_definition_body(), &a->body, &b->body));
	definition_destroy(a);
	definition_destroy(b);
}

/* The same JSON with its keys in another order and blanks where they may stand. */
static void write_shuffled(struct buf *out, const json_t *value, struct rng *rng)
{
	size_t count = json_is_object(value) ? json_object_size(value) : json_array_size(value), n = 0;
	static const char *const blanks[] = {"", " ", "\n  ", "  "};
	const char *keys[64], *key;
	json_t *item;

	if (!json_is_object(value) && !json_is_array(value)) {
		json_write(out, value);
		return;
	}
	cr_assert_leq(count, ARRAY_LENGTH(keys));
	if (json_is_object(value))
		json_object_foreach((json_t *)value, key, item) keys[n++] = key;
	for (size_t i = n; i > 1; i--) {
		size_t k = rng_below(rng, i);

		key = keys[i - 1];
		keys[i - 1] = keys[k];
		keys[k] = key;
	}
	buf_printf(out, "%c%s", n > 0 || json_is_object(value) ? '{' : '[', blanks[rng_below(rng, 4)]);
	for (size_t i = 0; i < count; i++) {
		if (n > 0)
			buf_printf(out, "\"%s\":%s", keys[i], blanks[rng_below(rng, 4)]);
		write_shuffled(out, n > 0 ? json_object_get(value, keys[i]) : json_array_get(value, i), rng);
		buf_printf(out, "%s%s", i + 1 < count ? "," : "", blanks[rng_below(rng, 4)]);
	}
	buf_printf(out, "%c", json_is_object(value) ? '}' : ']');
}

Test(definition, canonical_text_is_its_own_canonical_text_however_it_is_shuffled)
{
	const uint64_t seed = 42;
	struct buf text = {0};
	struct rng rng;

	rng_seed(&rng, seed);
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		char name[100];
		struct definition *first;
		json_t *json;

		snprintf(name, sizeof name, "definitions/good/%s.yaml", good[i]);
		first = parse_file(name);
		json = json_read(first->body.text, MIB, 80, NULL);
		cr_assert_not_null(json);
		for (int round = 0; round < 50; round++) {
			struct definition *again;

			buf_clear(&text);
			if (round == 0)
				buf_append_bytes(&text, first->body.text);
			else
				write_shuffled(&text, json, &rng);
			again = parse(buf_bytes(&text));
			cr_expect(codec_equal(codec_definition_body(), &first->body, &again->body),
				  "seed %llu: %s", (unsigned long long)seed, buf_text(&text));
			definition_destroy(again);
		}
		json_decref(json);
		definition_destroy(first);
	}
	buf_fini(&text);
}

Test(definition, a_change_of_meaning_makes_a_new_version)
{
	static const char *const texts[] = {
	    "version: 1\nname: a\nrun: {exec: [x]}",
	    "version: 1\nname: b\nrun: {exec: [x]}",
	    "version: 1\nname: a\nrun: {exec: [x, ]}\npriority: 1",
	    "version: 1\nname: a\nrun: {exec: [x, y]}",
	    "version: 1\nname: a\nrun: {exec: [x], timeout: 1s}",
	    "version: 1\nname: a\nrun: {exec: [x]}\nfair_by: x",
	    "version: 1\nname: a\nrun: {exec: [x]}\nfair_by: '{{event.id}}'",
	    "version: 1\nname: a\nrun: {exec: [x]}\ndeadline: 1h",
	    "version: 1\nname: a\nrun: {exec: [x]}\nstart_by: 1h",
	    "version: 1\nname: a\nrun: {exec: [x]}\nconcurrency: x",
	    "version: 1\nname: a\nrun: {exec: [x]}\nconcurrency: {group: x, limit: 2}",
	    "version: 1\nname: a\nrun: {exec: [x]}\nconcurrency: {group: x, mode: skip}",
	    "version: 1\nname: a\nrun: {exec: [x]}\nconcurrency: {group: x, latest: true}",
	    "version: 1\nname: a\nrun: {exec: [x]}\nmax_jobs: 1",
	    "version: 1\nname: a\nrun: {exec: [x]}\nrate: 1/s",
	    "version: 1\nname: a\nrun: {exec: [x]}\nrate: 60/min",
	    "version: 1\nname: a\nrun: {exec: [x]}\nafter: [7]",
	    "version: 1\nname: a\nrun: {exec: [x]}\nafter: ['7:any']",
	    "version: 1\nname: a\nrun: {exec: [x], resources: {pin: none}}",
	    "version: 1\nname: a\nrun: {exec: [x]}\nshard: {count: 2}",
	    "version: 1\nname: a\nrun: {exec: [x]}\nshard: {count: 1-2}",
	    "version: 1\nname: a\nrun: {exec: [x]}\non: [{pattern: {source: [a]}}]",
	    "version: 1\nname: a\nrun: {exec: [x]}\non: [{pattern: {source: [1]}}]",
	    "version: 1\nname: a\nrun: {exec: [x]}\non: [{pattern: {source: ['1']}}]",
	};
	struct definition *all[ARRAY_LENGTH(texts)];

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		all[i] = parse(bytes_of(texts[i]));
		for (size_t k = 0; k < i; k++)
			cr_expect(!bytes_equal(all[i]->body.sha256, all[k]->body.sha256), "%s", texts[i]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		definition_destroy(all[i]);
}

static void expect_gather(const struct phase_def *gather, const struct policy *shards)
{
	expect_text(gather->name, "gather");
	cr_expect_eq(gather->fanin, 100);
	cr_expect_eq(gather->run.input, FEED_FILE);
	cr_expect_eq(gather->run.timeout_us, 5400 * USEC_PER_SEC);
	cr_expect_eq(gather->policy.timeout_us, gather->run.timeout_us);
	cr_expect_eq(gather->policy.tolerate_kind, TOLERATE_NONE);
	cr_expect_eq(gather->policy.attempts_max, shards->attempts_max);
	cr_expect_eq(gather->policy.exit_rules.count, 3);
}

Test(definition, every_key_lands_in_its_field)
{
	struct definition *d = parse_file("definitions/good/everything.yaml");
	const struct phase_def *shards = &d->body.phases.items[0];
	const struct run_spec *run = &shards->run;
	const struct policy *p = &shards->policy;
	static const char *const values[] = {"event.detail.bucket.name", "event.detail.object.key",
					     "event.id"};

	expect_text(d->body.name, "every-key.2");
	expect_text(d->body.queue, "night");
	cr_expect_eq(d->body.priority, -5);
	expect_text(d->fair_by, "{{event.detail.tenant}}");
	cr_assert_eq(d->deadline_us, 5400 * USEC_PER_SEC);
	cr_assert_eq(d->start_by_us, 90 * USEC_PER_SEC);
	expect_text(d->concurrency.group, "{{event.detail.object.key}}");
	cr_expect_eq(d->concurrency.limit, 2);
	cr_expect_eq(d->concurrency.mode, CONCURRENCY_QUEUE);
	cr_expect(d->concurrency.latest);
	cr_expect_eq(d->on.count, 2);
	cr_expect_eq(d->shard.items.count, 6);
	expect_text(d->shard.items.items[3].text, "{\"a\":[1,\"b\"]}");
	cr_expect_eq(run->kind, RUN_RUNNER);
	cr_expect_eq(run->format, FORMAT_JSON);
	cr_expect_eq(run->shape.cpu_milli, 500);
	cr_expect_eq(run->shape.memory_bytes, 1000000000);
	cr_expect_eq(run->shape.gpu_milli, 1000);
	cr_expect_eq(run->pin, PIN_L3);
	expect_text(run->shape.named.items[0].name, "fpga.x");
	cr_expect_eq(run->shape.named.items[0].amount, 250);
	expect_text(run->env.items[0].name, "A");
	expect_text(run->env_from.items[0].value, "/run/secrets/token");
	expect_text(run->directory, "/srv/work");
	cr_expect(!run->durable_output);
	cr_expect(!p->durable_output);
	cr_expect_eq(run->output_bytes_max, MIB);
	cr_expect_eq(p->attempts_max, 5);
	cr_expect_eq(p->backoff_us, 100 * USEC_PER_MSEC);
	cr_expect_eq(p->backoff_max_us, 3600 * USEC_PER_SEC);
	cr_expect(p->retry_larger);
	cr_expect_eq(p->tolerate_kind, TOLERATE_PPM);
	cr_expect_eq(p->tolerate, 25000);
	cr_expect_eq(p->exit_rules.items[2].first, 75);
	cr_expect_eq(p->exit_rules.items[2].last, 78);
	cr_expect_eq(p->exit_rules.items[2].verdict, VERDICT_RETRY);
	cr_expect_eq(run->exit_rules.count, 3);
	cr_assert_eq(d->body.phases.count, 2);
	expect_gather(&d->body.phases.items[1], p);
	cr_assert_eq(d->body.value_names.count, 3, "each once, in the order of reading");
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		expect_text(d->body.value_names.items[i].text, values[i]);
	definition_destroy(d);
}

Test(definition, items_of_a_command_make_a_plan_phase)
{
	static const char text[] =
	    "version: 1\nname: a\nretry: {attempts: 7}\ntolerate: 2\n"
	    "shard: {items: {json-lines: {exec: [probe, '{{event.object}}'], timeout: 5m}}}\n"
	    "run: {exec: [cut, '{{shard.item}}']}\ngather: {exec: [join]}\n";
	static const char *const bad[][2] = {
	    {"{runner: [x]}", "a command that makes items is an exec: it runs once"},
	    {"{exec: [x], input: stdin}",
	     "expected none, since what makes the items has no shard yet, found \"stdin\""},
	    {"{exec: [x, '{{shard.index}}']}", NULL},
	    {"{}", "the items' command needs exec or runner, and not both"},
	};
	struct definition *d = parse(bytes_of(text)), *again = parse(d->body.text);
	const struct phase_def *phases = d->body.phases.items;

	cr_assert_eq(d->body.phases.count, 3);
	cr_expect_eq(d->body.items_planner, PLANNER_JSON_LINES);
	expect_text(phases[0].name, "plan");
	expect_text(phases[0].run.argv.items[0].text, "probe");
	cr_expect_eq(phases[0].policy.timeout_us, 300 * USEC_PER_SEC);
	cr_expect_eq(phases[0].policy.attempts_max, 7);
	cr_expect_eq(phases[0].policy.tolerate_kind, TOLERATE_NONE);
	expect_text(phases[1].name, "shards");
	cr_expect_eq(phases[1].policy.tolerate, 2);
	expect_text(phases[2].name, "gather");
	cr_expect(bytes_equal(again->body.sha256, d->body.sha256), "canonical text is its own");
	definition_destroy(again);
	definition_destroy(d);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct buf yaml = {0};
		struct error e = {0};

		buf_printf(&yaml, "version: 1\nname: a\nrun: {exec: [x]}\nshard: {items: {lines: %s}}\n",
			   bad[i][0]);
		cr_expect_lt(definition_parse(buf_bytes(&yaml), "a.yaml", NULL, &d, &e), 0, "%s", bad[i][0]);
		if (bad[i][1] != NULL)
			cr_expect_str_eq(e.what, bad[i][1]);
		buf_fini(&yaml);
	}
}

Test(definition, typical_mistakes_are_told_in_these_words)
{
	static const char *const bad[] = {
	    "typo",	   "duration", "shell", "placeholder", "unquoted", "unquoted-in-list",
	    "pattern",	   "missing",  "twice", "indent",      "bounds",   "exit",
	    "input",	   "version",  "empty", "list",	       "url",	   "name",
	    "concurrency", "or",
	};
	struct buf yaml = {0}, want = {0}, got = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		char name[100], file[100];
		struct definition *d = NULL;
		struct error e = {0};

		snprintf(name, sizeof name, "definitions/bad/%s.yaml", bad[i]);
		snprintf(file, sizeof file, "%s.yaml", bad[i]);
		buf_clear(&got);
		cr_expect_lt(definition_parse(data_read(&yaml, name), file, &got, &d, &e), 0);
		snprintf(name, sizeof name, "definitions/bad/%s.txt", bad[i]);
		data_read(&want, name);
		cr_expect_str_eq(buf_text(&got), buf_text(&want));
		cr_expect_eq(strncmp(e.where, file, strlen(file)), 0, "%s", e.where);
		cr_expect_null(d);
	}
	buf_fini(&yaml);
	buf_fini(&want);
	buf_fini(&got);
}

Test(definition, a_rate_is_a_number_in_a_time)
{
	static const struct {
		const char *text;
		uint32_t count;
		usec_t per_us;
	} rates[] = {{"10/s", 10, USEC_PER_SEC},	{"100/min", 100, 60 * USEC_PER_SEC},
		     {"5/h", 5, 3600 * USEC_PER_SEC},	{"1/1d", 1, 86400 * USEC_PER_SEC},
		     {"7/1m30s", 7, 90 * USEC_PER_SEC}, {"4294967295/ms", UINT32_MAX, USEC_PER_MSEC}};
	static const char *const wrong[] = {"10",  "/s",      "10/",  "0/s",	      "10/s/s", "x/s",
					    "1/0", "1/month", "1/0s", "-1/s",	      "1/400d", "1.5/s",
					    "1/x", "[1, s]",  "''",   "99999999999/s"};

	for (size_t i = 0; i < ARRAY_LENGTH(rates) + ARRAY_LENGTH(wrong); i++) {
		bool right = i < ARRAY_LENGTH(rates);
		struct buf text = {0};
		struct definition *d = NULL;
		struct error e = {0};

		buf_printf(&text, "version: 1\nname: a\nrun: {exec: [x]}\nrate: %s\n",
			   right ? rates[i].text : wrong[i - ARRAY_LENGTH(rates)]);
		cr_assert_eq(definition_parse(buf_bytes(&text), "a", NULL, &d, &e) == 0, right, "%s: %s",
			     buf_text(&text), e.what);
		if (right) {
			cr_expect_eq(d->rate.count, rates[i].count);
			cr_expect_eq(d->rate.per_us, rates[i].per_us);
		} else {
			cr_expect(strstr(e.what, "expected a rate such as 10/s") != NULL, "%s", e.what);
		}
		definition_destroy(d);
		buf_fini(&text);
	}
}

Test(definition, no_report_and_no_error_are_fine_too)
{
	struct definition *d = NULL;

	cr_assert_eq(definition_parse(BYTES_LIT("version: 3"), "x", NULL, &d, NULL), ERR_VERSION);
	cr_assert_null(d);
	definition_destroy(NULL);
}

Test(definition, bounds_are_bounds)
{
	struct buf text = {0};
	struct definition *d;
	struct error e = {0};

	buf_printf(&text, "version: 1\nname: n\nrun: {exec: [x]}\nshard:\n  items: [");
	for (int i = 0; i < DEFINITION_ITEMS_MAX; i++)
		buf_printf(&text, "i%d,", i);
	buf_printf(&text, "]\n");
	d = parse(buf_bytes(&text));
	cr_expect_eq(d->shard.items.count, DEFINITION_ITEMS_MAX);
	definition_destroy(d);
	text.size -= 2;
	buf_printf(&text, "more]\n");
	cr_assert_eq(definition_parse(buf_bytes(&text), "x", NULL, &d, &e), ERR_LIMIT);
	cr_assert_str_eq(e.what, "10001 items; at most 10000 are taken");
	cr_assert_str_eq(e.help, "put them into a file: items: {lines: URL}");

	buf_clear(&text);
	buf_append_zeros(&text, DEFINITION_BYTES_MAX + 1);
	cr_assert_eq(definition_parse(buf_bytes(&text), "x", NULL, &d, &e), ERR_LIMIT);
	buf_fini(&text);
}

/* Shards that are cut by bytes and take nothing of them would all do the same. */
Test(definition, a_part_that_nobody_takes_is_refused)
{
	static const struct {
		const char *run;
		bool fine;
	} cases[] = {
	    {"{exec: [wc, -l]}", false},
	    {"{exec: [wc, '{{shard.index}}'], env: {A: b}}", false},
	    {"{exec: [wc, -l], input: stdin}", true},
	    {"{exec: [wc, '{{shard.input_file}}'], input: file}", true},
	    {"{exec: [sh, job.sh], input: file}", true}, /* SHARDMILL_INPUT_FILE */
	    {"{exec: [sh, job.sh], input: none}", true}, /* said so */
	    {"{exec: [dd, 'skip={{shard.first_byte}}']}", true},
	    {"{exec: [wc], env: {FROM: '{{shard.url}}'}}", true},
	    {"{exec: [sh, -c, 'fetch $SHARDMILL_INPUT_URL']}", true},
	    {"{runner: [prog]}", true},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct definition *d = NULL;
		struct error e = {0};
		char text[400];
		int rc;

		snprintf(text, sizeof text,
			 "version: 1\nname: x\nshard: {bytes: 1MiB, of: 'file:///a', align: line}\nrun: %s\n",
			 cases[i].run);
		rc = definition_parse(bytes_of(text), "x", NULL, &d, &e);
		cr_expect_eq(rc == 0, cases[i].fine, "%s: %s", cases[i].run, e.what);
		if (!cases[i].fine)
			cr_expect(strstr(e.what, "takes nothing of its part") != NULL &&
				      strstr(e.help, "stdin") != NULL && strstr(e.help, "file") != NULL,
				  "%s (%s)", e.what, e.help);
		definition_destroy(d);
	}
}

/* Whole gpus are written as they were before there were parts of them: no version of a definition changes. */
Test(definition, gpus_may_be_parts)
{
	static const struct {
		const char *text, *canonical;
		uint32_t milli;
	} good_ones[] = {{"0.5", "\"gpus\":\"0.5\"", 500},
			 {"1.25", "\"gpus\":\"1.25\"", 1250},
			 {"2.0", "\"gpus\":2", 2000},
			 {"2", "\"gpus\":2", 2000},
			 {"1024", "\"gpus\":1024", 1024000}};
	static const char *const bad_ones[] = {"0.0001", "0.0", "1024.001", "-0.5", "1.x", "1025", "[1]"};
	struct buf text = {0}, report = {0};
	struct definition *d;

	for (size_t i = 0; i < ARRAY_LENGTH(good_ones); i++) {
		buf_clear(&text);
		buf_printf(&text, "version: 1\nname: g\nrun: {exec: [a], resources: {gpus: %s}}\n",
			   good_ones[i].text);
		d = parse(buf_bytes(&text));
		cr_expect_eq(d->body.phases.items[0].policy.shape.gpu_milli, good_ones[i].milli);
		cr_expect_not_null(strstr((const char *)d->body.text.data, good_ones[i].canonical), "%s",
				   d->body.text.data);
		definition_destroy(d);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad_ones); i++) {
		buf_clear(&text);
		buf_clear(&report);
		buf_printf(&text, "version: 1\nname: g\nrun: {exec: [a], resources: {gpus: %s}}\n",
			   bad_ones[i]);
		cr_expect_lt(definition_parse(buf_bytes(&text), "d.yaml", &report, &d, NULL), 0, "%s",
			     bad_ones[i]);
		cr_expect_not_null(strstr(buf_text(&report), "expected a"), "%s", buf_text(&report));
	}
	buf_fini(&text);
	buf_fini(&report);
}
