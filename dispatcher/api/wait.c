/* GET /v1/jobs/{id}/wait: an answer when the job has ended, or when the time is over. */
#include <stdlib.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "dispatcher/api/job_event.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"

#define WAIT_DEFAULT_US (30 * USEC_PER_SEC)
#define WAIT_MAX_US (60 * USEC_PER_SEC)
/* Ends are told at once; this finds those that are not (a cancelled job makes no event). */
#define LOOK_US (50 * USEC_PER_MSEC)

struct wait {
	struct wait *prev, *next;
	struct request *request;
	uint64_t job;
	usec_t deadline_us;
};

struct waits {
	struct server *server;
	struct wait *list;
	struct loop_timer timer;
};

static void answer(struct waits *w, struct wait *wait)
{
	struct request *r = wait->request;
	uint64_t job = wait->job;

	DL_DELETE(w->list, wait);
	free(wait);
	job_answer(r, job);
}

static void on_look(struct loop *loop, void *arg)
{
	struct waits *w = arg;
	struct wait *wait, *next;
	usec_t now = loop_now_us(loop);

	DL_FOREACH_SAFE(w->list, wait, next)
	{
		if (now >= wait->deadline_us || job_has_ended(w->server, wait->job))
			answer(w, wait);
	}
	if (w->list != NULL)
		loop_timer_set(loop, &w->timer, now + LOOK_US);
}

void waits_job_ended(struct waits *w, uint64_t job)
{
	struct wait *wait, *next;

	DL_FOREACH_SAFE(w->list, wait, next)
	{
		if (wait->job == job)
			answer(w, wait);
	}
}

struct waits *waits_create(struct server *s)
{
	struct waits *w = check_calloc(1, sizeof(*w));

	w->server = s;
	w->timer = (struct loop_timer){.fn = on_look, .arg = w};
	return w;
}

void waits_destroy(struct waits *w)
{
	if (w == NULL)
		return;
	loop_timer_unset(w->server->loop, &w->timer);
	while (w->list != NULL) {
		struct wait *wait = w->list;

		DL_DELETE(w->list, wait);
		free(wait);
	}
	free(w);
}

void api_wait(struct request *r)
{
	struct waits *w = r->api->waits;
	const char *text = request_query(r, "timeout");
	usec_t timeout_us = WAIT_DEFAULT_US;
	struct error e = {0};
	struct wait *wait;
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
	if (!job_is_live(r->server, job)) {
		job_answer(r, job);
		return;
	}
	wait = check_calloc(1, sizeof(*wait));
	wait->request = r;
	wait->job = job;
	wait->deadline_us = clock_mono_us() + timeout_us;
	DL_APPEND(w->list, wait);
	if (w->timer.place == 0)
		loop_timer_set(r->server->loop, &w->timer, clock_mono_us() + LOOK_US);
}
