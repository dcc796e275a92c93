/* The ends of jobs as events: job.succeeded and job.failed start what rules say. The core remembers ends
 * that were not offered (SETTLED), also over restarts; a key keeps a second offer from a second job. */
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/intake/intake.h"
#include "dispatcher/part.h"
#include "dispatcher/rules.h"
#include "jobs/event_bucket.h"
#include "jobs/kinds.h"

#define RETRY_US (500 * USEC_PER_MSEC)

/* An end that is not settled yet. */
struct offer {
	struct offer *prev, *next;
	struct ended *ended;
	struct event event;
	uint64_t job;
	char name[NAME_BYTES_MAX + 1]; /* its */
	bool again;		       /* the queue was full */
};

struct ended {
	struct services *services;
	struct subscriber subscriber;
	struct offer *offers;
	struct loop_timer timer;
	bool unwanted; /* as the core was told last */
};

static void settle(struct services *s, uint64_t job)
{
	port_submit(s->port, INPUT_SETTLED, &(struct input_settled){.job = job}, NULL);
}

static void offer_destroy(struct offer *o)
{
	DL_DELETE(o->ended->offers, o);
	event_fini(&o->event);
	free(o);
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct offer *o = arg;
	struct services *s = o->ended->services;

	if (reply->code == ERR_BUSY) {
		o->again = true;
		loop_timer_set(s->loop, &o->ended->timer, clock_mono_us() + RETRY_US);
		return;
	}
	if (reply->code != ERR_OK)
		log_error("the end of a job starts nothing", log_u64("job", o->job),
			  log_text("error", reply->why));
	settle(s, o->job);
	offer_destroy(o);
}

static void offer(struct services *s, struct offer *o)
{
	struct intake_result result = {0};
	struct error e = {0};
	const struct principal by = {.kind = BY_JOB, .name = bytes_of(o->name), .number = o->job};

	o->again = false;
	if (rules_are_ready(s->rules, &e) < 0 || (!s->stopping && port_has_room(s->port, &e) < 0)) {
		o->again = true;
		loop_timer_set(s->loop, &o->ended->timer, clock_mono_us() + RETRY_US);
		return;
	}
	intake_offer(s, &o->event, event_dedup_key(&o->event, s->dedup_secret), &by,
		     &(struct ticket){on_reply, o}, &result);
	if (result.jobs == 0) {
		settle(s, o->job);
		offer_destroy(o);
	}
}

static bool nobody_waits(const struct services *s)
{
	return rules_are_ready(s->rules, NULL) == 0 &&
	       !rules_may_match(s->rules, BYTES_LIT(EVENT_SOURCE_SHARDMILL));
}

/* Where nobody waits for ends the core does not say which of them are still to be told: that costs a record
 * and an event each. */
static void tell_interest(struct ended *ended)
{
	struct services *s = ended->services;

	if (nobody_waits(s) == ended->unwanted)
		return;
	ended->unwanted = !ended->unwanted;
	port_submit(s->port, INPUT_INTEREST, &(struct input_interest){.ends = !ended->unwanted}, NULL);
}

static void on_timer(struct loop *loop, void *arg)
{
	struct ended *ended = arg;
	struct offer *o, *next;

	(void)loop;
	tell_interest(ended);
	DL_FOREACH_SAFE(ended->offers, o, next)
	{
		if (o->again)
			offer(ended->services, o);
	}
}

static int make_event(struct services *s, const struct job_ended *job, struct event *ret)
{
	const struct definition_body *body = dispatcher_view_definition(services_core(s), job->definition);
	struct ended_job e = {.job = job->job,
			      .name = job->name,
			      .definition = body != NULL ? body->name : job->name,
			      .state = job->state,
			      .why = job->why,
			      .done = job->done,
			      .dead = job->dead,
			      .dropped = job->dropped,
			      .retries = job->retries,
			      .reopens = job->reopens,
			      .depth = job->depth,
			      .wall_us = job->wall_us,
			      .cluster = s->state.cluster_id};

	return event_job_ended(&e, ret, NULL);
}

/* With the next turn: the core may not be open yet. */
static void on_rules(void *arg)
{
	struct ended *ended = arg;

	loop_timer_set(ended->services->loop, &ended->timer, clock_mono_us());
}

static void on_ended(void *arg, const struct stream_item *item)
{
	struct ended *ended = arg;
	struct services *s = ended->services;
	const struct job_ended *job = item->ended;
	struct offer *o;

	if (!job->event_due)
		return;
	if (nobody_waits(s)) {
		s->events_unmatched++;
		settle(s, job->job);
		return;
	}
	o = check_calloc(1, sizeof(*o));
	o->ended = ended;
	o->job = job->job;
	snprintf(o->name, sizeof(o->name), "%.*s", (int)job->name.size, (const char *)job->name.data);
	if (make_event(s, job, &o->event) < 0) {
		log_error("the end of a job cannot be told as an event", log_u64("job", job->job));
		settle(s, job->job);
		free(o);
		return;
	}
	DL_APPEND(ended->offers, o);
	offer(s, o);
}

static int ended_open(struct services *s, struct error *reterr)
{
	struct ended *e = s->own[PART_ended] = check_calloc(1, sizeof(*e));

	(void)reterr;
	e->services = s;
	e->timer = (struct loop_timer){.fn = on_timer, .arg = e};
	e->subscriber = (struct subscriber){.fn = on_ended, .arg = e, .kinds = 1u << STREAM_JOB_ENDED};
	port_subscribe(s->port, &e->subscriber);
	rules_on_change(s->rules, on_rules, e);
	return 0;
}

static void ended_close(struct services *s)
{
	struct ended *e = s->own[PART_ended];

	if (e == NULL)
		return;
	rules_on_change(s->rules, NULL, NULL);
	port_unsubscribe(s->port, &e->subscriber);
	loop_timer_unset(s->loop, &e->timer);
	while (e->offers != NULL)
		offer_destroy(e->offers);
	free(e);
	s->own[PART_ended] = NULL;
}

const struct part part_ended = {.name = "ended", .open = ended_open, .close = ended_close};
