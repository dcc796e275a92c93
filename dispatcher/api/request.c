#include "dispatcher/api/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "base/units.h"
#include "dispatcher/api/listener.h"
#include "jobs/json.h"
#include "jobs/ids.h"

#define RETRY_AFTER "1"

/* ---- answers ---- */

static void ready(void *arg)
{
	struct request *r = arg;
	struct services *s = r->services;

	r->ready = true;
	if (r->suspended) {
		r->suspended = false;
		r->listener->resumed = true;
		MHD_resume_connection(r->connection);
		loop_defer(s->loop, s->turn);
	}
}

void request_answer_response(struct request *r, unsigned status, struct MHD_Response *response)
{
	struct port_view now = port_view(r->services->port);

	CHECK(response != NULL && r->response == NULL);
	r->response = response;
	r->status = status;
	if (status >= 400)
		r->api->failed++;
	if (status / 100 < API_STATUS_CLASSES)
		r->api->answers[r->route != NULL ? r->route->id : ROUTE_COUNT][status / 100]++;
	/* Nothing shows a fact that is not durable. */
	r->durable = (struct port_wait){.fn = ready, .arg = r};
	if (now.last_lsn <= now.durable_lsn || r->api->closing || r->refused)
		ready(r);
	else
		port_when_durable(r->services->port, now.last_lsn, &r->durable);
}

static struct MHD_Response *response_of_text(struct buf *text)
{
	struct MHD_Response *response;

	buf_append(text, "\n", 1);
	response = MHD_create_response_from_buffer(text->size, text->data, MHD_RESPMEM_MUST_FREE);
	*text = (struct buf){0};
	CHECK(response != NULL);
	(void)MHD_add_response_header(response, "Content-Type", "application/json");
	return response;
}

static struct MHD_Response *response_of(json_t *value)
{
	struct buf text = {0};

	json_write(&text, value);
	json_decref(value);
	return response_of_text(&text);
}

void request_answer(struct request *r, unsigned status, json_t *value)
{
	request_answer_response(r, status, response_of(value));
}

void request_answer_text(struct request *r, unsigned status, struct buf *text)
{
	request_answer_response(r, status, response_of_text(text));
}

void request_fail_status(struct request *r, unsigned status, const struct error *e)
{
	struct MHD_Response *response = response_of(json_of_error(e));

	if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE)
		(void)MHD_add_response_header(response, "Retry-After", RETRY_AFTER);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
		char methods[64];

		(void)MHD_add_response_header(response, "Allow",
					      route_methods(r->route, methods, sizeof(methods)));
	}
	if (r->refused)
		(void)MHD_add_response_header(response, "Connection", "close");
	if (status == MHD_HTTP_UNAUTHORIZED)
		(void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	request_answer_response(r, status, response);
}

void request_refuse(struct request *r, unsigned status, const struct error *e)
{
	r->refused = true;
	request_fail_status(r, status, e);
}

void request_abandon(struct request *r)
{
	if (!r->suspended || r->response != NULL || !r->may_leave)
		return;
	r->state_fini(r->state); /* nothing of it comes back */
	r->state = NULL;
	r->state_fini = NULL;
	r->gone = true;
	r->suspended = false;
	r->listener->resumed = true;
	MHD_resume_connection(r->connection);
	loop_defer(r->services->loop, r->services->turn);
}

static unsigned status_of(enum error_code code)
{
	switch (code) {
	case ERR_OK:
		return MHD_HTTP_OK;
	case ERR_INVALID:
	case ERR_VERSION:
	case ERR_LIMIT:
		return MHD_HTTP_BAD_REQUEST;
	case ERR_NOT_FOUND:
		return MHD_HTTP_NOT_FOUND;
	case ERR_EXISTS:
		return MHD_HTTP_CONFLICT;
	case ERR_BUSY:
		return MHD_HTTP_TOO_MANY_REQUESTS;
	case ERR_DENIED:
		return MHD_HTTP_FORBIDDEN;
	case ERR_EXHAUSTED:
	case ERR_CLOSED:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	case ERR_TIMEOUT:
		return MHD_HTTP_GATEWAY_TIMEOUT;
	case ERR_IO:
	case ERR_CORRUPT:
		break;
	}
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

void request_fail(struct request *r, const struct error *e)
{
	request_fail_status(r, status_of(e->code), e);
}

void request_fail_room(struct request *r, const struct error *e)
{
	request_fail_status(
	    r, e->code == ERR_BUSY ? MHD_HTTP_TOO_MANY_REQUESTS : MHD_HTTP_SERVICE_UNAVAILABLE, e);
}

void response_is_bytes(struct MHD_Response *response, struct token token, uint32_t shard)
{
	char id[ATTEMPT_ID_BYTES];

	(void)MHD_add_response_header(response, "Content-Type", "application/octet-stream");
	if (token.lease == 0)
		return;
	attempt_id_text(token, shard, id);
	(void)MHD_add_response_header(response, "Shardmill-Attempt", id);
}

/* ---- questions ---- */

const char *request_query(struct request *r, const char *name)
{
	const char *value = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);

	return value != NULL ? value : "";
}

const char *request_header(struct request *r, const char *name)
{
	const char *value = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);

	return value != NULL ? value : "";
}

int request_query_number(struct request *r, const char *name, uint64_t min, uint64_t max, uint64_t fallback,
			 uint64_t *ret, struct error *reterr)
{
	const char *text = request_query(r, name);

	if (text[0] == '\0') {
		*ret = fallback;
		return 0;
	}
	if (units_parse_number(text, min, max, ret, reterr) == 0)
		return 0;
	error_where(reterr, "?%s=", name);
	return ERR_INVALID;
}

int request_number(struct request *r, const char *name, uint64_t *ret, struct error *reterr)
{
	const struct query *q = query_find(r->route->id, name);

	CHECK(q != NULL && q->form == QUERY_NUMBER);
	return request_query_number(r, name, q->min, q->max, q->fallback, ret, reterr);
}

int request_stream(struct request *r, bool *ret_err, struct error *reterr)
{
	const char *stream = request_query(r, "stream");

	if (stream[0] != '\0' && strcmp(stream, "out") != 0 && strcmp(stream, "err") != 0) {
		error_set(reterr, ERR_INVALID, "expected out or err, found \"%.20s\"", stream);
		return error_where(reterr, "?stream=");
	}
	*ret_err = strcmp(stream, "err") == 0;
	return 0;
}

bool request_job(struct request *r, uint64_t *ret)
{
	struct error e = {0};

	if (job_id_parse(r->argument, ret, &e) == 0)
		return true;
	error_where(&e, "the job in the path");
	request_fail(r, &e);
	return false;
}

json_t *request_object(struct request *r)
{
	struct error e = {0};
	json_t *value;

	if (r->body.size == 0)
		return json_object();
	value = json_read(buf_bytes(&r->body), HTTP_BODY_BYTES_MAX, EVENT_DEPTH_MAX, &e);
	if (value != NULL && json_is_object(value))
		return value;
	if (value != NULL) {
		error_set(&e, ERR_INVALID, "expected an object, found %s", json_kind_name(value));
		json_decref(value);
	}
	if (e.where[0] != '\0') {
		char place[64];

		snprintf(place, sizeof(place), "%.60s", e.where);
		error_where(&e, "body:%s", place);
	} else {
		error_where(&e, "body");
	}
	request_fail(r, &e);
	return NULL;
}
