#include "dispatcher/intake/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "dispatcher/intake/intake_after.h"
#include "dispatcher/rules.h"
#include "jobs/instantiate.h"
#include "jobs/kinds.h"

#define WHY_TEXT_BYTES 512

/* An event on its way into the core. */
struct offering {
	struct services *services;
	const struct event *event;
	struct intake_result *result;
	struct arena arena;
	struct definition_body *bodies;
	struct new_job *jobs;
	struct stillborn *failed;
	uint32_t failed_count;
	uint32_t *rules; /* of each job */
};

/* Who waits for the answer, and which rules the event matched. */
struct waiter {
	struct services *services;
	struct ticket ticket;
	uint32_t count;
	uint32_t rules[];
};

static struct bytes why_of(struct offering *o, const struct error *e)
{
	char text[WHY_TEXT_BYTES], line[ERROR_LINE_MAX];

	snprintf(text, sizeof(text), "event %.100s cannot be run: %.380s", o->event->id,
		 error_text(e, line, sizeof(line)));
	return arena_copy(&o->arena, bytes_of(text));
}

static void note_error(struct offering *o, const struct definition *d, size_t cursor, const struct error *e)
{
	struct intake_result *result = o->result;

	rules_note_error(o->services->rules, cursor, o->event->id, e);
	if (result->list != NULL && result->errors < INTAKE_ERRORS_MAX) {
		struct intake_error *note = &result->list[result->errors];
		size_t size = d->body.name.size < NAME_BYTES_MAX ? d->body.name.size : NAME_BYTES_MAX;

		memcpy(note->rule, d->body.name.data, size);
		note->rule[size] = '\0';
		note->job = result->jobs;
		note->error = *e;
	}
	result->errors++;
	o->failed = check_realloc(o->failed, o->failed_count + 1, sizeof(*o->failed));
	o->failed[o->failed_count++] = (struct stillborn){.index = result->jobs, .why = why_of(o, e)};
}

static void add_job(struct offering *o, const struct definition *d, size_t cursor, uint32_t rule)
{
	struct new_job job = {0};
	struct error error = {0};
	uint32_t at = o->result->jobs;

	if (definition_instantiate(d, o->event, (struct bytes){0}, &o->arena, &job, &error) < 0) {
		uint32_t depth = o->event->depth;

		note_error(o, d, cursor, &error);
		job = (struct new_job){.definition = d->body.sha256,
				       .name = d->body.name,
				       .priority = d->body.priority,
				       .depth = depth < CHAIN_DEPTH_MAX ? depth : CHAIN_DEPTH_MAX};
	}
	job.by = (struct principal){.kind = BY_RULE, .name = d->body.name};
	o->bodies = check_realloc(o->bodies, at + 1, sizeof(*o->bodies));
	o->jobs = check_realloc(o->jobs, at + 1, sizeof(*o->jobs));
	o->rules = check_realloc(o->rules, at + 1, sizeof(*o->rules));
	o->bodies[at] = d->body;
	o->jobs[at] = job;
	o->rules[at] = rule;
	o->result->jobs++;
}

/* An event that is refused, or was accepted before, has matched nothing. */
static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct waiter *w = arg;

	if (reply->code == ERR_OK && !reply->duplicate)
		for (uint32_t i = 0; i < w->count; i++)
			rules_note_matched(w->services->rules, w->rules[i]);
	w->ticket.fn(w->ticket.arg, reply);
	free(w);
}

static struct waiter *waiter_create(const struct offering *o, const struct ticket *ticket)
{
	uint32_t count = o->result->jobs;
	struct waiter *w = check_calloc(1, sizeof(*w) + sizeof(*w->rules) * count);

	*w = (struct waiter){.services = o->services, .ticket = *ticket, .count = count};
	memcpy(w->rules, o->rules, sizeof(*w->rules) * count);
	return w;
}

static void accept(struct offering *o, struct dedup_key key, const struct principal *by,
		   const struct ticket *ticket)
{
	struct buf text = {0};
	struct input_accept in = {.key_hi = key.hi, .key_lo = key.lo, .by = *by};
	uint32_t count = o->result->jobs;

	event_write(o->event, &text);
	for (uint32_t i = 0; i < count; i++) {
		o->jobs[i].event_id_hi = key.hi;
		o->jobs[i].event_id_lo = key.lo;
	}
	in.definitions = (struct definition_body_list){o->bodies, count};
	in.jobs = (struct new_job_list){o->jobs, count};
	in.failed = (struct stillborn_list){o->failed, o->failed_count};
	in.event = buf_bytes(&text);
	intake_after_submit(o->services, &in, &(struct ticket){on_reply, waiter_create(o, ticket)});
	buf_fini(&text);
}

void intake_offer(struct services *s, const struct event *e, struct dedup_key key, const struct principal *by,
		  const struct ticket *ticket, struct intake_result *ret)
{
	intake_offer_to(s, NULL, e, key, by, ticket, ret);
	if (ret->jobs == 0)
		s->events_unmatched++;
}

void intake_offer_to(struct services *s, const char *rule, const struct event *e, struct dedup_key key,
		     const struct principal *by, const struct ticket *ticket, struct intake_result *ret)
{
	struct offering o = {.services = s, .event = e, .result = ret};
	const struct definition *d;
	size_t cursor = 0;
	uint32_t number;

	ret->jobs = ret->errors = 0;
	arena_init(&o.arena, 0);
	while ((d = rules_match(s->rules, rule, e, &cursor, &number)) != NULL)
		add_job(&o, d, cursor, number);
	if (ret->jobs > 0)
		accept(&o, key, by, ticket);
	free(o.bodies);
	free(o.jobs);
	free(o.failed);
	free(o.rules);
	arena_fini(&o.arena);
}
