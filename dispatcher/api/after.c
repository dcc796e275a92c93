#include "dispatcher/api/after.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "jobs/after_text.h"
#include "jobs/json.h"
#include "jobs/kinds.h"

#define PATIENCE_US (10 * USEC_PER_SEC) /* with history */

/* What history says of the shards of a job that is past them. */
struct past_shards {
	struct reading reading;
	uint64_t job;	/* 0: none is asked for */
	uint32_t phase; /* UINT32_MAX: its row says it */
	uint64_t count;
	struct range *done;
	uint32_t done_count, room;
	bool is_read;
};

struct after {
	struct request *request;
	struct submission *submission;
	struct past *past;
	uint64_t asked[PAST_JOBS_MAX]; /* in order */
	uint32_t count;
	struct job_wait wait;
	struct past_shards shards;
};

/* ---- the texts ---- */

/* "7:shard", or what a definition may say as well. */
static int read_one(struct bytes text, struct after_job *ret, struct error *reterr)
{
	static const struct bytes shard = BYTES_LIT(":shard");
	bool is_shard =
	    text.size > shard.size && memcmp(text.data + text.size - shard.size, shard.data, shard.size) == 0;
	int rc = after_text_parse(is_shard ? BYTES(text.data, text.size - shard.size) : text, ret, reterr);

	if (rc == 0 && is_shard)
		ret->condition = AFTER_SHARD;
	return rc;
}

int after_read(struct submission *u, struct error *reterr)
{
	const json_t *texts = u->asked.after;
	size_t count = json_array_size(texts);
	const struct after_job_list own = u->job.after; /* the definition's */
	struct after_job_list *list = &u->job.after;

	if (count == 0)
		return 0;
	if (own.count + count > AFTER_JOBS_MAX) {
		error_set(reterr, ERR_LIMIT, "expected at most %d jobs to wait for, found %zu",
			  AFTER_JOBS_MAX, own.count + count);
		return error_where(reterr, "after");
	}
	list->items = arena_alloc(&u->arena, (own.count + count) * sizeof(*list->items));
	for (uint32_t i = 0; i < own.count; i++)
		list->items[i] = own.items[i];
	for (size_t i = 0; i < count; i++)
		if (read_one(json_bytes(json_array_get(texts, i)), &list->items[list->count++], reterr) < 0)
			return error_where(reterr, "after[%zu]", i);
	return 0;
}

/* ---- how these jobs stand ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct ended_fact *)a)->job, y = ((const struct ended_fact *)b)->job;

	return (x > y) - (x < y);
}

static bool is_told(const struct submission *u, uint64_t job)
{
	for (uint32_t i = 0; i < u->ended.count; i++)
		if (u->ended.items[i].job == job && u->ended.items[i].state != 0)
			return true;
	return false;
}

static void destroy(void *state)
{
	struct after *a = state;

	past_drop(a->past);
	job_wait_cancel(&a->wait);
	free(a->shards.done);
	submission_fini(a->submission);
	free(a->submission);
	free(a);
}

static int refuse(struct after *a, uint64_t job, struct error *reterr)
{
	const struct after_job_list *list = &a->submission->job.after;
	uint32_t at = 0;

	while (at + 1 < list->count && list->items[at].job != job)
		at++;
	job_refuse_unknown(a->request->services, job, reterr);
	reterr->code = ERR_INVALID; /* the submission's own address is there */
	error_where(reterr, "after[%u]", at);
	return ERR_INVALID;
}

/* Up to PAST_JOBS_MAX of the jobs that neither the core has nor history was asked for. */
static int collect(struct after *a, struct error *reterr)
{
	const struct after_job_list *list = &a->submission->job.after;
	struct view_counters c;

	dispatcher_view_counters(services_core(a->request->services), &c);
	a->count = 0;
	for (uint32_t i = 0; i < list->count && a->count < PAST_JOBS_MAX; i++) {
		uint64_t job = list->items[i].job;
		bool twice = false;

		if (job >= c.next_job)
			return refuse(a, job, reterr);
		if (job_is_of_core(a->request->services, job) || is_told(a->submission, job))
			continue;
		for (uint32_t k = 0; k < a->count; k++)
			twice = twice || a->asked[k] == job;
		if (!twice)
			a->asked[a->count++] = job;
	}
	return 0;
}

/* The one of this job, made when there is none. */
static struct ended_fact *fact_of(struct ended_fact_list *facts, uint64_t job)
{
	for (uint32_t i = 0; i < facts->count; i++)
		if (facts->items[i].job == job)
			return &facts->items[i];
	facts->items[facts->count] = (struct ended_fact){.job = job};
	return &facts->items[facts->count++];
}

static int take_rows(struct after *a, struct error *reterr)
{
	struct ended_fact_list *facts = &a->submission->ended;
	struct services *s = a->request->services;

	for (uint32_t i = 0; i < a->count; i++) {
		const struct history_job *row = past_row(a->past, a->asked[i]);

		if (job_is_of_core(s, a->asked[i]))
			continue; /* it was reopened meanwhile */
		if (row == NULL)
			return refuse(a, a->asked[i], reterr);
		if (!job_state_is_ended(row->state)) {
			error_set(reterr, ERR_INVALID, "it is not known how job %llu ended",
				  (unsigned long long)a->asked[i]);
			return error_where(reterr, "after");
		}
		fact_of(facts, a->asked[i])->state = row->state;
	}
	qsort(facts->items, facts->count, sizeof(*facts->items), compare);
	return 0;
}

static void go_on(struct after *a);

static void on_past(void *arg, struct past *past, int rc, const struct error *why)
{
	struct after *a = arg;
	struct error e = *why;

	if (rc == 0)
		rc = take_rows(a, &e);
	a->past = NULL;
	past_drop(past);
	if (rc < 0)
		request_fail(a->request, &e);
	else
		go_on(a);
}

/* ---- the shards of a job that is past them ---- */

#define DONE_RANGES_MAX 65536u /* with so many the core refuses them */

static int add_winner(void *arg, const struct history_winner *w)
{
	struct past_shards *p = arg;
	struct range *last = p->done_count > 0 ? &p->done[p->done_count - 1] : NULL;

	if (w->is_missing || p->done_count == DONE_RANGES_MAX)
		return 0;
	if (last != NULL && range_end(*last) == w->shards.first) {
		last->count += w->shards.count;
		return 0;
	}
	ARRAY_GROW(p->done, p->room, p->done_count);
	p->done[p->done_count++] = w->shards;
	return 0;
}

/* In a reader's thread. */
static void read_shards(struct history_reader *history, struct reading *r)
{
	struct past_shards *p = (struct past_shards *)r;
	struct history_job row;
	struct arena arena;

	arena_init(&arena, 0);
	if (p->phase == UINT32_MAX) {
		r->rc = history_job(history, p->job, &arena, &row, &r->error);
		p->phase = r->rc == 0 ? row.shards_phase : 0;
	}
	arena_fini(&arena);
	if (r->rc == 0)
		r->rc = history_phase_shards(history, p->job, p->phase, &p->count, &r->error);
	if (r->rc == 0 && p->count > 0)
		r->rc = history_winners(history, p->job, p->phase, range_between(0, p->count), add_winner, p,
					&r->error);
}

static void take_shards(struct after *a)
{
	struct ended_fact_list *facts = &a->submission->ended;
	struct ended_fact *fact = fact_of(facts, a->shards.job);

	fact->shards = (uint32_t)a->shards.count;
	fact->done = (struct range_list){a->shards.done, a->shards.done_count};
	qsort(facts->items, facts->count, sizeof(*facts->items), compare);
}

static void on_shards(struct reading *r)
{
	struct after *a = (struct after *)((char *)r - offsetof(struct after, shards.reading));
	struct error e = r->error;

	if (r->rc == ERR_NOT_FOUND) {
		error_set(&e, ERR_INVALID, "it is not known how the shards of job %llu stand",
			  (unsigned long long)a->shards.job);
		r->rc = error_where(&e, "after");
	}
	a->shards.is_read = true;
	if (r->rc < 0) {
		request_fail(a->request, &e);
		return;
	}
	take_shards(a);
	go_on(a);
}

static void on_told(void *arg, bool late)
{
	struct after *a = arg;
	struct error e = {0};

	if (!late && !a->request->services->stopping) {
		a->shards.reading = (struct reading){.run = read_shards, .done = on_shards};
		readers_ask(a->request->services->readers, &a->shards.reading);
		return;
	}
	error_set(&e, ERR_BUSY, "how the shards of job %llu stand is not in history yet",
		  (unsigned long long)a->shards.job);
	error_help(&e, "try again later");
	request_fail(a->request, &e);
}

/* A job whose shards are in work, or come later, is the core's affair. */
static bool asks_shards(struct after *a)
{
	const struct after_job_list *list = &a->submission->job.after;
	const struct dispatcher_core *core = services_core(a->request->services);
	struct view_counters c;
	struct view_job v = {0};
	struct arena arena;
	bool there;

	for (uint32_t i = 0; i < list->count; i++)
		if (list->items[i].condition == AFTER_SHARD)
			a->shards.job = list->items[i].job;
	if (a->shards.job == 0 || a->shards.is_read)
		return false;
	arena_init(&arena, 0);
	there = dispatcher_view_job(core, a->shards.job, &arena, &v);
	arena_fini(&arena);
	if (there && !job_state_is_ended(v.state) && v.phase <= v.shards_phase)
		return false;
	dispatcher_view_counters(core, &c);
	a->shards.phase = there ? v.shards_phase : UINT32_MAX;
	job_wait_history(a->request->api->waits, &a->wait,
			 !there			       ? 0
			 : job_state_is_ended(v.state) ? v.ended_lsn
						       : c.last_lsn,
			 PATIENCE_US, on_told, a);
	return true;
}

static void go_on(struct after *a)
{
	struct request *r = a->request;
	struct error e = {0};
	int rc = collect(a, &e);

	if (rc == 0 && a->count > 0) {
		a->past = past_create(r->services, NULL, on_past, a);
		for (uint32_t i = 0; i < a->count; i++)
			past_add(a->past, a->asked[i]);
		past_ask(a->past);
		return;
	}
	if (rc == 0 && asks_shards(a))
		return;
	if (rc == 0)
		rc = submission_start(r, a->submission, &e);
	if (rc < 0)
		request_fail(r, &e);
}

void after_start(struct request *r, struct submission *u)
{
	struct after *a = check_calloc(1, sizeof(*a));

	*a = (struct after){.request = r, .submission = u};
	u->ended.items = arena_alloc(&u->arena, (u->job.after.count + 1) * sizeof(*u->ended.items));
	CHECK(u->ended.items != NULL);
	r->state = a;
	r->state_fini = destroy;
	go_on(a);
}
