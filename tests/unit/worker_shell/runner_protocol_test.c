/* Both encodings of the runner protocol say the same, and what a runner may send wrong is refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/kinds.h"
#include "worker/run/runner_protocol.h"
#include "worker/run/transcode.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, 0);
}

static void teardown(void)
{
	arena_fini(&arena);
}

TestSuite(runner_protocol, .init = setup, .fini = teardown);

/* A runner's message in the encoding, from JSON. */
static struct bytes message(const char *json, uint8_t format)
{
	struct buf out = {0}, packed = {0};
	struct bytes kept;

	if (format == FORMAT_JSON) {
		buf_printf(&out, "%s\n", json);
	} else {
		uint8_t head[4] = {0};

		cr_assert_eq(json_to_msgpack(bytes_of(json), &packed, NULL), 0);
		head[2] = (uint8_t)(packed.size >> 8);
		head[3] = (uint8_t)packed.size;
		buf_append(&out, head, 4);
		buf_append_bytes(&out, buf_bytes(&packed));
	}
	kept = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	buf_fini(&packed);
	return kept;
}

static const uint8_t formats[] = {FORMAT_MSGPACK, FORMAT_JSON};

Test(runner_protocol, a_done_is_read_whole_from_any_cut)
{
	static const char json[] = "{\"type\":\"done\",\"first\":10,\"count\":5,\"later\":{},\"failed\":[[12]"
				   ",[13,\"exit\",3,\"bad\"]],"
				   "\"results\":[[10,\"ten\"],[11,\"\"]]}";

	for (size_t f = 0; f < ARRAY_LENGTH(formats); f++) {
		struct bytes in = message(json, formats[f]);
		struct runner_message m = {0};
		size_t used = 0;

		for (size_t size = 0; size < in.size; size++)
			cr_assert_eq(runner_decode(BYTES(in.data, size), formats[f], &arena, &m, &used, NULL),
				     0);
		cr_assert_eq(runner_decode(in, formats[f], &arena, &m, &used, NULL), 1);
		cr_assert_eq(used, in.size);
		cr_assert_eq(m.type, RUNNER_DONE);
		cr_assert_eq(m.done.first, 10);
		cr_assert_eq(m.failed.count, 2);
		cr_assert_eq(m.failed.items[0].kind, FAILURE_RUNNER);
		cr_assert_eq(m.failed.items[1].kind, FAILURE_EXIT);
		cr_assert_eq(m.failed.items[1].code, 3);
		cr_assert(bytes_equal(m.failed.items[1].why, bytes_of("bad")));
		cr_assert_eq(m.result_count, 2);
		cr_assert(bytes_equal(m.results[0].output, bytes_of("ten")));
	}
}

Test(runner_protocol, one_result_may_be_of_all_shards)
{
	for (size_t f = 0; f < ARRAY_LENGTH(formats); f++) {
		struct bytes in =
		    message("{\"type\":\"done\",\"first\":10,\"count\":5,\"failed\":[],\"result\":\"sum\"}",
			    formats[f]);
		struct runner_message m = {0};
		size_t used = 0;

		cr_assert_eq(runner_decode(in, formats[f], &arena, &m, &used, NULL), 1);
		cr_assert_eq(m.done.count, 5);
		cr_assert(bytes_equal(m.result, bytes_of("sum")));
	}
}

Test(runner_protocol, what_breaks_it_is_refused_in_words)
{
	static const struct {
		const char *json;
		int rc;
	} cases[] = {
	    {"[]", ERR_INVALID},
	    {"{}", ERR_INVALID},
	    {"{\"type\":\"fine\"}", ERR_INVALID},
	    {"{\"type\":\"hello\"}", ERR_INVALID},
	    {"{\"type\":\"hello\",\"protocol\":2,\"runs\":1}", ERR_INVALID},
	    {"{\"type\":\"hello\",\"protocol\":2,\"runs\":\"many\"}", ERR_INVALID},
	    {"{\"type\":\"hello\",\"protocol\":3}", ERR_VERSION},
	    {"{\"type\":\"done\",\"first\":0,\"count\":0}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":-1,\"count\":1}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":4294967295,\"count\":4294967295}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":0,\"count\":1,\"failed\":[[1]]}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":0,\"count\":1,\"failed\":[0]}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":0,\"count\":1,\"failed\":7}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":0,\"count\":1,\"results\":[[5,\"x\"]]}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":0,\"count\":1,\"result\":5}", ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":0,\"count\":2,\"result\":\"x\",\"results\":[[1,\"x\"]]}",
	     ERR_INVALID},
	    {"{\"type\":\"done\",\"first\":0,\"count\":2,\"result\":\"x\",\"failed\":[[1]]}", ERR_INVALID},
	};

	for (size_t f = 0; f < ARRAY_LENGTH(formats); f++)
		for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
			struct error e = {0};
			struct runner_message m;
			size_t used;

			cr_assert_eq(runner_decode(message(cases[i].json, formats[f]), formats[f], &arena, &m,
						   &used, &e),
				     cases[i].rc, "%s", cases[i].json);
			cr_assert_neq(e.what[0], '\0');
		}
}

Test(runner_protocol, a_length_beyond_the_bound_is_refused_before_its_bytes_come)
{
	struct bytes in = BYTES_LIT("\xff\xff\xff\xff");
	struct runner_message m;
	size_t used;

	cr_assert_eq(runner_decode(in, FORMAT_MSGPACK, &arena, &m, &used, NULL), ERR_LIMIT);
}

Test(runner_protocol, a_run_carries_the_items_of_its_shards)
{
	struct text_item items[3] = {{BYTES_LIT("a")}, {BYTES_LIT("b\"")}, {BYTES_LIT("c")}};
	struct slice slice = {.items = {items, 3}};
	struct job_parameters parameters = {.plan = {.kind = PLAN_ITEMS, .shard_count = 100}};
	struct worker_arm arm = {
	    .token = {2, 9}, .range = {51, 2}, .slice_first = 50, .parameters = &parameters};
	struct buf out = {0};

	runner_encode_run(&arm, &slice, (struct range){51, 2}, FORMAT_JSON, &out);
	cr_assert_str_eq(
	    buf_text(&out),
	    "{\"type\":\"run\",\"token\":\"2-9\",\"first\":51,\"count\":2,\"items\":[\"b\\\"\",\"c\"]}\n");
	buf_fini(&out);
}
