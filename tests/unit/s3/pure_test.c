/* Names, URLs, XML, what refusals mean, how long to wait, shared files: tables of cases. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/s3/fault.h"
#include "base/s3/name.h"
#include "base/s3/profile.h"
#include "base/s3/xml.h"

Test(s3_name, parses_what_a_plan_names)
{
	static const struct {
		const char *url, *bucket, *key;
	} cases[] = {
	    {"s3://reads/in/a b+c%.fq", "reads", "in/a b+c%.fq"},
	    {"s3://r/", "r", ""},
	    {"s3://r", "r", ""},
	    {"s3://my.bucket-1_x//leading/slash", "my.bucket-1_x", "/leading/slash"},
	    {"s3://b/\xc3\xa9", "b", "\xc3\xa9"},
	};
	static const char *const wrong[] = {"",		  "s3://",	"s3:///key",	"file:///x",
					    "s3://b?x/k", "s3://a b/k", "s3://../etc/k"};
	struct s3_name n;
	struct error e;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		cr_assert_eq(s3_name_parse(bytes_of(cases[i].url), &n, &e), 0, "%s: %s", cases[i].url,
			     e.what);
		cr_assert_str_eq(n.bucket, cases[i].bucket);
		cr_assert_str_eq(n.key, cases[i].key);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		cr_assert_eq(s3_name_parse(bytes_of(wrong[i]), &n, &e), ERR_INVALID, "%s", wrong[i]);
}

Test(s3_name, refuses_keys_that_no_server_has)
{
	char long_key[KEY_BYTES_MAX + 20] = "s3://b/";
	struct s3_name n;

	memset(long_key + 7, 'k', KEY_BYTES_MAX + 1);
	cr_assert_eq(s3_name_parse(BYTES(long_key, 7 + KEY_BYTES_MAX + 1), &n, NULL), ERR_LIMIT);
	cr_assert_eq(s3_name_parse(BYTES(long_key, 7 + KEY_BYTES_MAX), &n, NULL), 0);
	cr_assert_eq(s3_name_parse(BYTES_LIT("s3://b/a\0b"), &n, NULL), ERR_INVALID);
}

Test(s3_name, urls_are_canonical)
{
	static const struct {
		const char *endpoint, *region;
		bool path_style;
		const char *bucket, *key, *expected;
	} cases[] = {
	    {"http://h:7480", "r", true, "b", "in/a b+c%\xc3\xa9=(x)!*'~_-.",
	     "http://h:7480/b/in/a%20b%2Bc%25%C3%A9%3D%28x%29%21%2A%27~_-."},
	    {"http://h", "r", true, "b", "/lead//two", "http://h/b//lead//two"},
	    {"http://h", "r", true, "b", "", "http://h/b"},
	    {"https://h", "r", false, "b", "k", "https://b.h/k"},
	    {"https://h", "r", false, "b", "", "https://b.h/"},
	    {"https://h", "r", false, "b.c", "k", "https://h/b.c/k"},
	    {"", "eu-west-1", false, "b", "k", "https://b.s3.eu-west-1.amazonaws.com/k"},
	    {"", "cn-north-1", true, "b", "k", "https://s3.cn-north-1.amazonaws.com.cn/b/k"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct s3_place place = {cases[i].endpoint, cases[i].region, cases[i].path_style};
		struct s3_name name = {0};
		struct buf url = {0};

		strcpy(name.bucket, cases[i].bucket);
		strcpy(name.key, cases[i].key);
		s3_url(&url, &place, &name, NULL, 0);
		cr_assert_str_eq(buf_text(&url), cases[i].expected);
		buf_fini(&url);
	}
}

Test(s3_name, queries_have_values_and_escape_slashes)
{
	struct s3_place place = {"http://h", "r", true};
	struct s3_name name = {.bucket = "b"};
	struct s3_query query[] = {
	    {"list-type", BYTES_LIT("2")}, {"prefix", BYTES_LIT("a/b +")}, {"uploads", {0}}};
	struct buf url = {0};

	s3_url(&url, &place, &name, query, 3);
	cr_assert_str_eq(buf_text(&url), "http://h/b?list-type=2&prefix=a%2Fb%20%2B&uploads=");
	buf_fini(&url);
}

Test(s3_name, etags_lose_their_quotes)
{
	char tag[8];

	s3_etag_bare(BYTES_LIT(" \"abc-2\"\r\n"), tag, sizeof tag);
	cr_assert_str_eq(tag, "abc-2");
	s3_etag_bare(BYTES_LIT("\"toolongone\""), tag, sizeof tag);
	cr_assert_str_eq(tag, "");
	s3_etag_bare(BYTES_LIT(""), tag, sizeof tag);
	cr_assert_str_eq(tag, "");
}

Test(s3_xml, elements_are_found_whatever_stands_around_them)
{
	static const struct {
		const char *xml, *expected; /* NULL = none */
	} cases[] = {
	    {"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>", "NoSuchKey"},
	    {"<E><ns:Code a=\"b\">x&amp;y&lt;&#65;&#xe9;</ns:Code></E>", "x&y<A\xc3\xa9"},
	    {"<E><CodeX>no</CodeX><Code/></E>", ""},
	    {"<E><Code>a &unknown; b</Code></E>", "a &unknown; b"},
	    {"<E><Code>cut off", NULL},
	    {"<E><Code", NULL},
	    {"not xml", NULL},
	    {"", NULL},
	};
	struct buf text = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		bool found = s3_xml_text(bytes_of(cases[i].xml), "Code", &text);

		cr_assert_eq(found, cases[i].expected != NULL, "%s", cases[i].xml);
		if (found)
			cr_assert_str_eq(buf_text(&text), cases[i].expected);
	}
	buf_fini(&text);
}

Test(s3_xml, any_text_comes_back_as_it_was)
{
	struct rng r;
	struct buf xml = {0}, back = {0};
	uint64_t seed = 20260401;

	rng_seed(&r, seed);
	for (int round = 0; round < 2000; round++) {
		uint8_t text[40];
		size_t size = rng_below(&r, sizeof text);

		for (size_t i = 0; i < size; i++)
			text[i] = (uint8_t)(1 + rng_below(&r, 127));
		buf_clear(&xml);
		buf_printf(&xml, "<a><Key>");
		s3_xml_escape(&xml, BYTES(text, size));
		buf_printf(&xml, "</Key></a>");
		cr_assert(s3_xml_text(buf_bytes(&xml), "Key", &back), "seed %llu", (unsigned long long)seed);
		cr_assert(bytes_equal(buf_bytes(&back), BYTES(text, size)), "seed %llu",
			  (unsigned long long)seed);
	}
	buf_fini(&xml);
	buf_fini(&back);
}

Test(s3_fault, refusals_have_a_meaning)
{
	static const struct {
		unsigned status;
		const char *code;
		enum s3_fault fault;
		int error; /* and so whether it is final */
		const char *help;
	} cases[] = {
	    {404, "NoSuchKey", S3_NO_OBJECT, ERR_NOT_FOUND, "key"},
	    {404, "", S3_NO_OBJECT, ERR_NOT_FOUND, "key"},
	    {404, "NoSuchBucket", S3_NO_BUCKET, ERR_NOT_FOUND, "s3_endpoint"},
	    {403, "AccessDenied", S3_DENIED, ERR_DENIED, "GetObject"},
	    {403, "SignatureDoesNotMatch", S3_BAD_KEY, ERR_DENIED, "AWS_SECRET_ACCESS_KEY"},
	    {403, "RequestTimeTooSkewed", S3_CLOCK, ERR_DENIED, "clock"},
	    {400, "ExpiredToken", S3_STALE_KEY, ERR_BUSY, "renew"},
	    {301, "PermanentRedirect", S3_REGION, ERR_INVALID, "eu-west-1"},
	    {400, "AuthorizationHeaderMalformed", S3_REGION, ERR_INVALID, "eu-west-1"},
	    {412, "PreconditionFailed", S3_CHANGED, ERR_INVALID, "new job"},
	    {416, "InvalidRange", S3_RANGE, ERR_INVALID, "new job"},
	    {503, "SlowDown", S3_BUSY, ERR_BUSY, "s3_patience"},
	    {500, "", S3_BUSY, ERR_BUSY, "s3_patience"},
	    {429, "", S3_BUSY, ERR_BUSY, "s3_patience"},
	    {400, "RequestTimeout", S3_BUSY, ERR_BUSY, "s3_patience"},
	    {501, "NotImplemented", S3_REFUSED, ERR_INVALID, ""},
	    {400, "InvalidArgument", S3_REFUSED, ERR_INVALID, ""},
	    {200, "InternalError", S3_BUSY, ERR_BUSY, "s3_patience"},
	    {0, "", S3_BROKEN, ERR_IO, "s3_endpoint"},
	};
	char xml[200];

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct s3_problem p;
		struct error e = {0};

		snprintf(xml, sizeof xml,
			 "<Error><Code>%s</Code><Message>m</Message><Region>eu-west-1</Region></Error>",
			 cases[i].code);
		s3_problem_read(cases[i].status, cases[i].code[0] != '\0' ? bytes_of(xml) : BYTES(NULL, 0),
				&p);
		cr_assert_eq(p.fault, cases[i].fault, "%u %s", cases[i].status, cases[i].code);
		cr_assert_eq(s3_problem_error(&p, "read", BYTES_LIT("s3://b/k"), &e), cases[i].error, "%s",
			     cases[i].code);
		cr_assert_str_eq(e.where, "\"s3://b/k\"");
		cr_assert_not_null(strstr(e.help, cases[i].help), "%s: %s", cases[i].code, e.help);
		cr_assert_eq(s3_fault_is_passing(p.fault), !s3_error_is_final(e.code), "%s", cases[i].code);
	}
}

Test(s3_fault, success_is_success)
{
	struct s3_problem p;

	s3_problem_read(200, BYTES_LIT("<CompleteMultipartUploadResult/>"), &p);
	cr_assert_eq(p.fault, S3_FINE);
	s3_problem_read(206, BYTES(NULL, 0), &p);
	cr_assert_eq(p.fault, S3_FINE);
}

Test(s3_fault, waits_grow_and_are_spread)
{
	struct rng r;
	usec_t largest[12] = {0};

	rng_seed(&r, 7);
	for (int round = 0; round < 4000; round++)
		for (unsigned tries = 1; tries <= 12; tries++) {
			usec_t w = s3_retry_wait_us(tries, 0, &r);

			cr_assert_geq(w, 0);
			if (w > largest[tries - 1])
				largest[tries - 1] = w;
		}
	cr_assert_leq(largest[0], S3_RETRY_BASE_US);
	cr_assert_gt(largest[3], 7 * S3_RETRY_BASE_US);
	cr_assert_leq(largest[11], S3_RETRY_CAP_US);
	cr_assert_gt(largest[11], S3_RETRY_CAP_US * 9 / 10);
	cr_assert_geq(s3_retry_wait_us(1, 3 * USEC_PER_SEC, &r), 3 * USEC_PER_SEC);
}

static const char files[] = "# keys\n"
			    "[default]\n"
			    "aws_access_key_id = AKIA1\r\n"
			    "aws_secret_access_key=a=b/c+ \n"
			    "\n"
			    "[ work ]\n"
			    "aws_access_key_id = AKIA2\n"
			    "s3 =\n"
			    "  region = nested\n"
			    "; region = no\n"
			    "region = eu-west-1\n"
			    "[profile work]\n"
			    "region = us-west-2";

Test(s3_profile, sections_and_values)
{
	static const struct {
		bool is_config;
		const char *profile, *name, *expected;
	} cases[] = {
	    {false, "default", "aws_access_key_id", "AKIA1"},
	    {false, "default", "aws_secret_access_key", "a=b/c+"},
	    {false, "default", "region", NULL},
	    {false, "work", "aws_access_key_id", "AKIA2"},
	    {false, "work", "region", "eu-west-1"},
	    {true, "work", "region", "us-west-2"},
	    {true, "work", "aws_access_key_id", NULL},
	    {true, "default", "aws_access_key_id", "AKIA1"},
	    {false, "other", "region", NULL},
	};
	struct buf value = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		bool found = s3_profile_value(bytes_of(files), cases[i].is_config, cases[i].profile,
					      cases[i].name, &value);

		cr_assert_eq(found, cases[i].expected != NULL, "%s %s", cases[i].profile, cases[i].name);
		if (found)
			cr_assert_str_eq(buf_text(&value), cases[i].expected);
	}
	buf_fini(&value);
}

Test(s3_profile, answers_of_endpoints)
{
	static const struct bytes answer = BYTES_LIT(
	    "{\"Code\" : \"Success\", \"Token\":\"a\\/b\\\"\" ,\n\"Expiration\": \"2024-02-29T12:00:01Z\", "
	    "\"n\": 1, \"AccessKeyId\" :\"AKIA\"}");
	struct buf value = {0};
	usec_t when = 0;

	cr_assert(s3_json_text(answer, "AccessKeyId", &value));
	cr_assert_str_eq(buf_text(&value), "AKIA");
	cr_assert(s3_json_text(answer, "Token", &value));
	cr_assert_str_eq(buf_text(&value), "a/b\"");
	cr_assert_not(s3_json_text(answer, "Success", &value));
	cr_assert_not(s3_json_text(answer, "n", &value));
	cr_assert_not(s3_json_text(BYTES_LIT("{\"a\":\"cut"), "a", &value));
	cr_assert(s3_json_text(answer, "Expiration", &value));
	cr_assert(s3_time_read(buf_bytes(&value), &when));
	cr_assert_eq(when, 1709208001 * USEC_PER_SEC);
	cr_assert(s3_time_read(BYTES_LIT("1970-01-01T00:00:00.25Z"), &when));
	cr_assert_eq(when, 0);
	cr_assert_not(s3_time_read(BYTES_LIT("2024-02-29 12:00:01"), &when));
	cr_assert_not(s3_time_read(BYTES_LIT("2024-13-01T12:00:01Z"), &when));
	buf_fini(&value);
}
