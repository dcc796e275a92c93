/* GET /v1/jobs and /v1/jobs/{id}. The list is merged by id: the core's jobs, then history's. Those of an
 * event are history's alone, which has an index of them; what such a job is, the core says as long as it has
 * it. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/api/job_answer.h"
#include "dispatcher/api/job_event.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/readers.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/event.h"
#include "jobs/kinds.h"

/* Jobs of the core that one request looks at; a page may then be short, but has a cursor. */
#define LOOK_MAX 20000
#define PAGE_MAX 1000 /* queries.def says how many when they are numbers alone */
#define READS_MAX 3   /* again, of rows that are not so any more */
#define CATCH_UP_US (5 * USEC_PER_SEC)

struct listing {
	struct reading query;
	struct request *request;
	uint64_t before, limit;
	uint32_t states, words; /* bits; 0 = any */
	char name[NAME_BYTES_MAX + 1];
	struct buf event, exact; /* its id or key, and the key in base64; size 0 = any */
	bool ids;		 /* nothing else of a job is asked */
	json_t *jobs;
	struct dedup_key *keys; /* of their events */
	size_t key_room;
	uint64_t live_last; /* the core was read down to this id; 0 = to its end */
	uint64_t rows_last; /* the same of history */
	uint64_t looked;    /* rows of it */
	struct history_job *rows;
	size_t row_count, row_room;
	struct arena arena;
	struct job_events *events; /* of the answer */
	struct job_wait history;
	uint32_t reads;
};

static void listing_destroy(void *state)
{
	struct listing *l = state;

	job_wait_cancel(&l->history);
	job_events_destroy(l->events);
	json_decref(l->jobs);
	buf_fini(&l->event);
	buf_fini(&l->exact);
	free(l->keys);
	free(l->rows);
	arena_fini(&l->arena);
	free(l);
}

void api_job(struct request *r)
{
	uint64_t job;

	if (request_job(r, &job))
		job_answer(r, job, JOB_ANSWER_EVENT, NULL);
}

/* "running,failed" */
static int read_states(struct listing *l, const char *text, struct error *reterr)
{
	while (*text != '\0') {
		size_t length = strcspn(text, ",");
		struct bytes word = BYTES(text, length);
		uint8_t state = job_state_of(word);
		bool known = state != 0;

		for (uint32_t w = 0; w <= JOB_WORD_CANCELLED; w++) {
			if (!bytes_equal(bytes_of(job_word_name(w)), word))
				continue;
			l->words |= 1u << w;
			known = true;
		}
		if (state != 0)
			l->states |= 1u << state;
		if (!known) {
			error_set(reterr, ERR_INVALID, "expected states or words of jobs, found \"%.*s\"",
				  (int)(length < 40 ? length : 40), text);
			error_help(reterr, "held, planning, queued, running, gathering, paused, active, "
					   "succeeded, failed, cancelled, unknown");
			return error_where(reterr, "?state=");
		}
		text += length + (text[length] == ',');
	}
	return 0;
}

static bool wanted(const struct listing *l, uint8_t state, uint32_t word, struct bytes name)
{
	if (l->name[0] != '\0' && !bytes_equal(name, bytes_of(l->name)))
		return false;
	return (l->states | l->words) == 0 || (l->states & 1u << state) != 0 || (l->words & 1u << word) != 0;
}

static json_t *id_json(uint64_t job)
{
	return object_write(object_job_id(), &(struct api_job_id){.id = job});
}

static void add_live(struct listing *l, const struct view_job *v)
{
	size_t count = json_array_size(l->jobs);

	if (!wanted(l, v->state, v->word, v->name))
		return;
	ARRAY_GROW(l->keys, l->key_room, count);
	l->keys[count] = (struct dedup_key){v->event_id_hi, v->event_id_lo};
	json_array_append_new(l->jobs, l->ids ? id_json(v->job) : job_json_live(l->request->services, v));
}

/* The core's jobs, newest first. */
static void read_live(struct listing *l)
{
	struct services *s = l->request->services;
	uint64_t id = l->before;
	int looked = 0;

	while ((id = dispatcher_view_previous_job(services_core(s), id)) != 0) {
		struct view_job v;

		arena_reset(&l->arena);
		if (dispatcher_view_job(services_core(s), id, &l->arena, &v))
			add_live(l, &v);
		if (json_array_size(l->jobs) == l->limit || ++looked == LOOK_MAX) {
			l->live_last = id;
			return;
		}
	}
}

static uint64_t id_of(const json_t *job)
{
	return (uint64_t)json_integer_value(json_object_get(job, "id"));
}

static bool row_is_wanted(const struct listing *l, const struct history_job *row)
{
	uint32_t word =
	    job_state_is_ended(row->state) ? JOB_WORD_SUCCEEDED + (row->state - JOB_SUCCEEDED) : 0;

	return wanted(l, row->state, word, row->name);
}

static int take_row(void *arg, const struct history_job *row)
{
	struct listing *l = arg;

	l->rows_last = row->job;
	l->looked++;
	if (l->event.size == 0 && (!job_state_is_ended(row->state) || !row_is_wanted(l, row)))
		return 0;
	ARRAY_GROW(l->rows, l->row_room, l->row_count);
	l->rows[l->row_count++] = *row;
	return 0;
}

/* In a reader's thread. */
static void run(struct history_reader *reader, struct reading *q)
{
	struct listing *l = (struct listing *)q;
	uint32_t states = 0;

	for (uint32_t s = JOB_SUCCEEDED; s <= JOB_CANCELLED; s++)
		if (wanted(&(struct listing){.states = l->states, .words = l->words}, (uint8_t)s,
			   JOB_WORD_SUCCEEDED + (s - JOB_SUCCEEDED), (struct bytes){0}))
			states |= 1u << s;
	q->rc = 0;
	if (l->event.size > 0)
		q->rc = history_jobs_of_event(reader, buf_bytes(&l->event), buf_bytes(&l->exact), l->before,
					      (uint32_t)l->limit, &l->arena, take_row, l, &q->error);
	else if (states != 0)
		q->rc = history_jobs(reader, l->before, states, (uint32_t)l->limit, &l->arena, take_row, l,
				     &q->error);
	if (l->looked < l->limit) /* that was all */
		l->rows_last = 0;
}

/* History may still tell the last end of a job that goes on. */
static bool is_of_core(const struct listing *l, uint64_t job)
{
	struct arena arena;
	struct view_job v;
	bool there;

	arena_init(&arena, 0);
	there = dispatcher_view_job(services_core(l->request->services), job, &arena, &v);
	arena_fini(&arena);
	return there;
}

/* Of the rows of an event: what the core has is the core's. Returns how many are not so any more: such a job
 * has ended since it was read, and history has to be read again. last: it was read often enough; then its end
 * is lost (job_is_lost). */
static size_t take_live(struct listing *l, bool last)
{
	size_t kept = 0, stale = 0;

	for (size_t i = 0; i < l->row_count; i++) {
		const struct history_job *row = &l->rows[i];
		struct arena arena;
		struct view_job v;

		arena_init(&arena, 0);
		if (dispatcher_view_job(services_core(l->request->services), row->job, &arena, &v))
			add_live(l, &v);
		else if (!job_state_is_ended(row->state) && !last)
			stale++;
		else if (row_is_wanted(l, row))
			l->rows[kept++] = *row;
		arena_fini(&arena);
	}
	l->row_count = kept;
	return stale;
}

static void forget_rows(struct listing *l)
{
	json_array_clear(l->jobs);
	arena_reset(&l->arena);
	l->row_count = l->looked = l->rows_last = 0;
}

static void add_merged(struct listing *l, json_t *merged, json_t *job, struct dedup_key event)
{
	json_array_append_new(merged, job);
	if (!l->ids)
		job_events_add(l->events, job, event);
}

/* Both lists go down by id; a job that is in both is the core's. */
static json_t *merge(struct listing *l, uint64_t *ret_next)
{
	json_t *merged = json_array();
	size_t live = 0, row = 0, live_count = json_array_size(l->jobs);
	uint64_t floor = l->live_last > l->rows_last ? l->live_last : l->rows_last;

	while (json_array_size(merged) < l->limit && (live < live_count || row < l->row_count)) {
		uint64_t a = live < live_count ? id_of(json_array_get(l->jobs, live)) : 0;
		uint64_t b = row < l->row_count ? l->rows[row].job : 0;

		if ((a > b ? a : b) < floor)
			break;
		if (a >= b) {
			add_merged(l, merged, json_incref(json_array_get(l->jobs, live)), l->keys[live]);
			live++;
			row += a == b;
		} else {
			const struct history_job *r = &l->rows[row++];

			if (!is_of_core(l, b))
				add_merged(l, merged, l->ids ? id_json(b) : job_json_row(r),
					   (struct dedup_key){r->event_id_hi, r->event_id_lo});
		}
	}
	*ret_next = floor;
	if (json_array_size(merged) == l->limit)
		*ret_next = id_of(json_array_get(merged, l->limit - 1));
	return merged;
}

static void ask(void *arg, bool late);

/* So that it knows those that have just been accepted, too. */
static void await_history(struct listing *l)
{
	struct services *s = l->request->services;

	job_wait_history(l->request->api->waits, &l->history, port_view(s->port).last_lsn, CATCH_UP_US, ask,
			 l);
}

static void done(struct reading *q)
{
	struct listing *l = (struct listing *)q;
	struct api_jobs answer = {0};
	uint64_t next;

	if (q->rc < 0) {
		request_fail(l->request, &q->error);
		return;
	}
	if (l->event.size > 0 && take_live(l, l->reads == READS_MAX) > 0) {
		l->reads++;
		forget_rows(l);
		await_history(l);
		return;
	}
	l->events = job_events_create(l->request);
	answer.jobs = merge(l, &next);
	answer.next = next > 1 ? next : 0;
	job_events_answer(l->events, object_write(object_jobs(), &answer));
}

static void ask(void *arg, bool late)
{
	struct listing *l = arg;
	struct error e = {0};

	if (!late) {
		readers_ask(l->request->services->readers, &l->query);
		return;
	}
	error_set(&e, ERR_BUSY, "history, which knows the jobs of an event, is behind");
	error_help(&e, "`shardmill status` says why; ask again later");
	request_fail(l->request, &e);
}

static void read_event(struct listing *l, const char *text)
{
	struct bytes event = bytes_of(text);

	if (event.size == 0)
		return;
	buf_append_bytes(&l->event, event);
	event_base64(&l->exact, event);
}

void api_jobs(struct request *r)
{
	struct listing *l = check_calloc(1, sizeof(*l));
	const char *name = request_query(r, "name"), *fields = request_query(r, "fields");
	struct error e = {0};
	int rc = 0;

	l->request = r;
	l->jobs = json_array();
	l->ids = strcmp(fields, "id") == 0;
	arena_init(&l->arena, 0);
	r->state = l;
	r->state_fini = listing_destroy;
	if (fields[0] != '\0' && !l->ids) {
		error_set(&e, ERR_INVALID, "expected id, or nothing for all");
		rc = error_where(&e, "?fields=");
	}
	if (rc == 0)
		rc = l->ids ? request_number(r, "limit", &l->limit, &e)
			    : request_query_number(r, "limit", 1, PAGE_MAX, 100, &l->limit, &e);
	if (rc == 0)
		rc = request_number(r, "cursor", &l->before, &e);
	if (rc == 0)
		rc = read_states(l, request_query(r, "state"), &e);
	if (rc == 0 && strlen(name) > NAME_BYTES_MAX) {
		error_set(&e, ERR_INVALID, "expected a name of at most %d bytes", NAME_BYTES_MAX);
		rc = error_where(&e, "?name=");
	}
	if (rc < 0) {
		request_fail(r, &e);
		return;
	}
	memcpy(l->name, name, strlen(name) + 1);
	l->query.run = run;
	l->query.done = done;
	read_event(l, request_query(r, "event"));
	if (l->event.size > 0) { /* also those that have just been accepted */
		await_history(l);
		return;
	}
	read_live(l);
	arena_reset(&l->arena);
	readers_ask(r->services->readers, &l->query);
}
