/* POST /v1/jobs/{id}/again: what a job that has ended was to do, as a new job. Its definition, event, name
 * and priority are history's; what it reads is looked at anew. */
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/submission.h"
#include "dispatcher/store/history_reader.h"

json_t *again_body(struct services *s, const struct history_job *row, struct arena *arena,
		   struct error *reterr)
{
	struct bytes name, text, event = {0};
	json_t *body;
	int rc = history_definition(s->reader, row->definition, arena, &name, &text, reterr);

	if (rc == 0 && (row->event_id_hi | row->event_id_lo) != 0) {
		rc = history_event(s->reader, row->event_id_hi, row->event_id_lo, arena, &event, reterr);
		if (rc == ERR_NOT_FOUND) /* it had a key, and no event */
			rc = 0;
	}
	if (rc < 0)
		return NULL;
	body = json_object();
	json_object_set_new(body, "definition", json_of_bytes(text));
	json_object_set_new(body, "file", json_string("the job's definition"));
	json_object_set_new(body, "name", json_of_bytes(row->name));
	json_object_set_new(body, "priority", json_integer(row->priority));
	if (event.size > 0)
		json_object_set_new(body, "event", json_loadb((const char *)event.data, event.size, 0, NULL));
	return body;
}

/* The row of a job that has ended; an error tells why there is none. */
static int read_row(struct services *s, uint64_t job, struct arena *arena, struct history_job *ret,
		    struct error *reterr)
{
	uint8_t state = 0;
	int rc = job_state_now(s, job, &state, reterr);

	if (rc < 0)
		return rc;
	if (!job_state_is_ended(state)) {
		error_set(reterr, ERR_EXISTS, "job %llu has not ended", (unsigned long long)job);
		return error_help(reterr, "its dead shards may be retried, or it is cancelled first");
	}
	rc = history_job(s->reader, job, arena, ret, reterr);
	if (rc == ERR_NOT_FOUND || (rc == 0 && (!job_state_is_ended(ret->state) || job_history_lags(s, job))))
		return error_set(reterr, ERR_BUSY, "the end of job %llu is not in history yet",
				 (unsigned long long)job);
	return rc;
}

void api_again(struct request *r)
{
	struct submission u;
	struct history_job row;
	struct arena arena;
	struct error e = {0};
	json_t *body = NULL;
	uint64_t job;
	int rc = -1;

	if (!request_job(r, &job))
		return;
	if (port_has_room(r->services->port, &e) < 0) {
		request_fail_room(r, &e);
		return;
	}
	arena_init(&arena, 0);
	if (read_row(r->services, job, &arena, &row, &e) == 0)
		body = again_body(r->services, &row, &arena, &e);
	if (body != NULL) {
		rc = submission_read(&u, body, &e);
		if (rc == 0)
			rc = submission_start(r, &u, &e);
		submission_fini(&u);
	}
	arena_fini(&arena);
	if (rc < 0)
		request_fail(r, &e);
}
