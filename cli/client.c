#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/statedir.h"
#include "base/text.h"
#include "base/url.h"

#define CALL_TIMEOUT_US (90 * USEC_PER_SEC) /* longer than the API's longest wait */
#define PAUSE_US (200 * USEC_PER_MSEC)
#define TOKEN_BYTES_MAX 4096u
#define TOKEN_DEFAULT_PATH "keys/api-token"

/* ---- where it is ---- */

int client_state_path(const struct params *params, const char *name, char **ret, struct error *reterr)
{
	struct statedir sd = {.path = (char *)(uintptr_t)params_text(params, PARAM_STATE_DIR)};
	char *owned = NULL;

	if (sd.path[0] == '\0') {
		int r = statedir_default(&owned, reterr);

		if (r != 0)
			return r;
		sd.path = owned;
	}
	*ret = statedir_path(&sd, name);
	free(owned);
	return 0;
}

static int read_token(struct client *c, const struct params *params, struct error *reterr)
{
	const char *given = params_text(params, PARAM_API_TOKEN_FILE);
	struct buf text = {0}, header = {0};
	struct error e = {0};
	char *path = NULL;
	int r = 0;

	if (given[0] != '\0')
		path = strdup(given);
	else if (client_state_path(params, TOKEN_DEFAULT_PATH, &path, NULL) != 0)
		return 0;
	CHECK(path != NULL);
	r = fs_read_file(path, TOKEN_BYTES_MAX, &text, &e);
	free(path);
	while (text.size > 0 && text.data[text.size - 1] <= ' ')
		text.size--;
	for (size_t i = 0; r == 0 && i < text.size; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			r = error_set(&e, ERR_INVALID, "expected a token, one word of visible ASCII");
	if (r == 0) {
		buf_printf(&header, "Authorization: Bearer %s", buf_text(&text));
		buf_text(&header);
		c->authorization = (char *)header.data;
	} else if (given[0] != '\0' && reterr != NULL) {
		*reterr = e;
		error_help(reterr, "it was named by api_token_file");
	}
	buf_fini(&text);
	return given[0] != '\0' ? r : 0; /* without one, the API says whether it needs it */
}

int client_open(struct client *c, const struct params *params, struct error *reterr)
{
	const char *url = params_text(params, PARAM_API), *socket = params_text(params, PARAM_API_SOCKET);
	enum param_from state_from = params->values[PARAM_STATE_DIR].from;
	int r = 0;

	/* Who names a state directory means its socket, whatever the environment of a shard says of another
	 * mill. */
	if (state_from > params->values[PARAM_API_SOCKET].from && state_from > params->values[PARAM_API].from)
		url = socket = "";
	if (params->values[PARAM_API_SOCKET].from > params->values[PARAM_API].from)
		url = "";

	*c = (struct client){.patience_us = CLIENT_PATIENCE_US, .deadline_us = USEC_NEVER};
	if (url[0] != '\0' && !url_is_http(bytes_of(url))) {
		error_set(reterr, ERR_INVALID, "expected http://host:port, found %.200s", url);
		return error_where(reterr, "--api");
	}
	if (url[0] != '\0' || socket[0] != '\0') {
		c->address = strdup(url[0] != '\0' ? url : socket);
		CHECK(c->address != NULL);
	} else {
		r = client_state_path(params, "api.sock", &c->address, reterr);
	}
	if (r == 0 && url[0] != '\0')
		r = read_token(c, params, reterr);
	return r == 0 ? http_client_create(c->address, &c->http, reterr) : r;
}

void client_close(struct client *c)
{
	http_client_destroy(c->http);
	free(c->address);
	if (c->authorization != NULL)
		explicit_bzero(c->authorization, strlen(c->authorization));
	free(c->authorization);
	*c = (struct client){0};
}

/* ---- one call ---- */

struct taking {
	const struct client_request *request;
	bool begun;
};

static int take(void *arg, struct bytes piece)
{
	struct taking *t = arg;

	t->begun = true;
	return t->request->take(t->request->take_arg, piece);
}

/* Once over the wire. */
static int send_once(struct client *c, const struct client_request *q, struct taking *t,
		     struct http_answer *ret, struct error *reterr)
{
	char key[KEY_BYTES_MAX + 32];
	const char *headers[3] = {0};
	struct http_call call = {
	    .method = q->method, .path = q->path, .body = q->body, .headers = headers, .wanted = q->wanted};
	size_t count = 0;

	if (c->authorization != NULL)
		headers[count++] = c->authorization;
	if (q->key != NULL) {
		snprintf(key, sizeof(key), "Idempotency-Key: %s", q->key);
		headers[count++] = key;
	}
	if (q->take != NULL) {
		call.take = take;
		call.take_arg = t;
	} else if (!q->patient) {
		call.timeout_us = CALL_TIMEOUT_US;
	}
	return http_client_call(c->http, &call, ret, reterr);
}

enum error_code client_error_code(const struct api_error *said)
{
	enum error_code code = error_code_of(api_text(said->code));

	return code != ERR_OK ? code : ERR_IO;
}

/* The API's error, as it tells it: in the body, or behind a body that ends early. */
static int read_error(const struct client *c, const struct http_answer *a, struct error *reterr)
{
	const struct buf *text = a->failure.size > 0 ? &a->failure : &a->body;
	json_t *body = json_loadb((const char *)text->data, text->size, 0, NULL);
	enum error_code code = ERR_IO;
	struct api_error_answer said;
	struct error e = {0};
	int r = object_read_answer(object_error_answer(), body, NULL, &said, &e);

	if (r == 0 && (said.error.code.size > 0 || said.error.message.size > 0)) {
		code = client_error_code(&said.error);
		error_set(reterr, code, "%s", api_text(said.error.message));
		error_where(reterr, "%s", api_text(said.error.where));
		error_help(reterr, "%s", api_text(said.error.help));
	} else {
		error_set(reterr, code, "expected an answer of shardmill's API, found status %u", a->status);
		error_where(reterr, "%s", c->address);
		if (e.where[0] != '\0')
			error_help(reterr, "in its error, %.100s: %.100s", e.where, e.what);
	}
	json_decref(body);
	return code;
}

/* A 2xx answer; takes over its body. */
static int read_answer(const struct client *c, const struct client_request *q, struct http_answer *a,
		       struct client_answer *ret, struct error *reterr)
{
	struct client_answer answer = {.status = a->status};

	snprintf(answer.asked, sizeof(answer.asked), "%s %.150s at %.80s", q->method, q->path, c->address);
	if (q->take == NULL) {
		answer.json = json_loadb((const char *)a->body.data, a->body.size, 0, NULL);
		if (answer.json == NULL) {
			error_set(reterr, ERR_IO, "expected JSON, found something else");
			return error_where(reterr, "%s", answer.asked);
		}
		answer.body = a->body;
		a->body = (struct buf){0};
	}
	*ret = answer;
	return 0;
}

/* False when waiting is over. */
static bool wait_a_little(const struct client *c, usec_t until_us, usec_t pause_us)
{
	usec_t end = clock_mono_us() + pause_us;

	if (end > until_us || end > c->deadline_us)
		return false;
	for (usec_t now = clock_mono_us(); now < end; now = clock_mono_us()) {
		if (c->interrupted != NULL && *c->interrupted)
			return false;
		(void)poll(NULL, 0, (int)((end - now) / USEC_PER_MSEC) + 1);
	}
	return c->interrupted == NULL || !*c->interrupted;
}

static usec_t add_time(usec_t a, usec_t b)
{
	return b > USEC_NEVER - a ? USEC_NEVER : a + b;
}

/* May it be asked again after this failure to get an answer? */
static bool may_repeat(const struct client *c, const struct client_request *q, const struct taking *t, int r)
{
	if (t->begun)
		return false;
	if (r == ERR_CLOSED) /* nobody listened: it was not taken */
		return c->reached;
	return r == ERR_IO && (q->repeatable || strcmp(q->method, "GET") == 0);
}

static int explain(const struct client *c, const struct client_request *q, const struct taking *t, int r,
		   struct error *reterr)
{
	bool get = strcmp(q->method, "GET") == 0;

	if (t->begun && r == ERR_CLOSED)
		return error_set(reterr, ERR_IO, "the output could not be written to its end");
	if (r == ERR_CLOSED) {
		error_set(reterr, r, "no dispatcher answers");
		error_where(reterr, "%s", c->address);
		error_help(reterr, "start one with `shardmill up`, or say where one is with --state-dir, "
				   "--api-socket or --api");
	} else if (r == ERR_IO && !get && !q->repeatable) {
		error_help(reterr, "whether it was done is not known: look before you do it again");
	}
	return r == ERR_IO || r == ERR_TIMEOUT ? ERR_CLOSED : r;
}

int client_call(struct client *c, const struct client_request *q, struct client_answer *ret,
		struct error *reterr)
{
	struct taking taking = {.request = q};
	usec_t until_us = 0;
	bool away = false;
	int r;

	for (;;) {
		struct http_answer answer = {0};
		usec_t pause_us = PAUSE_US;
		bool again;

		r = send_once(c, q, &taking, &answer, reterr);
		if (r == 0) {
			r = answer.status / 100 == 2 && answer.failure.size == 0
				? read_answer(c, q, &answer, ret, reterr)
				: read_error(c, &answer, reterr);
			again = answer.status == 503 || answer.status == 429;
			if (answer.retry_after_us > 0)
				pause_us = answer.retry_after_us;
			http_answer_fini(&answer);
			c->reached = true;
			if (again == false && away && c->on_away != NULL)
				c->on_away(c->on_away_arg, false);
			if (!again)
				return r;
		} else {
			again = may_repeat(c, q, &taking, r);
			r = explain(c, q, &taking, r, reterr);
			if (!again)
				return r;
			c->reached = true; /* it was there when the connection broke */
		}
		if (until_us == 0)
			until_us = add_time(clock_mono_us(), c->patience_us);
		if (!away && c->on_away != NULL)
			c->on_away(c->on_away_arg, true);
		away = true;
		if (!wait_a_little(c, until_us, pause_us))
			return r;
	}
}

int client_get(struct client *c, const char *path, struct client_answer *ret, struct error *reterr)
{
	struct client_request q = {.method = "GET", .path = path, .repeatable = true};

	return client_call(c, &q, ret, reterr);
}

void client_write(struct buf *out, const struct object_type *o, const void *body)
{
	json_t *json = object_write(o, body);
	char *text = json_dumps(json, JSON_COMPACT);

	CHECK(text != NULL);
	buf_append(out, text, strlen(text));
	free(text);
	json_decref(json);
}

int client_post(struct client *c, const char *path, const struct object_type *o, const void *body,
		bool repeatable, struct client_answer *ret, struct error *reterr)
{
	struct client_request q = {.method = "POST", .path = path, .repeatable = repeatable};
	struct buf text = {0};
	int r;

	if (o != NULL)
		client_write(&text, o, body);
	q.body = buf_bytes(&text);
	r = client_call(c, &q, ret, reterr);
	buf_fini(&text);
	return r;
}

int client_read(const struct client_answer *a, const struct object_type *o, void *ret, struct error *reterr)
{
	int r = object_read_answer(o, a->json, a->asked, ret, reterr);

	if (r != 0)
		error_help(reterr, "a dispatcher of another version, or something else, may answer there");
	return r;
}

int client_get_object(struct client *c, const char *path, const struct object_type *o, void *ret,
		      struct client_answer *ret_answer, struct error *reterr)
{
	struct client_answer answer;
	int r = client_get(c, path, &answer, reterr);

	if (r != 0)
		return r;
	r = client_read(&answer, o, ret, reterr);
	if (r == 0)
		*ret_answer = answer;
	else
		client_answer_fini(&answer);
	return r;
}

void client_answer_fini(struct client_answer *a)
{
	buf_fini(&a->body);
	json_decref(a->json);
	*a = (struct client_answer){0};
}

void client_escape(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		    (*text >= '0' && *text <= '9') || strchr("-_.~", *text) != NULL)
			buf_append(out, text, 1);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
	}
}

void client_random_id(char id[static CLIENT_ID_BYTES])
{
	uint8_t random[16];

	CHECK(getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random));
	text_hex(id, CLIENT_ID_BYTES, BYTES(random, sizeof(random)));
}
