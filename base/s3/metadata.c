#include "base/s3/metadata.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/url.h"

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"
#define ANSWER_BYTES_MAX ((size_t)65536)
#define CONNECT_MS 1000L
#define WHOLE_MS 5000L
#define TRIES 3

struct call {
	const char *method, *url;
	const char *header; /* "Name: value" or NULL */
	struct buf *out;
};

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

static size_t on_body(char *data, size_t unit, size_t count, void *arg)
{
	struct buf *out = arg;

	if (out->size + unit * count > ANSWER_BYTES_MAX)
		return 0;
	buf_append(out, data, unit * count);
	return unit * count;
}

/* The status, or 0 when nobody answers. */
static long perform(const struct call *call)
{
	struct curl_slist *headers = call->header != NULL ? curl_slist_append(NULL, call->header) : NULL;
	CURL *curl = curl_easy_init();
	long status = 0;

	CHECK(curl != NULL);
	buf_clear(call->out);
	curl_easy_setopt(curl, CURLOPT_URL, call->url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, WHOLE_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, call->out);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return status;
}

static long perform_patiently(const struct call *call)
{
	long status = 0;

	for (int i = 0; i < TRIES && (status == 0 || status / 100 == 5); i++)
		status = perform(call);
	return status;
}

static int refused(const char *url, long status, struct error *reterr)
{
	if (status == 0)
		error_set(reterr, ERR_IO, "the credentials' endpoint does not answer");
	else
		error_set(reterr, ERR_IO, "the credentials' endpoint answered %ld", status);
	error_where(reterr, "%.200s", url);
	return ERR_IO;
}

/* Tokens are sent there: only over TLS, or to an address that does not leave the machine. */
static bool is_safe(const char *url)
{
	static const char *const hosts[] = {"localhost", "[::1]", "169.254.170.2", "169.254.170.23"};
	struct url named = url_of(bytes_of(url));
	const char *host = (const char *)named.rest.data;
	size_t size;

	if (named.scheme != URL_HTTP)
		return named.scheme == URL_HTTPS;
	size = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#@");
	if (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == size)
		return host[size] != '@';
	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++)
		if (strlen(hosts[i]) == size && strncmp(host, hosts[i], size) == 0)
			return host[size] != '@';
	return false;
}

static int authorization(struct buf *header, struct error *reterr)
{
	const char *path = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	int rc = 0;

	buf_printf(header, "Authorization: ");
	if (path[0] != '\0')
		rc = fs_read_file(path, ANSWER_BYTES_MAX, header, reterr);
	else
		buf_printf(header, "%s", environment("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
	while (header->size > 0 && strchr("\r\n ", header->data[header->size - 1]) != NULL)
		header->size--;
	if (rc == 0 && memchr(header->data, '\n', header->size) != NULL)
		rc = error_set(reterr, ERR_INVALID, "the container's authorization token has several lines");
	return rc;
}

int s3_container_credentials(struct buf *out, struct error *reterr)
{
	const char *relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct buf header = {0};
	char url[2048];
	long status;
	int rc;

	if (relative[0] == '\0' && full[0] == '\0')
		return 0;
	snprintf(url, sizeof url, "%s%s", relative[0] != '\0' ? CONTAINER_HOST : "",
		 relative[0] != '\0' ? relative : full);
	if (!is_safe(url)) {
		error_set(reterr, ERR_INVALID, "expected https://, or an address of this machine");
		return error_where(reterr, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	}
	rc = authorization(&header, reterr);
	if (rc == 0) {
		bool has_token = header.size > strlen("Authorization:");

		status =
		    perform_patiently(&(struct call){"GET", url, has_token ? buf_text(&header) : NULL, out});
		rc = status == 200 ? 1 : refused(url, status, reterr);
	}
	buf_fini(&header);
	return rc;
}

int s3_instance_credentials(struct buf *out, struct error *reterr)
{
	const char *host = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	struct buf token = {0}, header = {0};
	char url[2048];
	size_t size;
	long status;
	int rc = 0;

	if (strcasecmp(environment("AWS_EC2_METADATA_DISABLED"), "true") == 0)
		return 0;
	if (host[0] == '\0')
		host = INSTANCE_HOST;
	size = strlen(host);
	while (size > 0 && host[size - 1] == '/')
		size--;
	snprintf(url, sizeof url, "%.*s/latest/api/token", (int)size, host);
	if (perform(&(struct call){"PUT", url, "X-aws-ec2-metadata-token-ttl-seconds: 21600", &token}) !=
	    200) {
		buf_fini(&token);
		return 0; /* no instance, or none that hands out credentials */
	}
	buf_printf(&header, "X-aws-ec2-metadata-token: %s", buf_text(&token));
	snprintf(url, sizeof url, "%.*s" ROLE_PATH, (int)size, host);
	status = perform_patiently(&(struct call){"GET", url, buf_text(&header), out});
	if (status == 200) {
		size_t role = strcspn(buf_text(out), "\r\n");

		snprintf(url, sizeof url, "%.*s" ROLE_PATH "%.*s", (int)size, host, (int)role, buf_text(out));
		status = perform_patiently(&(struct call){"GET", url, buf_text(&header), out});
		rc = status == 200 ? 1 : refused(url, status, reterr);
	} else if (status != 404) {
		rc = refused(url, status, reterr);
	}
	buf_fini(&token);
	buf_fini(&header);
	return rc;
}
