/* Signatures against AWS's published examples:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
#include <criterion/criterion.h>
#include <string.h>

#include "base/s3/name.h"
#include "base/s3/sign.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define TEXT "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" /* Welcome to Amazon S3. */
#define TIME "20130524T000000Z"

static const struct s3_keys keys = {.id = "AKIAIOSFODNN7EXAMPLE",
				    .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};

struct example {
	const char *method, *key, *body_sha256;
	struct s3_query query[2];
	size_t query_count;
	struct s3_header first, range, last; /* what stands before, behind host, and last */
	const char *names, *signature;
};

static const struct example examples[] = {
    {.method = "GET",
     .key = "test.txt",
     .body_sha256 = EMPTY,
     .first = {"Accept", ""},
     .range = {"Range", "bytes=0-9"},
     .last = {"x-amz-storage-class", ""},
     .names = "host;range;x-amz-content-sha256;x-amz-date",
     .signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {.method = "PUT",
     .key = "test$file.text",
     .body_sha256 = TEXT,
     .first = {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
     .range = {"Range", ""},
     .last = {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
     .names = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     .signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {.method = "GET",
     .key = "",
     .body_sha256 = EMPTY,
     .query = {{"lifecycle", {0}}},
     .query_count = 1,
     .first = {"Accept", ""},
     .range = {"Range", ""},
     .last = {"x-amz-storage-class", ""},
     .names = "host;x-amz-content-sha256;x-amz-date",
     .signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {.method = "GET",
     .key = "",
     .body_sha256 = EMPTY,
     .query = {{"max-keys", BYTES_LIT("2")}, {"prefix", BYTES_LIT("J")}},
     .query_count = 2,
     .first = {"Accept", ""},
     .range = {"Range", ""},
     .last = {"x-amz-storage-class", ""},
     .names = "host;x-amz-content-sha256;x-amz-date",
     .signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

Test(s3_sign, is_as_aws_publishes_it)
{
	for (size_t i = 0; i < ARRAY_LENGTH(examples); i++) {
		const struct example *e = &examples[i];
		const struct s3_header headers[] = {e->first,
						    {"Host", "examplebucket.s3.amazonaws.com"},
						    e->range,
						    {"X-Amz-Content-SHA256", e->body_sha256},
						    {"x-amz-date", TIME},
						    e->last};
		struct s3_place place = {"https://s3.amazonaws.com", "us-east-1", false};
		struct s3_name name = {.bucket = "examplebucket"};
		struct buf url = {0}, expected = {0}, made = {0};

		strcpy(name.key, e->key);
		s3_url(&url, &place, &name, e->query, e->query_count);
		s3_sign(&made,
			&(struct s3_signing){e->method, buf_text(&url), "us-east-1", TIME, e->body_sha256,
					     headers, ARRAY_LENGTH(headers)},
			&keys);
		buf_printf(&expected,
			   "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
			   "aws4_request, SignedHeaders=%s, Signature=%s",
			   e->names, e->signature);
		cr_expect_str_eq(buf_text(&made), buf_text(&expected), "%zu: %s", i, buf_text(&made));
		buf_fini(&url);
		buf_fini(&expected);
		buf_fini(&made);
	}
}

/* Another header value, another signature; spaces that a server does not count do not matter. */
Test(s3_sign, values_count_and_spaces_do_not)
{
	static const struct {
		const char *value;
		bool same;
	} cases[] = {{"a b", true}, {"  a   b ", true}, {"a  b", true}, {"ab", false}, {"a c", false}};
	struct buf first = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct s3_header headers[] = {{"host", "h"}, {"x-amz-meta-k", cases[i].value}};
		struct buf made = {0};

		s3_sign(&made, &(struct s3_signing){"PUT", "http://h/b/k", "r", TIME, EMPTY, headers, 2},
			&keys);
		if (i == 0)
			buf_append_bytes(&first, buf_bytes(&made));
		cr_expect_eq(strcmp(buf_text(&made), buf_text(&first)) == 0, cases[i].same, "'%s'",
			     cases[i].value);
		buf_fini(&made);
	}
	buf_fini(&first);
}

Test(s3_sign, host_has_no_port_of_its_scheme)
{
	static const char *const cases[][2] = {
	    {"http://h/b", "h"},	   {"http://h:80/b", "h"},
	    {"https://h:443/", "h"},	   {"http://h:443/b", "h:443"},
	    {"https://h:80", "h:80"},	   {"http://[::1]:7480/b", "[::1]:7480"},
	    {"http://h:8080/b", "h:8080"}, {"https://b.h?x=:443", "b.h"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf host = {0};

		s3_signing_host(&host, cases[i][0]);
		cr_expect_str_eq(buf_text(&host), cases[i][1]);
		buf_fini(&host);
	}
}

Test(s3_sign, times_are_utc)
{
	char text[S3_TIME_BYTES];

	setenv("TZ", "Asia/Tokyo", 1);
	s3_signing_time(1369353600 * USEC_PER_SEC + 999999, text);
	cr_assert_str_eq(text, TIME);
}
