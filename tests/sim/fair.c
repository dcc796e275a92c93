#include "tests/sim/fair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/sim/pool.h"

#define JOBS_MAX 64
#define RUN_US (6 * USEC_PER_SEC)
#define REPORT_US (100 * USEC_PER_MSEC) /* report_delay_fed */
#define SLACK_US (50 * USEC_PER_MSEC)

struct fair_job {
	struct pool_job job;
	char queue[16], key[16], owner[16];
	usec_t submitted_us, last_us; /* last: of a start; 0 = none */
	uint64_t id, started;
	usec_t served_us;
	uint32_t running, most_running;
	usec_t passed_us; /* of lower priorities, since it has waited for too long */
};

struct fair {
	struct rng rng;
	struct pool *pool;
	struct pool_config config;
	struct fair_job jobs[JOBS_MAX];
	uint32_t count;
	usec_t longest_us;			      /* of all shards */
	uint32_t queue_max, owner_max, cpu_max_milli; /* what run_limits sets; 0 = no bound */
	char *failure;
};

static usec_t between(struct rng *r, usec_t least, usec_t most)
{
	return least + (usec_t)rng_below(r, (uint64_t)(most - least) + 1);
}

static void submit(struct fair *f, struct pool_job job, uint32_t queue, uint32_t key)
{
	struct fair_job *j = &f->jobs[f->count++];

	CHECK(f->count <= JOBS_MAX);
	snprintf(j->queue, sizeof j->queue, "q%u", queue);
	snprintf(j->key, sizeof j->key, "k%u", key);
	job.queue = j->queue;
	job.fair_key = j->key;
	if (f->owner_max > 0) {
		snprintf(j->owner, sizeof j->owner, "o%u", key % 2);
		job.owner = j->owner;
	}
	job.arg = j;
	j->job = job;
	j->submitted_us = pool_now(f->pool);
	j->id = pool_submit(f->pool, &job);
	if (job.shard_us > f->longest_us)
		f->longest_us = job.shard_us;
}

static bool waits(const struct fair_job *j)
{
	return j->started < j->job.shards;
}

static usec_t waits_since(const struct fair_job *j)
{
	return j->last_us > 0 ? j->last_us : j->submitted_us;
}

/* A shard of `lower` starts, though somebody of its queue with a higher priority, for whom the same slot
 * would do, has waited for longer than it takes until some slot is free and that is reported. A worker that
 * has run all that it was sent of the higher one, and has not got more yet, runs what it has: little. */
static void check_priority(struct fair *f, const struct fair_job *lower, usec_t now_us)
{
	usec_t slots = (usec_t)f->config.workers * f->config.cores;
	usec_t bound = 3 * (f->longest_us + REPORT_US + 2 * f->config.latency_us) + SLACK_US;

	for (uint32_t i = 0; i < f->count && f->failure[0] == '\0'; i++) {
		struct fair_job *j = &f->jobs[i];
		usec_t late = now_us - waits_since(j) - bound - j->job.shard_us;

		if (!waits(j) || j->job.priority <= lower->job.priority ||
		    strcmp(j->queue, lower->queue) != 0 || j->job.cpu_milli > lower->job.cpu_milli ||
		    late <= 0)
			continue;
		j->passed_us += lower->job.shard_us;
		if (j->passed_us <= slots * (late / 5 + f->longest_us))
			continue;
		snprintf(f->failure, 512,
			 "job %llu (priority %lld) waits for %lld us, %lld of them too long; shards of lower "
			 "priority ran for %lld us meanwhile, at last of job %llu",
			 (unsigned long long)j->id, (long long)j->job.priority,
			 (long long)(now_us - waits_since(j)), (long long)late, (long long)j->passed_us,
			 (unsigned long long)lower->id);
	}
}

static void check_running(struct fair *f, struct fair_job *j);
static void check_limits(struct fair *f, const struct fair_job *j);

static void on_start(void *arg, usec_t now_us, const struct pool_job *job, uint64_t id, uint32_t shard)
{
	struct fair *f = arg;
	struct fair_job *j = job->arg;

	(void)id;
	(void)shard;
	j->started++;
	j->last_us = now_us;
	j->passed_us = 0;
	j->served_us += job->shard_us;
	check_priority(f, j, now_us);
	check_running(f, j);
	check_limits(f, j);
}

/* ---- strict priorities: some jobs at random ---- */

static void run_priorities(struct fair *f)
{
	static const usec_t times[] = {USEC_PER_MSEC, 5 * USEC_PER_MSEC, 20 * USEC_PER_MSEC,
				       80 * USEC_PER_MSEC};
	usec_t end = pool_now(f->pool) + RUN_US;

	while (pool_now(f->pool) < end && f->count < JOBS_MAX && f->failure[0] == '\0') {
		submit(f,
		       (struct pool_job){
			   .priority = (int64_t)rng_below(&f->rng, 3),
			   .shards = rng_below(&f->rng, 3) == 0 ? 1000000 : (uint32_t)between(&f->rng, 1, 50),
			   .cpu_milli = 1000,
			   .shard_us = times[rng_below(&f->rng, ARRAY_LENGTH(times))]},
		       (uint32_t)rng_below(&f->rng, 2), (uint32_t)rng_below(&f->rng, 3));
		pool_run(f->pool, pool_now(f->pool) + between(&f->rng, 0, 600 * USEC_PER_MSEC));
	}
	pool_run(f->pool, end);
}

/* ---- bounds of running shards ---- */

static void on_stop(void *arg, usec_t now_us, const struct pool_job *job, uint64_t id, uint32_t shard)
{
	(void)arg, (void)now_us, (void)id, (void)shard;
	((struct fair_job *)job->arg)->running--;
}

static void check_running(struct fair *f, struct fair_job *j)
{
	j->running++;
	j->most_running = j->running > j->most_running ? j->running : j->most_running;
	if (j->job.max_running > 0 && j->running > j->job.max_running && f->failure[0] == '\0')
		snprintf(f->failure, 512, "job %llu runs %u shards at a time; at most %u may",
			 (unsigned long long)j->id, j->running, j->job.max_running);
}

/* Of jobs whose queue, or owner, is the same: NULL is as any. */
static void add_running(const struct fair *f, const char *owner, uint32_t *shards, uint32_t *cpu_milli)
{
	*shards = *cpu_milli = 0;
	for (uint32_t i = 0; i < f->count; i++)
		if (strcmp(f->jobs[i].queue, "q0") == 0 &&
		    (owner == NULL || strcmp(f->jobs[i].owner, owner) == 0)) {
			*shards += f->jobs[i].running;
			*cpu_milli += f->jobs[i].running * f->jobs[i].job.cpu_milli;
		}
}

static void check_limits(struct fair *f, const struct fair_job *j)
{
	uint32_t all, cpus, own, own_cpus;

	if (strcmp(j->queue, "q0") != 0 || f->failure[0] != '\0')
		return;
	add_running(f, NULL, &all, &cpus);
	add_running(f, j->owner, &own, &own_cpus);
	if ((f->queue_max > 0 && all > f->queue_max) || (f->cpu_max_milli > 0 && cpus > f->cpu_max_milli) ||
	    (f->owner_max > 0 && own > f->owner_max))
		snprintf(
		    f->failure, 512,
		    "queue q0 runs %u shards with %u thousandths of a cpu, %u of them of owner %s; %u, %u "
		    "and %u may (0: any number)",
		    all, cpus, own, j->owner, f->queue_max, f->cpu_max_milli, f->owner_max);
}

/* One queue with limits beside one without; all that was submitted to it ends. */
static void run_limits(struct fair *f)
{
	uint32_t left = 0;

	f->queue_max = (uint32_t)between(&f->rng, 0, 5);
	f->owner_max = (uint32_t)between(&f->rng, 1, 4);
	f->cpu_max_milli = rng_below(&f->rng, 2) ? 1000 * (uint32_t)between(&f->rng, 2, 6) : 0;
	pool_set_queue(f->pool, &(struct queue_changed){
				    .name = BYTES_LIT("q0"),
				    .weight = 1 + (uint32_t)rng_below(&f->rng, 3),
				    .limits = {.running = f->queue_max, .cpu_milli = f->cpu_max_milli},
				    .owner_limits = {.running = f->owner_max}});
	for (uint32_t i = 0; i < 12; i++) {
		submit(f,
		       (struct pool_job){.shards = (uint32_t)between(&f->rng, 1, 60),
					 .priority = (int64_t)rng_below(&f->rng, 2),
					 .cpu_milli =
					     f->config.cores > 1 && rng_below(&f->rng, 3) == 0 ? 2000 : 1000,
					 .shard_us = between(&f->rng, 1, 10) * USEC_PER_MSEC},
		       0, (uint32_t)rng_below(&f->rng, 4));
		pool_run(f->pool, pool_now(f->pool) + between(&f->rng, 0, 100 * USEC_PER_MSEC));
	}
	submit(f, (struct pool_job){.shards = 100000000, .cpu_milli = 1000, .shard_us = USEC_PER_MSEC}, 1, 0);
	pool_run(f->pool, pool_now(f->pool) + 10 * RUN_US);
	for (uint32_t i = 0; i < f->count; i++)
		if (strcmp(f->jobs[i].queue, "q0") == 0)
			left += f->jobs[i].job.shards - (uint32_t)f->jobs[i].started;
	if (left > 0 && f->failure[0] == '\0')
		snprintf(f->failure, 512, "%u shards of a queue with limits were never run", left);
}

static void run_bounds(struct fair *f)
{
	for (uint32_t i = 0; i < 6; i++)
		submit(f,
		       (struct pool_job){.shards = (uint32_t)between(&f->rng, 1, 2000),
					 .max_running = (uint32_t)between(&f->rng, 0, 4),
					 .cpu_milli = 1000,
					 .shard_us = between(&f->rng, 1, 30) * USEC_PER_MSEC},
		       (uint32_t)rng_below(&f->rng, 2), i);
	submit(f,
	       (struct pool_job){
		   .shards = 1000000, .max_running = 2, .cpu_milli = 1000, .shard_us = USEC_PER_MSEC},
	       0, 7);
	pool_run(f->pool, pool_now(f->pool) + RUN_US);
	if (f->failure[0] == '\0' && f->jobs[6].most_running == 0)
		snprintf(f->failure, 512, "a job that may run 2 shards at a time ran none");
}

/* ---- keys that all have more than can be run ---- */

static void check_shares(struct fair *f, usec_t us)
{
	usec_t slots = (usec_t)f->config.workers * f->config.cores;
	usec_t fair = us * slots / f->count, bound = fair / 10 + 2 * slots * f->longest_us;

	for (uint32_t i = 0; i < f->count; i++) {
		usec_t apart = f->jobs[i].served_us - fair;

		if (apart <= bound && apart >= -bound)
			continue;
		snprintf(
		    f->failure, 512,
		    "key %s of %u was served %lld us: its share is %lld, and at most %lld more or less are "
		    "allowed",
		    f->jobs[i].key, f->count, (long long)f->jobs[i].served_us, (long long)fair,
		    (long long)bound);
		return;
	}
}

static void run_shares(struct fair *f)
{
	uint32_t keys = (uint32_t)between(&f->rng, 2, 12);

	for (uint32_t k = 0; k < keys; k++)
		submit(f,
		       (struct pool_job){.shards = 100000000,
					 .cpu_milli = 1000,
					 .shard_us = between(&f->rng, 1, 40) * USEC_PER_MSEC},
		       0, k);
	pool_run(f->pool, pool_now(f->pool) + RUN_US);
	check_shares(f, RUN_US);
}

/* ---- queues with weights ---- */

#define WEIGHTED 3
#define WEIGHTED_SHARD_US (12 * USEC_PER_MSEC)

static void weigh(struct fair *f, const uint32_t weights[WEIGHTED])
{
	for (uint32_t i = 0; i < WEIGHTED; i++)
		pool_set_queue(f->pool, &(struct queue_changed){.name = bytes_of(f->jobs[i].queue),
								.weight = weights[i]});
}

static void check_weights(struct fair *f, const uint32_t weights[WEIGHTED], usec_t us)
{
	usec_t slots = (usec_t)f->config.workers * f->config.cores, all = 0;

	for (uint32_t i = 0; i < WEIGHTED; i++)
		all += weights[i];
	for (uint32_t i = 0; i < WEIGHTED; i++) {
		usec_t fair = us * slots * weights[i] / all, apart = f->jobs[i].served_us - fair;
		usec_t bound = fair / 20 + slots * f->longest_us; /* shards that are in work at either end */

		if (apart <= bound && apart >= -bound)
			continue;
		snprintf(
		    f->failure, 512,
		    "queue %s of weight %u was served %lld us: its share is %lld, and at most %lld more or "
		    "less are allowed",
		    f->jobs[i].queue, weights[i], (long long)f->jobs[i].served_us, (long long)fair,
		    (long long)bound);
		return;
	}
}

/* They are 1 to 2 to 4, from the start or from when others would have been served for a while. */
static void run_weights(struct fair *f)
{
	static const uint32_t alike[WEIGHTED] = {1, 1, 1}, weights[WEIGHTED] = {1, 2, 4};
	bool changes = rng_below(&f->rng, 2) == 0;

	for (uint32_t i = 0; i < WEIGHTED; i++)
		submit(f,
		       (struct pool_job){.shards = 100000000,
					 .cpu_milli = 1000,
					 .shard_us = between(&f->rng, USEC_PER_MSEC, WEIGHTED_SHARD_US)},
		       i, 0);
	weigh(f, changes ? alike : weights);
	pool_run(f->pool, pool_now(f->pool) + RUN_US / 2);
	weigh(f, weights);
	pool_run(f->pool, pool_now(f->pool) + RUN_US / 2);
	for (uint32_t i = 0; i < WEIGHTED; i++)
		f->jobs[i].served_us = 0;
	pool_run(f->pool, pool_now(f->pool) + 2 * RUN_US);
	check_weights(f, weights, 2 * RUN_US);
}

bool fair_run(uint64_t seed, char failure[static 512])
{
	struct fair f = {.failure = failure};
	uint64_t which;

	failure[0] = '\0';
	rng_seed(&f.rng, seed);
	f.config = (struct pool_config){.workers = (uint32_t)between(&f.rng, 1, 3),
					.cores = (uint32_t)between(&f.rng, 1, 6),
					.latency_us = between(&f.rng, 0, 2000),
					.lease_ahead_us = (usec_t)rng_below(&f.rng, 2) * 2 * USEC_PER_SEC,
					.depth = seed % (10 * FAIR_EVERY) == 0 ? CHECK_FULL : CHECK_TOUCHED,
					.on_start = on_start,
					.on_stop = on_stop,
					.arg = &f};
	which = rng_below(&f.rng, 5);
	f.pool = pool_create(&f.config);
	pool_connect(f.pool);
	if (which == 0)
		run_shares(&f);
	else if (which == 1)
		run_priorities(&f);
	else if (which == 2)
		run_bounds(&f);
	else if (which == 3)
		run_weights(&f);
	else
		run_limits(&f);
	pool_destroy(f.pool);
	return failure[0] == '\0';
}
