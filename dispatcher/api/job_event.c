/* Which event a job was made for: what a person looks for who knows a file, and not a number. */
#include "dispatcher/api/job_event.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/api/job_output.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/readers.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/event.h"
#include "jobs/json.h"

#define PATIENCE_US USEC_PER_SEC /* an answer without events is better than none */

struct item {
	json_t *job;
	struct dedup_key key;
	json_t *event; /* found */
};

/* A job that has ended and gets its "output". */
struct ended {
	json_t *job; /* NULL: there is none */
	struct job_output output;
	struct bytes definition;
	struct dedup_key key;
	struct past_texts texts;
	struct arena arena; /* of all these */
};

struct job_events {
	struct reading query;
	struct request *request;
	struct job_wait history;
	json_t *answer;
	struct item *items; /* those that have an event */
	size_t count, room;
	struct ended ended;
	bool all_found; /* or read badly: asking again does not help */
	bool last;	/* they are not asked for again */
};

/* ---- events ---- */

static json_t *event_json(const json_t *event)
{
	const json_t *object = json_object_get(json_object_get(event, "detail"), "object");
	const struct api_job_event value = {
	    .id = json_bytes(json_object_get(event, "id")),
	    .source = json_bytes(json_object_get(event, "source")),
	    .detail_type = json_bytes(json_object_get(event, "detail-type")),
	    .key = json_bytes(json_object_get(object, "key")),
	    .key_base64 = json_bytes(json_object_get(object, "key-base64")),
	};

	return object_write(object_job_event(), &value);
}

static void read_ended(struct history_reader *reader, struct ended *ended)
{
	if (ended->job != NULL && ended->texts.definition.size == 0 &&
	    past_read_texts(reader, ended->definition, ended->key.hi, ended->key.lo, &ended->arena,
			    &ended->texts, NULL) < 0)
		ended->texts = (struct past_texts){0}; /* its answer tells no output */
}

/* In a reader's thread. */
static void run(struct history_reader *reader, struct reading *q)
{
	struct job_events *e = (struct job_events *)q;
	struct arena arena;

	e->all_found = true;
	read_ended(reader, &e->ended);
	arena_init(&arena, 0);
	for (size_t i = 0; i < e->count && q->rc == 0; i++) {
		struct item *item = &e->items[i];
		struct bytes kept;
		json_t *event;

		if (item->event != NULL)
			continue;
		q->rc = history_event(reader, item->key.hi, item->key.lo, &arena, &kept, &q->error);
		if (q->rc == ERR_NOT_FOUND) {
			e->all_found = false;
			q->rc = 0;
		} else if (q->rc == 0) {
			event = json_read(kept, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, NULL);
			item->event = event != NULL ? event_json(event) : json_null();
			json_decref(event);
		}
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

static void answer(struct job_events *e, bool none_else)
{
	json_t *value = e->answer;

	for (size_t i = 0; i < e->count; i++)
		if (e->items[i].event != NULL || none_else)
			json_object_set(e->items[i].job, "event",
					e->items[i].event != NULL ? e->items[i].event : json_null());
	if (e->ended.job != NULL)
		job_add_definition(&e->ended.output, &e->ended.texts, e->ended.job);
	e->answer = NULL;
	request_answer(e->request, MHD_HTTP_OK, value);
}

static void ask_again(void *arg, bool late)
{
	struct job_events *e = arg;

	if (late) {
		answer(e, false);
		return;
	}
	e->last = true;
	readers_ask(e->request->services->readers, &e->query);
}

static void done(struct reading *q)
{
	struct job_events *e = (struct job_events *)q;

	if (q->rc < 0)
		answer(e, false);
	else if (e->all_found || e->last)
		answer(e, true);
	else
		job_wait_history(e->request->api->waits, &e->history,
				 port_view(e->request->services->port).last_lsn, PATIENCE_US, ask_again, e);
}

/* ---- who asks ---- */

struct job_events *job_events_create(struct request *r)
{
	struct job_events *e = check_calloc(1, sizeof(*e));

	e->request = r;
	e->query.run = run;
	e->query.done = done;
	arena_init(&e->ended.arena, 0);
	return e;
}

void job_events_destroy(struct job_events *e)
{
	if (e == NULL)
		return;
	job_wait_cancel(&e->history);
	for (size_t i = 0; i < e->count; i++)
		json_decref(e->items[i].event);
	json_decref(e->answer);
	free(e->items);
	arena_fini(&e->ended.arena);
	free(e);
}

void job_events_add(struct job_events *e, json_t *job, struct dedup_key event)
{
	if ((event.hi | event.lo) == 0) {
		json_object_set_new(job, "event", json_null());
		return;
	}
	ARRAY_GROW(e->items, e->room, e->count);
	e->items[e->count++] = (struct item){.job = job, .key = event};
}

void job_events_add_output(struct job_events *e, json_t *job, const struct view_job *v)
{
	struct ended *ended = &e->ended;

	if (job_add_definition_live(e->request->services, v, job))
		return;
	ended->job = job;
	ended->definition = arena_copy(&ended->arena, v->definition);
	ended->key = (struct dedup_key){v->event_id_hi, v->event_id_lo};
	ended->output = (struct job_output){.job = v->job,
					    .name = arena_copy(&ended->arena, v->name),
					    .accepted_wall_us = v->accepted_wall_us};
}

void job_events_answer(struct job_events *e, json_t *value)
{
	e->answer = value;
	if (e->count == 0 && e->ended.job == NULL)
		answer(e, true);
	else
		readers_ask(e->request->services->readers, &e->query);
}
