/* Plain bodies are read in one pass; what comes of them is what the reader that makes a tree gives. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/event.h"
#include "jobs/event_plain.h"
#include "jobs/json.h"
#include "jobs/json_scan.h"

#define NOW ((usec_t)1795354256395000)
#define DEPTH (EVENT_DEPTH_MAX + 8)
#define ENVELOPE "\"id\":\"1\",\"source\":\"s\",\"detail-type\":\"t\""

static const uint8_t secret[DEDUP_SECRET_BYTES + 1] = "a secret of ours"; /* and its NUL */

static void expect_same_event(const struct event *plain, const struct event *tree, const char *body)
{
	struct dedup_key a = event_dedup_key(plain, secret), b = event_dedup_key(tree, secret);
	struct buf text = {0}, expected = {0};

	event_write(plain, &text);
	event_write(tree, &expected);
	cr_expect_str_eq(buf_text(&text), buf_text(&expected), "%s", body);
	cr_expect_str_eq(plain->id, tree->id);
	cr_expect_str_eq(plain->source, tree->source);
	cr_expect_str_eq(plain->detail_type, tree->detail_type);
	cr_expect_eq(plain->depth, tree->depth);
	cr_expect(json_equal(event_dom(plain), tree->dom), "%s", body);
	cr_expect(a.hi == b.hi && a.lo == b.lo, "%s", body);
	buf_fini(&text);
	buf_fini(&expected);
}

/* Returns whether the plain reader took it. */
static bool compare(struct bytes body, const char *shown)
{
	struct event_list plain = {0}, tree = {0};
	bool taken = events_read_plain(body, DEPTH, NOW, &plain);

	cr_expect(taken || plain.count == 0, "%s", shown);
	if (taken) {
		cr_expect_eq(events_read(body, NOW, &tree, NULL), 0, "%s", shown);
		cr_assert_eq(plain.count, tree.count, "%s", shown);
		for (uint32_t i = 0; i < plain.count; i++)
			expect_same_event(&plain.items[i], &tree.items[i], shown);
	}
	events_fini(&plain);
	events_fini(&tree);
	return taken;
}

static const char *const taken[] = {
    "{" ENVELOPE "}",
    " [\t{" ENVELOPE "}\r\n,{\"time\":\"2026-01-01T00:00:00Z\"," ENVELOPE "} ] ",
    "{\"version\":\"0\",\"account\":\"1\",\"region\":\"r\",\"resources\":[\"b\",\"a\"]," ENVELOPE "}",
    "{\"version\":{\"b\":1,\"a\":[{}]}," ENVELOPE "}",
    "{\"time\":\"2026-01-01t00:00:00.25+01:00\",\"detail\":{}," ENVELOPE "}",
    "{\"detail\":{\"b\":{\"z\":1,\"y\":2},\"a\":[{\"d\":1,\"c\":[]},[],{}],\"aa\":0,\"\":-1}," ENVELOPE "}",
    "{\"detail\":{\"n\":[0,-1,999999999999999999,1.0,1e3,-0.0,0.1,1E-7,1.7976931348623157e308,5e-324,"
    "123456789012345678.5,true,false,null]}," ENVELOPE "}",
    "{\"detail\":{\"t\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\\u00e9\\u2028\\uffff\\ud83d\\ude00 é "
    "€😀\x7f\"}," ENVELOPE "}",
    "{\"id\":\"é\",\"source\":\"€\",\"detail-type\":\"\xe2\x80\xa6 d\"}",
    "{\"id\":\"i\",\"source\":\"aws.s3\",\"detail-type\":\"Object "
    "Created\",\"detail\":{\"bucket\":{\"name\":\"b\"},"
    "\"object\":{\"key\":\"k\",\"etag\":\"e\",\"sequencer\":\"1\"}}}",
};

/* Left to the other reader: wrong, of another form, or rare. */
static const char *const left[] = {
    "",
    "1",
    "[]",
    "{}",
    "[{" ENVELOPE "}",
    "[{" ENVELOPE "},]",
    "{" ENVELOPE "}}",
    "{" ENVELOPE ",}",
    "{" ENVELOPE "} x",
    "{" ENVELOPE ",\"id\":\"2\"}",
    "{" ENVELOPE ",\"traceparent\":\"x\"}",
    "{" ENVELOPE ",\"extensions\":{\"a\":1}}",
    "{" ENVELOPE ",\"specversion\":\"1.0\"}",
    "{" ENVELOPE ",\"Records\":[]}",
    "{\"id\":\"\",\"source\":\"s\",\"detail-type\":\"t\"}",
    "{\"id\":\"a\\nb\",\"source\":\"s\",\"detail-type\":\"t\"}",
    "{\"id\":1,\"source\":\"s\",\"detail-type\":\"t\"}",
    "{\"source\":\"s\",\"detail-type\":\"t\"}",
    "{\"id\":\"1\",\"source\":\"shardmill\",\"detail-type\":\"t\",\"detail\":{\"depth\":3}}",
    "{\"time\":\"yesterday\"," ENVELOPE "}",
    "{\"time\":\"2026-01-01T00:00:00.0000000000000000000000000000Z\"," ENVELOPE "}",
    "{\"resources\":[1]," ENVELOPE "}",
    "{\"resources\":{}," ENVELOPE "}",
    "{\"resources\":[\"a\",]," ENVELOPE "}",
    "{\"detail\":[]," ENVELOPE "}",
    "{\"detail\":{\"a\":1,\"b\":2,\"a\":3}," ENVELOPE "}",
    "{\"detail\":{\"\\u0061\":1,\"a\":3}," ENVELOPE "}",
    "{\"detail\":{\"a\":01}," ENVELOPE "}",
    "{\"detail\":{\"a\":-0}," ENVELOPE "}",
    "{\"detail\":{\"a\":-}," ENVELOPE "}",
    "{\"detail\":{\"a\":1.}," ENVELOPE "}",
    "{\"detail\":{\"a\":1e}," ENVELOPE "}",
    "{\"detail\":{\"a\":1e999}," ENVELOPE "}",
    "{\"detail\":{\"a\":9999999999999999999}," ENVELOPE "}",
    "{\"detail\":{\"a\":nul}," ENVELOPE "}",
    "{\"detail\":{\"a\":[1 2]}," ENVELOPE "}",
    "{\"detail\":{\"a\" 1}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\\x\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\\u0000\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\\ud800\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\\udc00\\ud800\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\\u12\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\n\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\xff\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\xed\xa0\x80\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\xc0\x80\"}," ENVELOPE "}",
    "{\"detail\":{\"a\":\"\\",
};

Test(event_plain, takes_what_producers_send)
{
	for (size_t i = 0; i < ARRAY_LENGTH(taken); i++)
		cr_expect(compare(bytes_of(taken[i]), taken[i]), "%s", taken[i]);
}

Test(event_plain, leaves_what_is_wrong_or_rare)
{
	for (size_t i = 0; i < ARRAY_LENGTH(left); i++)
		cr_expect(!compare(bytes_of(left[i]), left[i]), "%s", left[i]);
	cr_expect(!compare(BYTES_LIT("{\"detail\":{\"a\":\"\0\"}," ENVELOPE "}"), "NUL"));
	cr_expect(!compare(BYTES_LIT("{" ENVELOPE "}\0"), "NUL behind"));
}

/* Each body cut at each place, and with each byte replaced by each that means something. */
Test(event_plain, never_differs_on_hostile_bytes)
{
	static const uint8_t bytes[] = "\"\\{}[],:-+.0eEunt /\n\x01\x7f\x80\xc3\xe2\xed\xf4"; /* and NUL */

	for (size_t i = 0; i < ARRAY_LENGTH(taken); i++) {
		struct buf body = {0};

		buf_append_bytes(&body, bytes_of(taken[i]));
		for (size_t at = 0; at < body.size; at++) {
			uint8_t before = body.data[at];

			(void)compare(BYTES(body.data, at), taken[i]);
			for (size_t k = 0; k < sizeof(bytes); k++) {
				body.data[at] = bytes[k];
				(void)compare(buf_bytes(&body), buf_text(&body));
			}
			body.data[at] = before;
		}
		buf_fini(&body);
	}
}

static bool is_taken_at_depth(uint32_t depth, struct buf *body)
{
	buf_clear(body);
	buf_printf(body, "[{" ENVELOPE ",\"detail\":{\"a\":");
	for (uint32_t i = 3; i < depth; i++)
		buf_append(body, "[", 1);
	for (uint32_t i = 3; i < depth; i++)
		buf_append(body, "]", 1);
	buf_append(body, "}}]", 3);
	return compare(buf_bytes(body), "depth");
}

Test(event_plain, has_the_bounds_of_events)
{
	struct buf body = {0};

	cr_expect(is_taken_at_depth(DEPTH, &body));
	cr_expect(!is_taken_at_depth(DEPTH + 1, &body));
	for (uint32_t resources = EVENT_RESOURCES_MAX; resources <= EVENT_RESOURCES_MAX + 1; resources++) {
		buf_clear(&body);
		buf_printf(&body, "{" ENVELOPE ",\"resources\":[\"0\"");
		for (uint32_t i = 1; i < resources; i++)
			buf_printf(&body, ",\"%u\"", i);
		buf_printf(&body, "]}");
		cr_expect_eq(compare(buf_bytes(&body), "resources"), resources == EVENT_RESOURCES_MAX);
	}
	buf_clear(&body);
	buf_printf(&body, "{" ENVELOPE ",\"detail\":{\"a\":\"");
	while (body.size < EVENT_BYTES_MAX)
		buf_append(&body, "aaaaaaaaaaaaaaaa", 16);
	buf_printf(&body, "\"}}");
	cr_expect(!compare(buf_bytes(&body), "large"));
	buf_fini(&body);
}

Test(event_plain, errors_are_those_of_the_other_reader)
{
	for (size_t i = 0; i < ARRAY_LENGTH(left); i++) {
		struct event_problems problems = {0};
		struct event_list a = {0}, b = {0};
		struct error first = {0}, second = {0};
		int rc = events_read_each(bytes_of(left[i]), NOW, &a, &problems, &first);

		cr_expect_eq(rc, events_read(bytes_of(left[i]), NOW, &b, &second), "%s", left[i]);
		cr_expect_str_eq(first.what, second.what, "%s", left[i]);
		cr_expect_str_eq(first.where, second.where, "%s", left[i]);
		events_fini(&a);
		events_fini(&b);
		free(problems.items);
	}
}

Test(event_plain, many_members_are_put_in_order)
{
	struct buf body = {0};

	buf_printf(&body, "{" ENVELOPE ",\"detail\":{");
	for (uint32_t i = 0; i < 1000; i++)
		buf_printf(&body, "%s\"%u\":{\"b\":%u,\"a\":1}", i == 0 ? "" : ",", (i * 7919) % 1000, i);
	buf_printf(&body, "}}");
	cr_expect(compare(buf_bytes(&body), "many"));
	buf_fini(&body);
}
