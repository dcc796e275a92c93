#include <criterion/criterion.h>

#include "base/url.h"

static void expect(const char *text, enum url_scheme scheme, const char *rest)
{
	struct url u = url_of(bytes_of(text));

	cr_expect_eq(u.scheme, scheme, "%s is of scheme %d", text, (int)u.scheme);
	cr_expect(bytes_equal(u.rest, bytes_of(rest)), "%s names %.*s", text, (int)u.rest.size,
		  (const char *)u.rest.data);
}

Test(url, what_it_names)
{
	expect("s3://bucket/key", URL_S3, "bucket/key");
	expect("s3://", URL_S3, "");
	expect("file:///a/b", URL_FILE, "/a/b");
	expect("file:///", URL_FILE, "/");
	expect("http://host:1/x", URL_HTTP, "host:1/x");
	expect("https://host", URL_HTTPS, "host");
}

Test(url, what_is_none)
{
	static const char *const others[] = {
	    "",	    "s3:/",    "s3:/b/k", "S3://b/k",	"file://host/a", "file:/a",    "file://",
	    "/a/b", "ftp://x", "s3",	  "a s3://b/k", "http:/host",	 "{{event.x}}"};

	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		expect(others[i], URL_OTHER, others[i]);
	cr_expect(url_is_http(BYTES_LIT("http://x")));
	cr_expect(url_is_http(BYTES_LIT("https://x")));
	cr_expect_not(url_is_http(BYTES_LIT("httpx://x")));
}

Test(url, paths)
{
	cr_expect_str_eq(url_path_or("file:///a/b"), "/a/b");
	cr_expect_str_eq(url_path_or("a/b"), "a/b");
	cr_expect_str_eq(url_path_or("s3://a/b"), "s3://a/b");
}

Test(url, climbing)
{
	static const char *const climb[] = {"..", "../a", "a/..", "a/../b", "file:///a/../b"};
	static const char *const stay[] = {"", ".", "...", "a/..b", "a../b", "file:///a/b", "a/.../b"};

	for (size_t i = 0; i < ARRAY_LENGTH(climb); i++)
		cr_expect(url_climbs(bytes_of(climb[i])), "%s climbs", climb[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(stay); i++)
		cr_expect_not(url_climbs(bytes_of(stay[i])), "%s does not climb", stay[i]);
}

Test(url, made)
{
	struct buf out = {0};

	url_append(&out, URL_FILE, BYTES_LIT("/a"));
	url_append(&out, URL_S3, BYTES_LIT("b/k"));
	url_append(&out, URL_OTHER, BYTES_LIT("x"));
	cr_expect_str_eq(buf_text(&out), "file:///as3://b/kx");
	buf_fini(&out);
}
