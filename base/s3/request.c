#include "base/s3/request.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/curl_code.h"
#include "base/s3/client.h"
#include "base/s3/sign.h"

#define CONNECT_MS 10000L
#define SILENCE_S 30L  /* nothing came for so long: the connection is dead */
#define EXPECT_MS 500L /* for "go on" before a large body is sent */
#define BUFFER_BYTES (512L * 1024)
#define NAP_US (20 * USEC_PER_MSEC)
#define RETRY_AFTER_MAX_S 3600
#define HASH_BLOCK ((size_t)65536)

/* One try in work. */
struct exchange {
	const struct s3_request *rq;
	struct s3_answer *answer;
	CURL *curl;
	uint64_t sent;
	bool begun, ended, too_large, unreadable;
	CURLcode refused; /* libcurl does not take one of our options */
	char error[CURL_ERROR_SIZE];
};

static void read_header(struct s3_answer *a, struct bytes line)
{
	const uint8_t *colon = memchr(line.data, ':', line.size);
	char name[32], value[256];
	size_t size, skip = 1;
	unsigned long long first = 0, total = 0;
	int found;

	if (colon == NULL || (size = (size_t)(colon - line.data)) >= sizeof name)
		return;
	memcpy(name, line.data, size);
	name[size] = '\0';
	while (size + skip < line.size && line.data[size + skip] == ' ')
		skip++;
	size = line.size - size - skip;
	if (size >= sizeof value)
		return;
	memcpy(value, line.data + line.size - size, size);
	value[size] = '\0';
	value[strcspn(value, "\r\n")] = '\0';
	if (strcasecmp(name, "etag") == 0) {
		s3_etag_bare(bytes_of(value), a->etag, sizeof a->etag);
	} else if (strcasecmp(name, "content-length") == 0) {
		a->length = strtoull(value, NULL, 10);
		a->has_length = true;
	} else if (strcasecmp(name, "content-range") == 0) {
		found = sscanf(value, "bytes %llu-%*u/%llu", &first, &total); /* the total may be '*' */
		a->has_range = found >= 1;
		a->range_first = first;
		a->range_total = total;
	} else if (strcasecmp(name, "x-amz-bucket-region") == 0) {
		snprintf(a->region, sizeof a->region, "%.39s", value);
	}
}

static size_t on_header(char *data, size_t unit, size_t count, void *arg)
{
	struct exchange *x = arg;

	if (unit * count > 5 && memcmp(data, "HTTP/", 5) == 0) { /* behind a 100 Continue */
		struct buf body = x->answer->body;

		*x->answer = (struct s3_answer){.body = body};
	}
	read_header(x->answer, BYTES(data, unit * count));
	return unit * count;
}

static size_t on_body(char *data, size_t unit, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t size = unit * count;
	long status = 0;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	x->answer->status = (unsigned)status;
	if (status / 100 != 2 || x->rq->take == NULL) {
		x->too_large = x->answer->body.size + size > S3_ANSWER_BYTES_MAX;
		if (x->too_large)
			return 0;
		buf_append(&x->answer->body, data, size);
		return size;
	}
	if (!x->begun && x->rq->begin != NULL)
		x->ended = x->rq->begin(x->rq->arg, x->answer) != 0;
	x->begun = true;
	if (!x->ended)
		x->ended = x->rq->take(x->rq->arg, BYTES(data, size)) != 0;
	return x->ended ? 0 : size;
}

static size_t on_send(char *room, size_t unit, size_t count, void *arg)
{
	struct exchange *x = arg;
	const struct s3_put *b = x->rq->body;
	uint64_t left = b->size - x->sent;
	size_t size = unit * count < left ? unit * count : (size_t)left;
	ssize_t got = (ssize_t)size;

	if (b->fd >= 0)
		got = pread(b->fd, room, size, (off_t)(b->offset + x->sent));
	else if (size > 0)
		memcpy(room, b->bytes.data + b->offset + x->sent, size);
	if (got < 0 || (got == 0 && size > 0)) {
		x->unreadable = true;
		return CURL_READFUNC_ABORT;
	}
	x->sent += (uint64_t)got;
	return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *x = arg;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	x->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct exchange *x = arg;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return x->rq->cancel.cancelled != NULL && x->rq->cancel.cancelled(x->rq->cancel.arg);
}

/* A command that is started meanwhile must not inherit it. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	(void)arg;
	(void)purpose;
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* The server checks the body by this hash, which is signed. */
static int hash_body(const struct s3_put *b, char ret[2 * crypto_hash_sha256_BYTES + 1], struct error *reterr)
{
	uint8_t block[HASH_BLOCK], hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;
	uint64_t done = 0;

	crypto_hash_sha256_init(&state);
	if (b != NULL && b->fd < 0 && b->size > 0)
		crypto_hash_sha256_update(&state, b->bytes.data + b->offset, b->size);
	while (b != NULL && b->fd >= 0 && done < b->size) {
		size_t want = b->size - done < sizeof block ? (size_t)(b->size - done) : sizeof block;
		ssize_t got = pread(b->fd, block, want, (off_t)(b->offset + done));

		if (got <= 0)
			return error_set(reterr, ERR_IO, "cannot read what is to be written to an object: %s",
					 got < 0 ? strerror(errno) : "it became shorter");
		crypto_hash_sha256_update(&state, block, (unsigned long long)got);
		done += (uint64_t)got;
	}
	crypto_hash_sha256_final(&state, hash);
	sodium_bin2hex(ret, 2 * crypto_hash_sha256_BYTES + 1, hash, sizeof hash);
	return 0;
}

/* Which headers a request has, all of them signed, by name. */
enum header { H_CONTENT_TYPE, H_HOST, H_IF_MATCH, H_RANGE, H_BODY_HASH, H_DATE, H_TOKEN, HEADER_COUNT };

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	struct buf line = {0};

	buf_printf(&line, "%s: %s", name, value);
	list = curl_slist_append(list, buf_text(&line));
	CHECK(list != NULL);
	buf_fini(&line);
	return list;
}

static struct curl_slist *sign(const struct s3_client *c, const struct s3_request *rq, const char *url,
			       const char *body_hash, const struct s3_keys *keys)
{
	char time[S3_TIME_BYTES], tag[S3_ETAG_BYTES_MAX + 2] = "", range[64] = "";
	struct buf host = {0}, authorization = {0};
	struct curl_slist *list = NULL;
	const char *type = rq->body == NULL	    ? ""
			   : rq->body->type != NULL ? rq->body->type
						    : "application/octet-stream";

	s3_signing_time(clock_wall_us(), time);
	s3_signing_host(&host, url);
	if (rq->etag != NULL && rq->etag[0] != '\0')
		snprintf(tag, sizeof tag, "\"%s\"", rq->etag);
	if (rq->ranged)
		snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)rq->first,
			 (unsigned long long)rq->last);

	const struct s3_header headers[HEADER_COUNT] = {
	    [H_CONTENT_TYPE] = {"Content-Type", type},
	    [H_HOST] = {"Host", buf_text(&host)},
	    [H_IF_MATCH] = {"If-Match", tag},
	    [H_RANGE] = {"Range", range},
	    [H_BODY_HASH] = {"x-amz-content-sha256", body_hash},
	    [H_DATE] = {"x-amz-date", time},
	    [H_TOKEN] = {"x-amz-security-token", keys->token},
	};
	const struct s3_signing signing = {rq->method, url,	c->region,   time,
					   body_hash,  headers, HEADER_COUNT};

	s3_sign(&authorization, &signing, keys);
	for (size_t i = 0; i < HEADER_COUNT; i++)
		if (headers[i].value[0] != '\0')
			list = add_header(list, headers[i].name, headers[i].value);
	list = add_header(list, "Authorization", buf_text(&authorization));
	buf_fini(&host);
	buf_fini(&authorization);
	return list;
}

/* The first option that libcurl does not take ends the exchange. */
#define SET(x, option, value)                                                                                \
	do {                                                                                                 \
		if ((x)->refused == CURLE_OK)                                                                \
			(x)->refused = curl_easy_setopt((x)->curl, option, value);                           \
	} while (0)

static void set_connection(const struct s3_client *c, struct exchange *x)
{
	SET(x, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(x, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(x, CURLOPT_PATH_AS_IS, 1L);
	SET(x, CURLOPT_NOSIGNAL, 1L);
	SET(x, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(x, CURLOPT_ERRORBUFFER, x->error);
	SET(x, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(x, CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(x, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
	SET(x, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_MS);
	SET(x, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	SET(x, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	if (c->ca_file[0] != '\0')
		SET(x, CURLOPT_CAINFO, c->ca_file);
	SET(x, CURLOPT_NOPROGRESS, 0L);
	SET(x, CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(x, CURLOPT_XFERINFODATA, x);
}

static void set_request(struct exchange *x, const char *url, struct curl_slist *headers)
{
	const struct s3_request *rq = x->rq;

	SET(x, CURLOPT_URL, url);
	SET(x, CURLOPT_HTTPHEADER, headers);
	SET(x, CURLOPT_HEADERFUNCTION, on_header);
	SET(x, CURLOPT_HEADERDATA, x);
	SET(x, CURLOPT_WRITEFUNCTION, on_body);
	SET(x, CURLOPT_WRITEDATA, x);
	if (strcmp(rq->method, "HEAD") == 0) {
		SET(x, CURLOPT_NOBODY, 1L);
		return;
	}
	if (rq->body != NULL) {
		SET(x, CURLOPT_UPLOAD, 1L);
		SET(x, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->body->size);
		SET(x, CURLOPT_READFUNCTION, on_send);
		SET(x, CURLOPT_READDATA, x);
		SET(x, CURLOPT_SEEKFUNCTION, on_seek);
		SET(x, CURLOPT_SEEKDATA, x);
	}
	SET(x, CURLOPT_CUSTOMREQUEST, rq->method);
}

static bool is_trust(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
}

static void judge(struct exchange *x, CURLcode code, struct s3_problem *ret)
{
	curl_off_t after = 0;
	long status = 0;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(x->curl, CURLINFO_RETRY_AFTER, &after);
	x->answer->status = (unsigned)status;
	/* Whatever the server sends, times stay far from overflow. */
	after = after < 0 ? 0 : after < RETRY_AFTER_MAX_S ? after : RETRY_AFTER_MAX_S;
	x->answer->retry_after_us = (usec_t)after * USEC_PER_SEC;
	/* A refusal that came whole counts, also when the server then hung up on the rest of a body. */
	if (code == CURLE_OK || status >= 300) {
		s3_problem_read((unsigned)status, buf_bytes(&x->answer->body), ret);
		if (ret->region[0] == '\0')
			snprintf(ret->region, sizeof ret->region, "%s", x->answer->region);
		return;
	}
	*ret = (struct s3_problem){.fault = is_trust(code)	       ? S3_TRUST
					    : x->too_large	       ? S3_REFUSED
					    : curl_code_may_pass(code) ? S3_BROKEN
								       : S3_LIBRARY};
	if (x->too_large)
		snprintf(ret->message, sizeof ret->message, "its answer has more than %zu bytes",
			 S3_ANSWER_BYTES_MAX);
	else if (ret->fault == S3_LIBRARY)
		curl_code_words(code, x->error, ret->message, sizeof ret->message);
	else
		snprintf(ret->message, sizeof ret->message, "%.199s",
			 x->error[0] != '\0' ? x->error : curl_easy_strerror(code));
}

int s3_exchange(struct s3_client *c, const struct s3_request *rq, struct s3_answer *ret_answer,
		struct s3_problem *ret_problem, struct error *reterr)
{
	const struct s3_place place = {c->endpoint, c->region, c->path_style};
	struct exchange x = {.rq = rq, .answer = ret_answer};
	char body_hash[2 * crypto_hash_sha256_BYTES + 1];
	struct curl_slist *headers;
	struct buf url = {0};
	struct s3_keys keys;
	CURLcode code;
	int rc;

	*ret_answer = (struct s3_answer){0};
	rc = s3_credentials_get(c->credentials, &keys, reterr);
	if (rc == 0)
		rc = hash_body(rq->body, body_hash, reterr);
	if (rc < 0)
		return rc;
	s3_url(&url, &place, rq->name, rq->query, rq->query_count);
	headers = sign(c, rq, buf_text(&url), body_hash, &keys);
	x.curl = s3_client_take(c);
	set_connection(c, &x);
	set_request(&x, buf_text(&url), headers);
	code = x.refused != CURLE_OK ? x.refused : curl_easy_perform(x.curl);
	if (x.ended || code == CURLE_ABORTED_BY_CALLBACK) {
		rc = x.unreadable
			 ? error_set(reterr, ERR_IO, "cannot read what is to be written to an object")
			 : s3_cancelled(reterr);
	} else {
		judge(&x, code, ret_problem);
		if (ret_problem->fault == S3_STALE_KEY)
			s3_credentials_drop(c->credentials, &keys);
	}
	curl_slist_free_all(headers);
	buf_fini(&url);
	s3_client_give(c, x.curl);
	explicit_bzero(&keys, sizeof keys);
	return rc;
}

void s3_answer_fini(struct s3_answer *a)
{
	buf_fini(&a->body);
}

int s3_cancelled(struct error *reterr)
{
	return error_set(reterr, ERR_CLOSED, "the transfer was ended before its end");
}

static bool is_cancelled(const struct s3_cancel *cancel)
{
	return cancel->cancelled != NULL && cancel->cancelled(cancel->arg);
}

bool s3_patience_wait(struct s3_client *c, struct s3_patience *p, const struct s3_problem *problem,
		      usec_t asked_us, const struct s3_cancel *cancel)
{
	usec_t now = clock_mono_us(), until;

	if (!s3_fault_is_passing(problem->fault))
		return false;
	if (p->tries++ == 0)
		p->since_us = now;
	pthread_mutex_lock(&c->lock);
	until = now + s3_retry_wait_us(p->tries, asked_us, &c->rng);
	pthread_mutex_unlock(&c->lock);
	if (until >= p->since_us + c->patience_us)
		return false;
	while (now < until && !is_cancelled(cancel)) {
		usec_t nap = until - now < NAP_US ? until - now : NAP_US;

		nanosleep(&(struct timespec){.tv_nsec = nap * 1000}, NULL);
		now = clock_mono_us();
	}
	return true;
}

int s3_failed(const struct s3_problem *p, const char *verb, const struct s3_name *name, struct error *reterr)
{
	char url[S3_BUCKET_BYTES_MAX + KEY_BYTES_MAX + 16];

	snprintf(url, sizeof url, "s3://%s/%s", name->bucket, name->key);
	return s3_problem_error(p, verb, bytes_of(url), reterr);
}

int s3_request(struct s3_client *c, const struct s3_request *rq, const char *verb, struct s3_answer *ret,
	       struct error *reterr)
{
	struct s3_patience patience = {0};
	struct s3_problem problem;
	int rc;

	for (;;) {
		if (is_cancelled(&rq->cancel)) {
			*ret = (struct s3_answer){0};
			return s3_cancelled(reterr);
		}
		rc = s3_exchange(c, rq, ret, &problem, reterr);
		if (rc < 0 || problem.fault == S3_FINE)
			return rc;
		if (!s3_patience_wait(c, &patience, &problem, ret->retry_after_us, &rq->cancel))
			return s3_failed(&problem, verb, rq->name, reterr);
		s3_answer_fini(ret);
	}
}
