#include "dispatcher/api/job_waits.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"

#define TOLD_PATIENCE_US (10 * USEC_PER_SEC)

struct job_waits {
	struct services *services;
	struct subscriber subscriber; /* while somebody waits for a job */
	struct job_wait *by_time;     /* the first that is over first */
	struct job_wait *by_job;
	struct loop_timer timer;
};

static void set_timer(struct job_waits *w)
{
	usec_t until_us = w->by_time != NULL ? w->by_time->until_us : USEC_NEVER;

	if (w->timer.place == 0 || w->timer.deadline_us != until_us)
		loop_timer_set(w->services->loop, &w->timer, until_us);
}

/* ---- those of one job: the first stands in the hash ---- */

static void job_add(struct job_waits *w, struct job_wait *wait)
{
	struct job_wait *first = NULL, *list = wait;

	if (w->by_job == NULL)
		port_subscribe(w->services->port, &w->subscriber);
	HASH_FIND(hh, w->by_job, &wait->job, sizeof(wait->job), first);
	if (first != NULL) {
		HASH_DELETE(hh, w->by_job, first);
		list = first;
		DL_PREPEND2(list, wait, job_prev, job_next);
	} else {
		wait->job_prev = wait;
		wait->job_next = NULL;
	}
	HASH_ADD(hh, w->by_job, job, sizeof(wait->job), wait);
}

static void job_remove(struct job_waits *w, struct job_wait *wait)
{
	struct job_wait *first = NULL;

	HASH_FIND(hh, w->by_job, &wait->job, sizeof(wait->job), first);
	if (first == wait)
		HASH_DELETE(hh, w->by_job, wait);
	DL_DELETE2(first, wait, job_prev, job_next);
	if (first != NULL && wait->job_next == first)
		HASH_ADD(hh, w->by_job, job, sizeof(first->job), first);
	if (w->by_job == NULL)
		port_unsubscribe(w->services->port, &w->subscriber);
}

/* ---- all ---- */

void job_wait_cancel(struct job_wait *wait)
{
	struct job_waits *w = wait->waits;

	if (w == NULL)
		return;
	wait->waits = NULL;
	DL_DELETE(w->by_time, wait);
	port_wait_cancel(&wait->history);
	if (wait->job != 0)
		job_remove(w, wait);
	set_timer(w);
}

static void call(struct job_wait *wait, bool late)
{
	job_wait_cancel(wait);
	wait->fn(wait->arg, late);
}

/* What is added meanwhile waits for the next change: those there are now are taken out first. */
static void on_change(void *arg, const struct stream_item *item)
{
	struct job_waits *w = arg;
	struct job_wait *wait = NULL;
	size_t count = 0;

	HASH_FIND(hh, w->by_job, &item->job, sizeof(item->job), wait);
	for (struct job_wait *one = wait; one != NULL; one = one->job_next)
		count++;
	while (count-- > 0) {
		HASH_FIND(hh, w->by_job, &item->job, sizeof(item->job), wait);
		if (wait == NULL)
			return;
		call(wait->job_prev, false); /* the one that waits longest */
	}
}

static void on_history(void *arg)
{
	call(arg, false);
}

static void on_timer(struct loop *loop, void *arg)
{
	struct job_waits *w = arg;

	while (w->by_time != NULL && w->by_time->until_us <= loop_now_us(loop))
		call(w->by_time, true);
	set_timer(w);
}

/* Most belong at the end. */
static void insert_by_time(struct job_waits *w, struct job_wait *wait)
{
	struct job_wait *at = w->by_time != NULL ? w->by_time->prev : NULL;

	if (at == NULL || at->until_us <= wait->until_us) {
		DL_APPEND(w->by_time, wait);
		return;
	}
	while (at != w->by_time && at->prev->until_us > wait->until_us)
		at = at->prev;
	DL_PREPEND_ELEM(w->by_time, at, wait);
}

static void add(struct job_waits *w, struct job_wait *wait, uint64_t job, usec_t patience_us, job_wait_fn *fn,
		void *arg)
{
	CHECK(wait->waits == NULL);
	*wait = (struct job_wait){.waits = w, .job = job, .until_us = USEC_NEVER, .fn = fn, .arg = arg};
	if (patience_us != USEC_NEVER)
		wait->until_us = clock_mono_us() + patience_us;
	insert_by_time(w, wait);
	set_timer(w);
}

void job_wait_change(struct job_waits *w, struct job_wait *wait, uint64_t job, usec_t patience_us,
		     job_wait_fn *fn, void *arg)
{
	add(w, wait, job, patience_us, fn, arg);
	job_add(w, wait);
}

void job_wait_history(struct job_waits *w, struct job_wait *wait, uint64_t lsn, usec_t patience_us,
		      job_wait_fn *fn, void *arg)
{
	add(w, wait, 0, patience_us, fn, arg);
	wait->history = (struct port_wait){.fn = on_history, .arg = wait};
	port_when_in_history(w->services->port, lsn, &wait->history);
}

void job_wait_told(struct job_waits *w, struct job_wait *wait, uint64_t job, job_wait_fn *fn, void *arg)
{
	struct view_job v = {0};
	struct arena arena;
	uint64_t lsn = 0;

	arena_init(&arena, 0);
	if (dispatcher_view_job(services_core(w->services), job, &arena, &v))
		lsn = v.ended_lsn;
	arena_fini(&arena);
	job_wait_history(w, wait, lsn, TOLD_PATIENCE_US, fn, arg);
}

struct job_waits *job_waits_create(struct services *s)
{
	struct job_waits *w = check_calloc(1, sizeof(*w));

	w->services = s;
	w->timer = (struct loop_timer){.fn = on_timer, .arg = w};
	w->subscriber = (struct subscriber){.fn = on_change, .arg = w, .kinds = 1u << STREAM_JOB};
	return w;
}

void job_waits_destroy(struct job_waits *w)
{
	if (w == NULL)
		return;
	while (w->by_time != NULL)
		job_wait_cancel(w->by_time);
	loop_timer_unset(w->services->loop, &w->timer);
	free(w);
}
