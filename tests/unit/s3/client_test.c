/* The client against a server whose every answer the test has laid out: what goes on, what ends it, and what
 * is asked for. The signatures themselves are checked by a real server (tests/e2e/test_s3.py). */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/s3/s3.h"
#include "tests/unit/s3/server.h"

#define OK206(first, last, total, length, tag, body)                                                         \
	"HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"" tag                                  \
	"\"\r\nContent-Range: bytes " first "-" last "/" total "\r\nContent-Length: " length "\r\n\r\n" body
#define REFUSED(status, code)                                                                                \
	"HTTP/1.1 " status                                                                                   \
	" X\r\nConnection: close\r\nContent-Type: application/xml\r\n\r\n<Error><Code>" code                 \
	"</Code><Message>said so</Message></Error>"
#define DONE(body) "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\n\r\n" body

static struct s3_client *client;
static struct s3_name name = {.bucket = "b", .key = "k/1"};
static struct error e;
static struct buf got;

static void begin(const char *const *answers, usec_t patience_us)
{
	struct s3_options options = {.endpoint = server_start(answers), .patience_us = patience_us};

	cr_assert_eq(s3_client_create(&options, &client, &e), 0, "%s", e.what);
}

static void end(size_t expected)
{
	s3_client_destroy(client);
	cr_assert_eq(server_count(), expected, "%zu requests", server_count());
	server_stop();
	buf_fini(&got);
	got = (struct buf){0};
}

static void setup(void)
{
	setenv("AWS_ACCESS_KEY_ID", "AKIA", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_REGION");
	setenv("HOME", "/nonexistent", 1);
}

TestSuite(s3_client, .init = setup);

static int keep(void *arg, struct bytes piece)
{
	(void)arg;
	buf_append_bytes(&got, piece);
	return 0;
}

static int get(const char *etag, uint64_t offset, uint64_t size)
{
	struct s3_get g = {.name = &name, .etag = etag, .offset = offset, .size = size, .take = keep};

	e = (struct error){0};
	return s3_get(client, &g, &e);
}

Test(s3_client, a_cut_connection_goes_on_where_it_broke)
{
	static const char *const answers[] = {
	    OK206("10", "19", "30", "10", "e1", "0123"), OK206("14", "19", "30", "6", "e1", "45"),
	    REFUSED("503", "SlowDown"), OK206("16", "19", "30", "4", "e1", "6789"), NULL};

	begin(answers, 5 * USEC_PER_SEC);
	cr_assert_eq(get("e1", 10, 10), 0, "%s", e.what);
	cr_assert_str_eq(buf_text(&got), "0123456789");
	cr_assert_not_null(strstr(server_asked(0), "GET /b/k/1 HTTP/1.1"));
	cr_assert_not_null(strstr(server_asked(0), "Range: bytes=10-19"));
	cr_assert_not_null(strstr(server_asked(1), "Range: bytes=14-19"));
	cr_assert_not_null(strstr(server_asked(3), "Range: bytes=16-19"));
	cr_assert_not_null(strstr(server_asked(3), "If-Match: \"e1\""));
	cr_assert_not_null(strstr(server_asked(0), "AWS4-HMAC-SHA256 Credential=AKIA/"));
	end(4);
}

Test(s3_client, what_goes_on_is_the_same_object)
{
	static const char *const answers[] = {OK206("0", "9", "10", "10", "e1", "0123"),
					      OK206("4", "9", "10", "6", "e2", "XXXXXX"), NULL};

	begin(answers, 5 * USEC_PER_SEC);
	cr_assert_eq(get("", 0, 10), ERR_INVALID); /* not pinned by the caller, but by the first answer */
	cr_assert_not_null(strstr(e.what, "the object changed"), "%s", e.what);
	cr_assert_not_null(strstr(server_asked(1), "If-Match: \"e1\""));
	cr_assert_str_eq(buf_text(&got), "0123");
	end(2);
}

Test(s3_client, final_refusals_cost_one_request)
{
	static const char *const answers[] = {REFUSED("412", "PreconditionFailed"),
					      REFUSED("404", "NoSuchKey"),
					      REFUSED("403", "RequestTimeTooSkewed"),
					      OK206("5", "9", "10", "5", "e1", "56789"),
					      DONE("0123456789"),
					      OK206("0", "4", "5", "5", "e1", "01234"),
					      NULL};

	begin(answers, 5 * USEC_PER_SEC);
	cr_assert_eq(get("e1", 0, 10), ERR_INVALID);
	cr_assert_str_eq(e.where, "\"s3://b/k/1\"");
	cr_assert_eq(get("e1", 0, 10), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(e.what, "was there when the job was planned"), "%s", e.what);
	cr_assert_eq(get("e1", 0, 10), ERR_DENIED);
	cr_assert_not_null(strstr(e.what, "clock"));
	cr_assert_eq(get("e1", 0, 10), ERR_INVALID, "other bytes than asked for");
	cr_assert_eq(get("e1", 2, 3), ERR_INVALID, "a server without ranges");
	cr_assert_eq(get("e1", 0, 10), ERR_INVALID, "a shorter object");
	cr_assert_eq(got.size, 0);
	end(6);
}

Test(s3_client, a_server_without_ranges_serves_the_beginning)
{
	static const char *const answers[] = {DONE("0123456789"), NULL};

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(get("e1", 0, 4), 0, "%s", e.what);
	cr_assert_str_eq(buf_text(&got), "0123");
	end(1);
}

Test(s3_client, patience_ends)
{
	const char *answers[200] = {NULL}; /* more than the tries that chance may fit into the time */

	for (size_t i = 0; i + 1 < ARRAY_LENGTH(answers); i++)
		answers[i] = REFUSED("503", "SlowDown");
	begin(answers, 100 * USEC_PER_MSEC);
	cr_assert_eq(get("e1", 0, 4), ERR_BUSY);
	cr_assert_not_null(strstr(e.what, "SlowDown"), "%s", e.what);
	cr_assert_not_null(strstr(e.help, "s3_patience"));
	s3_client_destroy(client);
	cr_assert_geq(server_count(), 2);
	server_stop();
}

static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

Test(s3_client, a_call_can_be_ended)
{
	static const char *const answers[] = {NULL};
	struct s3_get g = {.name = &name, .size = 10, .take = keep, .cancel = {at_once, NULL}};

	begin(answers, 3600 * USEC_PER_SEC);
	cr_assert_eq(s3_get(client, &g, &e), ERR_CLOSED);
	end(0);
}

Test(s3_client, head_says_why_not)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\nContent-Length: 77\r\n\r\n",
	    "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n", REFUSED("403", "InvalidAccessKeyId"),
	    NULL};
	struct s3_cancel never = {0};
	struct s3_head head;

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(s3_head(client, &name, never, &head, &e), 0, "%s", e.what);
	cr_assert_eq(head.size_bytes, 77);
	cr_assert_str_eq(head.etag, "e1");
	cr_assert_eq(s3_head(client, &name, never, &head, &e), ERR_DENIED);
	cr_assert_not_null(strstr(e.what, "InvalidAccessKeyId"), "%s", e.what);
	end(3);
}

static int put(uint64_t size)
{
	uint8_t *bytes = calloc(1, size + 1);
	struct s3_put p = {.name = &name,
			   .fd = -1,
			   .bytes = BYTES(bytes, size),
			   .size = size,
			   .part_bytes = S3_PART_BYTES_MIN};
	int rc = s3_put(client, &p, &e);

	free(bytes);
	return rc;
}

Test(s3_client, small_objects_go_in_one_request_with_their_hash)
{
	static const char *const answers[] = {REFUSED("500", "InternalError"), DONE(""), NULL};

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(put(3), 0, "%s", e.what);
	cr_assert_not_null(strstr(server_asked(1), "PUT /b/k/1 HTTP/1.1"));
	/* sha256 of three NUL bytes */
	cr_assert_not_null(strstr(server_asked(1),
				  "x-amz-content-sha256: "
				  "709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c"));
	end(2);
}

Test(s3_client, a_multipart_upload_that_fails_is_taken_back)
{
	static const char *const answers[] = {DONE("<R><UploadId>u/1</UploadId></R>"),
					      REFUSED("403", "AccessDenied"), DONE(""), NULL};

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(put(S3_PART_BYTES_MIN + 1), ERR_DENIED);
	cr_assert_not_null(strstr(server_asked(0), "POST /b/k/1?uploads= "));
	cr_assert_not_null(strstr(server_asked(1), "PUT /b/k/1?partNumber=1&uploadId=u%2F1 "));
	cr_assert_not_null(strstr(server_asked(2), "DELETE /b/k/1?uploadId=u%2F1 "));
	end(3);
}

Test(s3_client, a_completed_upload_whose_answer_was_lost_is_there)
{
	static const char *const answers[] = {
	    DONE("<R><UploadId>u1</UploadId></R>"),
	    DONE(""),
	    DONE(""),
	    DONE("<Error><Code>InternalError</Code></Error>"),
	    REFUSED("404", "NoSuchUpload"),
	    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5242881\r\n\r\n",
	    NULL};

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(put(S3_PART_BYTES_MIN + 1), 0, "%s", e.what);
	cr_assert_not_null(
	    strstr(server_asked(3), "<Part><PartNumber>2</PartNumber><ETag>&quot;e1&quot;</ETag></Part>"));
	end(6);
}

static int count_entry(void *arg, const struct s3_entry *entry)
{
	buf_printf(arg, "%.*s=%llu/%s ", (int)entry->key.size, (const char *)entry->key.data,
		   (unsigned long long)entry->size_bytes, entry->etag);
	return 0;
}

Test(s3_client, lists_go_on_from_page_to_page)
{
	static const char *const answers[] = {
	    DONE("<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a&amp;b</Key><Size>5</Size>"
		 "<ETag>&quot;x&quot;</ETag></Contents><NextContinuationToken>t/+</NextContinuationToken></"
		 "ListBucketResult>"),
	    DONE("<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>c</Key><Size>6</Size></"
		 "Contents></ListBucketResult>"),
	    NULL};
	struct s3_list list = {.name = &name, .take = count_entry, .arg = &got};

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(s3_list(client, &list, &e), 0, "%s", e.what);
	cr_assert_str_eq(buf_text(&got), "a&b=5/x c=6/ ");
	cr_assert_not_null(strstr(server_asked(0), "GET /b?list-type=2&prefix=k%2F1 "));
	cr_assert_not_null(
	    strstr(server_asked(1), "GET /b?continuation-token=t%2F%2B&list-type=2&prefix=k%2F1 "));
	end(2);
}

Test(s3_client, a_page_that_is_no_whole_one_is_no_end_of_a_list)
{
	static const char *const pages[] = {
	    "<html>welcome to this network</html>",
	    "<ListBucketResult><Contents><Key>a</Key></Contents>",
	    "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(pages); i++) {
		struct s3_list list = {.name = &name, .take = count_entry, .arg = &got};
		char answer[400];
		const char *answers[] = {answer, NULL};

		snprintf(answer, sizeof answer, "%s%s", DONE(""), pages[i]);
		begin(answers, USEC_PER_SEC);
		cr_assert_eq(s3_list(client, &list, &e), ERR_INVALID, "%s", pages[i]);
		end(1);
	}
}

#define SAME_PAGE                                                                                            \
	DONE("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</"                   \
	     "NextContinuationToken></ListBucketResult>")

Test(s3_client, a_list_that_goes_round_in_circles_ends)
{
	static const char *const answers[] = {SAME_PAGE, SAME_PAGE, NULL};
	struct s3_list list = {.name = &name, .take = count_entry, .arg = &got};

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(s3_list(client, &list, &e), ERR_INVALID);
	end(2);
}

Test(s3_client, a_pinned_object_has_to_show_what_it_is)
{
	static const char *const answers[] = {
	    "HTTP/1.1 206 X\r\nConnection: close\r\nContent-Range: bytes 10-14/30\r\n\r\n01234",
	    "HTTP/1.1 206 X\r\nConnection: close\r\nETag: \"e1\"\r\n\r\n01234",
	    OK206("9", "13", "*", "5", "e1", "01234"), OK206("10", "14", "*", "5", "e1", "01234"), NULL};

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(get("e1", 10, 5), ERR_INVALID, "no ETag");
	cr_assert_eq(get("e1", 10, 5), ERR_INVALID, "no Content-Range");
	cr_assert_eq(get("e1", 10, 5), ERR_INVALID, "another range, of an unknown total");
	cr_assert_eq(got.size, 0);
	cr_assert_eq(get("e1", 10, 5), 0, "%s", e.what);
	end(4);
}

Test(s3_client, an_object_of_unknown_size_is_not_empty)
{
	static const char *const answers[] = {"HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\n\r\n",
					      NULL};
	struct s3_head head;

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(s3_head(client, &name, (struct s3_cancel){0}, &head, &e), ERR_INVALID);
	cr_assert_not_null(strstr(e.what, "size"), "%s", e.what);
	end(1);
}

Test(s3_client, a_server_may_ask_for_any_wait_without_harm)
{
	static const char *const waits[] = {"7200", "9223372036853", "9223372036854775807"};

	for (size_t i = 0; i < ARRAY_LENGTH(waits); i++) {
		char answer[200];
		const char *answers[] = {answer, REFUSED("503", "SlowDown"), NULL};

		snprintf(answer, sizeof answer,
			 "HTTP/1.1 503 X\r\nConnection: close\r\nRetry-After: %s\r\n\r\n", waits[i]);
		begin(answers, 5 * USEC_PER_SEC);
		cr_assert_eq(get("e1", 0, 4), ERR_BUSY, "%s", waits[i]);
		end(1); /* the wait is longer than its patience */
	}
}

Test(s3_client, headers_have_a_bound)
{
	struct buf answer = {0};
	const char *answers[] = {NULL, NULL};

	buf_printf(&answer, "HTTP/1.1 206 X\r\nConnection: close\r\nETag: \"e1\"\r\n"
			    "Content-Range: bytes 0-3/4\r\n");
	while (answer.size < 512 * KIB)
		buf_printf(&answer, "x-amz-meta-n: %01000d\r\n", 0);
	buf_printf(&answer, "\r\n0123");
	answers[0] = buf_text(&answer);
	begin(answers, 0);
	cr_assert_eq(get("e1", 0, 4), ERR_IO);
	cr_assert_eq(got.size, 0);
	end(1);
	buf_fini(&answer);
}

Test(s3_client, an_upload_is_whole_when_the_server_says_so)
{
	static const char *const answers[] = {
	    DONE("<R><UploadId>u1</UploadId></R>"),
	    DONE(""),
	    DONE(""),
	    DONE("   \n"), /* and then it fell over */
	    DONE("<CompleteMultipartUploadResult><ETag>x-2</ETag></CompleteMultipartUploadResult>"),
	    NULL};

	begin(answers, 5 * USEC_PER_SEC);
	cr_assert_eq(put(S3_PART_BYTES_MIN + 1), 0, "%s", e.what);
	end(5);
}

Test(s3_client, taking_back_an_upload_does_not_wait_for_a_silent_server)
{
	/* Whoever comes third is let in by the kernel, and nobody answers. */
	static const char *const answers[] = {DONE("<R><UploadId>u1</UploadId></R>"),
					      REFUSED("403", "AccessDenied"), NULL};
	usec_t begun = clock_mono_us();

	begin(answers, USEC_PER_SEC);
	cr_assert_eq(put(S3_PART_BYTES_MIN + 1), ERR_DENIED);
	cr_assert_lt(clock_mono_us() - begun, 25 * USEC_PER_SEC);
	end(2);
}

/* Lets one in, and hangs up on its greeting. */
static void *hang_up(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);
	char byte;

	cr_expect_eq(read(fd, &byte, 1), 1);
	close(fd);
	return NULL;
}

Test(s3_client, a_handshake_that_is_cut_off_says_nothing_about_certificates)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct s3_options options = {0};
	char endpoint[64];
	pthread_t thread;

	cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(listen(listener, 8), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
	cr_assert_eq(pthread_create(&thread, NULL, hang_up, &listener), 0);
	snprintf(endpoint, sizeof endpoint, "https://127.0.0.1:%u", ntohs(at.sin_port));
	options.endpoint = endpoint;
	cr_assert_eq(s3_client_create(&options, &client, &e), 0, "%s", e.what);
	cr_assert_eq(get("e1", 0, 4), ERR_IO, "%s", e.what);
	pthread_join(thread, NULL);
	s3_client_destroy(client);
	close(listener);
}

/* libcurl knows no such port: it will not next time either. */
Test(s3_client, what_libcurl_refuses_is_told_at_once)
{
	struct s3_options options = {.endpoint = "http://127.0.0.1:99999",
				     .patience_us = 3600 * USEC_PER_SEC};
	usec_t begun = clock_mono_us();

	cr_assert_eq(s3_client_create(&options, &client, &e), 0, "%s", e.what);
	cr_assert_eq(get("e1", 0, 4), ERR_INVALID, "%s", e.what);
	cr_assert_not_null(strstr(e.what, "libcurl refuses to send the request (libcurl "), "%s", e.what);
	cr_assert_not_null(strstr(e.help, "s3_endpoint"), "%s", e.help);
	cr_assert_lt(clock_mono_us() - begun, 60 * USEC_PER_SEC);
	s3_client_destroy(client);
}

Test(s3_client, endpoints_are_addresses)
{
	static const char *const wrong[] = {"host:80", "ftp://h", "http://", "http://h/path", "http://h?x"};

	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct s3_options options = {.endpoint = wrong[i]};

		cr_assert_eq(s3_client_create(&options, &client, &e), ERR_INVALID, "%s", wrong[i]);
		cr_assert_str_eq(e.where, "s3_endpoint");
	}
}
