/* GET /v1/jobs/{id}/wait: an answer when the job has ended, or when the time is over. */
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "dispatcher/api/job_event.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"

#define WAIT_DEFAULT_US (30 * USEC_PER_SEC)
#define WAIT_MAX_US (60 * USEC_PER_SEC)
struct wait {
	struct wait *prev, *next;
	struct request *request;
	uint64_t job;
	usec_t deadline_us;
	UT_hash_handle hh;   /* of the first for a job */
	struct wait *others; /* for the same job */
};

/* They are asked for nothing until a job that one of them waits for has changed, or its time is over. */
struct waits {
	struct services *services;
	struct subscriber subscriber;
	bool subscribed;
	struct wait *by_time; /* the first deadline first */
	struct wait *by_job;
	struct loop_timer timer;
};

static void set_timer(struct waits *w)
{
	usec_t until_us = w->by_time != NULL ? w->by_time->deadline_us : USEC_NEVER;

	if (w->timer.place == 0 || w->timer.deadline_us != until_us)
		loop_timer_set(w->services->loop, &w->timer, until_us);
}

static void forget(struct waits *w, struct wait *wait)
{
	struct wait *first = NULL, **at;

	HASH_FIND(hh, w->by_job, &wait->job, sizeof(wait->job), first);
	if (first == wait) {
		HASH_DELETE(hh, w->by_job, wait);
		if (wait->others != NULL)
			HASH_ADD(hh, w->by_job, job, sizeof(wait->job), wait->others);
	} else {
		for (at = &first->others; *at != wait; at = &(*at)->others)
			;
		*at = wait->others;
	}
	DL_DELETE(w->by_time, wait);
	free(wait);
	if (w->by_time == NULL) {
		port_unsubscribe(w->services->port, &w->subscriber);
		w->subscribed = false;
	}
}

static void answer(struct waits *w, struct wait *wait)
{
	struct request *r = wait->request;
	uint64_t job = wait->job;

	forget(w, wait);
	job_answer(r, job);
}

static void on_change(void *arg, const struct stream_item *item)
{
	struct waits *w = arg;
	struct wait *wait = NULL, *next;

	HASH_FIND(hh, w->by_job, &item->job, sizeof(item->job), wait);
	if (wait == NULL || !job_has_ended(w->services, item->job))
		return;
	for (; wait != NULL; wait = next) {
		next = wait->others;
		answer(w, wait);
	}
	set_timer(w);
}

static void on_timer(struct loop *loop, void *arg)
{
	struct waits *w = arg;

	while (w->by_time != NULL && w->by_time->deadline_us <= loop_now_us(loop))
		answer(w, w->by_time);
	set_timer(w);
}

static int by_deadline(const struct wait *a, const struct wait *b)
{
	return a->deadline_us < b->deadline_us ? -1 : a->deadline_us > b->deadline_us;
}

static void add(struct waits *w, struct request *r, uint64_t job, usec_t timeout_us)
{
	struct wait *wait = check_calloc(1, sizeof(*wait)), *first = NULL;

	wait->request = r;
	wait->job = job;
	wait->deadline_us = clock_mono_us() + timeout_us;
	HASH_FIND(hh, w->by_job, &job, sizeof(job), first);
	if (first != NULL) {
		wait->others = first->others;
		first->others = wait;
	} else {
		HASH_ADD(hh, w->by_job, job, sizeof(wait->job), wait);
	}
	DL_INSERT_INORDER(w->by_time, wait, by_deadline);
	if (!w->subscribed)
		port_subscribe(w->services->port, &w->subscriber);
	w->subscribed = true;
	set_timer(w);
}

struct waits *waits_create(struct services *s)
{
	struct waits *w = check_calloc(1, sizeof(*w));

	w->services = s;
	w->timer = (struct loop_timer){.fn = on_timer, .arg = w};
	w->subscriber = (struct subscriber){.fn = on_change, .arg = w, .kinds = 1u << STREAM_JOB};
	return w;
}

void waits_destroy(struct waits *w)
{
	if (w == NULL)
		return;
	loop_timer_unset(w->services->loop, &w->timer);
	while (w->by_time != NULL)
		forget(w, w->by_time);
	free(w);
}

void api_wait(struct request *r)
{
	struct waits *w = r->api->waits;
	const char *text = request_query(r, "timeout");
	usec_t timeout_us = WAIT_DEFAULT_US;
	struct error e = {0};
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
		job_answer(r, job);
		return;
	}
	add(w, r, job, timeout_us);
}
