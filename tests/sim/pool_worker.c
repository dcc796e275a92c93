/* Workers of a pool: the real core, and slots that take as long for a shard as its job says. */
#include <stdlib.h>

#include "base/params.h"
#include "tests/sim/pool_impl.h"

/* ---- slots ---- */

/* The cell that was armed first and has something. */
static struct pool_cell *next_cell(struct pool_slot *s)
{
	struct pool_cell *best = NULL;

	for (int i = 0; i < SLOT_CELLS; i++)
		if (cell_is_armed(&s->cells[i].cell) && (best == NULL || s->cells[i].armed < best->armed))
			best = &s->cells[i];
	return best;
}

static void tell(struct pool *p, uint32_t w, uint32_t slot, uint32_t cell, struct range_list done,
		 usec_t run_us)
{
	struct pool_cell *c = &p->workers[w].slots[slot].cells[cell];
	struct cell_view v = cell_peek(&c->cell);
	struct pool_slot *s = &p->workers[w].slots[slot];
	struct worker_input in = {
	    .kind = WORKER_SLOT_PROGRESS,
	    .progress = {.slot = slot,
			 .cell = cell,
			 .token = c->arm.token,
			 .done = done,
			 .totals.run_us = (uint64_t)run_us,
			 .next = v.next,
			 .end = v.end,
			 .released = v.next == v.end && !(s->busy && s->in_cell == cell)}};

	if (in.progress.released)
		cell_release(&c->cell);
	pool_worker_step(p, w, in);
}

static void begin(struct pool *p, uint32_t w, uint32_t slot)
{
	struct pool_slot *s = &p->workers[w].slots[slot];
	struct pool_cell *c;

	while (s->open && !s->busy && (c = next_cell(s)) != NULL) {
		uint32_t cell = (uint32_t)(c - s->cells);
		struct range got = cell_take(&c->cell, 1);
		struct pool_job *job;

		if (got.count == 0) {
			tell(p, w, slot, cell, (struct range_list){0}, 0);
			continue;
		}
		job = pool_job_at(p, c->arm.job);
		s->busy = true;
		s->shard = got.first;
		s->in_cell = cell;
		if (p->config.on_start != NULL)
			p->config.on_start(p->config.arg, p->now_us, job, c->arm.job, got.first);
		pool_push(p, (struct event){.at_us = p->now_us + job->shard_us,
					    .kind = EVENT_SHARD_ENDS,
					    .worker = w,
					    .slot = slot});
	}
}

void pool_shard_ends(struct pool *p, uint32_t w, uint32_t slot)
{
	struct pool_slot *s = &p->workers[w].slots[slot];
	struct range done = {s->shard, 1};
	usec_t run_us = pool_job_at(p, s->cells[s->in_cell].arm.job)->shard_us;

	CHECK(s->busy);
	s->busy = false;
	if (p->config.on_stop != NULL)
		p->config.on_stop(p->config.arg, p->now_us, pool_job_at(p, s->cells[s->in_cell].arm.job),
				  s->cells[s->in_cell].arm.job, s->shard);
	p->ran++;
	tell(p, w, slot, s->in_cell, (struct range_list){&done, 1}, run_us);
	begin(p, w, slot);
}

/* ---- workers ---- */

static void arm(struct pool *p, uint32_t w, const struct worker_arm *a)
{
	struct pool_cell *c = &p->workers[w].slots[a->slot].cells[a->cell];

	cell_arm(&c->cell, a->token, a->range);
	c->arm = *a;
	c->armed = ++p->workers[w].armed;
}

static void do_effect(struct pool *p, uint32_t w, const struct worker_effect *e)
{
	struct pool_worker *worker = &p->workers[w];

	switch (e->kind) {
	case WORKER_SEND:
		pool_send(p, EVENT_TO_DISPATCHER, w, e->send.type, e->send.body);
		break;
	case WORKER_OPEN_SLOT:
		worker->slots[e->open.slot].open = true;
		break;
	case WORKER_CLOSE_SLOT:
		worker->slots[e->close.slot].open = false;
		break;
	case WORKER_ARM:
		arm(p, w, &e->arm);
		break;
	case WORKER_LOWER_END:
		cell_lower_end(&worker->slots[e->lower_end.slot].cells[e->lower_end.cell].cell,
			       e->lower_end.end);
		break;
	case WORKER_FORGET_JOB:
		if (e->forget_job.job < worker->sent_capacity)
			worker->sent[e->forget_job.job] = false;
		break;
	case WORKER_STOP: /* nobody cancels, nothing is synced, nobody leaves */
	case WORKER_SYNC:
	case WORKER_EXIT:
		CHECK_NEVER("the pool does not do this");
	case WORKER_FORGET_DEFINITION:
		break;
	}
}

static void tick_later(struct pool *p, uint32_t w)
{
	struct pool_worker *worker = &p->workers[w];
	usec_t at = worker_core_deadline(worker->core);

	at = at > p->now_us ? at : p->now_us + 1;
	if (at >= worker->tick_us)
		return;
	worker->tick_us = at;
	pool_push(p, (struct event){.at_us = at, .kind = EVENT_TICK_WORKER, .worker = w});
}

/* Answers of slots come as inputs after the step. */
void pool_worker_step(struct pool *p, uint32_t w, struct worker_input in)
{
	struct pool_worker *worker = &p->workers[w];
	struct worker_effect *todo;
	uint32_t count;

	in.mono_us = p->now_us;
	in.wall_us = POOL_WALL_US + p->now_us;
	CHECK(worker_core_step(worker->core, &in, &worker->effects, NULL) == 0);
	worker_core_check(worker->core, p->config.depth);
	count = worker->effects.count;
	todo = check_calloc(count + 1ul, sizeof *todo);
	for (uint32_t i = 0; i < count; i++) {
		todo[i] = worker->effects.items[i];
		do_effect(p, w, &todo[i]);
	}
	worker_effects_clear(&worker->effects);
	for (uint32_t i = 0; i < count; i++) {
		/* A slot that found it empty meanwhile has told of it. */
		if (todo[i].kind == WORKER_LOWER_END &&
		    cell_is_armed(&worker->slots[todo[i].lower_end.slot].cells[todo[i].lower_end.cell].cell))
			tell(p, w, todo[i].lower_end.slot, todo[i].lower_end.cell, (struct range_list){0}, 0);
		if (todo[i].kind == WORKER_ARM)
			begin(p, w, todo[i].arm.slot);
	}
	free(todo);
	tick_later(p, w);
}

void pool_worker_open(struct pool *p, uint32_t w)
{
	struct pool_worker *worker = &p->workers[w];
	struct worker_config config;
	struct params params;

	params_init(&params, PARAM_SCOPE_WORKER);
	worker_config_init(&config, &params);
	params_fini(&params);
	config.worker = (struct uuid){1, w + 1};
	config.host = bytes_of("pool");
	config.pid = w + 1;
	config.pool = bytes_of("default");
	config.capacity = (struct resources){.cpu_milli = 1000 * p->config.cores};
	config.seed = w + 1;
	worker->core = worker_core_create(&config);
	worker_effects_init(&worker->effects);
	worker->slots = check_calloc(SLOTS_PER_WORKER_MAX, sizeof *worker->slots);
	worker->tick_us = USEC_NEVER;
	pool_worker_step(p, w, (struct worker_input){.kind = WORKER_CONNECTED});
}

void pool_worker_fini(struct pool *p, uint32_t w)
{
	worker_core_destroy(p->workers[w].core);
	worker_effects_fini(&p->workers[w].effects);
	free(p->workers[w].slots);
	free(p->workers[w].sent);
}
