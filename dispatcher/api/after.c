#include "dispatcher/api/after.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/api/job_json.h"
#include "jobs/after_text.h"
#include "jobs/json.h"
#include "jobs/kinds.h"

struct after {
	struct request *request;
	struct submission *submission;
	struct past *past;
	uint64_t asked[PAST_JOBS_MAX]; /* in order */
	uint32_t count;
};

/* ---- the texts ---- */

int after_read(struct submission *u, struct error *reterr)
{
	const json_t *texts = u->asked.after;
	size_t count = json_array_size(texts);
	const struct after_job_list own = u->job.after; /* the definition's */
	struct after_job_list *list = &u->job.after;

	if (count == 0)
		return 0;
	if (own.count + count > AFTER_JOBS_MAX) {
		error_set(reterr, ERR_LIMIT, "expected at most %d jobs to wait for, found %zu",
			  AFTER_JOBS_MAX, own.count + count);
		return error_where(reterr, "after");
	}
	list->items = arena_alloc(&u->arena, (own.count + count) * sizeof(*list->items));
	for (uint32_t i = 0; i < own.count; i++)
		list->items[i] = own.items[i];
	for (size_t i = 0; i < count; i++)
		if (after_text_parse(json_bytes(json_array_get(texts, i)), &list->items[list->count++],
				     reterr) < 0)
			return error_where(reterr, "after[%zu]", i);
	return 0;
}

/* ---- how these jobs stand ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct ended_fact *)a)->job, y = ((const struct ended_fact *)b)->job;

	return (x > y) - (x < y);
}

static bool is_told(const struct submission *u, uint64_t job)
{
	for (uint32_t i = 0; i < u->ended.count; i++)
		if (u->ended.items[i].job == job)
			return true;
	return false;
}

static void destroy(void *state)
{
	struct after *a = state;

	past_drop(a->past);
	submission_fini(a->submission);
	free(a->submission);
	free(a);
}

static int refuse(struct after *a, uint64_t job, struct error *reterr)
{
	const struct after_job_list *list = &a->submission->job.after;
	uint32_t at = 0;

	while (at + 1 < list->count && list->items[at].job != job)
		at++;
	job_refuse_unknown(a->request->services, job, reterr);
	reterr->code = ERR_INVALID; /* the submission's own address is there */
	error_where(reterr, "after[%u]", at);
	return ERR_INVALID;
}

/* Up to PAST_JOBS_MAX of the jobs that neither the core has nor history was asked for. */
static int collect(struct after *a, struct error *reterr)
{
	const struct after_job_list *list = &a->submission->job.after;
	struct view_counters c;

	dispatcher_view_counters(services_core(a->request->services), &c);
	a->count = 0;
	for (uint32_t i = 0; i < list->count && a->count < PAST_JOBS_MAX; i++) {
		uint64_t job = list->items[i].job;
		bool twice = false;

		if (job >= c.next_job)
			return refuse(a, job, reterr);
		if (job_is_of_core(a->request->services, job) || is_told(a->submission, job))
			continue;
		for (uint32_t k = 0; k < a->count; k++)
			twice = twice || a->asked[k] == job;
		if (!twice)
			a->asked[a->count++] = job;
	}
	return 0;
}

static int take_rows(struct after *a, struct error *reterr)
{
	struct ended_fact_list *facts = &a->submission->ended;
	struct services *s = a->request->services;

	for (uint32_t i = 0; i < a->count; i++) {
		const struct history_job *row = past_row(a->past, a->asked[i]);

		if (job_is_of_core(s, a->asked[i]))
			continue; /* it was reopened meanwhile */
		if (row == NULL)
			return refuse(a, a->asked[i], reterr);
		if (!job_state_is_ended(row->state)) {
			error_set(reterr, ERR_INVALID, "it is not known how job %llu ended",
				  (unsigned long long)a->asked[i]);
			return error_where(reterr, "after");
		}
		facts->items[facts->count++] = (struct ended_fact){.job = a->asked[i], .state = row->state};
	}
	qsort(facts->items, facts->count, sizeof(*facts->items), compare);
	return 0;
}

static void go_on(struct after *a);

static void on_past(void *arg, struct past *past, int rc, const struct error *why)
{
	struct after *a = arg;
	struct error e = *why;

	if (rc == 0)
		rc = take_rows(a, &e);
	a->past = NULL;
	past_drop(past);
	if (rc < 0)
		request_fail(a->request, &e);
	else
		go_on(a);
}

static void go_on(struct after *a)
{
	struct request *r = a->request;
	struct error e = {0};
	int rc = collect(a, &e);

	if (rc == 0 && a->count > 0) {
		a->past = past_create(r->services, NULL, on_past, a);
		for (uint32_t i = 0; i < a->count; i++)
			past_add(a->past, a->asked[i]);
		past_ask(a->past);
		return;
	}
	if (rc == 0)
		rc = submission_start(r, a->submission, &e);
	if (rc < 0)
		request_fail(r, &e);
}

void after_start(struct request *r, struct submission *u)
{
	struct after *a = check_calloc(1, sizeof(*a));

	*a = (struct after){.request = r, .submission = u};
	u->ended.items = arena_alloc(&u->arena, u->job.after.count * sizeof(*u->ended.items));
	CHECK(u->ended.items != NULL);
	r->state = a;
	r->state_fini = destroy;
	go_on(a);
}
