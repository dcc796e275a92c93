#include "dispatcher/api/job_answer.h"

#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/api/job_event.h"
#include "dispatcher/api/job_json.h"
#include "jobs/kinds.h"

struct job_answer {
	struct request *request;
	uint64_t job;
	unsigned parts;
	json_t *reopened;
	struct past *past;
	struct job_events *events;
};

static void destroy(void *state)
{
	struct job_answer *a = state;

	past_drop(a->past);
	job_events_destroy(a->events);
	json_decref(a->reopened);
	free(a);
}

static void tell(struct job_answer *a, const struct view_job *v)
{
	json_t *value = job_json(a->request->services, v);

	if (a->reopened != NULL)
		json_object_set(value, "reopened", a->reopened);
	a->events = job_events_create(a->request);
	job_events_add_output(a->events, value, v);
	if (a->parts & JOB_ANSWER_EVENT)
		job_events_add(a->events, value, (struct dedup_key){v->event_id_hi, v->event_id_lo});
	job_events_answer(a->events, value);
}

static void go_on(struct job_answer *a)
{
	struct services *s = a->request->services;
	struct error e = {0};
	struct arena arena;
	struct view_job v;
	int rc;

	arena_init(&arena, 0);
	rc = job_view(s, a->past, a->job, &arena, &v, &e);
	if (rc == 0 && (a->parts & JOB_ANSWER_ENDED) && job_is_lost(&v))
		rc = job_refuse_lost(&v, &e);
	if (rc == 0)
		tell(a, &v);
	else
		request_fail(a->request, &e);
	arena_fini(&arena);
}

static void on_past(void *arg, struct past *past, int rc, const struct error *e)
{
	struct job_answer *a = arg;

	(void)past;
	if (rc < 0)
		request_fail(a->request, e);
	else
		go_on(a);
}

void job_answer(struct request *r, uint64_t job, unsigned parts, json_t *reopened)
{
	struct job_answer *a = check_calloc(1, sizeof(*a));

	*a = (struct job_answer){.request = r, .job = job, .parts = parts, .reopened = reopened};
	r->state = a;
	r->state_fini = destroy;
	if (job_is_of_core(r->services, job)) {
		go_on(a);
		return;
	}
	a->past = past_create(r->services, NULL, on_past, a);
	past_add(a->past, job);
	past_ask(a->past);
}
