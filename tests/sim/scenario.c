#include "tests/sim/scenario.h"

#include <string.h>

#include "jobs/kinds.h"

#define FATED_SHARDS 1024 /* beyond these all is well */

static uint32_t pick(struct world *w, uint32_t low, uint32_t high)
{
	return (uint32_t)world_between(w, low, high);
}

/* x in some worlds, else 0. */
static uint32_t sometimes(struct world *w, uint32_t ppm, uint32_t low, uint32_t high)
{
	return world_chance(w, ppm) ? pick(w, low, high) : 0;
}

static uint32_t draw_shard_count(struct world *w)
{
	switch (rng_below(&w->rng, 8)) {
	case 0:
	case 1:
		return 1;
	case 2:
	case 3:
		return pick(w, 2, 12);
	case 4:
	case 5:
	case 6:
		return pick(w, 10, 120);
	default:
		return world_chance(w, 200000) ? pick(w, 1000000, 3000000000u) : pick(w, 100, 2000);
	}
}

static void draw_fates(struct sim_job *j, struct world *w)
{
	uint32_t rare = j->shard_count > 100 ? 10000 : 60000;

	j->flaky_ppm = sometimes(w, 400000, rare, 5 * rare);
	j->hopeless_ppm = sometimes(w, 200000, rare, 3 * rare);
	j->fatal_ppm = sometimes(w, 100000, rare, 2 * rare);
	j->excused_ppm = sometimes(w, 100000, rare, 3 * rare);
	j->timeout_ppm = sometimes(w, 100000, rare, 2 * rare);
	j->oom_ppm = sometimes(w, 100000, rare, 2 * rare);
	if (world_chance(w, 170000)) {
		j->crash_shard =
		    pick(w, 0, j->shard_count < FATED_SHARDS ? j->shard_count - 1 : FATED_SHARDS - 1);
		j->crash_times = world_chance(w, 400000) ? 1 : 1000;
	}
	if (world_chance(w, 30000)) /* everything fails */
		j->hopeless_ppm = 1000000;
}

static void draw_tolerance(struct sim_job *j, struct world *w)
{
	switch (rng_below(&w->rng, 4)) {
	case 0:
		j->tolerate_kind = TOLERATE_COUNT;
		j->tolerate = pick(w, 0, 5);
		break;
	case 1:
		j->tolerate_kind = TOLERATE_PPM;
		j->tolerate = pick(w, 0, 200000);
		break;
	case 2:
		j->tolerate_kind = j->shard_count % 2 == 0 ? TOLERATE_TO_THE_END : TOLERATE_FAILURES;
		j->tolerate = j->shard_count % 2 == 0 ? 0 : j->shard_count % 5;
		break;
	default:
		j->tolerate_kind = TOLERATE_NONE;
	}
}

static void draw_plan(struct sim_job *j, struct world *w)
{
	j->planner = PLANNER_PURE;
	if (j->shard_count > 5000 || !world_chance(w, 350000))
		return;
	j->planner = PLANNER_LINES;
	j->plan_phase = world_chance(w, 350000);
	j->plan_pieces = pick(w, 1, j->shard_count < 4 ? j->shard_count : 4);
	j->plan_fails = sometimes(w, 400000, 1, 3);
	j->plan_hopeless = world_chance(w, 60000);
	if (world_chance(w, 60000)) /* no shards at all */
		j->shard_count = j->plan_pieces = 0;
}

/* Not drawn: the worlds of known seeds stay what they are. */
static void draw_group(struct sim_job *j)
{
	uint64_t bits = (uint64_t)j->backoff_us * 0x9e3779b97f4a7c15u >> 32;

	if (bits % 3 == 0)
		return;
	bits /= 3;
	if (bits / 16 % 3 == 0 && j->shard_count <= 40)
		j->rate_count = 2 + (uint32_t)(bits / 48 % (SIM_RATE_MAX - 1));
	j->group_limit = 1 + bits % 2;
	j->group_mode = bits / 2 % 4 == 0   ? CONCURRENCY_CANCEL_RUNNING
			: bits / 2 % 4 == 1 ? CONCURRENCY_SKIP
					    : CONCURRENCY_QUEUE;
	if (j->group_mode == CONCURRENCY_SKIP && (j->chains || j->event_jobs > 1))
		j->group_mode = CONCURRENCY_QUEUE;
	j->group_latest = j->group_mode == CONCURRENCY_QUEUE && bits / 8 % 2 == 0;
}

static void draw_job(struct sim_job *j, uint32_t number, struct world *w)
{
	j->number = number;
	j->shard_count = draw_shard_count(w);
	draw_plan(j, w);
	j->gather = world_chance(w, 350000);
	j->gather_fanin = j->shard_count < 5000 ? sometimes(w, 300000, 2, 9) : 0;
	j->gather_fails = sometimes(w, 200000, 1, 3);
	j->attempts_max = pick(w, 1, 4);
	j->backoff_us = pick(w, 10000, 1000000);
	j->backoff_max_us = j->backoff_us * pick(w, 1, 4);
	draw_tolerance(j, w);
	j->cpu_milli = world_chance(w, 700000) ? 1000 : world_chance(w, 500000) ? 500 : 2000;
	j->priority = (int64_t)rng_below(&w->rng, 3) - 1;
	j->durable_output = !world_chance(w, 150000);
	j->retry_larger = world_chance(w, 300000);
	j->shard_us = j->shard_count > 5000	? 1
		      : world_chance(w, 200000) ? pick(w, 100000, 4000000)
						: pick(w, 1000, 100000);
	if (j->shard_count > 0 && j->shard_us > 40 * USEC_PER_SEC / j->shard_count)
		j->shard_us = 1 + 40 * USEC_PER_SEC / j->shard_count;
	j->due_after_us = sometimes(w, 120000, 100000, 5000000);
	j->chains = world_chance(w, 120000);
	j->event_jobs = 1 + world_chance(w, 60000);
	/* Not drawn: the worlds of known seeds stay what they are. */
	j->second_fails = j->event_jobs == 2 && j->backoff_us % 2 == 0;
	if (j->event_jobs == 1 && j->shard_count == 1 && j->planner == PLANNER_PURE && !j->plan_phase &&
	    !j->gather)
		j->event_jobs =
		    (uint32_t)(1 + j->backoff_us / 7 % EVENT_JOBS_MAX); /* small ones that end together */
	j->whole = j->backoff_us / 2 % 3 == 0;				/* likewise */
	if (j->backoff_us / 6 % 4 > 0)
		j->after = (uint8_t)(1 + j->backoff_us / 24 % 3);
	if (j->backoff_us / 72 % 4 == 0)
		j->deadline_us = (1 + j->backoff_us % 30) * USEC_PER_SEC;
	draw_group(j);
	if (j->shard_count > 0)
		draw_fates(j, w);
}

/* Some jobs wait shard by shard for the one before, of which they have as many. */
static void follow_shards(struct sim_job *j, const struct sim_job *before)
{
	if (j->after == 0 || j->backoff_us / 7 % 2 != 0 || j->planner != PLANNER_PURE || j->plan_phase ||
	    before->planner != PLANNER_PURE || before->plan_phase || before->shard_count > 5000 ||
	    before->shard_count == 0)
		return;
	j->after = AFTER_SHARD;
	j->group_limit =
	    0; /* it would keep the group from the one that it waits for, should that live again */
	j->shard_count = before->shard_count;
	if (j->shard_us > 40 * USEC_PER_SEC / j->shard_count)
		j->shard_us = 1 + 40 * USEC_PER_SEC / j->shard_count;
}

static void act(struct scenario *s, usec_t at_us, enum action_kind kind, uint32_t target)
{
	if (s->action_count < SIM_ACTIONS_MAX)
		s->actions[s->action_count++] =
		    (struct action){.at_us = at_us, .kind = kind, .target = target};
}

static void draw_actions(struct scenario *s, struct world *w)
{
	usec_t end = s->calm_at_us;

	for (uint32_t i = 0; i < s->job_count; i++) {
		usec_t at = world_between(w, 0, end / 2), later = world_between(w, at, end);

		act(s, at, ACTION_SUBMIT, i);
		if (world_chance(w, 300000))
			act(s, world_between(w, at, end), ACTION_SUBMIT, i);
		if (world_chance(w, 120000))
			act(s, world_between(w, at, end), ACTION_CANCEL, i);
		if (world_chance(w, 120000)) {
			act(s, later, ACTION_PAUSE, i);
			act(s, world_between(w, later, end), ACTION_RESUME, i);
		}
		for (uint32_t n = sometimes(w, s->jobs[i].tolerate > 0 ? 800000 : 100000, 1, 4); n > 0; n--)
			act(s, world_between(w, at, end), ACTION_RETRY, i);
	}
	for (uint32_t i = 0; i < s->job_count; i++) {
		for (uint32_t n = sometimes(w, 500000, 1, 3); n > 0; n--)
			act(s, world_between(w, 0, end), ACTION_REOPEN, i);
		if (!s->jobs[i].gather || !world_chance(w, 500000))
			continue;
		act(s, world_between(w, 0, end), ACTION_REGATHER, i);
		s->jobs[i].gather_us = pick(w, 100000, 5000000);
		if (s->jobs[i].gather_fanin > 0) /* a tree has a node for few shards */
			s->jobs[i].gather_us /= 1 + s->jobs[i].shard_count / 20;
	}
	for (uint32_t host = 1; host <= s->worker_count; host++) {
		if (world_chance(w, 100000))
			act(s, world_between(w, 0, end), ACTION_DRAIN, host);
		if (world_chance(w, 100000))
			act(s, world_between(w, 0, end), ACTION_TERM, host);
	}
}

static void draw_faults(struct scenario *s, struct world *w)
{
	s->loss_ppm = sometimes(w, 350000, 500, 20000);
	s->duplicate_ppm = sometimes(w, 350000, 1000, 50000);
	s->delay_ppm = sometimes(w, 350000, 1000, 50000);
	s->w_break = sometimes(w, 500000, 1, 5);
	s->w_partition = sometimes(w, 400000, 1, 5);
	s->w_pause = sometimes(w, 400000, 1, 5);
	s->w_worker_crash = sometimes(w, 500000, 1, 5);
	s->w_dispatcher_crash = sometimes(w, 500000, 2, 8);
	s->w_wall = sometimes(w, 300000, 1, 5);
	s->w_slow_disk = sometimes(w, 200000, 1, 3);
	s->fault_count = s->w_break + s->w_partition + s->w_pause + s->w_worker_crash +
				     s->w_dispatcher_crash + s->w_wall + s->w_slow_disk ==
				 0
			     ? 0
			     : pick(w, 1, 12);
}

uint32_t scenario_shards_phase(const struct sim_job *j)
{
	return j->plan_phase ? 1 : 0;
}

void scenario_draw(struct scenario *s, struct world *w)
{
	memset(s, 0, sizeof *s);
	s->worker_count = pick(w, 1, 4);
	for (uint32_t i = 1; i < SIM_HOSTS_MAX; i++)
		s->worker_cpu_milli[i] = 1000ull * pick(w, 2, 4);
	s->scaler = world_chance(w, 250000);
	s->journal_tiny = world_chance(w, 350000);
	s->heartbeat_us = pick(w, 300, 1500) * USEC_PER_MSEC;
	s->timeout_us = s->heartbeat_us * pick(w, 3, 6);
	s->crashes_max = pick(w, 3, 5); /* from the second on a suspect is alone on its worker */
	s->history_lag_us = world_chance(w, 500000) ? 5 * USEC_PER_MSEC : pick(w, 10000, 3000000);
	s->job_count = pick(w, 1, world_chance(w, 800000) ? 3 : 6);
	s->calm_at_us = pick(w, 1, 25) * USEC_PER_SEC;
	for (uint32_t i = 0; i < s->job_count; i++)
		draw_job(&s->jobs[i], i, w);
	for (uint32_t i = 1; i < s->job_count; i++)
		follow_shards(&s->jobs[i], &s->jobs[i - 1]);
	draw_actions(s, w);
	draw_faults(s, w);
}

void scenario_say(const struct scenario *s, struct world *w)
{
	SAY(w, "%u workers, %u jobs, timeout %.1f s, calm at %.1f s%s%s", s->worker_count, s->job_count,
	    (double)s->timeout_us / 1e6, (double)s->calm_at_us / 1e6, s->scaler ? ", a scaler" : "",
	    s->journal_tiny ? ", a tiny journal" : "");
	for (uint32_t i = 0; i < s->job_count; i++) {
		const struct sim_job *j = &s->jobs[i];

		SAY(w,
		    "job %u: %u shards of %.3f s%s, %u attempts, planner %s%s (%u pieces, %u failures%s), "
		    "tolerate %s %llu",
		    i, j->shard_count, (double)j->shard_us / 1e6, j->gather ? ", gather" : "",
		    j->attempts_max, planner_kind_name(j->planner), j->plan_phase ? " of a plan phase" : "",
		    j->plan_pieces, j->plan_fails, j->plan_hopeless ? ", hopeless" : "",
		    tolerate_kind_name(j->tolerate_kind), (unsigned long long)j->tolerate);
	}
}

static uint64_t mix(uint64_t seed, uint32_t job, uint32_t phase, uint32_t shard)
{
	uint64_t x = seed ^ ((uint64_t)job << 40) ^ ((uint64_t)phase << 36) ^ shard;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static enum fate base_fate(const struct sim_job *j, uint64_t roll, uint32_t ended)
{
	uint32_t at = (uint32_t)(roll % 1000000), times = 1 + (uint32_t)(roll >> 40) % 3;

	if (at < j->hopeless_ppm)
		return FATE_FAIL;
	if ((at -= j->hopeless_ppm) < j->flaky_ppm)
		return ended < times ? FATE_FAIL : FATE_OK;
	if ((at -= j->flaky_ppm) < j->fatal_ppm)
		return FATE_FATAL;
	if ((at -= j->fatal_ppm) < j->excused_ppm)
		return FATE_EXCUSED;
	if ((at -= j->excused_ppm) < j->timeout_ppm)
		return ended < times ? FATE_TIMEOUT : FATE_OK;
	if ((at -= j->timeout_ppm) < j->oom_ppm)
		return ended < times ? FATE_OOM : FATE_OK;
	return FATE_OK;
}

enum fate scenario_fate(const struct scenario *s, uint64_t seed, uint32_t job, uint32_t phase, uint32_t shard,
			uint32_t ended)
{
	const struct sim_job *j = &s->jobs[job];

	if (phase != scenario_shards_phase(j) && shard < FATED_SHARDS)
		return ended < j->gather_fails ? FATE_FAIL : FATE_OK;
	if (shard >= FATED_SHARDS)
		return FATE_OK;
	if (shard == j->crash_shard && ended < j->crash_times)
		return FATE_CRASH;
	return base_fate(j, mix(seed, job, phase, shard), ended);
}

uint32_t scenario_plain_run(uint32_t first, uint32_t count)
{
	return first < FATED_SHARDS ? 0 : count;
}

bool scenario_chains(const struct scenario *s)
{
	for (size_t i = 0; i < s->job_count; i++)
		if (s->jobs[i].chains)
			return true;
	return false;
}
