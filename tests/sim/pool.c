#include "tests/sim/pool_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/params.h"

#define START_US (1000 * USEC_PER_SEC)

/* ---- events ---- */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->serial < b->serial;
}

void pool_push(struct pool *p, struct event e)
{
	size_t at = p->event_count;

	ARRAY_GROW(p->events, p->event_capacity, p->event_count);
	e.serial = ++p->serial;
	for (p->event_count++; at > 0 && is_before(&e, &p->events[(at - 1) / 2]); at = (at - 1) / 2)
		p->events[at] = p->events[(at - 1) / 2];
	p->events[at] = e;
}

static struct event pop(struct pool *p)
{
	struct event first = p->events[0], last = p->events[--p->event_count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < p->event_count && is_before(&p->events[child + 1], &p->events[child]))
			child++;
		if (child >= p->event_count || !is_before(&p->events[child], &last))
			break;
		p->events[at] = p->events[child];
		at = child;
	}
	p->events[at] = last;
	return first;
}

void pool_send(struct pool *p, enum event_kind kind, uint32_t worker, enum message_type type,
	       const void *body)
{
	struct buf frame = {0};
	struct message *m;

	codec_union_encode(&message_union, type, body, &frame);
	m = check_calloc(1, sizeof *m + frame.size);
	m->size = frame.size;
	memcpy(m->data, frame.data, frame.size);
	buf_fini(&frame);
	pool_push(
	    p, (struct event){
		   .at_us = p->now_us + p->config.latency_us, .kind = kind, .worker = worker, .message = m});
}

struct pool_job *pool_job_at(struct pool *p, uint64_t id)
{
	CHECK(id >= 1 && id <= p->job_count);
	return &p->jobs[id - 1];
}

/* ---- the dispatcher ---- */

/* What the leases name, before them: a definition that does not differ, and the job. */
static void send_parameters(struct pool *p, uint32_t w, const struct leases *m)
{
	struct pool_worker *worker = &p->workers[w];

	for (uint32_t i = 0; i < m->leases.count; i++) {
		const struct lease *l = &m->leases.items[i];
		struct phase_run phase = {
		    .run = {.kind = RUN_EXEC, .shape.cpu_milli = pool_job_at(p, l->job)->cpu_milli}};
		struct run_definition d = {.sha256 = l->definition, .phases = {&phase, 1}};
		struct job_parameters j = {
		    .job = l->job, .plan = {.kind = PLAN_COUNT, .shard_count = UINT32_MAX, .step = 1}};
		struct parameters parameters = {
		    .session = m->session, .definitions = {&d, 1}, .jobs = {&j, 1}};

		if (l->job >= worker->sent_capacity) {
			uint64_t capacity = 2 * l->job;

			worker->sent = check_realloc(worker->sent, capacity, 1);
			memset(worker->sent + worker->sent_capacity, 0, capacity - worker->sent_capacity);
			worker->sent_capacity = capacity;
		}
		if (worker->sent[l->job])
			continue;
		worker->sent[l->job] = true;
		pool_send(p, EVENT_TO_WORKER, w, MESSAGE_PARAMETERS, &parameters);
	}
}

static void take_effects(struct pool *p)
{
	for (size_t i = 0; i < p->out.count; i++) {
		const struct dispatcher_effect *e = &p->out.items[i];
		uint32_t w = e->kind == DISPATCHER_SEND ? (uint32_t)e->send.peer - 1 : 0;

		if (e->kind == DISPATCHER_SEND && e->send.type == MESSAGE_LEASES)
			send_parameters(p, w, e->send.body);
		if (e->kind == DISPATCHER_SEND)
			pool_send(p, EVENT_TO_WORKER, w, e->send.type, e->send.body);
		CHECK(e->kind != DISPATCHER_PARAMETERS); /* nothing that was sent is asked for */
	}
}

static void report_ends(struct pool *p, uint64_t *settled, uint32_t *count)
{
	for (size_t i = 0; i < p->out.count; i++)
		if (p->out.items[i].kind == DISPATCHER_JOB_ENDED) {
			uint64_t id = p->out.items[i].ended->job;

			if (p->config.on_end != NULL)
				p->config.on_end(p->config.arg, p->now_us, pool_job_at(p, id), id);
			settled[(*count)++] = id;
		}
}

/* The step; then its records are durable and in history, and the ends that it told are settled. */
static void dispatcher_step(struct pool *p, uint32_t type, const void *body)
{
	struct dispatcher_input in = {p->now_us, POOL_WALL_US + p->now_us, type, body};
	uint64_t *settled, lsn;
	uint32_t count = 0;

	CHECK(dispatcher_core_step(p->core, &in, &p->out) == 0);
	dispatcher_core_check(p->core, p->config.depth);
	settled = check_calloc(p->out.count + 1, sizeof *settled);
	take_effects(p);
	report_ends(p, settled, &count);
	lsn = p->out.last_lsn;
	if (lsn > p->durable_lsn) {
		p->durable_lsn = lsn;
		dispatcher_step(p, INPUT_DURABLE, &(struct input_durable){.lsn = lsn});
	}
	if (p->durable_lsn > p->history_lsn) {
		p->history_lsn = p->durable_lsn;
		dispatcher_step(p, INPUT_HISTORY, &(struct input_history){.lsn = p->history_lsn});
	}
	for (uint32_t i = 0; i < count; i++)
		dispatcher_step(p, INPUT_SETTLED, &(struct input_settled){.job = settled[i]});
	free(settled);
}

static void dispatcher_tick_later(struct pool *p)
{
	usec_t at = dispatcher_core_deadline(p->core);

	at = at > p->now_us ? at : p->now_us + 1;
	if (at >= p->tick_us)
		return;
	p->tick_us = at;
	pool_push(p, (struct event){.at_us = at, .kind = EVENT_TICK_DISPATCHER});
}

uint64_t pool_submit(struct pool *p, const struct pool_job *job)
{
	uint8_t sha[32] = {1};
	struct phase_def phase = {
	    .name = BYTES_LIT("shards"),
	    .policy = {.shape.cpu_milli = job->cpu_milli, .attempts_max = 1, .tolerate_kind = TOLERATE_NONE},
	    .run.kind = RUN_EXEC};
	struct definition_body def = {.sha256 = BYTES(sha, 32),
				      .name = BYTES_LIT("job"),
				      .queue = bytes_of(job->queue),
				      .phases = {&phase, 1}};
	struct new_job j = {.definition = def.sha256,
			    .priority = job->priority,
			    .max_running = job->max_running,
			    .fair_key = bytes_of(job->fair_key),
			    .owner = bytes_of(job->owner != NULL ? job->owner : ""),
			    .planner = PLANNER_PURE,
			    .plan = {.kind = PLAN_COUNT, .shard_count = job->shards, .step = 1}};
	struct input_accept in = {.request = p->job_count + 1, .definitions = {&def, 1}, .jobs = {&j, 1}};

	/* Definitions differ by what they say; run times are learned by definition. */
	memcpy(sha + 1, &job->cpu_milli, sizeof job->cpu_milli);
	memcpy(sha + 8, &job->shard_us, sizeof job->shard_us);
	for (size_t i = 0; job->queue[i] != '\0'; i++)
		sha[16 + i % 16] = (uint8_t)(sha[16 + i % 16] * 31 + job->queue[i]);
	ARRAY_GROW(p->jobs, p->job_capacity, p->job_count);
	p->jobs[p->job_count++] = *job;
	dispatcher_step(p, INPUT_ACCEPT, &in);
	dispatcher_tick_later(p);
	return p->job_count;
}

void pool_set_queue(struct pool *p, const struct queue_changed *as)
{
	struct input_queue_set in = {.as = *as};

	dispatcher_step(p, INPUT_QUEUE_SET, &in);
	dispatcher_tick_later(p);
}

/* ---- all of it ---- */

struct pool *pool_create(const struct pool_config *config)
{
	struct pool *p = check_calloc(1, sizeof *p);
	struct dispatcher_config c;
	struct params params;

	p->config = *config;
	p->now_us = START_US;
	p->tick_us = USEC_NEVER;
	params_init(&params, PARAM_SCOPE_DISPATCHER);
	dispatcher_config_init(&c, &params);
	params_fini(&params);
	c.cluster = (struct uuid){7, 7};
	if (config->lease_ahead_us > 0)
		c.lease_ahead_us = config->lease_ahead_us;
	if (config->fair_quantum_us > 0)
		c.fair_quantum_us = config->fair_quantum_us;
	if (config->fair_half_life_us > 0)
		c.fair_half_life_us = config->fair_half_life_us;
	p->core = dispatcher_core_create(&c);
	dispatcher_effects_init(&p->out);
	arena_init(&p->arena, 0);
	CHECK(dispatcher_core_replay_end(p->core, NULL) == 0);
	dispatcher_step(p, INPUT_OPEN, &(struct input_open){.seed = 1});
	p->workers = check_calloc(config->workers, sizeof *p->workers);
	dispatcher_tick_later(p);
	return p;
}

void pool_connect(struct pool *p)
{
	for (uint32_t w = 0; w < p->config.workers; w++) {
		pool_worker_open(p, w);
		if (p->config.apart_us > 0)
			pool_run(p, p->now_us + p->config.apart_us);
	}
}

static void deliver(struct pool *p, const struct event *e)
{
	struct bytes in = BYTES(e->message->data, e->message->size);
	uint32_t type;
	void *body;

	arena_reset(&p->arena);
	CHECK(codec_union_decode(&message_union, &in, &type, &body, &p->arena, NULL) == 0);
	if (e->kind == EVENT_TO_WORKER)
		pool_worker_step(
		    p, e->worker,
		    (struct worker_input){.kind = WORKER_FRAME, .frame = {(enum message_type)type, body}});
	else
		dispatcher_step(p, INPUT_MESSAGE,
				&(struct input_message){.peer = e->worker + 1,
							.frame = BYTES(e->message->data, e->message->size)});
	free(e->message);
}

static void handle(struct pool *p, const struct event *e)
{
	switch (e->kind) {
	case EVENT_TICK_DISPATCHER:
		p->tick_us = USEC_NEVER;
		dispatcher_step(p, INPUT_TICK, NULL);
		break;
	case EVENT_TICK_WORKER:
		p->workers[e->worker].tick_us = USEC_NEVER;
		pool_worker_step(p, e->worker, (struct worker_input){.kind = WORKER_TICK});
		break;
	case EVENT_SHARD_ENDS:
		pool_shard_ends(p, e->worker, e->slot);
		break;
	case EVENT_TO_DISPATCHER:
	case EVENT_TO_WORKER:
		deliver(p, e);
		break;
	}
	dispatcher_tick_later(p);
}

void pool_run(struct pool *p, usec_t until_us)
{
	while (p->event_count > 0 && p->events[0].at_us <= until_us) {
		struct event e = pop(p);

		p->now_us = e.at_us;
		handle(p, &e);
	}
	p->now_us = until_us;
}

usec_t pool_now(const struct pool *p)
{
	return p->now_us;
}

uint64_t pool_ran(const struct pool *p)
{
	return p->ran;
}

uint64_t pool_given_back(const struct pool *p)
{
	uint64_t n = 0;

	for (uint32_t w = 0; w < p->config.workers; w++) {
		struct worker_view v;

		worker_core_view(p->workers[w].core, &v);
		n += v.returned;
	}
	return n;
}

void pool_destroy(struct pool *p)
{
	for (uint32_t w = 0; w < p->config.workers; w++)
		pool_worker_fini(p, w);
	while (p->event_count > 0)
		free(pop(p).message);
	dispatcher_core_destroy(p->core);
	dispatcher_effects_fini(&p->out);
	arena_fini(&p->arena);
	free(p->workers);
	free(p->jobs);
	free(p->events);
	free(p);
}
