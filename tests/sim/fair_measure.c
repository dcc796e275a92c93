/* The figures of a large pool in which every key has more than can be run. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "tests/sim/fair.h"
#include "tests/sim/pool.h"

#define WINDOW 50 /* shards of a key, over which its share is taken */
#define NEWCOMERS 200
/* Shards more or less in that window: 2 %, and a little, since of the shards that start in the same
 * microsecond some are counted first. */
#define APART_MAX 1.02
#define NEWCOMER_US (USEC_PER_SEC / 2)

/* Of one key: the number of each of its starts among the starts of all keys. */
struct starts {
	uint32_t *at;
	uint32_t count, capacity;
};

struct measuring {
	const struct fair_measure *m;
	struct starts *keys;
	uint64_t started;
	usec_t submitted[NEWCOMERS], waited[NEWCOMERS];
	uint32_t newcomers;
};

struct claim {
	struct measuring *of;
	uint32_t key; /* UINT32_MAX: a newcomer */
	uint32_t newcomer;
};

static void on_start(void *arg, usec_t now_us, const struct pool_job *job, uint64_t id, uint32_t shard)
{
	struct measuring *all = arg;
	const struct claim *claim = job->arg;
	struct starts *s;

	(void)id;
	(void)shard;
	if (claim->key == UINT32_MAX) {
		all->waited[claim->newcomer] = now_us - all->submitted[claim->newcomer];
		return;
	}
	all->started++;
	s = &all->keys[claim->key];
	if (s->count == s->capacity) {
		s->capacity = s->capacity == 0 ? 64 : 2 * s->capacity;
		s->at = check_realloc(s->at, s->capacity, sizeof *s->at);
	}
	s->at[s->count++] = (uint32_t)all->started;
}

static void submit(struct measuring *all, struct pool *p, struct claim *claim, uint32_t shards)
{
	char *name = check_calloc(1, 24); /* lives as long as the program */

	claim->of = all;
	snprintf(name, 24, "%s%u", claim->key == UINT32_MAX ? "new" : "key",
		 claim->key == UINT32_MAX ? claim->newcomer : claim->key);
	(void)pool_submit(p, &(struct pool_job){.queue = "default",
						.fair_key = name,
						.shards = shards,
						.cpu_milli = 1000,
						.shard_us = all->m->shard_us,
						.arg = claim});
}

/* By how many shards any key was served more or less than its share while it was served WINDOW, of those that
 * started after `from`. */
static double farthest(const struct measuring *all, uint64_t from)
{
	double most = 0;

	for (uint32_t k = 0; k < all->m->keys; k++) {
		const struct starts *s = &all->keys[k];

		for (uint32_t i = 0; i + WINDOW < s->count; i++) {
			double apart = (double)(s->at[i + WINDOW] - s->at[i]) / all->m->keys - WINDOW;

			if (s->at[i] >= from && (apart > most || -apart > most))
				most = apart > 0 ? apart : -apart;
		}
	}
	return most;
}

static int by_time(const void *a, const void *b)
{
	usec_t x = *(const usec_t *)a, y = *(const usec_t *)b;

	return (x > y) - (x < y);
}

bool fair_measure(const struct fair_measure *m)
{
	struct measuring all = {.m = m, .keys = check_calloc(m->keys, sizeof *all.keys)};
	struct pool *p = pool_create(&(struct pool_config){.workers = m->workers,
							   .cores = m->cores,
							   .apart_us = 100 * USEC_PER_MSEC / m->workers + 137,
							   .latency_us = 200,
							   .fair_quantum_us = 10 * USEC_PER_MSEC,
							   .depth = CHECK_TOUCHED,
							   .on_start = on_start,
							   .arg = &all});
	struct claim *keys = check_calloc(m->keys, sizeof *keys), newcomers[NEWCOMERS];
	clock_t began = clock();
	uint64_t from, ran;
	double apart, seconds;
	bool fine;

	pool_connect(p);
	for (uint32_t k = 0; k < m->keys; k++) {
		keys[k].key = k;
		submit(&all, p, &keys[k], k == 0 ? 4000000000u : 10000000u);
	}
	pool_run(p, pool_now(p) + m->us / 3);
	from = all.started;
	ran = pool_ran(p);
	for (uint32_t n = 0; n < NEWCOMERS; n++) {
		newcomers[n] = (struct claim){.key = UINT32_MAX, .newcomer = n};
		all.submitted[n] = pool_now(p);
		all.waited[n] = m->us;
		submit(&all, p, &newcomers[n], 1);
		pool_run(p, pool_now(p) + 2 * m->us / 3 / NEWCOMERS);
	}
	pool_run(p, pool_now(p) + NEWCOMER_US); /* the last ones' time */
	seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
	apart = farthest(&all, from);
	qsort(all.waited, NEWCOMERS, sizeof all.waited[0], by_time);
	fine =
	    apart <= APART_MAX && all.waited[NEWCOMERS * 99 / 100] <= NEWCOMER_US && pool_given_back(p) == 0;
	printf("%u slots, %u keys, shards of %lld ms: %.1f %% of the slots' time was used\n",
	       m->workers * m->cores, m->keys, (long long)(m->shard_us / USEC_PER_MSEC),
	       100.0 * (double)((pool_ran(p) - ran) * (uint64_t)m->shard_us) /
		   ((double)m->workers * m->cores * (double)(2 * m->us / 3 + NEWCOMER_US)));
	printf("a key's share over any %d of its shards is within %.1f %% of its weight (goal %.0f %%)\n",
	       WINDOW, 100 * apart / WINDOW, 100.0 * APART_MAX / WINDOW);
	printf("a newcomer starts after %.1f ms, p99 %.1f ms (goal %lld ms)\n",
	       (double)all.waited[NEWCOMERS / 2] / USEC_PER_MSEC,
	       (double)all.waited[NEWCOMERS * 99 / 100] / USEC_PER_MSEC,
	       (long long)(NEWCOMER_US / USEC_PER_MSEC));
	printf("%llu shards were given back; %.1f us of processor time a shard, of all cores\n",
	       (unsigned long long)pool_given_back(p), 1e6 * seconds / (double)pool_ran(p));
	pool_destroy(p);
	for (uint32_t k = 0; k < m->keys; k++)
		free(all.keys[k].at);
	free(all.keys);
	free(keys);
	return fine;
}
