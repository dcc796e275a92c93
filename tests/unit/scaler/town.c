#include "tests/unit/scaler/town.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/params.h"

struct scaler_pool_config town_pool(void)
{
	const struct scaler_provider provider = {.cpu_milli = 1000, .start_cost_us = 10 * USEC_PER_SEC};
	struct scaler_pool_config pool;
	struct params params;

	params_init(&params, PARAM_SCOPE_SCALER);
	scaler_pool_config_init(&pool, &params, &provider);
	params_fini(&params);
	pool.name = bytes_of("default");
	pool.max_workers = 20;
	pool.step_max = 10;
	pool.target_us = 30 * USEC_PER_SEC;
	pool.idle_before_shrink_us = 60 * USEC_PER_SEC;
	pool.start_timeout_us = 300 * USEC_PER_SEC;
	pool.fail_backoff_us = 5 * USEC_PER_SEC;
	pool.fail_backoff_max_us = 300 * USEC_PER_SEC;
	pool.demand_stale_us = 60 * USEC_PER_SEC;
	return pool;
}

void town_init(struct town *t, const struct scaler_pool_config *pool)
{
	struct scaler_config config = {.pools = pool, .pool_count = 1};

	memset(t, 0, sizeof(*t));
	cr_assert_eq(scaler_core_create(&config, &t->core, NULL), 0);
	scaler_effects_init(&t->effects);
	t->now = 5000 * USEC_PER_SEC;
	t->start_delay_us = 3 * USEC_PER_SEC;
	t->shard_us = 100 * USEC_PER_MSEC;
}

void town_fini(struct town *t)
{
	scaler_core_destroy(t->core);
	scaler_effects_fini(&t->effects);
}

/* ---- effects ---- */

static void start_one(struct town *t, uint64_t start)
{
	struct scaler_input in = {.kind = SCALER_STARTED, .started = {.start = start}};
	uint32_t at = 0;

	t->starts++;
	if (t->failing) {
		in = (struct scaler_input){
		    .kind = SCALER_START_FAILED,
		    .start_failed = {.start = start, .why = BYTES_LIT("sbatch: invalid partition")}};
		town_step(t, in);
		return;
	}
	while (at < TOWN_WORKERS && t->workers[at].state != TOWN_NONE)
		at++;
	cr_assert_lt(at, TOWN_WORKERS);
	t->workers[at] = (struct town_worker){
	    .state = TOWN_STARTING,
	    .start = start,
	    .ready_us = t->deaf ? USEC_NEVER : t->now + t->start_delay_us,
	};
	snprintf(t->workers[at].provider_id, sizeof(t->workers[at].provider_id), "i-%llu",
		 (unsigned long long)start);
	in.started.provider_id = bytes_of(t->workers[at].provider_id);
	town_step(t, in);
}

static void drain_one(struct town *t, struct uuid id)
{
	struct town_worker *w = &t->workers[id.lo];

	t->drains++;
	cr_assert_eq(w->state, TOWN_READY);
	t->busy_drained += w->busy;
	w->draining = true;
}

static void abandon_one(struct town *t, uint64_t start)
{
	t->abandons++;
	for (uint32_t i = 0; i < TOWN_WORKERS; i++)
		if (t->workers[i].state == TOWN_STARTING && t->workers[i].start == start)
			t->workers[i].state = TOWN_NONE;
}

void town_step(struct town *t, struct scaler_input in)
{
	struct scaler_effect todo[256];
	uint32_t count, acted = 0, told = 0;

	in.mono_us = in.wall_us = t->now;
	cr_assert_eq(scaler_core_step(t->core, &in, &t->effects, NULL), 0);
	scaler_core_check(t->core, CHECK_FULL);
	count = t->effects.count;
	cr_assert_leq(count, ARRAY_LENGTH(todo));
	for (uint32_t i = 0; i < count; i++) {
		todo[i] = t->effects.items[i];
		acted += todo[i].kind == SCALER_START || todo[i].kind == SCALER_DRAIN;
		if (todo[i].kind == SCALER_TELL) {
			told++;
			snprintf(t->told, sizeof(t->told), "%s", (const char *)todo[i].tell.why.data);
			cr_assert_gt(strlen(t->told), 20);
		}
	}
	cr_assert(acted == 0 || told == 1, "a decision without its sentence");
	t->tells += told;
	scaler_effects_clear(&t->effects);
	for (uint32_t i = 0; i < count; i++) {
		if (todo[i].kind == SCALER_START)
			start_one(t, todo[i].start);
		else if (todo[i].kind == SCALER_DRAIN)
			drain_one(t, todo[i].drain);
		else if (todo[i].kind == SCALER_ABANDON)
			abandon_one(t, todo[i].abandon.start);
	}
}

/* ---- time ---- */

void town_tell(struct town *t)
{
	struct scaler_worker list[TOWN_WORKERS];
	uint64_t shards = (t->work_us + (uint64_t)t->shard_us - 1) / (uint64_t)t->shard_us;
	uint32_t n = 0, busy = 0;

	for (uint32_t i = 0; i < TOWN_WORKERS; i++) {
		const struct town_worker *w = &t->workers[i];

		if (w->state != TOWN_READY)
			continue;
		busy += w->busy;
		list[n++] = (struct scaler_worker){.id = {1, i},
						   .provider_id = bytes_of(w->provider_id),
						   .draining = w->draining,
						   .busy = w->busy,
						   .idle_us = t->now - w->idle_since_us};
	}
	if (t->silent)
		return;
	town_step(t, (struct scaler_input){.kind = SCALER_WORKERS, .workers = {list, n}});
	town_step(t, (struct scaler_input){.kind = SCALER_DEMAND,
					   .demand = {.work_us = t->work_us,
						      .queued_shards = shards > busy ? shards - busy : 0,
						      .leased_shards = shards > busy ? busy : shards,
						      .oldest_wait_us = t->oldest_wait_us}});
}

static void work(struct town *t, struct town_worker *w)
{
	if (w->state == TOWN_STARTING && t->now >= w->ready_us) {
		w->state = TOWN_READY;
		w->idle_since_us = t->now;
	}
	if (w->state != TOWN_READY)
		return;
	if (w->draining) {
		w->state = TOWN_NONE;
		return;
	}
	if (w->busy && t->work_us == 0)
		w->idle_since_us = t->now;
	w->busy = t->work_us > 0;
	t->work_us -= t->work_us < (uint64_t)USEC_PER_SEC ? t->work_us : (uint64_t)USEC_PER_SEC;
}

void town_run(struct town *t, uint32_t seconds)
{
	for (uint32_t s = 0; s < seconds; s++) {
		t->now += USEC_PER_SEC;
		for (uint32_t i = 0; i < TOWN_WORKERS; i++)
			work(t, &t->workers[i]);
		town_tell(t);
		if (scaler_core_deadline(t->core) <= t->now)
			town_step(t, (struct scaler_input){.kind = SCALER_TICK});
		cr_assert_gt(scaler_core_deadline(t->core), t->now, "it would spin");
	}
}

void town_instances(struct town *t)
{
	struct bytes ids[TOWN_WORKERS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < TOWN_WORKERS; i++)
		if (t->workers[i].state != TOWN_NONE)
			ids[n++] = bytes_of(t->workers[i].provider_id);
	town_step(t, (struct scaler_input){.kind = SCALER_INSTANCES, .instances = {ids, n}});
}

struct scaler_view town_view(const struct town *t)
{
	struct scaler_view v;

	scaler_core_view(t->core, 0, &v);
	return v;
}

uint32_t town_ready(const struct town *t)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < TOWN_WORKERS; i++)
		n += t->workers[i].state == TOWN_READY;
	return n;
}
