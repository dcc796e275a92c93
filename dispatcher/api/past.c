#include "dispatcher/api/past.h"

#include <stdlib.h>

#include "base/check.h"
#include "jobs/kinds.h"

#define READS_MAX 4 /* of rows that were not true any more when they came */

struct past_job {
	uint64_t job;
	bool known;
	struct history_job row;
};

struct past {
	struct reading reading;
	struct services *services;
	past_more_fn *more;
	past_fn *fn;
	void *arg;
	bool asked, dropped;
	uint32_t reads;
	struct arena arena; /* the thread's while it is asked, as the jobs */
	struct past_job *jobs;
	size_t count;
};

static void destroy(struct past *p)
{
	arena_fini(&p->arena);
	free(p->jobs);
	free(p);
}

/* In a reader's thread. */
static void run(struct history_reader *history, struct reading *r)
{
	struct past *p = (struct past *)r;

	for (size_t i = 0; i < p->count && r->rc == 0 && !atomic_load(&r->cancelled); i++) {
		struct past_job *j = &p->jobs[i];

		r->rc = history_job(history, j->job, &p->arena, &j->row, &r->error);
		j->known = r->rc == 0;
		if (r->rc == ERR_NOT_FOUND)
			r->rc = 0;
		else if (r->rc == 0 && p->more != NULL)
			r->rc = p->more(p->arg, history, &j->row, &p->arena, &r->error);
	}
}

/* It had been reopened when its row was read, and has ended since: only then has the core forgotten it, and
 * history knows that end. */
static bool is_stale(const struct past *p)
{
	struct arena arena;
	struct view_job v;
	bool stale = false;

	arena_init(&arena, 0);
	for (size_t i = 0; i < p->count && !stale; i++) {
		stale = p->jobs[i].known && !job_state_is_ended(p->jobs[i].row.state) &&
			!dispatcher_view_job(services_core(p->services), p->jobs[i].job, &arena, &v);
		arena_reset(&arena);
	}
	arena_fini(&arena);
	return stale;
}

static void done(struct reading *r)
{
	struct past *p = (struct past *)r;
	struct error e = r->error;
	int rc = r->rc;

	p->asked = false;
	if (p->dropped) {
		destroy(p);
		return;
	}
	if (rc == 0 && p->services->stopping) /* nothing is read or recorded any more */
		rc = error_set(&e, ERR_CLOSED, "the dispatcher stops");
	if (rc == 0 && ++p->reads < READS_MAX && is_stale(p)) {
		past_ask(p);
		return;
	}
	p->fn(p->arg, p, rc, &e);
}

struct past *past_create(struct services *s, past_more_fn *more, past_fn *fn, void *arg)
{
	struct past *p = check_calloc(1, sizeof(*p));

	*p = (struct past){.services = s, .more = more, .fn = fn, .arg = arg};
	arena_init(&p->arena, 0);
	return p;
}

void past_add(struct past *p, uint64_t job)
{
	CHECK(p->count < PAST_JOBS_MAX && !p->asked);
	if ((p->count & (p->count - 1)) == 0) /* 0, 1, 2, 4, ... */
		p->jobs = check_realloc(p->jobs, p->count > 0 ? 2 * p->count : 1, sizeof(*p->jobs));
	p->jobs[p->count++] = (struct past_job){.job = job};
}

void past_ask(struct past *p)
{
	arena_reset(&p->arena);
	p->asked = true;
	p->reading = (struct reading){.run = run, .done = done};
	readers_ask(p->services->readers, &p->reading);
}

static const struct past_job *find(const struct past *p, uint64_t job)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->jobs[i].job == job)
			return &p->jobs[i];
	return NULL;
}

const struct history_job *past_row(const struct past *p, uint64_t job)
{
	const struct past_job *j = find(p, job);

	return j != NULL && j->known ? &j->row : NULL;
}

bool past_asked(const struct past *p, uint64_t job)
{
	return find(p, job) != NULL;
}

void past_drop(struct past *p)
{
	if (p == NULL)
		return;
	if (!p->asked) {
		destroy(p);
		return;
	}
	CHECK(p->more == NULL); /* it may be running */
	p->dropped = true;
	readers_cancel(p->services->readers, &p->reading);
}

int past_read_texts(struct history_reader *history, struct bytes sha256, uint64_t event_hi, uint64_t event_lo,
		    struct arena *arena, struct past_texts *ret, struct error *reterr)
{
	struct bytes name;
	int rc;

	*ret = (struct past_texts){0};
	rc = history_definition(history, sha256, arena, &name, &ret->definition, reterr);
	if (rc == ERR_NOT_FOUND) {
		ret->definition = (struct bytes){0};
		rc = 0;
	}
	if (rc == 0 && (event_hi | event_lo) != 0)
		rc = history_event(history, event_hi, event_lo, arena, &ret->event, reterr);
	if (rc == ERR_NOT_FOUND) { /* it had a key, and no event */
		ret->event = (struct bytes){0};
		rc = 0;
	}
	return rc;
}
