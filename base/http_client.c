#include "base/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/curl_code.h"
#include "base/url.h"

struct http_client {
	CURL *curl;
	char *address;
	bool is_url;
	char error[CURL_ERROR_SIZE];
};

/* One call in work. */
struct transfer {
	CURL *curl;
	const struct http_call *call;
	struct buf body, failure;
	bool too_large, ended;
};

int http_client_create(const char *address, struct http_client **ret, struct error *reterr)
{
	bool is_url = url_is_http(bytes_of(address));
	struct http_client *c;

	if (!is_url && strlen(address) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
		error_set(reterr, ERR_LIMIT, "the path of a Unix socket has at most %zu bytes, found %zu",
			  sizeof((struct sockaddr_un *)NULL)->sun_path - 1, strlen(address));
		error_where(reterr, "%.200s", address);
		error_help(reterr, "choose a shorter one with --api-socket");
		return ERR_LIMIT;
	}
	c = check_calloc(1, sizeof *c);
	c->address = strdup(address);
	c->is_url = is_url;
	c->curl = curl_easy_init();
	CHECK(c->address != NULL && c->curl != NULL);
	*ret = c;
	return 0;
}

void http_client_destroy(struct http_client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->curl);
	free(c->address);
	free(c);
}

static size_t on_body(char *data, size_t unit, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t size = unit * count;
	long status = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->call->take != NULL && status / 100 == 2) {
		t->ended = t->call->take(t->call->take_arg, BYTES(data, size)) != 0;
		return t->ended ? 0 : size;
	}
	t->too_large = t->body.size + size > HTTP_ANSWER_BYTES_MAX;
	if (t->too_large)
		return 0;
	buf_append(&t->body, data, size);
	return size;
}

/* Is the line, with its end, of the header of that name? *ret: its value. */
static bool header_value(struct bytes line, const char *name, struct bytes *ret)
{
	size_t length = strlen(name);
	struct bytes value;

	if (line.size <= length || strncasecmp((const char *)line.data, name, length) != 0 ||
	    line.data[length] != ':')
		return false;
	value = BYTES(line.data + length + 1, line.size - length - 1);
	while (value.size > 0 && value.data[value.size - 1] <= ' ')
		value.size--;
	while (value.size > 0 && value.data[0] <= ' ')
		value = BYTES(value.data + 1, value.size - 1);
	*ret = value;
	return true;
}

/* One line of the head, or of what comes behind the body. */
static size_t on_header(char *data, size_t unit, size_t count, void *arg)
{
	struct transfer *t = arg;
	struct http_header *h = t->call->wanted;
	struct bytes line = BYTES(data, unit * count), value;

	if (h != NULL && line.size > 5 && memcmp(data, "HTTP/", 5) == 0)
		h->value[0] = '\0'; /* another answer begins */
	if (h != NULL && header_value(line, h->name, &value))
		snprintf(h->value, sizeof h->value, "%.*s", (int)value.size, (const char *)value.data);
	if (header_value(line, HTTP_FAILURE_TRAILER, &value)) {
		buf_clear(&t->failure);
		buf_append_bytes(&t->failure, value);
	}
	return line.size;
}

static struct curl_slist *headers_of(const struct http_call *call)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no waiting for 100 Continue */
	char type[160];

	if (call->body.data != NULL) {
		snprintf(type, sizeof type, "Content-Type: %s",
			 call->type != NULL ? call->type : "application/json");
		list = curl_slist_append(list, type);
	}
	if (call->take != NULL)
		list = curl_slist_append(list, "TE: trailers");
	for (size_t i = 0; call->headers != NULL && call->headers[i] != NULL; i++)
		list = curl_slist_append(list, call->headers[i]);
	return list;
}

static void set_up(struct http_client *c, struct transfer *t, const char *url, struct curl_slist *headers)
{
	const struct http_call *call = t->call;

	curl_easy_reset(c->curl); /* keeps the connection */
	if (!c->is_url)
		curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->address);
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_PROXY, ""); /* the environment's is not for us */
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	if (call->wanted != NULL)
		call->wanted->value[0] = '\0';
	curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)((call->timeout_us + 999) / 1000));
	if (call->body.data != NULL || strcmp(call->method, "POST") == 0) {
		curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS,
				 call->body.data != NULL ? (const char *)call->body.data : "");
	}
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, call->method);
}

/* Why there is no connection to a Unix socket: an errno, which libcurl does not always tell; 0 = it works
 * now. */
static int connect_errno(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, code;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	memcpy(address.sun_path, path, strlen(path) + 1); /* it fits: http_client_create */
	code = connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
	close(fd);
	return code;
}

/* A socket that is there and not for us. */
static int denied(const struct http_client *c, struct error *reterr)
{
	struct stat st;
	const struct passwd *owner = stat(c->address, &st) == 0 ? getpwuid(st.st_uid) : NULL;

	error_set(reterr, ERR_DENIED, "permission to use this socket is denied");
	error_where(reterr, "%s", c->address);
	if (owner != NULL)
		error_help(
		    reterr,
		    "it belongs to the user %s: call it as that user, or over HTTP with --api and a token",
		    owner->pw_name);
	else
		error_help(
		    reterr,
		    "call it as the user who started the dispatcher, or over HTTP with --api and a token");
	return ERR_DENIED;
}

static int failed(const struct http_client *c, const struct transfer *t, CURLcode code, struct error *reterr)
{
	char words[200];
	int rc;

	if (code == CURLE_COULDNT_CONNECT && !c->is_url) {
		rc = connect_errno(c->address);
		if (rc == EACCES || rc == EPERM)
			return denied(c, reterr);
	}
	if (t->too_large)
		rc = error_set(reterr, ERR_LIMIT, "the answer is larger than %zu bytes",
			       (size_t)HTTP_ANSWER_BYTES_MAX);
	else if (t->ended)
		rc = error_set(reterr, ERR_CLOSED, "the answer was not taken to its end");
	else if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		rc = error_set(reterr, ERR_CLOSED, "no dispatcher listens here");
	else if (code == CURLE_OPERATION_TIMEDOUT)
		rc = error_set(reterr, ERR_TIMEOUT, "the dispatcher did not answer in time");
	else if (curl_code_may_pass(code))
		rc = error_set(reterr, ERR_IO, "the dispatcher's answer was cut off: %s",
			       c->error[0] != '\0' ? c->error : curl_easy_strerror(code));
	else {
		curl_code_words(code, c->error, words, sizeof words);
		rc = error_set(reterr, ERR_INVALID, "the request cannot be sent: %s", words);
	}
	error_where(reterr, "%s", c->address);
	if (code == CURLE_COULDNT_CONNECT)
		error_help(reterr, "start it with `shardmill up`, or name its socket with --api-socket");
	return rc;
}

int http_client_call(struct http_client *c, const struct http_call *call, struct http_answer *ret,
		     struct error *reterr)
{
	struct transfer t = {.curl = c->curl, .call = call};
	struct curl_slist *headers = headers_of(call);
	struct buf url = {0};
	curl_off_t retry_after = 0;
	long status = 0;
	CURLcode code;

	if (c->is_url) /* a slash at its end is easily written */
		buf_append(&url, c->address,
			   strlen(c->address) - (c->address[strlen(c->address) - 1] == '/'));
	else
		buf_printf(&url, "http://localhost");
	buf_printf(&url, "%s", call->path);
	c->error[0] = '\0';
	set_up(c, &t, buf_text(&url), headers);
	code = curl_easy_perform(c->curl);
	curl_slist_free_all(headers);
	buf_fini(&url);
	if (code != CURLE_OK) {
		buf_fini(&t.body);
		buf_fini(&t.failure);
		return failed(c, &t, code, reterr);
	}
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &retry_after);
	buf_text(&t.body);
	*ret = (struct http_answer){.status = (unsigned)status, .body = t.body, .failure = t.failure};
	ret->retry_after_us = (usec_t)retry_after * USEC_PER_SEC;
	return 0;
}

void http_answer_fini(struct http_answer *a)
{
	buf_fini(&a->body);
	buf_fini(&a->failure);
	*a = (struct http_answer){0};
}
