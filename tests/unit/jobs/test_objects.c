/* The API's objects: what is written is what is read, and what a request may not say. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "jobs/api/objects.h"
#include "jobs/api/values.h"
#include "jobs/json.h"

static json_t *json_of(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	cr_assert_not_null(json, "%s", text);
	return json;
}

static void expect_text(json_t *json, const char *expected)
{
	struct buf b = {0};

	json_write(&b, json);
	cr_expect_str_eq(buf_text(&b), expected);
	buf_fini(&b);
	json_decref(json);
}

Test(objects, a_member_is_there_as_its_row_says)
{
	const struct api_dead_shards unknown = {
	    .phase = 1, .first = 7, .count = 2, .kind = BYTES_LIT("exit"), .why = BYTES_LIT("not known")};
	const struct api_dead_shards known = {.kind = BYTES_LIT("exit"), .has_code = true, .has_why = true};
	const struct api_bucket bucket = {.path = BYTES_LIT("/a\xff")};
	const struct api_plan_shard shard = {.shard = 3, .has_value = true, .value = json_integer(-4)};
	struct api_workers workers = {0};

	expect_text(object_write(object_dead_shards(), &unknown),
		    "{\"code\":null,\"count\":2,\"first\":7,\"kind\":\"exit\",\"phase\":1,\"why\":null}");
	expect_text(object_write(object_dead_shards(), &known),
		    "{\"code\":0,\"count\":0,\"first\":0,\"kind\":\"exit\",\"phase\":0,\"why\":\"\"}");
	expect_text(object_write(object_bucket(), &bucket),
		    "{\"error\":null,\"files\":0,\"left_out\":{\"hidden\":0,\"special\":0,"
		    "\"symbolic_links\":0,\"unfinished\":0,\"unreadable\":0},\"path\":\"/a\\\\xff\"}");
	expect_text(object_write(object_plan_shard(), &shard), "{\"shard\":3,\"value\":-4}");
	expect_text(object_write(object_workers(), &workers), "{\"next\":null,\"workers\":[]}");
}

Test(objects, text_is_what_the_tree_would_be_written_as)
{
	const struct api_event_taken taken = {.id = BYTES_LIT("a\"\xe2\x80\xa8\xff"),
					      .duplicate = true,
					      .skipped = 3,
					      .skipped_why = BYTES_LIT("full: \xe2\x82\xac"),
					      .jobs = json_pack("[ii]", 1, 2)};
	struct buf text = {0};

	json_incref(taken.jobs);
	object_write_text(object_event_taken(), &taken, &text);
	expect_text(object_write(object_event_taken(), &taken), buf_text(&text));
	buf_fini(&text);
}

Test(objects, what_is_written_is_what_is_read)
{
	const struct api_job job = {
	    .id = 1ull << 60,
	    .name = BYTES_LIT("a name"),
	    .priority = -3,
	    .has_queue = true,
	    .queue = BYTES_LIT(""),
	    .totals = {.run_us = 1234567, .output_bytes = 9, .cpu_us = 1, .max_rss_bytes = 0},
	    .shard_us = 86400000001,
	    .accepted_wall_us = 1785504645123456,
	    .started_wall_us = 951782400000001, /* 2000-02-29 */
	    .has_event = true,
	    .event = {.detail_type = BYTES_LIT("Test")},
	};
	json_t *json = object_write(object_job(), &job);
	struct api_job read;

	memset(&read, 0xff, sizeof(read));
	object_read(object_job(), json, &read);
	cr_expect_eq(read.id, job.id);
	cr_expect(bytes_equal(read.name, job.name));
	cr_expect_eq(read.priority, job.priority);
	cr_expect(read.has_queue && read.queue.size == 0);
	cr_expect_arr_eq(&read.totals, &job.totals, sizeof(job.totals));
	cr_expect_eq(read.shard_us, job.shard_us);
	cr_expect_eq(read.accepted_wall_us, job.accepted_wall_us);
	cr_expect_eq(read.started_wall_us, job.started_wall_us);
	cr_expect_eq(read.ended_wall_us, 0);
	cr_expect(read.has_event && !read.has_reopened && !read.has_output);
	cr_expect_str_eq(api_text(read.event.detail_type), "Test");
	cr_expect_str_eq(api_text(read.event.key), "");
	json_decref(json);
}

Test(objects, an_answer_of_another_build_is_read_as_far_as_it_goes)
{
	json_t *json = json_of("{\"id\": \"x\", \"leases\": 3.0, \"cpus\": 0.5, \"state\": null, \"new\": {},"
			       "\"heard_seconds\": -1, \"trouble\": 7}");
	struct api_worker w;

	object_read(object_worker(), json, &w);
	cr_expect_str_eq(api_text(w.id), "x");
	cr_expect_eq(w.leases, 3);
	cr_expect_eq(w.cpus_milli, 500);
	cr_expect_eq(w.heard_us, 0);
	cr_expect(w.state.size == 0 && !w.has_trouble && w.trouble.why.size == 0);
	json_decref(json);
	object_read(object_worker(), NULL, &w);
	cr_expect_eq(w.leases, 0);
}

/* Which member, and what it is: never a silent 0. */
Test(objects, an_answer_with_a_member_of_another_type_is_refused_in_words)
{
	static const struct {
		const struct object_type *(*type)(void);
		const char *json, *where, *words;
	} cases[] = {
	    {object_worker, "[]", "", "expected an object, found an array"},
	    {object_worker, "{\"cpus\": \"2\"}", "cpus", "expected a number from 0 on, found a string"},
	    {object_worker, "{\"cpus\": -1}", "cpus", "expected a number from 0 on, found another one"},
	    {object_worker, "{\"heard_seconds\": 1e300}", "heard_seconds",
	     "expected a number from 0 on, found another one"},
	    {object_worker, "{\"leases\": 1.5}", "leases",
	     "expected a whole number from 0 on, found another one"},
	    {object_worker, "{\"id\": 7}", "id", "expected text, found a number"},
	    {object_worker, "{\"trouble\": {\"since\": \"yesterday\"}}", "trouble.since",
	     "expected a time, found another one"},
	    {object_worker, "{\"trouble\": []}", "trouble", "expected an object, found an array"},
	    {object_workers, "{\"workers\": {}}", "workers", "expected a list, found an object"},
	    {object_workers, "{\"workers\": [{}, {\"trouble\": {\"why\": 1}}]}", "workers[1].trouble.why",
	     "expected text, found a number"},
	    {object_workers, "{\"workers\": [null]}", "workers[0]", "expected an object, found null"},
	    {object_written, "{\"written\": [{\"shard\": 1, \"lost\": 1}]}", "written[0].lost",
	     "expected true or false, found a number"},
	    {object_explanation, "{\"sentences\": [\"a\", 7]}", "sentences[1]",
	     "expected text, found a number"},
	    {object_waited, "{\"not_succeeded\": [-1]}", "not_succeeded[0]",
	     "expected a whole number from 0 on, found another one"},
	    {object_job, "{\"priority\": 0.5}", "priority", "expected a whole number, found a number"},
	    {object_plan, "{\"first\": [{\"value\": []}]}", "first[0].value",
	     "expected text or a number, found an array"},
	};
	union {
		struct api_worker worker;
		struct api_workers workers;
		struct api_written written;
		struct api_explanation explanation;
		struct api_waited waited;
		struct api_job job;
		struct api_plan plan;
	} ret;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_t *json = json_of(cases[i].json);
		struct error e = {0};

		cr_expect_eq(object_read_answer(cases[i].type(), json, NULL, &ret, &e), ERR_IO, "%s",
			     cases[i].json);
		cr_expect_str_eq(e.where, cases[i].where);
		cr_expect_str_eq(e.what, cases[i].words);
		cr_expect_eq(object_read_answer(cases[i].type(), json, NULL, &ret, NULL), ERR_IO);
		json_decref(json);
	}
	cr_expect_eq(object_read_answer(object_worker(), NULL, NULL, &ret, NULL), ERR_IO, "there is none");
}

Test(objects, an_answer_of_another_version_is_no_error)
{
	json_t *json =
	    json_of("{\"written\": [{\"shard\": 1, \"out_bytes\": 2.0, \"new\": {\"shard\": \"x\"}},"
		    "{\"shard\": 3, \"count\": 9223372036854775807, \"lost\": true}], \"next\": null}");
	struct api_written written;
	struct api_written_shard shard;
	struct api_lost_shards lost;

	cr_assert_eq(object_read_answer(object_written(), json, NULL, &written, NULL), 0);
	cr_expect_eq(written.next, 0);
	cr_assert_eq(json_array_size(written.written), 2);
	object_read(object_written_shard(), json_array_get(written.written, 0), &shard);
	cr_expect(shard.shard == 1 && shard.out_bytes == 2 && shard.err_bytes == 0);
	object_read(object_lost_shards(), json_array_get(written.written, 1), &lost);
	cr_expect(lost.shard == 3 && lost.count == INT64_MAX && lost.lost);
	json_decref(json);
}

/* All that a row may say is written as it is read. */
Test(objects, what_this_build_writes_is_an_answer)
{
	for (size_t i = 0; object_at(i) != NULL; i++) {
		const struct object_type *o = object_at(i);
		void *value = calloc(1, o->size), *read = calloc(1, o->size);
		struct error e = {0};
		struct buf text = {0};
		json_t *json;

		cr_assert(value != NULL && read != NULL);
		json = object_write(o, value);
		cr_expect_eq(object_read_answer(o, json, NULL, read, &e), 0, "%s: %s: %s", o->name, e.where,
			     e.what);
		object_write_text(o, value, &text);
		expect_text(json, buf_text(&text));
		buf_fini(&text);
		free(value);
		free(read);
	}
}

Test(objects, a_request_that_is_not_as_its_rows_say_is_refused_in_words)
{
	static const struct {
		const char *json, *where, *words;
	} cases[] = {
	    {"{}", "pool", "expected a text of 1 to 128 bytes"},
	    {"{\"pool\": 7}", "pool", "expected text, found a number"},
	    {"{\"pool\": \"p\", \"reday\": 1}", "reday", "there is no such member; expected pool, provider"},
	    {"{\"pool\": \"p\", \"ready\": -1}", "ready",
	     "expected a number from 0 to 100000, found another one"},
	    {"{\"pool\": \"p\", \"ready\": 1.5}", "ready", "expected a whole number"},
	    {"{\"pool\": \"p\", \"ready\": \"1\"}", "ready",
	     "expected a number from 0 to 100000, found a string"},
	    {"{\"pool\": \"p\", \"turn_seconds\": 3601}", "turn_seconds", "expected a number from 0 to 3600"},
	    {"{\"pool\": \"p\", \"cpus\": null}", "cpus", "expected a number from 0 to 4096, found null"},
	};
	struct api_pool_told told;
	struct api_reason reason;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_t *json = json_of(cases[i].json);
		struct error e = {0};

		cr_expect_eq(object_read_request(object_pool_told(), json, &told, &e), ERR_INVALID, "%s",
			     cases[i].json);
		cr_expect_str_eq(e.where, cases[i].where);
		cr_expect(strncmp(e.what, cases[i].words, strlen(cases[i].words)) == 0, "%s", e.what);
		json_decref(json);
	}
	json_t *none = json_object();

	cr_expect_eq(object_read_request(object_reason(), none, &reason, NULL), 0);
	cr_expect_null(reason.why.data);
	json_decref(none);
}

Test(objects, rows_are_sound)
{
	for (size_t i = 0; object_at(i) != NULL; i++) {
		const struct object_type *o = object_at(i);
		json_t *schema = object_schema(o, false); /* every RAW schema is JSON */

		cr_expect_eq(object_of(bytes_of(o->name)), o, "%s: the name is there once", o->name);
		cr_expect_eq(json_object_size(json_object_get(schema, "properties")), o->field_count,
			     "%s: each member once", o->name);
		for (size_t k = 0; k < o->field_count; k++) {
			const struct object_field *f = &o->fields[k];

			cr_expect(f->since >= 1 && f->since <= API_REVISION, "%s.%s", o->name, f->name);
			cr_expect_eq(object_field_of(o, f->name), f, "%s.%s", o->name, f->name);
		}
		json_decref(schema);
	}
	cr_expect_null(object_of(BYTES_LIT("nothing")));
}

Test(objects, a_schema_says_kind_unit_and_bounds)
{
	json_t *schema = object_schema(object_pool_told(), true);
	json_t *members = json_object_get(schema, "properties");

	expect_text(
	    json_incref(json_object_get(members, "turn_seconds")),
	    "{\"description\":\"it is forgotten when it is not told again within three of these\","
	    "\"maximum\":3600,\"minimum\":0,\"type\":\"number\",\"x-since\":1,\"x-unit\":\"seconds\"}");
	expect_text(json_incref(json_object_get(schema, "required")), "[\"pool\"]");
	cr_expect(json_is_false(json_object_get(schema, "additionalProperties")));
	json_decref(schema);
	schema = object_schema(object_worker_state(), false);
	expect_text(json_incref(json_object_get(json_object_get(schema, "properties"), "state")),
		    "{\"enum\":[\"draining\",\"gone\"],\"type\":\"string\",\"x-since\":1}");
	json_decref(schema);
}
