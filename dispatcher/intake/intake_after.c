#include "dispatcher/intake/intake_after.h"

#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/dedup/dedup.h"
#include "dispatcher/readers.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/kinds.h"

#define ASK_AGAIN_MAX 3

struct waited_for {
	uint64_t job;
	uint8_t state; /* enum job_state; 0: history does not have it, or has it as live */
	bool is_live;  /* in history */
};

/* An event whose jobs wait for others, while history is asked. */
struct pending {
	struct reading reading;
	struct services *services;
	struct ticket ticket;
	struct arena arena;
	struct input_accept in;
	struct waited_for *items; /* by job, each once */
	uint32_t count;
	uint32_t asked_again;
};

static bool is_of_core(const struct services *s, uint64_t job)
{
	return dispatcher_view_has_job(services_core(s), job);
}

/* There is one when the input comes again, or the API has asked history. Else NULL. */
static struct ended_fact *told(const struct input_accept *in, uint64_t job)
{
	for (uint32_t i = 0; i < in->ended.count; i++)
		if (in->ended.items[i].job == job)
			return (struct ended_fact *)&in->ended.items[i];
	return NULL;
}

/* 0: how it ended is not told. */
static uint8_t told_state(const struct input_accept *in, uint64_t job)
{
	const struct ended_fact *f = told(in, job);

	return f != NULL ? f->state : 0;
}

/* A job that waits for shards: how these stand only the API asks. The core refuses it when that is not told,
 * and then it is sent again. */
static bool is_asked(const struct after_job *a)
{
	return a->condition != AFTER_SHARD;
}

static bool knows_all(const struct services *s, const struct input_accept *in)
{
	for (uint32_t i = 0; i < in->jobs.count; i++)
		for (uint32_t k = 0; k < in->jobs.items[i].after.count; k++) {
			const struct after_job *a = &in->jobs.items[i].after.items[k];

			if (is_asked(a) && !is_of_core(s, a->job) && told_state(in, a->job) == 0)
				return false;
		}
	return true;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct waited_for *)a)->job, y = ((const struct waited_for *)b)->job;

	return (x > y) - (x < y);
}

static void collect(struct pending *p)
{
	uint32_t most = 0, kept = 0;

	for (uint32_t i = 0; i < p->in.jobs.count; i++)
		most += p->in.jobs.items[i].after.count;
	p->items = arena_alloc(&p->arena, most * sizeof(*p->items));
	for (uint32_t i = 0; i < p->in.jobs.count; i++)
		for (uint32_t k = 0; k < p->in.jobs.items[i].after.count; k++) {
			const struct after_job *a = &p->in.jobs.items[i].after.items[k];

			if (is_asked(a))
				p->items[p->count++] =
				    (struct waited_for){.job = a->job, .state = told_state(&p->in, a->job)};
		}
	qsort(p->items, p->count, sizeof(*p->items), compare);
	for (uint32_t i = 0; i < p->count; i++)
		if (kept == 0 || p->items[kept - 1].job != p->items[i].job)
			p->items[kept++] = p->items[i];
	p->count = kept;
}

/* In a reader's thread. */
static void run(struct history_reader *history, struct reading *r)
{
	struct pending *p = (struct pending *)r;
	struct history_job row;

	for (uint32_t i = 0; i < p->count && r->rc == 0; i++) {
		if (p->items[i].state != 0)
			continue;
		r->rc = history_job(history, p->items[i].job, &p->arena, &row, &r->error);
		if (r->rc == 0)
			p->items[i].is_live = !job_state_is_ended(row.state);
		if (r->rc == 0 && !p->items[i].is_live)
			p->items[i].state = row.state;
		else if (r->rc == ERR_NOT_FOUND)
			r->rc = 0;
	}
}

static const struct waited_for *find(const struct pending *p, uint64_t job)
{
	const struct waited_for key = {.job = job};

	return bsearch(&key, p->items, p->count, sizeof(key), compare);
}

/* The first job that it waits for and that nobody has; 0: there is none. */
static uint64_t missing(const struct pending *p, const struct new_job *j)
{
	for (uint32_t i = 0; i < j->after.count; i++)
		if (is_asked(&j->after.items[i]) && find(p, j->after.items[i].job)->state == 0 &&
		    !is_of_core(p->services, j->after.items[i].job))
			return j->after.items[i].job;
	return 0;
}

static struct bytes words(struct pending *p, uint64_t job)
{
	struct buf text = {0};
	struct bytes kept;

	buf_printf(&text, "there is no job %llu to wait for", (unsigned long long)job);
	kept = arena_copy(&p->arena, buf_bytes(&text));
	buf_fini(&text);
	return kept;
}

/* In the order of their indices. */
static void add_failed(struct pending *p)
{
	struct stillborn_list *list = &p->in.failed;
	struct stillborn *items = arena_alloc(&p->arena, p->in.jobs.count * sizeof(*items));
	uint32_t count = 0;

	for (uint32_t i = 0, f = 0; i < p->in.jobs.count; i++) {
		struct new_job *j = &p->in.jobs.items[i];
		uint64_t job = missing(p, j);

		if (f < list->count && list->items[f].index == i)
			items[count++] = list->items[f++];
		else if (job != 0)
			items[count++] = (struct stillborn){.index = i, .why = words(p, job)};
		if (job != 0)
			j->after.count = 0;
	}
	*list = (struct stillborn_list){items, count};
}

static int compare_facts(const void *a, const void *b)
{
	uint64_t x = ((const struct ended_fact *)a)->job, y = ((const struct ended_fact *)b)->job;

	return (x > y) - (x < y);
}

static void add_facts(struct pending *p)
{
	struct ended_fact_list *facts = &p->in.ended;
	struct ended_fact *items = arena_alloc(&p->arena, (facts->count + p->count) * sizeof(*facts->items));

	for (uint32_t i = 0; i < facts->count; i++)
		items[i] = facts->items[i];
	facts->items = items;
	for (uint32_t i = 0; i < p->count; i++) {
		const struct waited_for *w = &p->items[i];
		struct ended_fact *f = told(&p->in, w->job);

		if (w->state == 0 || is_of_core(p->services, w->job))
			continue;
		if (f != NULL)
			f->state = w->state;
		else
			facts->items[facts->count++] = (struct ended_fact){.job = w->job, .state = w->state};
	}
	qsort(facts->items, facts->count, sizeof(*facts->items), compare_facts);
}

/* It ended between history's answer and now, and the core has forgotten it. */
static uint64_t has_just_ended(const struct pending *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->items[i].is_live && !is_of_core(p->services, p->items[i].job))
			return p->items[i].job;
	return 0;
}

/* A job whose shards others wait for has left the core meanwhile. */
static bool lacks_shards(const struct pending *p)
{
	for (uint32_t i = 0; i < p->in.jobs.count; i++)
		for (uint32_t k = 0; k < p->in.jobs.items[i].after.count; k++) {
			const struct after_job *a = &p->in.jobs.items[i].after.items[k];
			const struct ended_fact *f = told(&p->in, a->job);

			if (!is_asked(a) && !is_of_core(p->services, a->job) && (f == NULL || f->shards == 0))
				return true;
		}
	return false;
}

static void on_read(struct reading *r)
{
	struct pending *p = (struct pending *)r;
	struct dispatcher_reply refused = {.code = ERR_BUSY};

	if (r->rc == 0 && !p->services->stopping && has_just_ended(p) != 0 &&
	    p->asked_again++ < ASK_AGAIN_MAX) {
		p->reading = (struct reading){.run = run, .done = on_read};
		readers_ask(p->services->readers, &p->reading);
		return;
	}
	if (r->rc < 0 || p->services->stopping || has_just_ended(p) != 0 || lacks_shards(p)) {
		refused.why = r->rc < 0 ? r->error.what
			      : p->services->stopping
				  ? "the dispatcher stops"
				  : "how a job ended that it waits for is not in history yet";
		p->ticket.fn(p->ticket.arg, &refused);
	} else {
		add_failed(p);
		add_facts(p);
		dedup_submit(p->services, &p->in, &p->ticket, intake_after_submit);
	}
	arena_fini(&p->arena);
	free(p);
}

void intake_after_submit(struct services *s, struct input_accept *in, const struct ticket *ticket)
{
	struct pending *p;

	if (knows_all(s, in)) {
		dedup_submit(s, in, ticket, intake_after_submit);
		return;
	}
	p = check_calloc(1, sizeof(*p));
	*p = (struct pending){.services = s, .ticket = *ticket};
	arena_init(&p->arena, 0);
	CHECK(codec_copy(codec_input_accept(), in, &p->in, &p->arena));
	collect(p);
	p->reading = (struct reading){.run = run, .done = on_read};
	readers_ask(s->readers, &p->reading);
}
