/* POST /v1/jobs/{id}/again: what a job that has ended was to do, as a new job. Its definition, event, name
 * and priority are history's; what it reads is looked at anew. */
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/submission.h"

json_t *again_body(const struct history_job *row, const struct past_texts *texts, struct error *reterr)
{
	json_t *body;

	if (texts->definition.size == 0) {
		error_set(reterr, ERR_NOT_FOUND, "the text of its definition is not known");
		return NULL;
	}
	body = json_object();
	json_object_set_new(body, "definition", json_of_bytes(texts->definition));
	json_object_set_new(body, "file", json_string("the job's definition"));
	json_object_set_new(body, "name", json_of_bytes(row->name));
	json_object_set_new(body, "priority", json_integer(row->priority));
	json_object_set_new(body, "allow_pending", json_true()); /* nobody could say it here */
	if (texts->event.size > 0)
		json_object_set_new(body, "event",
				    json_loadb((const char *)texts->event.data, texts->event.size, 0, NULL));
	return body;
}

struct again {
	struct request *request;
	uint64_t job;
	struct past *past;
	struct past_texts texts;
};

static void destroy(void *state)
{
	struct again *a = state;

	past_drop(a->past);
	free(a);
}

/* In a reader's thread. */
static int read_texts(void *arg, struct history_reader *history, const struct history_job *row,
		      struct arena *arena, struct error *reterr)
{
	struct again *a = arg;

	return past_read_texts(history, row->definition, row->event_id_hi, row->event_id_lo, arena, &a->texts,
			       reterr);
}

static int refuse_live(uint64_t job, struct error *reterr)
{
	error_set(reterr, ERR_EXISTS, "job %llu has not ended", (unsigned long long)job);
	return error_help(reterr, "its dead shards may be retried, or it is cancelled first");
}

/* The row of a job that has ended; an error tells why there is none. */
static int find_row(const struct again *a, const struct history_job **ret, struct error *reterr)
{
	struct services *s = a->request->services;
	bool of_core = job_is_of_core(s, a->job);

	if (job_is_live(s, a->job))
		return refuse_live(a->job, reterr);
	*ret = past_row(a->past, a->job);
	if (*ret == NULL && !of_core)
		return job_refuse_unknown(s, a->job, reterr);
	if (*ret == NULL || (of_core && !job_state_is_ended((*ret)->state)) || job_history_lags(s, a->job))
		return error_set(reterr, ERR_BUSY, "the end of job %llu is not in history yet",
				 (unsigned long long)a->job);
	return 0;
}

static int submit(struct again *a, struct error *reterr)
{
	const struct history_job *row = NULL;
	struct submission u;
	json_t *body;
	int rc = find_row(a, &row, reterr);

	if (rc < 0)
		return rc;
	body = again_body(row, &a->texts, reterr);
	if (body == NULL)
		return reterr->code;
	rc = submission_read(&u, body, reterr);
	if (rc == 0)
		rc = submission_start(a->request, &u, reterr);
	submission_fini(&u);
	return rc;
}

static void on_past(void *arg, struct past *past, int rc, const struct error *why)
{
	struct again *a = arg;
	struct error e = *why;

	(void)past;
	if (rc == 0)
		rc = submit(a, &e);
	if (rc < 0)
		request_fail(a->request, &e);
}

void api_again(struct request *r)
{
	struct error e = {0};
	struct again *a;
	uint64_t job;

	if (!request_job(r, &job))
		return;
	if (port_has_room(r->services->port, &e) < 0) {
		request_fail_room(r, &e);
		return;
	}
	if (job_is_live(r->services, job)) {
		refuse_live(job, &e);
		request_fail(r, &e);
		return;
	}
	a = check_calloc(1, sizeof(*a));
	*a = (struct again){.request = r, .job = job};
	r->state = a;
	r->state_fini = destroy;
	a->past = past_create(r->services, read_texts, on_past, a);
	past_add(a->past, job);
	past_ask(a->past);
}
