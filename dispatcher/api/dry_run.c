#include "dispatcher/api/dry_run.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/offers.h"
#include "dispatcher/retention/retention.h"
#include "dispatcher/trouble.h"
#include "dispatcher/why.h"
#include "jobs/phases.h"

struct dry_run {
	struct request *request;
	struct api_dry_run would; /* its texts are below, but for lists */
	struct buf name, queue, shape;
	char definition[HEX_BYTES_MAX];
};

static void add(json_t *waits, struct buf *sentence)
{
	if (sentence->size > 0)
		json_array_append_new(waits, json_of_bytes(buf_bytes(sentence)));
	buf_clear(sentence);
}

/* The same words as of a job that waits. */
static void say_waits(struct services *s, const struct view_trial *t, json_t *waits)
{
	struct why_facts f = {.job = &t->job,
			      .supply = &t->supply,
			      .shared = t->shared.name.size > 0 ? &t->shared : NULL,
			      .hold = &t->hold,
			      .pools = s->pools,
			      .mono_us = clock_mono_us(),
			      .wall_us = clock_wall_us()};
	struct buf sentence = {0};

	trouble_words(s, &sentence);
	add(waits, &sentence);
	pools_forget(s->pools, f.mono_us);
	why_not(&f, &sentence);
	add(waits, &sentence);
	buf_fini(&sentence);
}

struct dry_run *dry_run_of(struct request *r, const struct submission *u)
{
	const struct definition_body *body = &u->definition->body;
	struct dry_run *d = check_calloc(1, sizeof(*d));
	struct view_trial t;
	struct arena arena;

	arena_init(&arena, 0);
	dispatcher_view_trial(services_core(r->services), &u->job, body, &arena, &t);
	d->request = r;
	buf_append_bytes(&d->name, t.job.name);
	buf_append_bytes(&d->queue, body->queue);
	offer_write(&body->phases.items[phases_shards(body)].policy.shape, &d->shape);
	d->would = (struct api_dry_run){.name = buf_bytes(&d->name),
					.definition = hex_of(body->sha256, d->definition),
					.known = t.version_known,
					.queue = buf_bytes(&d->queue),
					.priority = t.job.priority,
					.shape = buf_bytes(&d->shape),
					.has_shards = t.job.sealed,
					.shards = t.job.counts.shards,
					.waits = json_array()};
	say_waits(r->services, &t, d->would.waits);
	arena_fini(&arena);
	return d;
}

static void answer(struct dry_run *d, const struct dispatcher_reply *reply)
{
	struct api_accepted accepted = {
	    .id = reply->job,
	    .jobs = reply->job_count,
	    .duplicate = reply->duplicate,
	    .forgotten = reply->duplicate && retention_has_forgotten(d->request->services, reply->job),
	    .has_dry_run = true};
	struct buf end = {0};

	if (reply->why[0] != '\0') {
		buf_printf(&end, "it would be cancelled at once: %s", reply->why);
		json_array_clear(d->would.waits);
		add(d->would.waits, &end);
	}
	accepted.dry_run = d->would;
	d->would.waits = NULL;
	request_answer(d->request, MHD_HTTP_OK, object_write(object_accepted(), &accepted));
	buf_fini(&end);
}

void dry_run_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct dry_run *d = arg;

	if (!submission_refused(d->request, reply))
		answer(d, reply);
	json_decref(d->would.waits);
	buf_fini(&d->name);
	buf_fini(&d->queue);
	buf_fini(&d->shape);
	free(d);
}
