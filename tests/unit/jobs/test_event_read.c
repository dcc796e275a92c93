/* Whatever form an event comes in, rules see one form. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/event_cloudevents.h"
#include "jobs/json.h"
#include "tests/unit/jobs/data.h"

#define NOW ((usec_t)1795354256395000)

static struct event_list list;
static struct buf text;

static void teardown(void)
{
	events_fini(&list);
	buf_fini(&text);
}

TestSuite(event_read, .fini = teardown);

static const char *value(const struct event *e, const char *path)
{
	static struct buf out;

	buf_clear(&out);
	if (event_value(e, bytes_of(path), &out, NULL) < 0)
		return "-";
	return buf_text(&out);
}

static const struct {
	const char *file, *detail_type, *url, *size, *etag, *version, *sequencer, *reason;
} notifications[] = {
    {"s3-event.json", "Object Created", "s3://sourcebucket/Happy Face.jpg", "1024",
     "d41d8cd98f00b204e9800998ecf8427e", "version", "Happy Sequencer", "PutObject"},
    {"s3-in-sns.json", "Object Created", "s3://sourcebucket/Happy Face.jpg", "1024",
     "d41d8cd98f00b204e9800998ecf8427e", "version", "Happy Sequencer", "PutObject"},
    {"s3-in-sns-in-sqs.json", "Object Created", "s3://sourcebucket/Happy Face.jpg", "1024",
     "d41d8cd98f00b204e9800998ecf8427e", "version", "Happy Sequencer", "PutObject"},
    {"eventbridge-object-created.json", "Object Created", "s3://DOC-EXAMPLE-BUCKET1/example-key", "5",
     "b1946ac92492d2347c6235b4d2611184", "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", "617f08299329d189", "PutObject"},
    {"eventbridge-object-deleted.json", "Object Deleted", "s3://DOC-EXAMPLE-BUCKET1/example-key", "-",
     "d41d8cd98f00b204e9800998ecf8427e", "1QW9g1Z99LUNbvaaYVpW9xDlOLU.qxgF", "617f0837b476e463",
     "DeleteObject"},
    {"minio-webhook.json", "Object Created", "s3://images/myphoto.jpg", "6474",
     "430f89010c77aa34fc8760696da62d08-1", "1", "15C32494527B46C5", "PutObject"},
    {"ceph-rgw.json", "Object Created", "s3://mybucket1/myimage1.jpg", "1024",
     "37b51d194a7513e45b56f6524f2d51f2", "-", "F7E6D75DC742D108", "PutObject"},
    {"ceph-001-ObjectCreated_Put.json", "Object Created", "s3://data/in/a b+c%é.txt", "6",
     "b1946ac92492d2347c6235b4d2611184", "-", "3AAF026B2CB93C10", "PutObject"},
    {"ceph-002-ObjectCreated_CompleteMultipartUpload.json", "Object Created", "s3://data/in/big.bin",
     "12582912", "eef8840085d8d12cf3a0861265e81696-2", "-", "3BAF026BE279571D", "CompleteMultipartUpload"},
    {"ceph-003-ObjectCreated_Put.json", "Object Created", "s3://data/in/ver.txt", "6",
     "b1946ac92492d2347c6235b4d2611184", "uYjFQIppwq7I4txQWgFZot01lODu.WI", "3DAF026B95DFD832", "PutObject"},
    {"ceph-004-ObjectRemoved_DeleteMarkerCreated.json", "Object Deleted", "s3://data/in/ver.txt", "-",
     "b1946ac92492d2347c6235b4d2611184", "-", "3EAF026BB7818025", "DeleteObject"},
    {"ceph-005-ObjectRemoved_DeleteMarkerCreated.json", "Object Deleted", "s3://data/in/copy.txt", "-", "-",
     "-", "3FAF026BEEC90413", "DeleteObject"},
    {"s3-sqs-function.json", "Object Created", "s3://bucket1/in/some file+é.txt", "5",
     "5d41402abc4b2a76b9719d911017c592", "-", "-", "PutObject"},
    {"s3-eventbridge-sqs-function.json", "Object Created", "s3://bucket1/in/e", "5", "-", "null",
     "617f08299329d189", "ObjectCreated"},
    {"s3-glacier-event.json", "Object Restore Completed", "s3://example-bucket/glacier-test.txt", "1024",
     "0123456789abcdef0123456789abcdef", "abcdeH0Xp66ep__QDjR76LK7Gc9X4wKO", "0A1B2C3D4E5F678901", "-"},
    {"s3-lifecycle-event.json", "Object Storage Class Changed", "s3://example-bucket/lifecycle-test.dat",
     "10485760", "abcd1234ef5678901234567890abcdef", "lifecycleVersion123", "0066LIFECYCLE890", "-"},
    {"s3-intelligenttier-event.json", "Object Access Tier Changed",
     "s3://example-bucket/intelligent-tier-test.dat", "5242880", "d41d8cd98f00b204e9800998ecf8427e",
     "versionExample123", "0066ABC1234567890", "-"},
    {"s3-replication-event.json", "Replication:OperationFailedReplication",
     "s3://amzn-s3-demo-bucket1/replication-test.png", "520080", "e12345ca7e88a38428305d3ff7fcb99f",
     "abcdeH0Xp66ep__QDjR76LK7Gc9X4wKO", "0066DA1CBF104C0D51", "-"},
};

Test(event_read, what_s3_sends_becomes_what_eventbridge_would_send)
{
	for (size_t i = 0; i < ARRAY_LENGTH(notifications); i++) {
		struct error e = {0};
		const struct event *ev;
		char name[200];

		snprintf(name, sizeof name, "events/%s", notifications[i].file);
		cr_assert_eq(events_read(data_read(&text, name), NOW, &list, &e), 0, "%s: %s: %s", name,
			     e.where, e.what);
		cr_assert_eq(list.count, 1, "%s", name);
		ev = &list.items[0];
		cr_expect_str_eq(ev->source, "aws.s3");
		cr_expect_str_eq(ev->detail_type, notifications[i].detail_type, "%s", name);
		cr_expect_str_eq(value(ev, "event.object"), notifications[i].url, "%s", name);
		cr_expect_str_eq(value(ev, "event.detail.object.size"), notifications[i].size, "%s", name);
		cr_expect_str_eq(value(ev, "event.detail.object.etag"), notifications[i].etag, "%s", name);
		cr_expect_str_eq(value(ev, "event.detail.object.version-id"), notifications[i].version, "%s",
				 name);
		cr_expect_str_eq(value(ev, "event.detail.object.sequencer"), notifications[i].sequencer, "%s",
				 name);
		cr_expect_str_eq(value(ev, "event.detail.reason"), notifications[i].reason, "%s", name);
		events_fini(&list);
	}
}

Test(event_read, a_notification_has_one_canonical_text)
{
	cr_assert_eq(events_read(data_read(&text, "events/s3-event.json"), NOW, &list, NULL), 0);
	buf_clear(&text);
	event_write(&list.items[0], &text);
	cr_assert_str_eq(
	    buf_text(&text),
	    "{\"detail\":{\"bucket\":{\"name\":\"sourcebucket\"},\"object\":{\"etag\":"
	    "\"d41d8cd98f00b204e9800998ecf8427e\",\"key\":\"Happy Face.jpg\",\"sequencer\":\"Happy "
	    "Sequencer\","
	    "\"size\":1024,\"version-id\":\"version\"},\"reason\":\"PutObject\",\"request-id\":"
	    "\"C3D13FE58DE4C810\",\"requester\":\"EXAMPLE\",\"source-ip-address\":\"127.0.0.1\",\"version\":"
	    "\"0\"},"
	    "\"detail-type\":\"Object Created\",\"id\":\"e49f9e77-4f95-cce5-74cb-cebb6ca2fd5d\",\"region\":"
	    "\"us-east-1\",\"resources\":[\"arn:aws:s3:::mybucket\"],\"source\":\"aws.s3\",\"time\":"
	    "\"1970-01-01T00:00:00.123Z\"}");
}

Test(event_read, members_of_some_kinds_are_kept)
{
	static const struct {
		const char *file, *path, *want;
	} cases[] = {
	    {"s3-glacier-event.json", "event.detail.restore-expiry-time", "2023-05-17T15:00:00.456Z"},
	    {"s3-glacier-event.json", "event.detail.source-storage-class", "STANDARD"},
	    {"s3-lifecycle-event.json", "event.detail.destination-storage-class", "GLACIER"},
	    {"s3-intelligenttier-event.json", "event.detail.destination-access-tier", "ARCHIVE_ACCESS"},
	    {"ceph-004-ObjectRemoved_DeleteMarkerCreated.json", "event.detail.deletion-type",
	     "Delete Marker Created"},
	    {"minio-webhook.json", "event.detail.requester", "AKIAIOSFODNN7EXAMPLE"},
	    {"minio-webhook.json", "event.resources.0", "arn:aws:s3:::images"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char name[200];

		snprintf(name, sizeof name, "events/%s", cases[i].file);
		cr_assert_eq(events_read(data_read(&text, name), NOW, &list, NULL), 0);
		cr_expect_str_eq(value(&list.items[0], cases[i].path), cases[i].want, "%s", name);
		events_fini(&list);
	}
}

Test(event_read, a_test_notification_is_fine_and_no_event)
{
	cr_assert_eq(events_read(data_read(&text, "events/aws-s3-test-event.json"), NOW, &list, NULL), 0);
	cr_assert_eq(list.count, 0);
	cr_assert_eq(events_read(BYTES_LIT("{\"Records\":[]}"), NOW, &list, NULL), 0);
	cr_assert_eq(events_read(BYTES_LIT("[]"), NOW, &list, NULL), 0);
	cr_assert_eq(list.count, 0);
}

Test(event_read, cloudevents_go_both_ways)
{
	static const char in[] =
	    "{\"specversion\":\"1.0\",\"type\":\"com.example.someevent\",\"time\":\"2018-04-05T03:56:24Z\","
	    "\"id\":\"1234-1234-1234\",\"source\":\"/mycontext/subcontext\",\"subject\":\"s\","
	    "\"datacontenttype\":\"application/json\",\"comexampleextension1\":\"value\",\"hops\":2,"
	    "\"data\":{\"message\":\"Hello World!\"}}";

	cr_assert_eq(events_read(bytes_of(in), NOW, &list, NULL), 0);
	event_write(&list.items[0], &text);
	cr_assert_str_eq(
	    buf_text(&text),
	    "{\"detail\":{\"message\":\"Hello World!\"},\"detail-type\":\"com.example.someevent\","
	    "\"extensions\":{\"comexampleextension1\":\"value\",\"hops\":2},"
	    "\"id\":\"1234-1234-1234\",\"resources\":[\"s\"],\"source\":\"/mycontext/subcontext\","
	    "\"time\":\"2018-04-05T03:56:24Z\"}");
	buf_clear(&text);
	event_cloudevents_write(&list.items[0], &text);
	cr_assert_str_eq(
	    buf_text(&text),
	    "{\"comexampleextension1\":\"value\",\"data\":{\"message\":\"Hello World!\"},"
	    "\"datacontenttype\":\"application/json\",\"hops\":2,"
	    "\"id\":\"1234-1234-1234\",\"source\":\"/mycontext/subcontext\",\"specversion\":\"1.0\","
	    "\"subject\":\"s\",\"time\":\"2018-04-05T03:56:24Z\",\"type\":\"com.example.someevent\"}");
	/* and what was written is read as the same event */
	cr_assert_eq(events_read(buf_bytes(&text), NOW + 1, &list, NULL), 0);
	cr_assert_eq(list.count, 2);
	cr_assert(json_equal(list.items[0].dom, list.items[1].dom));
}

static void expect_extensions(const char *in, const char *extensions)
{
	const json_t *found;

	events_fini(&list);
	buf_clear(&text);
	cr_assert_eq(events_read(bytes_of(in), NOW, &list, NULL), 0, "%s", in);
	found = event_lookup(&list.items[0], BYTES_LIT("event.extensions"));
	if (found != NULL)
		json_write(&text, found);
	cr_expect_str_eq(buf_text(&text), extensions, "%s", in);
}

#define CLOUD "{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"1\",\"source\":\"s\""
#define OURS "{\"detail-type\":\"t\",\"id\":\"1\",\"source\":\"s\""

Test(event_read, attributes_that_have_no_place_are_kept)
{
	struct buf many = {0};

	expect_extensions(CLOUD "}", "");
	expect_extensions(CLOUD ",\"dataschema\":\"u\",\"data\":1}", "{\"dataschema\":\"u\"}");
	expect_extensions(CLOUD ",\"traceparent\":\"00-a-b-01\",\"partitionkey\":\"k\",\"sampled\":true}",
			  "{\"partitionkey\":\"k\",\"sampled\":true,\"traceparent\":\"00-a-b-01\"}");
	expect_extensions(OURS ",\"traceparent\":\"00-a-b-01\",\"version\":\"0\",\"replay-name\":\"r\"}",
			  "{\"traceparent\":\"00-a-b-01\"}");
	/* the canonical form is read as it was written */
	expect_extensions(OURS ",\"extensions\":{\"id\":\"x\",\"n\":1}}", "{\"id\":\"x\",\"n\":1}");
	/* not kept: what no attribute can be; the event is taken all the same */
	expect_extensions(CLOUD ",\"Upper\":\"x\",\"a-b\":\"x\",\"list\":[1],\"map\":{},\"none\":null}", "");
	expect_extensions(OURS ",\"extensions\":[1]}", "");
	buf_printf(&many, CLOUD ",\"long\":\"%01025d\",\"fits\":\"%01024d\"}", 0, 0);
	events_fini(&list);
	cr_assert_eq(events_read(buf_bytes(&many), NOW, &list, NULL), 0);
	cr_expect_null(event_lookup(&list.items[0], BYTES_LIT("event.extensions.long")));
	cr_expect_not_null(event_lookup(&list.items[0], BYTES_LIT("event.extensions.fits")));
	buf_clear(&many);
	buf_printf(&many, OURS);
	for (int i = 0; i < 100; i++)
		buf_printf(&many, ",\"a%d\":%d", i, i);
	buf_printf(&many, "}");
	events_fini(&list);
	cr_assert_eq(events_read(buf_bytes(&many), NOW, &list, NULL), 0);
	cr_expect_eq(json_object_size(event_lookup(&list.items[0], BYTES_LIT("event.extensions"))), 32);
	buf_fini(&many);
}

Test(event_read, a_batch_of_cloudevents_is_read_in_order)
{
	static const char in[] =
	    "[{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"1\",\"source\":\"s\",\"data\":\"text\"},"
	    "{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"2\",\"source\":\"s\",\"data_base64\":\"AAE=\"},"
	    "{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"3\",\"source\":\"s\"}]";

	cr_assert_eq(events_read(bytes_of(in), NOW, &list, NULL), 0);
	cr_assert_eq(list.count, 3);
	cr_assert_str_eq(value(&list.items[0], "event.detail"), "{\"data\":\"text\"}");
	cr_assert_str_eq(value(&list.items[1], "event.detail"), "{\"data_base64\":\"AAE=\"}");
	cr_assert_str_eq(value(&list.items[2], "event.detail"), "{}");
	cr_assert_str_eq(value(&list.items[2], "event.time"), "2026-11-22T13:30:56.395000Z");
}

#define GOOD "\"id\":\"1\",\"source\":\"s\",\"detail-type\":\"t\""

Test(event_read, a_wrong_event_is_refused_where_it_is_wrong)
{
	static const struct {
		const char *body, *where, *what;
	} cases[] = {
	    {"", "line 1, column 0", "expected JSON: found nothing"},
	    {"{\"a\":1,\n \"a\":2}", "line 2, column 4",
	     "expected JSON: \"duplicate object key near '\\\"a\\\"'\""},
	    {"{\"a\":\"\xff\"}", "line 1, column 7", "JSON has to be UTF-8; the byte 0xff is not"},
	    {"{\"a\":\"\\u0000\"}", "line 1, column 13",
	     "a string has a NUL character (\\u0000), which is not taken"},
	    {"{} x", "line 1, column 4", "expected JSON: \"end of file expected near 'x'\""},
	    {"7", "", "expected an event, which is an object, found a number"},
	    {"{}", "id", "expected a string, found nothing"},
	    {"{\"id\":7,\"source\":\"s\",\"detail-type\":\"t\"}", "id", "expected a string, found a number"},
	    {"{\"id\":\"1\",\"source\":\"\",\"detail-type\":\"t\"}", "source",
	     "expected a string that is not empty"},
	    {"{" GOOD ",\"time\":\"yesterday\"}", "time",
	     "expected a time like 2026-11-22T13:30:54Z (RFC 3339), found \"yesterday\""},
	    {"{" GOOD ",\"time\":\"2026-11-22T13:30:54\"}", "time",
	     "expected a time like 2026-11-22T13:30:54Z (RFC 3339), found \"2026-11-22T13:30:54\""},
	    {"{" GOOD ",\"resources\":\"r\"}", "resources", "expected an array of strings, found a string"},
	    {"{" GOOD ",\"resources\":[\"r\",1]}", "resources[1]", "expected a string, found a number"},
	    {"{" GOOD ",\"detail\":[]}", "detail", "expected an object, found an array"},
	    {"[{" GOOD "},{\"id\":\"2\"}]", "[1].source", "expected a string, found nothing"},
	    {"{\"specversion\":\"0.3\"}", "specversion", "expected CloudEvents \"1.0\", found \"0.3\""},
	    {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\"}", "type",
	     "expected a string, found nothing"},
	    {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"subject\":{}}",
	     "subject", "expected a string, found an object"},
	    {"{\"Records\":{}}", "Records", "expected an array, found an object"},
	    {"{\"Records\":[{}]}", "Records[0].eventName", "expected a string, found nothing"},
	    {"{\"Records\":[{\"eventName\":\"ObjectCreated:Put\"}]}", "Records[0].s3.bucket.name",
	     "expected a string, found nothing"},
	    {"{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},"
	     "\"object\":{\"key\":\"\"}}}]}",
	     "Records[0].s3.object.key", "expected a string that is not empty"},
	    {"{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},"
	     "\"object\":{\"key\":\"k\",\"size\":\"1k\"}}}]}",
	     "Records[0].s3.object.size", "expected a number of bytes, found \"1k\""},
	    {"{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},"
	     "\"object\":{\"key\":\"k\",\"size\":\"99999999999999999999\"}}}]}",
	     "Records[0].s3.object.size", "expected a number of bytes, found \"99999999999999999999\""},
	    {"{\"Type\":\"Notification\",\"Message\":\"Hello\"}", "Message, line 1, column 5",
	     "expected JSON: \"invalid token near 'Hello'\""},
	    {"{\"Type\":\"Notification\"}", "Message", "expected an event as a string, found nothing"},
	    {"{\"Type\":\"SubscriptionConfirmation\",\"SubscribeURL\":\"https://x\"}", "Type",
	     "SNS asks to confirm a subscription; it is not confirmed yet"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error e = {0};

		cr_expect_lt(events_read(bytes_of(cases[i].body), NOW, &list, &e), 0, "%s", cases[i].body);
		cr_expect_str_eq(e.where, cases[i].where, "%s: %s: %s", cases[i].body, e.where, e.what);
		cr_expect_str_eq(e.what, cases[i].what, "%s: %s: %s", cases[i].body, e.where, e.what);
		cr_expect_eq(list.count, 0, "all or none");
	}
}

static void write_text(struct buf *out, const char *s)
{
	json_t *value = json_string(s);

	json_write(out, value);
	json_decref(value);
}

Test(event_read, records_that_are_no_events_hinder_no_others)
{
	static const char good[] = "{" GOOD "}";
	struct event_problems problems = {0};
	struct error e = {0};
	struct buf inner = {0}, quoted = {0};

	/* An array of an event, one that is none, and an envelope around one of each. */
	buf_printf(&inner, "{\"Records\":[{\"eventSource\":\"aws:sqs\",\"body\":\"x\"},"
			   "{\"eventSource\":\"aws:sqs\",\"body\":");
	write_text(&inner, good);
	buf_printf(&inner, "}]}");
	write_text(&quoted, buf_text(&inner));
	buf_printf(&text, "[%s,{\"source\":1},{\"Type\":\"Notification\",\"Message\":%s}]", good,
		   buf_text(&quoted));
	cr_assert_eq(events_read_each(buf_bytes(&text), NOW, &list, &problems, &e), 0, "%s: %s", e.where,
		     e.what);
	cr_expect_eq(list.count, 2);
	cr_assert_eq(problems.count, 2);
	cr_expect_eq(problems.total, 2);
	cr_expect_eq(strncmp(problems.items[0].where, "[1]", 3), 0, "%s", problems.items[0].where);
	cr_expect_eq(strncmp(problems.items[1].where, "[2].Message.Records[0].body", 27), 0, "%s",
		     problems.items[1].where);
	free(problems.items);
	buf_fini(&inner);
	buf_fini(&quoted);
}

Test(event_read, a_body_of_which_nothing_is_understood_is_an_error)
{
	struct event_problems problems = {0};
	struct error e = {0};

	buf_printf(&text, "[0");
	for (int i = 0; i < 200; i++)
		buf_printf(&text, ",%d", i);
	buf_printf(&text, "]");
	cr_assert_eq(events_read_each(buf_bytes(&text), NOW, &list, &problems, &e), ERR_INVALID);
	cr_expect_eq(strncmp(e.where, "[0]", 3), 0, "%s", e.where);
	cr_expect_eq(problems.count, EVENT_PROBLEMS_MAX);
	cr_expect_eq(problems.total, 201);
	cr_expect_eq(list.count, 0);
	free(problems.items);
}

static void repeat(struct buf *out, const char *piece, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_append(out, piece, strlen(piece));
}

Test(event_read, what_is_too_much_is_refused)
{
	struct error e = {0};

	repeat(&text, "[", 100000);
	cr_assert_eq(events_read(buf_bytes(&text), NOW, &list, &e), ERR_INVALID);
	cr_assert_str_eq(e.what, "JSON nested deeper than 72 levels");

	buf_clear(&text);
	repeat(&text, " ", HTTP_BODY_BYTES_MAX + 1);
	cr_assert_lt(events_read(buf_bytes(&text), NOW, &list, &e), 0);
	cr_assert_eq(e.code, ERR_LIMIT);

	buf_clear(&text);
	repeat(&text, "{" GOOD ",\"detail\":{\"x\":\"", 1);
	repeat(&text, "0123456789", EVENT_BYTES_MAX / 10);
	repeat(&text, "\"}}", 1);
	cr_assert_eq(events_read(buf_bytes(&text), NOW, &list, &e), ERR_LIMIT);
	cr_assert_str_eq(e.what, "an event of 1048681 bytes; at most 1048576 are taken");

	buf_clear(&text);
	repeat(&text, "{" GOOD ",\"resources\":[\"r\"", 1);
	repeat(&text, ",\"r\"", EVENT_RESOURCES_MAX);
	repeat(&text, "]}", 1);
	cr_assert_eq(events_read(buf_bytes(&text), NOW, &list, &e), ERR_LIMIT);
	cr_assert_str_eq(e.what, "65 resources; at most 64 are taken");
	cr_assert_eq(list.count, 0);
}

Test(event_read, envelopes_do_not_nest_for_ever)
{
	struct buf inner = {0}, quoted = {0};
	struct error e = {0};

	repeat(&inner, "{" GOOD "}", 1);
	for (int i = 0; i < 5; i++) {
		json_t *message = json_stringn((char *)inner.data, inner.size);

		buf_clear(&quoted);
		json_write(&quoted, message);
		json_decref(message);
		buf_clear(&inner);
		repeat(&inner, "{\"Type\":\"Notification\",\"Message\":", 1);
		buf_append_bytes(&inner, buf_bytes(&quoted));
		repeat(&inner, "}", 1);
		cr_assert_eq(events_read(buf_bytes(&inner), NOW, &list, &e), i < 4 ? 0 : ERR_LIMIT, "%d", i);
	}
	cr_assert_str_eq(e.where, "Message.Message.Message.Message.Message");
	buf_fini(&inner);
	buf_fini(&quoted);
}
