/* Where keys come from: environment, files, a container's endpoint, an instance's; and when anew. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/s3/credentials.h"
#include "tests/support/scratch.h"
#include "tests/unit/s3/server.h"

#define ANSWER(status, body) "HTTP/1.1 " status " X\r\nConnection: close\r\n\r\n" body

static struct s3_credentials *credentials;
static struct s3_keys keys;
static struct error e;

static void setup(void)
{
	static const char *const names[] = {"AWS_ACCESS_KEY_ID",
					    "AWS_SECRET_ACCESS_KEY",
					    "AWS_SESSION_TOKEN",
					    "AWS_PROFILE",
					    "AWS_SHARED_CREDENTIALS_FILE",
					    "AWS_CONFIG_FILE",
					    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
					    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
					    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
					    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
					    "AWS_EC2_METADATA_SERVICE_ENDPOINT"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		unsetenv(names[i]);
	scratch_make();
	setenv("HOME", scratch_path("home"), 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	credentials = s3_credentials_create();
}

static void teardown(void)
{
	s3_credentials_destroy(credentials);
	scratch_remove();
}

TestSuite(s3_credentials, .init = setup, .fini = teardown);

static int find(void)
{
	e = (struct error){0};
	keys = (struct s3_keys){0};
	return s3_credentials_get(credentials, &keys, &e);
}

static void write_file(const char *file, const char *text)
{
	cr_assert_eq(fs_make_dirs(scratch_path("home/.aws"), 0700, NULL), 0);
	cr_assert_eq(fs_write_file(scratch_path(file), bytes_of(text), 0600, NULL), 0);
}

/* An answer whose keys expire so many seconds from now. */
static const char *expiring(const char *id, int seconds)
{
	static char answers[4][400];
	static unsigned next;
	char *to = answers[next++ % 4];
	time_t when = time(NULL) + seconds;
	struct tm tm;
	char text[40];

	gmtime_r(&when, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(
	    to, 400,
	    ANSWER(
		"200",
		"{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"%s\"}"),
	    id, text);
	return to;
}

Test(s3_credentials, the_environment_comes_first)
{
	write_file("home/.aws/credentials", "[default]\naws_access_key_id=F\naws_secret_access_key=S\n");
	setenv("AWS_ACCESS_KEY_ID", "E", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("AWS_SESSION_TOKEN", "token", 1);
	cr_assert_eq(find(), 0, "%s", e.what);
	cr_assert_str_eq(keys.id, "E");
	cr_assert_str_eq(keys.secret, "secret");
	cr_assert_str_eq(keys.token, "token");
	cr_assert_eq(keys.expires_wall_us, USEC_NEVER);
}

Test(s3_credentials, then_the_profile_in_the_shared_files)
{
	write_file("home/.aws/credentials", "[default]\naws_access_key_id=F\naws_secret_access_key=S\n");
	write_file("home/.aws/config", "[profile lab]\naws_access_key_id=L\naws_secret_access_key=S\n");
	cr_assert_eq(find(), 0, "%s", e.what);
	cr_assert_str_eq(keys.id, "F");
	s3_credentials_drop(credentials, &keys);
	setenv("AWS_PROFILE", "lab", 1);
	cr_assert_eq(find(), 0, "%s", e.what);
	cr_assert_str_eq(keys.id, "L");
}

Test(s3_credentials, half_a_profile_is_told)
{
	write_file("home/.aws/credentials", "[default]\naws_access_key_id=F\n");
	cr_assert_eq(find(), ERR_INVALID);
	cr_assert_not_null(strstr(e.what, "no aws_secret_access_key"), "%s", e.what);
	cr_assert_not_null(strstr(e.where, "home/.aws/credentials"));
}

Test(s3_credentials, none_says_where_was_looked)
{
	cr_assert_eq(find(), ERR_DENIED);
	cr_assert_not_null(strstr(e.what, "AWS_ACCESS_KEY_ID"));
	cr_assert_not_null(strstr(e.what, "~/.aws"));
}

Test(s3_credentials, a_container_tells_them_to_who_shows_its_token)
{
	const char *const answers[] = {ANSWER("500", ""), expiring("C1", 3600), NULL};
	char url[100];

	snprintf(url, sizeof url, "%s/role", server_start(answers));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	write_file("token", "let-me-in\n");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", scratch_path("token"), 1);
	cr_assert_eq(find(), 0, "%s", e.what);
	cr_assert_str_eq(keys.id, "C1");
	cr_assert_str_eq(keys.token, "t");
	cr_assert_not_null(strstr(server_asked(1), "GET /role "));
	cr_assert_not_null(strstr(server_asked(1), "Authorization: let-me-in\r\n"));
	cr_assert_eq(find(), 0, "kept: nobody is asked");
	cr_assert_eq(server_count(), 2);
	server_stop();
}

Test(s3_credentials, keys_that_end_soon_are_fetched_anew_and_serve_meanwhile)
{
	const char *const answers[] = {expiring("C1", 100), ANSWER("404", ""), expiring("C2", 3600), NULL};

	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_start(answers), 1);
	cr_assert_eq(find(), 0, "%s", e.what);
	cr_assert_str_eq(keys.id, "C1");
	cr_assert_eq(find(), 0);
	cr_assert_eq(server_count(), 1, "asked again only after a while");
	s3_credentials_drop(credentials, &keys); /* the server says that they are stale */
	cr_assert_eq(find(), ERR_IO, "asked anew, and there is nothing");
	cr_assert_eq(find(), 0);
	cr_assert_str_eq(keys.id, "C2");
	server_stop();
}

Test(s3_credentials, tokens_go_to_this_machine_or_over_tls)
{
	static const char *const wrong[] = {"http://example.com/x", "http://127.0.0.1.example.com/",
					    "http://localhost.example.com/", "http://localhost@example.com/",
					    "ftp://127.0.0.1/"};

	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", wrong[i], 1);
		cr_assert_eq(find(), ERR_INVALID, "%s", wrong[i]);
	}
}

Test(s3_credentials, an_instance_tells_them_by_its_role)
{
	const char *const answers[] = {ANSWER("200", "imds-token"), ANSWER("200", "mill-role\n"),
				       expiring("I1", 3600), NULL};

	setenv("AWS_EC2_METADATA_DISABLED", "false", 1);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_start(answers), 1);
	cr_assert_eq(find(), 0, "%s", e.what);
	cr_assert_str_eq(keys.id, "I1");
	cr_assert_not_null(strstr(server_asked(0), "PUT /latest/api/token "));
	cr_assert_not_null(strstr(server_asked(0), "X-aws-ec2-metadata-token-ttl-seconds: "));
	cr_assert_not_null(
	    strstr(server_asked(2), "GET /latest/meta-data/iam/security-credentials/mill-role "));
	cr_assert_not_null(strstr(server_asked(2), "X-aws-ec2-metadata-token: imds-token\r\n"));
	server_stop();
}

Test(s3_credentials, an_instance_whose_endpoint_is_away_for_a_while_has_lost_nothing)
{
	const char *const answers[] = {ANSWER("200", "imds-token"), ANSWER("200", "mill-role"),
				       expiring("I1", 3600), ANSWER("503", ""), NULL};

	setenv("AWS_EC2_METADATA_DISABLED", "false", 1);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_start(answers), 1);
	cr_assert_eq(find(), 0, "%s", e.what);
	s3_credentials_drop(credentials, &keys);
	cr_assert_eq(find(), ERR_IO, "not final: another try may find them");
	server_stop();
}

Test(s3_credentials, an_answer_that_is_none_is_told)
{
	static const char *const answers[] = {ANSWER("200", "<html>"), NULL};

	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_start(answers), 1);
	cr_assert_eq(find(), ERR_INVALID);
	cr_assert_not_null(strstr(e.what, "AccessKeyId"), "%s", e.what);
	server_stop();
}
