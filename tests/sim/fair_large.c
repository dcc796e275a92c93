/* A job whose shards need most of a worker, or all of it, among small ones that never end. It has its turns
 * like any other: each time it comes first, the worker that will be free soonest takes on nothing that would
 * delay it. */
#include "tests/sim/fair.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/rng.h"
#include "tests/sim/pool.h"

#define SMALL_MAX 3 /* keys of small jobs */
#define SHORT_MAX 8 /* and of others, in the pool that has enough to fill what waits */
#define USED_LEAST 0.9
#define FILLED_SLACK_US (100 * USEC_PER_MSEC)
#define RUN_US (60 * USEC_PER_SEC)
#define SLACK_US (200 * USEC_PER_MSEC) /* reports, and what is held ahead of it */

struct large {
	struct pool *pool;
	struct pool_job small[1 + SHORT_MAX], job;
	char keys[1 + SHORT_MAX][8];
	usec_t submitted_us, first_us; /* first: of its starts; 0 = none */
	usec_t served_us, small_us;
	usec_t ends_us;	 /* the last of those that have started */
	usec_t ended_us; /* of those that ran when it was submitted */
};

static void on_start(void *arg, usec_t now_us, const struct pool_job *job, uint64_t id, uint32_t shard)
{
	struct large *l = arg;

	(void)id, (void)shard;
	if (now_us + job->shard_us > l->ends_us)
		l->ends_us = now_us + job->shard_us;
	if (job->arg == NULL) {
		l->small_us += job->shard_us;
		return;
	}
	if (l->first_us == 0)
		l->first_us = now_us;
	l->served_us += job->shard_us;
}

static usec_t draw_us(struct rng *r)
{
	static const usec_t times[] = {2, 20, 200, 2000};

	return times[rng_below(r, ARRAY_LENGTH(times))] * USEC_PER_MSEC * (1 + (usec_t)rng_below(r, 3));
}

static usec_t longest_of(const struct large *l, uint32_t count)
{
	usec_t longest = 0;

	for (uint32_t i = 0; i < count; i++)
		longest = l->small[i].shard_us > longest ? l->small[i].shard_us : longest;
	return longest;
}

/* It waits until what runs on a worker that it fits into has ended; twice as long when another key that was
 * served less has its turn before. Its share of all slots is that of each key. */
static void judge(const struct large *l, uint32_t count, char failure[static 512])
{
	usec_t longest = longest_of(l, count), waited = l->first_us - l->submitted_us;
	double fair = 1.0 / (count + 1);
	double served = (double)l->served_us * l->job.cpu_milli / 1000, all = served + (double)l->small_us;
	double share = all > 0 ? served / all : 0;
	usec_t larger = l->job.shard_us > longest ? l->job.shard_us : longest;

	if (l->first_us == 0 || waited > 2 * longest + SLACK_US)
		snprintf(failure, 512,
			 "a shard of %llu thousandths of a core waits for %lld us; the longest of the others "
			 "takes %lld",
			 (unsigned long long)l->job.cpu_milli,
			 (long long)(l->first_us == 0 ? RUN_US : waited), (long long)longest);
	else if (share < fair - 0.05 - 2.0 * (double)larger / RUN_US ||
		 share > fair + 0.05 + 2.0 * (double)larger / RUN_US)
		snprintf(failure, 512, "a job of large shards has %.3f of what is served, its share is %.3f",
			 share, fair);
}

/* What of the cores' time was used since it was submitted. */
static double used(const struct large *l, const struct pool_config *c)
{
	double all = (double)l->small_us + (double)l->served_us * l->job.cpu_milli / 1000;

	return all / ((double)RUN_US * c->workers * c->cores);
}

static void submit_small(struct large *l, uint32_t i, usec_t shard_us)
{
	snprintf(l->keys[i], sizeof l->keys[i], "k%u", i);
	l->small[i] = (struct pool_job){.queue = "q",
					.fair_key = l->keys[i],
					.shards = 100000000,
					.cpu_milli = 1000,
					.shard_us = shard_us};
	pool_submit(l->pool, &l->small[i]);
}

static void run_large(struct large *l, uint32_t cpu_milli, usec_t shard_us)
{
	pool_run(l->pool, pool_now(l->pool) + 10 * USEC_PER_SEC);
	l->job = (struct pool_job){.queue = "q",
				   .fair_key = "large",
				   .shards = 100000,
				   .cpu_milli = cpu_milli,
				   .shard_us = shard_us,
				   .arg = l};
	l->submitted_us = pool_now(l->pool);
	l->small_us = 0;
	l->ended_us = l->ends_us;
	pool_submit(l->pool, &l->job);
	pool_run(l->pool, l->submitted_us + RUN_US);
}

static void run_random(struct large *l, struct pool_config *config, struct rng *r, char failure[static 512])
{
	uint32_t count, less;
	usec_t shard_us;

	config->workers = 1 + (uint32_t)rng_below(r, 3);
	config->cores = 2 + (uint32_t)rng_below(r, 5);
	config->latency_us = (usec_t)rng_below(r, 2000);
	count = 1 + (uint32_t)rng_below(r, SMALL_MAX);
	l->pool = pool_create(config);
	pool_connect(l->pool);
	for (uint32_t i = 0; i < count; i++)
		submit_small(l, i, draw_us(r));
	less = config->cores > 2 ? (uint32_t)rng_below(r, 2) : 0;
	shard_us = draw_us(r);
	run_large(l, 1000 * (config->cores - less), shard_us);
	judge(l, count, failure);
}

/* While it waits for the end of a long shard, short ones use the other cores; there is always one that may
 * run by its share. It waits no longer for that: what judge says of it holds here, too. */
static void run_filled(struct large *l, struct pool_config *config, struct rng *r, char failure[static 512])
{
	usec_t longest = (400 + (usec_t)rng_below(r, 2000)) * USEC_PER_MSEC;

	config->workers = 1;
	config->cores = 3 + (uint32_t)rng_below(r, 4);
	l->pool = pool_create(config);
	pool_connect(l->pool);
	submit_small(l, 0, longest);
	for (uint32_t i = 1; i <= SHORT_MAX; i++)
		submit_small(l, i, longest / (50 + (usec_t)rng_below(r, 100)));
	run_large(l, 1000 * config->cores, longest / (1 + (usec_t)rng_below(r, 20)));
	judge(l, 1 + SHORT_MAX, failure);
	if (failure[0] == '\0' && l->first_us > l->ended_us + FILLED_SLACK_US)
		snprintf(failure, 512,
			 "a shape that needs all cores waits for %lld us longer than for what ran",
			 (long long)(l->first_us - l->ended_us));
	else if (failure[0] == '\0' && used(l, config) < USED_LEAST)
		snprintf(failure, 512,
			 "%.3f of the cores' time was used while a shape waited that needs them all",
			 used(l, config));
}

bool fair_large(uint64_t seed, char failure[static 512])
{
	static void (*const runs[])(struct large *, struct pool_config *, struct rng *,
				    char *) = {run_random, run_filled};
	struct rng r;

	failure[0] = '\0';
	rng_seed(&r, seed);
	for (size_t i = 0; i < ARRAY_LENGTH(runs) && failure[0] == '\0'; i++) {
		struct large l = {.first_us = 0};
		struct pool_config config = {.on_start = on_start, .arg = &l, .depth = CHECK_TOUCHED};

		runs[i](&l, &config, &r, failure);
		pool_destroy(l.pool);
	}
	return failure[0] == '\0';
}
