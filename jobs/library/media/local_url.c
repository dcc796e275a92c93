/* A connection has a window of the object, which grows while it reads on without seeking. */
#include "jobs/library/media/local_url.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/s3/s3.h"

#define WINDOW_BYTES_MIN (256 * KIB)
#define WINDOW_BYTES_MAX (8 * MIB)
#define SECRET_BYTES 16
#define PATIENCE_US (60 * USEC_PER_SEC)

struct local_url {
	struct s3_client *client;
	struct s3_name name;
	struct s3_head head;
	struct MHD_Daemon *daemon;
	char path[2 * SECRET_BYTES + 2]; /* "/" and the secret */
	char text[80];
	pthread_mutex_t lock;
	struct error error; /* the first; code 0: none */
	_Atomic bool closing;
};

/* One answer in work. */
struct reading {
	struct local_url *url;
	uint64_t first; /* of the object, where the answer begins */
	uint64_t at;	/* of the object, where the window begins */
	struct buf window;
	uint64_t window_bytes;
};

static int take(void *arg, struct bytes piece)
{
	buf_append_bytes(arg, piece);
	return 0;
}

static bool is_closing(void *arg)
{
	return ((struct local_url *)arg)->closing;
}

static int fill(struct reading *r, uint64_t offset)
{
	struct local_url *u = r->url;
	uint64_t left = u->head.size_bytes - offset;
	struct error e = {0};
	struct s3_get get = {.name = &u->name,
			     .etag = u->head.etag,
			     .offset = offset,
			     .size = left < r->window_bytes ? left : r->window_bytes,
			     .take = take,
			     .arg = &r->window,
			     .cancel = {is_closing, u}};
	int rc;

	buf_clear(&r->window);
	r->at = offset;
	rc = s3_get(u->client, &get, &e);
	if (r->window_bytes < WINDOW_BYTES_MAX)
		r->window_bytes *= 2;
	if (rc == 0)
		return 0;
	pthread_mutex_lock(&u->lock);
	if (u->error.code == 0)
		u->error = e;
	pthread_mutex_unlock(&u->lock);
	return rc;
}

static ssize_t read_window(void *arg, uint64_t position, char *out, size_t max)
{
	struct reading *r = arg;
	uint64_t offset = r->first + position, held;

	if (offset >= r->url->head.size_bytes)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (offset < r->at || offset >= r->at + r->window.size) {
		if (fill(r, offset) < 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	held = r->at + r->window.size - offset;
	if (max > held)
		max = (size_t)held;
	memcpy(out, r->window.data + (offset - r->at), max);
	return (ssize_t)max;
}

static void end_reading(void *arg)
{
	struct reading *r = arg;

	buf_fini(&r->window);
	free(r);
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
	enum MHD_Result queued = MHD_queue_response(c, status, response);

	MHD_destroy_response(response);
	return queued;
}

/* "bytes=FIRST-" or "bytes=FIRST-LAST": false for any other (RFC 9110 lets one answer with all of it). */
static bool parse_range(const char *header, uint64_t size, uint64_t *first, uint64_t *last)
{
	unsigned long long a, b;
	int used = 0;

	if (header == NULL || sscanf(header, "bytes=%llu-%n", &a, &used) != 1 || used == 0 || a >= size)
		return false;
	*first = a;
	*last = size - 1;
	if (sscanf(header + used, "%llu", &b) == 1 && b >= a && b < size)
		*last = b;
	return true;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method,
				  const char *version, const char *data, size_t *data_size, void **state)
{
	struct local_url *u = arg;
	const char *header = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
	uint64_t first = 0, last = u->head.size_bytes > 0 ? u->head.size_bytes - 1 : 0;
	bool partial = parse_range(header, u->head.size_bytes, &first, &last);
	struct MHD_Response *response;
	enum MHD_Result queued;
	struct reading *r;
	char range[80];

	(void)version;
	(void)data;
	(void)data_size;
	(void)state;
	if (strcmp(path, u->path) != 0)
		return answer_text(c, MHD_HTTP_NOT_FOUND);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED);
	if (u->head.size_bytes == 0)
		return answer_text(c, MHD_HTTP_OK);
	r = check_calloc(1, sizeof *r);
	r->url = u;
	r->first = first;
	r->window_bytes = WINDOW_BYTES_MIN;
	response = MHD_create_response_from_callback(last - first + 1, 64 * KIB, read_window, r, end_reading);
	CHECK(response != NULL);
	(void)MHD_add_response_header(response, "Accept-Ranges", "bytes");
	snprintf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)first,
		 (unsigned long long)last, (unsigned long long)u->head.size_bytes);
	if (partial)
		(void)MHD_add_response_header(response, "Content-Range", range);
	queued = MHD_queue_response(c, partial ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return queued;
}

static int serve(struct local_url *u, struct error *reterr)
{
	struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	const union MHD_DaemonInfo *info;
	uint8_t secret[SECRET_BYTES];

	u->path[0] = '/';
	randombytes_buf(secret, sizeof secret);
	sodium_bin2hex(u->path + 1, sizeof u->path - 1, secret, sizeof secret);
	u->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL,
				     NULL, on_request, u, MHD_OPTION_SOCK_ADDR, &loopback, MHD_OPTION_END);
	info = u->daemon != NULL ? MHD_get_daemon_info(u->daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
	if (info == NULL)
		return error_set(reterr, ERR_IO, "no port of this machine could be opened: %m");
	snprintf(u->text, sizeof u->text, "http://127.0.0.1:%u%s", (unsigned)info->port, u->path);
	return 0;
}

int local_url_open(const char *s3_url, struct local_url **ret, struct error *reterr)
{
	struct s3_options options = {.patience_us = PATIENCE_US};
	struct local_url *u = check_calloc(1, sizeof *u);
	int rc;

	pthread_mutex_init(&u->lock, NULL);
	rc = sodium_init() < 0 ? error_set(reterr, ERR_IO, "no random numbers")
			       : s3_name_parse(bytes_of(s3_url), &u->name, reterr);
	if (rc == 0)
		rc = s3_client_create(&options, &u->client, reterr);
	if (rc == 0)
		rc = s3_head(u->client, &u->name, (struct s3_cancel){0}, &u->head, reterr);
	if (rc == 0)
		rc = serve(u, reterr);
	if (rc == 0)
		*ret = u;
	else
		local_url_close(u);
	return rc;
}

void local_url_close(struct local_url *u)
{
	if (u == NULL)
		return;
	u->closing = true; /* who waits for the object store waits no longer */
	if (u->daemon != NULL)
		MHD_stop_daemon(u->daemon);
	s3_client_destroy(u->client);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

const char *local_url_text(const struct local_url *u)
{
	return u->text;
}

int local_url_failed(struct local_url *u, struct error *reterr)
{
	int rc;

	pthread_mutex_lock(&u->lock);
	rc = u->error.code;
	if (rc != 0)
		*reterr = u->error;
	pthread_mutex_unlock(&u->lock);
	return rc;
}
