#include "dispatcher/intake/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/rules.h"
#include "jobs/instantiate.h"

static void note_error(struct server *s, const struct definition *d, size_t cursor, const struct error *e,
		       struct intake_result *ret)
{
	rules_note_error(s->rules, cursor, e);
	if (ret->list != NULL && ret->errors < INTAKE_ERRORS_MAX) {
		struct intake_error *note = &ret->list[ret->errors];
		size_t size = d->body.name.size < NAME_BYTES_MAX ? d->body.name.size : NAME_BYTES_MAX;

		memcpy(note->rule, d->body.name.data, size);
		note->rule[size] = '\0';
		note->error = *e;
	}
	ret->errors++;
}

static void accept(struct server *s, const struct event *e, struct dedup_key key,
		   struct definition_body *bodies, struct new_job *jobs, uint32_t count, reply_fn *fn,
		   void *arg)
{
	struct buf text = {0};
	struct input_accept in = {.key_hi = key.hi, .key_lo = key.lo};

	event_write(e, &text);
	for (uint32_t i = 0; i < count; i++) {
		jobs[i].event_id_hi = key.hi;
		jobs[i].event_id_lo = key.lo;
	}
	in.definitions = (struct definition_body_list){bodies, count};
	in.jobs = (struct new_job_list){jobs, count};
	in.event = buf_bytes(&text);
	in.request = replies_expect(&s->replies, fn, arg);
	server_step(s, INPUT_ACCEPT, &in);
	buf_fini(&text);
}

void intake_offer(struct server *s, const struct event *e, struct dedup_key key, reply_fn *fn, void *arg,
		  struct intake_result *ret)
{
	const struct definition *d;
	struct definition_body *bodies = NULL;
	struct new_job *jobs = NULL;
	struct arena arena;
	size_t cursor = 0;

	ret->matched = ret->jobs = ret->errors = 0;
	arena_init(&arena, 0);
	while ((d = rules_match(s->rules, e, &cursor)) != NULL) {
		struct new_job job = {0};
		struct error error = {0};

		ret->matched++;
		if (definition_instantiate(d, e, (struct bytes){0}, &arena, &job, &error) < 0) {
			note_error(s, d, cursor, &error, ret);
			continue;
		}
		bodies = check_realloc(bodies, ret->jobs + 1, sizeof(*bodies));
		jobs = check_realloc(jobs, ret->jobs + 1, sizeof(*jobs));
		bodies[ret->jobs] = d->body;
		jobs[ret->jobs++] = job;
	}
	if (ret->jobs > 0)
		accept(s, e, key, bodies, jobs, ret->jobs, fn, arg);
	free(bodies);
	free(jobs);
	arena_fini(&arena);
}
