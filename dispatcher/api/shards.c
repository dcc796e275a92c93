/* GET /v1/jobs/{id}/shards: dead or done shards, of a job that is there or of one that history knows. */
#include <string.h>

#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/readers.h"
#include "jobs/kinds.h"

#define PAGE_MAX 1000
#define PHASE_NOT_SAID UINT32_MAX /* then history's row of the job says it */

struct page {
	struct reading reading;
	struct request *request;
	struct job_wait wait;
	uint64_t job;
	json_t *list;
	uint64_t next; /* first shard behind the last */
	uint64_t limit;
	uint32_t phase;
	bool done; /* these are asked for */
};

static void add(struct page *p, struct range shards, uint8_t kind, const int64_t *code,
		const struct bytes *why)
{
	const struct api_dead_shards dead = {
	    .phase = p->phase,
	    .first = shards.first,
	    .count = shards.count,
	    .kind = bytes_of(failure_kind_name(kind)),
	    .has_code = code != NULL,
	    .code = code != NULL ? *code : 0,
	    .has_why = why != NULL,
	    .why = why != NULL ? *why : (struct bytes){0},
	};

	json_array_append_new(p->list, object_write(object_dead_shards(), &dead));
	p->next = range_end(shards);
}

static int add_row(void *arg, const struct history_failure *f)
{
	add(arg, f->shards, f->kind, &f->code, &f->why);
	return 0;
}

static void add_done(struct page *p, struct range shards)
{
	const struct api_done_shards done = {.phase = p->phase, .first = shards.first, .count = shards.count};

	json_array_append_new(p->list, object_write(object_done_shards(), &done));
	p->next = range_end(shards);
}

/* Winners that follow each other are one run. ERR_LIMIT: the page is full. */
static int add_winner(void *arg, const struct history_winner *w)
{
	struct page *p = arg;
	size_t count = json_array_size(p->list);
	json_t *run = json_array_get(p->list, count > 0 ? count - 1 : 0), *size;

	if (w->is_missing)
		return 0;
	if (count > 0 && p->next == w->shards.first) {
		size = json_object_get(run, "count");
		json_integer_set(size, json_integer_value(size) + w->shards.count);
		p->next = range_end(w->shards);
		return 0;
	}
	if (count == p->limit)
		return ERR_LIMIT;
	add_done(p, w->shards);
	return 0;
}

static int add_winners(struct history_reader *history, struct page *p, struct error *reterr)
{
	uint64_t shards = 0;
	int r = history_phase_shards(history, p->job, p->phase, &shards, reterr);

	if (r == ERR_NOT_FOUND || (r == 0 && p->next >= shards)) /* it has not begun */
		return 0;
	if (r == 0)
		r = history_winners(history, p->job, p->phase,
				    (struct range){(uint32_t)p->next, (uint32_t)(shards - p->next)},
				    add_winner, p, reterr);
	return r == ERR_LIMIT ? 0 : r;
}

static void add_live_done(struct services *s, struct page *p)
{
	struct range done[PAGE_MAX];
	uint64_t cursor = p->next;
	size_t count = dispatcher_view_done(services_core(s), p->job, &cursor, done, p->limit);

	for (size_t i = 0; i < count; i++)
		add_done(p, done[i]);
	p->next = cursor;
}

static void add_live(struct services *s, struct page *p)
{
	struct view_dead dead[PAGE_MAX];
	size_t count = dispatcher_view_dead(services_core(s), p->job, &p->next, dead, p->limit);
	uint64_t cursor = p->next;

	for (size_t i = 0; i < count; i++)
		add(p, dead[i].shards, dead[i].kind, dead[i].noted ? &dead[i].code : NULL,
		    dead[i].noted ? &dead[i].why : NULL);
	p->next = cursor;
}

/* Of a job that has ended: what people ask for are its shards, or the plan if it came no further. */
static uint32_t phase_of_shards(uint32_t last, uint32_t shards)
{
	return last < shards ? last : shards;
}

/* In a reader's thread. */
static void read_rows(struct history_reader *history, struct reading *r)
{
	struct page *p = (struct page *)r;
	struct history_job row;
	struct arena arena;

	arena_init(&arena, 0);
	r->rc = history_job(history, p->job, &arena, &row, &r->error);
	if (r->rc == 0 && p->phase == PHASE_NOT_SAID)
		p->phase = phase_of_shards(row.phase, row.shards_phase);
	if (r->rc == 0 && p->done)
		r->rc = add_winners(history, p, &r->error);
	else if (r->rc == 0)
		r->rc = history_failures(history, p->job, p->phase, (uint32_t)p->next, (uint32_t)p->limit,
					 &arena, add_row, p, &r->error);
	arena_fini(&arena);
}

static void answer(struct page *p)
{
	const struct api_shards shards = {.shards = json_incref(p->list),
					  .next = json_array_size(p->list) == p->limit ? p->next : 0};

	request_answer(p->request, MHD_HTTP_OK, object_write(object_shards(), &shards));
}

static void on_read(struct reading *r)
{
	struct page *p = (struct page *)r;
	struct error e = r->error;

	if (r->rc == ERR_NOT_FOUND)
		job_refuse_unknown(p->request->services, p->job, &e);
	if (r->rc < 0)
		request_fail(p->request, &e);
	else
		answer(p);
}

static void on_told(void *arg, bool late)
{
	struct page *p = arg;

	(void)late;
	readers_ask(p->request->services->readers, &p->reading);
}

static int fill(struct page *p, struct error *reterr)
{
	struct request *r = p->request;
	struct arena arena;
	struct view_job v;
	uint64_t phase;
	uint64_t otherwise = PHASE_NOT_SAID;
	bool live = false;
	int rc;

	arena_init(&arena, 0);
	if (dispatcher_view_job(services_core(r->services), p->job, &arena, &v)) {
		live = !job_state_is_ended(v.state);
		otherwise = live ? v.phase : phase_of_shards(v.phase, v.shards_phase);
	}
	arena_fini(&arena);
	rc = request_query_number(r, "phase", 0, PHASE_NOT_SAID - 1, otherwise, &phase, reterr);
	if (rc < 0)
		return rc;
	p->phase = (uint32_t)phase;
	if (!live || phase != v.phase) {
		job_wait_told(r->api->waits, &p->wait, p->job, on_told, p);
		return 0;
	}
	if (p->done)
		add_live_done(r->services, p);
	else
		add_live(r->services, p);
	answer(p);
	return 0;
}

static void destroy(void *state)
{
	struct page *p = state;

	job_wait_cancel(&p->wait);
	json_decref(p->list);
	free(p);
}

void api_shards(struct request *r)
{
	const char *state = request_query(r, "state");
	struct error e = {0};
	struct page *p;
	uint64_t job;
	int rc;

	if (!request_job(r, &job))
		return;
	p = check_calloc(1, sizeof(*p));
	p->reading = (struct reading){.run = read_rows, .done = on_read};
	p->request = r;
	p->job = job;
	p->list = json_array();
	r->state = p;
	r->state_fini = destroy;
	rc = request_number(r, "limit", &p->limit, &e);
	if (rc == 0)
		rc = request_number(r, "cursor", &p->next, &e);
	p->done = strcmp(state, "done") == 0;
	if (rc == 0 && !p->done && state[0] != '\0' && strcmp(state, "dead") != 0) {
		error_set(&e, ERR_INVALID, "expected dead or done, found \"%.20s\"", state);
		rc = error_where(&e, "?state=");
	}
	if (rc == 0)
		rc = fill(p, &e);
	if (rc < 0)
		request_fail(r, &e);
}
