/* Who stands around the dispatcher: clients that submit, repeat and cancel, planners, and the rules
 * that an ended job's event is offered to. */
#include <string.h>

#include "jobs/kinds.h"
#include "tests/sim/sim.h"

#define KEY_EVENT 0xe4e27u
#define KEY_CHAIN 0xc4a14u

struct accept {
	struct arena arena;
	struct definition_body definition;
	struct new_job jobs[EVENT_JOBS_MAX];
	struct text_item values[EVENT_JOBS_MAX];
	struct sim_job_value value[EVENT_JOBS_MAX];
	struct stillborn failed;
	struct after_job after;
	struct ended_fact ended; /* job 0: none */
	uint8_t sha256[32];
};

static const struct exit_rule exit_rules[] = {
    {.first = 42, .last = 42, .verdict = VERDICT_FAIL},
    {.first = 3, .last = 3, .verdict = VERDICT_SUCCESS},
};

static void phase_of(const struct sim_job *j, const char *name, struct phase_def *ret)
{
	bool gather = strcmp(name, "gather") == 0, shards = strcmp(name, "shards") == 0;
	struct policy *p = &ret->policy;
	struct run_spec *r = &ret->run;

	*ret = (struct phase_def){
	    .name = bytes_of(name),
	    .fanin = gather ? j->gather_fanin : 0,
	};
	p->shape.cpu_milli = j->cpu_milli;
	p->shape.memory_bytes = 1 << 20;
	p->attempts_max = j->attempts_max;
	p->backoff_us = j->backoff_us;
	p->backoff_max_us = j->backoff_max_us;
	p->exit_rules.items = (struct exit_rule *)exit_rules;
	p->exit_rules.count = ARRAY_LENGTH(exit_rules);
	p->tolerate_kind = shards ? j->tolerate_kind : TOLERATE_NONE;
	p->tolerate = shards ? j->tolerate : 0;
	p->durable_output = j->durable_output;
	p->retry_larger = j->retry_larger;
	r->kind = RUN_RUNNER;
	r->shape = p->shape;
	r->durable_output = j->durable_output;
	r->exit_rules = p->exit_rules;
}

static void definition_of(struct accept *a, const struct sim_job *j)
{
	struct definition_body *d = &a->definition;

	memset(a->sha256, 0xd0, sizeof a->sha256);
	a->sha256[0] = (uint8_t)j->number;
	*d = (struct definition_body){
	    .sha256 = BYTES(a->sha256, sizeof a->sha256),
	    .name = BYTES_LIT("simulated"),
	    .text = BYTES_LIT("version: 1"),
	    .queue = BYTES_LIT("default"),
	    .priority = j->priority,
	};
	d->items_planner = j->plan_phase ? j->planner : 0;
	d->phases.items = arena_alloc(&a->arena, 3 * sizeof *d->phases.items);
	if (j->plan_phase)
		phase_of(j, "plan", &d->phases.items[d->phases.count++]);
	phase_of(j, "shards", &d->phases.items[d->phases.count++]);
	if (j->gather)
		phase_of(j, "gather", &d->phases.items[d->phases.count++]);
}

static void job_of(struct accept *a, size_t at, const struct sim_job *j, uint64_t parent, usec_t now_wall_us)
{
	struct new_job *n = &a->jobs[at];

	a->value[at] = (struct sim_job_value){.sim_job = j->number, .second = (uint32_t)at, .parent = parent};
	a->values[at].text = BYTES(&a->value[at], sizeof a->value[at]);
	*n = (struct new_job){
	    .definition = a->definition.sha256,
	    .name = a->definition.name,
	    .priority = j->priority,
	    .due_wall_us = j->due_after_us > 0 && parent == 0 ? now_wall_us + j->due_after_us : 0,
	    .depth = parent != 0,
	    .deadline_wall_us = parent == 0 ? j->deadline_us : 0,
	    .planner = j->plan_phase ? PLANNER_PURE : j->planner,
	    .values = {.items = &a->values[at], .count = 1},
	};
	if (j->rate_count > 0)
		n->rate = (struct rate){j->rate_count, USEC_PER_SEC};
	if (j->group_limit > 0)
		n->concurrency =
		    (struct concurrency){BYTES_LIT("group"), j->group_limit, j->group_mode, j->group_latest};
	if (j->planner == PLANNER_PURE || j->plan_phase)
		n->plan = (struct plan){
		    .kind = PLAN_COUNT, .shard_count = j->plan_phase ? 1 : j->shard_count, .step = 1};
	else
		n->plan = (struct plan){.kind = PLAN_ITEMS, .blob = BYTES_LIT("plan")};
}

/* As history would say it. */
static void tell_shards(struct accept *a, const struct oracle_job *known)
{
	const struct oracle_phase *p = &known->phases[known->shards_phase];
	struct range_list *done = &a->ended.done;
	struct range r;

	a->ended.shards = p->shard_count;
	done->items = arena_alloc(&a->arena, (shard_set_run_count(&p->done) + 1) * sizeof(struct range));
	for (uint64_t at = 0; shard_set_next_range(&p->done, at, &r); at = range_end(r))
		done->items[done->count++] = r;
}

/* The job of the event before, once its client knows it. A job that has ended is told as history would. */
static void await_other(struct sim *s, struct accept *a, const struct sim_job *j, struct input_accept *in)
{
	uint64_t other = j->after != 0 && j->number > 0 ? s->oracle.events[j->number - 1].answered_job : 0;
	const struct oracle_job *known = oracle_job(&s->oracle, other);

	if (other == 0)
		return;
	a->after = (struct after_job){.job = other, .condition = j->after};
	for (uint32_t i = 0; i < in->jobs.count; i++) {
		a->value[i].after = other;
		a->jobs[i].after = (struct after_job_list){&a->after, 1};
	}
	if (known == NULL ||
	    (!known->ended && (j->after != AFTER_SHARD || known->phase <= known->shards_phase)))
		return;
	a->ended = (struct ended_fact){.job = other, .state = known->ended};
	in->ended = (struct ended_fact_list){&a->ended, 1};
	if (j->after == AFTER_SHARD)
		tell_shards(a, known);
}

/* end: of which of the parent's lives. */
static void accept(struct sim *s, uint32_t sim_job, uint64_t parent, uint32_t end, uint64_t ticket)
{
	const struct sim_job *j = &s->scenario.jobs[sim_job];
	struct accept a;
	struct input_accept in = {0};

	arena_init(&a.arena, 0);
	definition_of(&a, j);
	in.key_hi = parent ? KEY_CHAIN : KEY_EVENT;
	in.key_lo = parent ? parent | (uint64_t)end << 32 : sim_job + 1;
	in.known = sim_keys_find(&s->dispatcher, in.key_hi, in.key_lo);
	in.definitions.items = &a.definition;
	in.definitions.count = 1;
	in.jobs.items = a.jobs;
	in.jobs.count = parent == 0 ? j->event_jobs : 1;
	for (uint32_t i = 0; i < in.jobs.count; i++)
		job_of(&a, i, j, parent, world_true_wall(&s->world));
	if (in.jobs.count == 2 && j->second_fails) {
		a.failed = (struct stillborn){.index = 1, .why = BYTES_LIT("as the scenario wants it")};
		in.failed = (struct stillborn_list){&a.failed, 1};
	}
	if (parent == 0)
		await_other(s, &a, j, &in);
	in.event = BYTES_LIT("{}");
	sim_dispatcher_submit(&s->dispatcher, INPUT_ACCEPT, &in, ticket);
	arena_fini(&a.arena);
}

static void again_later(struct sim *s, uint64_t action, usec_t low, usec_t high)
{
	world_push(&s->world, s->world.now_us + world_between(&s->world, low, high), SIM_CLIENT,
		   HOST_DISPATCHER, action, 0, NULL);
}

/* Whoever pauses a job bounds its queue, too; whoever resumes one lets all of it go. */
static void set_queue(struct sim *s, uint64_t job, bool resume)
{
	struct input_queue_set in = {.as = {.name = BYTES_LIT("default"), .weight = 1}};

	if (!resume) {
		in.as.weight = 1 + (uint32_t)(job % 3);
		in.as.paused = job % 5 == 0;
		in.as.limits.running = 1 + (uint32_t)(job % 4);
		in.as.limits.cpu_milli = job % 2 == 0 ? 1000 * (1 + job % 7) : 0;
		in.as.owner_limits.running = job % 3 == 0 ? 2 : 0;
	}
	sim_dispatcher_submit(&s->dispatcher, INPUT_QUEUE_SET, &in, 0);
}

static void pause_or_resume(struct sim *s, uint64_t ticket, uint64_t job, bool resume)
{
	set_queue(s, job, resume);
	sim_dispatcher_submit(&s->dispatcher, INPUT_PAUSE,
			      &(struct input_pause){.job = job, .resume = resume, .why = BYTES_LIT("asked")},
			      ticket);
}

/* After the calm each job is resumed until it has ended. */
static void insist(struct sim *s, uint64_t action)
{
	size_t at = action - SIM_ACTIONS_MAX;

	if (at >= s->oracle.job_count) { /* perhaps it comes to be */
		if (at < SIM_JOBS_MAX)
			again_later(s, action, USEC_PER_SEC, 3 * USEC_PER_SEC);
		else if (!oracle_is_quiet(&s->oracle))
			world_push(&s->world, s->world.now_us + 2 * USEC_PER_SEC, SIM_CLIENT, HOST_DISPATCHER,
				   action, 0, NULL);
		return;
	}
	if (s->oracle.jobs[at].ended) { /* it may live again */
		if (!oracle_is_quiet(&s->oracle))
			again_later(s, action, 2 * USEC_PER_SEC, 4 * USEC_PER_SEC);
		return;
	}
	if (s->dispatcher.life != 0)
		pause_or_resume(s, 0, s->oracle.jobs[at].id, true);
	again_later(s, action, 2 * USEC_PER_SEC, 4 * USEC_PER_SEC);
}

static void drain(struct sim *s, uint64_t ticket, uint32_t host)
{
	const struct sim_worker *w = &s->workers[host];

	if (w->life != 0)
		sim_dispatcher_submit(&s->dispatcher, INPUT_DRAIN, &(struct input_drain){.worker = w->id},
				      ticket);
}

static void reopen(struct sim *s, const struct oracle_job *j, uint64_t ticket)
{
	const struct sim_job *sim_job = &s->scenario.jobs[j->sim_job];
	const struct shard_set *done = &j->phases[j->shards_phase].done;
	uint32_t runs = shard_set_run_count(done);
	struct input_reopen in = {.history_lsn = s->oracle.seen_lsn}; /* as far as is known here */
	struct reopened *r = &in.as;
	struct accept a;

	arena_init(&a.arena, 0);
	definition_of(&a, sim_job);
	job_of(&a, j->second, sim_job, j->parent, 0);
	in.definition = a.definition;
	*r = (struct reopened){.job = j->id,
			       .reopens = j->reopens + 1,
			       .body = a.jobs[j->second],
			       .phase = j->shards_phase,
			       .plan = {.kind = PLAN_COUNT, .step = 1},
			       .accepted_wall_us = j->end.accepted_wall_us,
			       .started_wall_us = j->end.started_wall_us,
			       .retries = j->end.retries,
			       .totals = j->totals};
	if (sim_job->planner != PLANNER_PURE)
		r->plan = (struct plan){.kind = PLAN_ITEMS, .blob = BYTES_LIT("plan")};
	r->plan.shard_count = j->phases[j->shards_phase].shard_count;
	r->body.job = j->id;
	r->done.items = arena_alloc(&a.arena, runs * sizeof *r->done.items);
	r->done.count = (uint32_t)shard_set_ranges(done, &(uint64_t){0}, r->done.items, runs);
	SAY(&s->world, "client: reopens job %llu", (unsigned long long)j->id);
	sim_dispatcher_submit(&s->dispatcher, INPUT_REOPEN, &in, ticket);
	arena_fini(&a.arena);
}

/* What has ended by now; else it is looked for again. */
static void reopen_one(struct sim *s, const struct action *a, uint64_t number)
{
	size_t count = s->oracle.job_count, from = count > 0 ? rng_below(&s->world.rng, count) : 0;

	if (s->calm)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct oracle_job *j = &s->oracle.jobs[(from + i) % count];

		if (j->sim_job != a->target || !oracle_may_reopen(&s->oracle, j))
			continue;
		reopen(s, j, SIM_TICKET_OF(number));
		return;
	}
	again_later(s, number, 10 * USEC_PER_MSEC, USEC_PER_SEC);
}

/* A gather that is at work is cancelled; then the job is to gather again. */
static void regather(struct sim *s, const struct action *a, uint64_t number)
{
	for (size_t i = 0; i < s->oracle.job_count; i++) {
		const struct oracle_job *j = &s->oracle.jobs[i];

		if (j->sim_job != a->target || j->ended || j->phase <= j->shards_phase || j->reopens > 0)
			continue;
		oracle_cancel_asked(&s->oracle, j->id);
		again_later(s, number, USEC_PER_MSEC, 100 * USEC_PER_MSEC);
		sim_dispatcher_submit(&s->dispatcher, INPUT_CANCEL,
				      &(struct input_cancel){.job = j->id, .why = BYTES_LIT("asked")}, 0);
		return;
	}
	reopen_one(s, a, number);
}

static void act_on_job(struct sim *s, const struct action *a, uint64_t number)
{
	uint64_t job = s->oracle.events[a->target].answered_job;
	uint64_t ticket = SIM_TICKET_OF(number);

	if (job == 0) {
		if (!s->calm)
			again_later(s, number, 100 * USEC_PER_MSEC, USEC_PER_SEC);
		return;
	}
	switch (a->kind) {
	case ACTION_CANCEL:
		oracle_cancel_asked(&s->oracle, job);
		sim_dispatcher_submit(&s->dispatcher, INPUT_CANCEL,
				      &(struct input_cancel){.job = job, .why = BYTES_LIT("asked")}, ticket);
		break;
	case ACTION_RETRY:
		sim_dispatcher_submit(&s->dispatcher, INPUT_RETRY, &(struct input_retry){.job = job}, ticket);
		break;
	default:
		pause_or_resume(s, ticket, job, a->kind == ACTION_RESUME);
	}
}

void sim_client_act(struct sim *s, uint64_t number)
{
	const struct action *a;

	if (number >= SIM_ACTIONS_MAX) {
		insist(s, number);
		return;
	}
	a = &s->scenario.actions[number];
	if (a->kind == ACTION_TERM) {
		sim_worker_term(&s->workers[a->target]);
		return;
	}
	if (s->answered[number])
		return;
	if (s->dispatcher.life == 0) {
		again_later(s, number, 100 * USEC_PER_MSEC, USEC_PER_SEC);
		return;
	}
	switch (a->kind) {
	case ACTION_SUBMIT:
		SAY(&s->world, "client: submits job %u", a->target);
		again_later(s, number, USEC_PER_SEC, 3 * USEC_PER_SEC);
		accept(s, a->target, 0, 0, SIM_TICKET_OF(number));
		break;
	case ACTION_DRAIN:
		drain(s, SIM_TICKET_OF(number), a->target);
		break;
	case ACTION_REOPEN:
		reopen_one(s, a, number);
		break;
	case ACTION_REGATHER:
		regather(s, a, number);
		break;
	default:
		act_on_job(s, a, number);
	}
}

static void reopen_replied(struct sim *s, const struct dispatcher_reply *r, uint64_t number)
{
	if (r->code == ERR_BUSY) {
		s->answered[number] = false;
		again_later(s, number, USEC_PER_MSEC, USEC_PER_SEC);
	} else if (r->code < 0 && r->code != ERR_EXISTS) {
		world_fail(&s->world, "a job is not reopened: %s", error_code_name(r->code));
	}
}

void sim_client_replied(struct sim *s, uint64_t number, const struct dispatcher_reply *r)
{
	const struct action *a = &s->scenario.actions[number];

	s->answered[number] = true;
	if (a->kind == ACTION_REOPEN || a->kind == ACTION_REGATHER)
		reopen_replied(s, r, number);
	if (a->kind != ACTION_SUBMIT)
		return;
	if (r->code == ERR_BUSY && s->scenario.jobs[a->target].after == AFTER_SHARD) {
		s->answered[number] = false; /* what the shards that it waits for are, is not durable yet */
		again_later(s, number, USEC_PER_MSEC, 100 * USEC_PER_MSEC);
		return;
	}
	if (r->code < 0)
		world_fail(&s->world, "job %u is refused: %s", a->target, error_code_name(r->code));
	SAY(&s->world, "client: job %u is accepted as %llu%s", a->target, (unsigned long long)r->job,
	    r->duplicate ? " (a repeat)" : "");
	if (r->job != 0 || !s->oracle.events[a->target].skipped)
		oracle_answered(&s->oracle, a->target, r->job, r->duplicate);
}

/* ---- planners ---- */

void sim_settle(struct sim_dispatcher *d, uint64_t job, uint32_t end)
{
	const struct oracle_job *j = oracle_job(&d->sim->oracle, job);

	if (d->sim->scenario.jobs[j->sim_job].chains && !j->chained)
		accept(d->sim, j->sim_job, job, end, 0);
	sim_dispatcher_submit(d, INPUT_SETTLED, &(struct input_settled){.job = job}, 0);
}

void sim_rules_on_end(void *arg, const struct stream_item *item)
{
	struct sim_dispatcher *d = arg;
	struct world *w = &d->sim->world;

	oracle_told_ended(&d->sim->oracle, item->ended->job);
	world_push(w, w->now_us + world_between(w, 1, 200 * USEC_PER_MSEC), SIM_SETTLE, HOST_DISPATCHER,
		   d->life, item->ended->job | (uint64_t)item->ended->reopens << 32, NULL);
}
