/* Equal facts have equal keys, and values reach jobs byte for byte. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/event_bucket.h"
#include "jobs/kinds.h"
#include "tests/unit/jobs/data.h"

static const uint8_t secret[DEDUP_SECRET_BYTES] = "0123456789abcde";
static struct event_list list;
static struct buf text;

static void teardown(void)
{
	events_fini(&list);
	buf_fini(&text);
}

TestSuite(event, .fini = teardown);

static struct dedup_key key_of(const char *json)
{
	struct error e = {0};
	struct dedup_key key;

	cr_assert_eq(events_read(bytes_of(json), 0, &list, &e), 0, "%s: %s", e.where, e.what);
	key = event_dedup_key(&list.items[list.count - 1], secret);
	events_fini(&list);
	return key;
}

static bool keys_equal(struct dedup_key a, struct dedup_key b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

#define S3(version, etag, seq, time, key, name)                                                              \
	"{\"Records\":[{\"eventName\":\"" name "\",\"eventTime\":\"" time "\",\"s3\":{\"bucket\":"           \
	"{\"name\":\"b\"},\"object\":{\"key\":\"" key "\",\"versionId\":\"" version "\",\"eTag\":\"" etag    \
	"\",\"sequencer\":\"" seq "\"}}}]}"
#define BRIDGE(id, version, seq)                                                                             \
	"{\"id\":\"" id "\",\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",\"detail\":{"           \
	"\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"k k\",\"etag\":\"e\"," version                    \
	"\"sequencer\":\"" seq "\"}}}"
#define T1 "2026-11-22T13:30:54Z"
#define T2 "2026-11-22T13:30:55Z"

Test(event, equal_facts_have_equal_keys)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
	    /* the same notification, delivered again */
	    {S3("", "e", "1", T1, "k+k", "ObjectCreated:Put"),
	     S3("", "e", "1", T1, "k%20k", "ObjectCreated:Put"), true},
	    /* and through EventBridge, which gives it an id and perhaps a version of null */
	    {S3("", "e", "1", T1, "k+k", "ObjectCreated:Put"), BRIDGE("x", "", "1"), true},
	    {BRIDGE("x", "\"version-id\":\"null\",", "1"), BRIDGE("y", "", "1"), true},
	    {S3("v", "e", "1", T1, "k+k", "ObjectCreated:Put"), BRIDGE("y", "\"version-id\":\"v\",", "1"),
	     true},
	    /* other facts */
	    {S3("", "e", "1", T1, "k", "ObjectCreated:Put"), S3("", "e", "2", T1, "k", "ObjectCreated:Put"),
	     false},
	    {S3("", "e", "1", T1, "k", "ObjectCreated:Put"), S3("", "f", "1", T1, "k", "ObjectCreated:Put"),
	     false},
	    {S3("", "e", "1", T1, "k", "ObjectCreated:Put"), S3("", "e", "1", T1, "l", "ObjectCreated:Put"),
	     false},
	    {S3("", "e", "1", T1, "k", "ObjectCreated:Put"),
	     S3("", "e", "1", T1, "k", "ObjectRemoved:Delete"), false},
	    {BRIDGE("x", "\"version-id\":\"v\",", "1"), BRIDGE("x", "\"version-id\":\"w\",", "1"), false},
	    /* without a sequencer the time tells two writes of the same bytes apart */
	    {S3("", "e", "", T1, "k", "ObjectCreated:Put"), S3("", "e", "", T2, "k", "ObjectCreated:Put"),
	     false},
	    {S3("", "e", "", T1, "k", "ObjectCreated:Put"), S3("", "e", "", T1, "k", "ObjectCreated:Put"),
	     true},
	    /* all others go by (source, id) */
	    {"{\"id\":\"1\",\"source\":\"s\",\"detail-type\":\"a\"}",
	     "{\"id\":\"1\",\"source\":\"s\",\"detail-type\":\"b\",\"detail\":{\"x\":1}}", true},
	    {"{\"id\":\"1\",\"source\":\"s\",\"detail-type\":\"a\"}",
	     "{\"id\":\"2\",\"source\":\"s\",\"detail-type\":\"a\"}", false},
	    {"{\"id\":\"11\",\"source\":\"s\",\"detail-type\":\"a\"}",
	     "{\"id\":\"1\",\"source\":\"s1\",\"detail-type\":\"a\"}", false},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_eq(keys_equal(key_of(cases[i].a), key_of(cases[i].b)), cases[i].equal, "%zu", i);
}

Test(event, keys_depend_on_the_secret_and_on_the_space)
{
	static const uint8_t other[DEDUP_SECRET_BYTES + 1] = "another secret.."; /* and its NUL */
	struct bytes parts[] = {BYTES_LIT("a"), BYTES_LIT("bc")}, split[] = {BYTES_LIT("ab"), BYTES_LIT("c")};
	struct dedup_key key = dedup_key_of("submit", parts, 2, secret);

	cr_expect(keys_equal(key, dedup_key_of("submit", parts, 2, secret)));
	cr_expect(!keys_equal(key, dedup_key_of("submit", parts, 2, other)));
	cr_expect(!keys_equal(key, dedup_key_of("idempotency", parts, 2, secret)));
	cr_expect(!keys_equal(key, dedup_key_of("submit", split, 2, secret)));
	cr_expect(!keys_equal(key, dedup_key_of("submit", parts, 1, secret)));
}

static struct bucket_file file_named(const char *key, const char *path)
{
	return (struct bucket_file){.bucket = "reads",
				    .key = bytes_of(key),
				    .path = bytes_of(path),
				    .size_bytes = 1234,
				    .inode = 0x77,
				    .mtime_ns = 0x1000,
				    .wall_us = 1795354256395000};
}

Test(event, a_file_is_an_object_of_s3_s_shape)
{
	struct bucket_file f = file_named("in/a b.fastq", "/data/in/a b.fastq");
	struct event e;

	cr_assert_eq(event_bucket_created(&f, &e, NULL), 0);
	event_write(&e, &text);
	cr_expect_str_eq(
	    buf_text(&text),
	    "{\"detail\":{\"bucket\":{\"name\":\"reads\"},\"object\":{\"etag\":\"77-4d2-1000\",\"key\":"
	    "\"in/a b.fastq\",\"path\":\"/data/in/a b.fastq\",\"sequencer\":\"0000000000001000\",\"size\":"
	    "1234},\"reason\":\"file\"},\"detail-type\":\"Object Created\",\"id\":"
	    "\"8ba8103083d39376fd47deb7b7609b2f\",\"resources\":[],\"source\":\"shardmill.bucket\",\"time\":"
	    "\"2026-11-22T13:30:56.395000Z\"}");
	event_fini(&e);
}

Test(event, a_rescan_finds_the_same_fact_until_the_file_changes)
{
	struct bucket_file f = file_named("k", "/d/k"), again = f, changed = f;
	struct event a, b, c;

	again.wall_us += 60 * USEC_PER_SEC;
	changed.mtime_ns++;
	cr_assert_eq(event_bucket_created(&f, &a, NULL), 0);
	cr_assert_eq(event_bucket_created(&again, &b, NULL), 0);
	cr_assert_eq(event_bucket_created(&changed, &c, NULL), 0);
	cr_expect(keys_equal(event_dedup_key(&a, secret), event_dedup_key(&b, secret)));
	cr_expect(!keys_equal(event_dedup_key(&a, secret), event_dedup_key(&c, secret)));
	cr_expect_str_eq(a.id, b.id);
	cr_expect_str_neq(a.id, c.id);
	event_fini(&a);
	event_fini(&b);
	event_fini(&c);
}

Test(event, names_that_are_not_utf8_keep_their_bytes)
{
	static const char *const keys[] = {"a\xff\xfe.txt", "\x80",	   "caf\xc3\xa9\xc3",
					   "../x\n$(y)",    "-rf\x01\x1b", "\xf0\x9f\x98\x80\xed\xa0\x80"};

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		char path[64], url[80];
		struct bucket_file f = file_named(keys[i], path);
		struct event e;

		snprintf(path, sizeof path, "/d/%s", keys[i]);
		f.path = bytes_of(path);
		cr_assert_eq(event_bucket_created(&f, &e, NULL), 0);
		buf_clear(&text);
		event_write(&e, &text); /* which any JSON parser reads */
		cr_assert_eq(events_read(buf_bytes(&text), 0, &list, NULL), 0);
		event_fini(&e);

		buf_clear(&text);
		cr_assert_eq(event_value(&list.items[0], BYTES_LIT("event.detail.object.key"), &text, NULL),
			     0);
		cr_expect_str_eq(buf_text(&text), keys[i]);
		buf_clear(&text);
		cr_assert_eq(event_value(&list.items[0], BYTES_LIT("event.object"), &text, NULL), 0);
		snprintf(url, sizeof url, "file://%s", path);
		cr_expect_str_eq(buf_text(&text), url);
		events_fini(&list);
	}
}

Test(event, an_ended_job_is_an_event_one_deeper)
{
	struct ended_job j = {.job = 7,
			      .name = BYTES_LIT("qc"),
			      .definition = BYTES_LIT("fastq-qc"),
			      .state = JOB_SUCCEEDED,
			      .why = BYTES_LIT("all 3 shards are done"),
			      .done = 3,
			      .output = BYTES_LIT("file:///out/7"),
			      .depth = 4,
			      .cluster = "c1"};
	struct event e;

	cr_assert_eq(event_job_ended(&j, &e, NULL), 0);
	cr_expect_eq(e.depth, 5);
	event_write(&e, &text);
	cr_expect_str_eq(
	    buf_text(&text),
	    "{\"detail\":{\"definition\":\"fastq-qc\",\"depth\":5,\"job\":7,\"name\":\"qc\",\"output\":"
	    "\"file:///out/7\",\"retries\":0,\"shards\":{\"dead\":0,\"done\":3,\"dropped\":0},\"state\":"
	    "\"succeeded\",\"why\":\"all 3 shards are done\"},\"detail-type\":\"job.succeeded\",\"id\":"
	    "\"c1/job/7/ended\",\"resources\":[],\"source\":\"shardmill\",\"time\":"
	    "\"1970-01-01T00:00:00.000000Z\"}");
	event_fini(&e);
	j.state = JOB_CANCELLED;
	cr_assert_eq(event_job_ended(&j, &e, NULL), 0);
	cr_expect_str_eq(e.detail_type, "job.failed");
	event_fini(&e);
	j.reopens = 2;
	cr_assert_eq(event_job_ended(&j, &e, NULL), 0);
	cr_expect_str_eq(e.id, "c1/job/7/ended/2", "another end, another event");
	event_fini(&e);
}

Test(event, values_are_found_by_path)
{
	static const struct {
		const char *path, *want;
		const char *what;
	} cases[] = {
	    {"event.id", "1", NULL},
	    {"event.detail.n", "3", NULL},
	    {"event.detail.r", "0.1", NULL},
	    {"event.detail.t", "true", NULL},
	    {"event.detail.z", "null", NULL},
	    {"event.detail.o", "{\"a\":[1,\"x\"]}", NULL},
	    {"event.detail.o.a.1", "x", NULL},
	    {"event.detail.o.a.2", NULL, "the event has no \"event.detail.o.a.2\""},
	    {"event.detail.o.a.x", NULL, "the event has no \"event.detail.o.a.x\""},
	    {"event.detail.o.a.99999999999999999999", NULL,
	     "the event has no \"event.detail.o.a.99999999999999999999\""},
	    {"event.detail.n.x", NULL, "the event has no \"event.detail.n.x\""},
	    {"event.detail.missing", NULL, "the event has no \"event.detail.missing\""},
	    {"event.object", NULL, "the event is about no object"},
	};
	static const char in[] =
	    "{\"id\":\"1\",\"source\":\"s\",\"detail-type\":\"t\",\"detail\":{\"n\":3,\"r\":0.1,"
	    "\"t\":true,\"z\":null,\"o\":{\"a\":[1,\"x\"]}}}";

	cr_assert_eq(events_read(bytes_of(in), 0, &list, NULL), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error e = {0};
		int rc;

		buf_clear(&text);
		rc = event_value(&list.items[0], bytes_of(cases[i].path), &text, &e);
		if (cases[i].want != NULL) {
			cr_expect_eq(rc, 0);
			cr_expect_str_eq(buf_text(&text), cases[i].want);
		} else {
			cr_expect_eq(rc, ERR_NOT_FOUND);
			cr_expect_str_eq(e.what, cases[i].what);
			cr_expect_eq(text.size, 0);
		}
	}
}

Test(event, times_are_written_as_rfc_3339)
{
	static const struct {
		usec_t us;
		const char *want;
	} cases[] = {
	    {0, "1970-01-01T00:00:00.000000Z"},
	    {-1, "1969-12-31T23:59:59.999999Z"},
	    {951782400000000, "2000-02-29T00:00:00.000000Z"},
	    {1795354256395001, "2026-11-22T13:30:56.395001Z"},
	    {253402300799999999, "9999-12-31T23:59:59.999999Z"},
	    {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
	    {INT64_MIN, "0000-01-01T00:00:00.000000Z"},
	};
	char buf[EVENT_TIME_BYTES_MAX];

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(event_time(cases[i].us, buf), cases[i].want);
}
