#include "dispatcher/intake/ended.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/api.h"
#include "dispatcher/intake/intake.h"
#include "dispatcher/planners/planners.h"
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
	bool again; /* the queue was full */
};

struct ended {
	struct server *server;
	struct offer *offers;
	struct loop_timer timer;
};

static void settle(struct server *s, uint64_t job)
{
	server_later(s, INPUT_SETTLED, &(struct input_settled){.job = job});
}

static void offer_destroy(struct offer *o)
{
	DL_DELETE(o->ended->offers, o);
	event_fini(&o->event);
	free(o);
}

static void on_reply(struct server *s, void *arg, const struct dispatcher_reply *reply)
{
	struct offer *o = arg;

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

static void offer(struct server *s, struct offer *o)
{
	struct intake_result result = {0};
	struct error e = {0};

	o->again = false;
	if (rules_are_ready(s->rules, &e) < 0 || (!s->stopping && server_has_room(s, &e) < 0)) {
		o->again = true;
		loop_timer_set(s->loop, &o->ended->timer, clock_mono_us() + RETRY_US);
		return;
	}
	intake_offer(s, &o->event, event_dedup_key(&o->event, s->dedup_secret), on_reply, o, &result);
	if (result.jobs == 0) {
		settle(s, o->job);
		offer_destroy(o);
	}
}

static void on_timer(struct loop *loop, void *arg)
{
	struct ended *ended = arg;
	struct offer *o, *next;

	(void)loop;
	DL_FOREACH_SAFE(ended->offers, o, next)
	{
		if (o->again)
			offer(ended->server, o);
	}
}

struct ended *ended_create(struct server *s)
{
	struct ended *e = check_calloc(1, sizeof(*e));

	e->server = s;
	e->timer = (struct loop_timer){.fn = on_timer, .arg = e};
	return e;
}

void ended_destroy(struct ended *e)
{
	if (e == NULL)
		return;
	loop_timer_unset(e->server->loop, &e->timer);
	while (e->offers != NULL)
		offer_destroy(e->offers);
	free(e);
}

static int make_event(struct server *s, const struct job_ended *job, struct event *ret)
{
	const struct definition_body *body = dispatcher_view_definition(s->core, job->definition);
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

void ended_offer(struct server *s, const struct job_ended *job)
{
	struct offer *o;

	api_job_ended(s->api, job->job);
	planners_ended(s, job);
	if (!job->event_due)
		return;
	if (rules_are_ready(s->rules, NULL) == 0 &&
	    !rules_may_match(s->rules, BYTES_LIT(EVENT_SOURCE_SHARDMILL))) {
		s->events_unmatched++;
		settle(s, job->job);
		return;
	}
	o = check_calloc(1, sizeof(*o));
	o->ended = s->ended;
	o->job = job->job;
	if (make_event(s, job, &o->event) < 0) {
		log_error("the end of a job cannot be told as an event", log_u64("job", job->job));
		settle(s, job->job);
		free(o);
		return;
	}
	DL_APPEND(s->ended->offers, o);
	offer(s, o);
}
