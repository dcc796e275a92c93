/* GET /v1/jobs/{id}/wait: an answer when the job has ended, or when the time is over. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "dispatcher/api/job_answer.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"

#define WAIT_DEFAULT_US (30 * USEC_PER_SEC)
#define WAIT_MAX_US (60 * USEC_PER_SEC)

struct wait {
	struct request *request;
	uint64_t job;
	usec_t until_us;
	struct job_wait change;
};

static void wait_destroy(void *state)
{
	struct wait *w = state;

	job_wait_cancel(&w->change);
	free(w);
}

static void on_change(void *arg, bool late)
{
	struct wait *w = arg;
	struct request *r = w->request;
	uint64_t job = w->job;

	if (!late && job_is_live(r->services, job)) {
		job_wait_change(r->api->waits, &w->change, job, w->until_us - clock_mono_us(), on_change, w);
		return;
	}
	r->state = NULL;
	r->may_leave = false;
	wait_destroy(w);
	job_answer(r, job, JOB_ANSWER_EVENT | JOB_ANSWER_ENDED, NULL);
}

void api_wait(struct request *r)
{
	const char *text = request_query(r, "timeout");
	usec_t timeout_us = WAIT_DEFAULT_US;
	struct error e = {0};
	struct wait *w;
	uint64_t job;

	if (!request_job(r, &job))
		return;
	if (text[0] != '\0' && units_parse_duration(bytes_of(text), &timeout_us, &e) < 0) {
		error_where(&e, "?timeout=");
		request_fail(r, &e);
		return;
	}
	if (timeout_us > WAIT_MAX_US)
		timeout_us = WAIT_MAX_US;
	if (!job_is_live(r->services, job)) {
		job_answer(r, job, JOB_ANSWER_EVENT | JOB_ANSWER_ENDED, NULL);
		return;
	}
	w = check_calloc(1, sizeof(*w));
	*w = (struct wait){.request = r, .job = job, .until_us = clock_mono_us() + timeout_us};
	r->state = w;
	r->state_fini = wait_destroy;
	r->may_leave = true;
	job_wait_change(r->api->waits, &w->change, job, timeout_us, on_change, w);
}
