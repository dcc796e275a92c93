/* sim [--seeds A-B | --seed N] [--trace] [--table] [--digest] [--for SECONDS] [--stop]
 *
 * Runs the real cores under virtual time, one world a seed. Without --seeds MILL_TEST says how many:
 * quick 2,000, normal (the default) 5,000, long an hour of random seeds; MILL_BUILD=asan: 200. Built with
 * -DPLANT_CHOSEN it also knows `--plant NAME`, and `--plants`: each bug planted in the cores is found by the
 * first 5,000 seeds. `--fair` prints the figures of a large pool (fair.h), `--fair-small` of an
 * eighth of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/fair.h"
#include "tests/sim/plants.h"
#include "tests/sim/sim.h"

#define SEEDS_QUICK 2000
#define SEEDS_NORMAL 5000
#define SEEDS_ASAN 200
#define LONG_SECONDS 3600
#define TWICE_EVERY 100 /* every so many seeds run a second time: the trace must be the same */
#define FAILURES_MAX 10

struct options {
	uint64_t first, last;
	double seconds; /* > 0: random seeds for so long */
	bool is_asan;
	bool trace, table, digest, stop, plants, fair, fair_small;
};

struct tally {
	uint64_t runs, failures, events, steps;
	double virtual_s;
};

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int usage(const char *why)
{
	fprintf(
	    stderr,
	    "sim: %s\nusage: sim [--seeds A-B | --seed N | --for SECONDS] [--trace] [--table] [--digest]\n",
	    why);
	return -1;
}

static int parse_range(const char *text, struct options *o)
{
	char *end;

	o->first = o->last = strtoull(text, &end, 10);
	if (*end == '-')
		o->last = strtoull(end + 1, &end, 10);
	return *end != 0 || o->last < o->first ? usage("expected seeds A-B") : 0;
}

static void defaults(struct options *o)
{
	const char *mode = getenv("MILL_TEST"), *build = getenv("MILL_BUILD");

	*o = (struct options){.first = 1, .last = SEEDS_NORMAL, .table = true};
	if (mode != NULL && strcmp(mode, "quick") == 0)
		o->last = SEEDS_QUICK;
	if (mode != NULL && strcmp(mode, "long") == 0)
		o->seconds = LONG_SECONDS;
	if (build != NULL && strcmp(build, "asan") == 0) {
		o->is_asan = true;
		o->last = SEEDS_ASAN;
		o->seconds = 0;
		o->table = false; /* so few fill no table */
	}
}

static int parse(int argc, char **argv, struct options *o)
{
	defaults(o);
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if ((strcmp(argv[i], "--seeds") == 0 || strcmp(argv[i], "--seed") == 0) && more) {
			o->table = false;
			o->seconds = 0;
			if (parse_range(argv[++i], o) < 0)
				return -1;
		} else if (strcmp(argv[i], "--for") == 0 && more) {
			o->seconds = strtod(argv[++i], NULL);
		} else if (strcmp(argv[i], "--plant") == 0 && more) {
			if (plants_choose(argv[++i]) < 0)
				return usage("no such planted bug in this build");
		} else if (strcmp(argv[i], "--plants") == 0) {
			o->plants = true;
		} else if (strcmp(argv[i], "--fair") == 0) {
			o->fair = true;
		} else if (strcmp(argv[i], "--fair-small") == 0) {
			o->fair = o->fair_small = true;
		} else if (strcmp(argv[i], "--trace") == 0) {
			o->trace = true;
		} else if (strcmp(argv[i], "--table") == 0) {
			o->table = true;
		} else if (strcmp(argv[i], "--digest") == 0) {
			o->digest = true;
		} else if (strcmp(argv[i], "--stop") == 0) {
			o->stop = true;
		} else {
			return usage("an unknown or incomplete option");
		}
	}
	return 0;
}

static void fail(struct tally *t, uint64_t seed, const char *self, const char *words)
{
	t->failures++;
	printf("seed %llu: %s\n  rerun: %s --seed %llu --trace\n", (unsigned long long)seed, words, self,
	       (unsigned long long)seed);
	fflush(stdout);
}

static void run_seed(const struct options *o, uint64_t seed, struct coverage *c, struct tally *t,
		     const char *self)
{
	struct coverage ignored = {0};
	struct sim_result r, again;

	if (seed % FAIR_EVERY == 0) {
		t->runs++;
		if (!fair_run(seed, r.failure)) {
			fail(t, seed, self, r.failure);
			return;
		}
	}
	if (seed % FAIR_LARGE_EVERY == FAIR_EVERY / 2) {
		t->runs++;
		if (!fair_large(seed, r.failure)) {
			fail(t, seed, self, r.failure);
			return;
		}
	}
	sim_run(seed, o->trace, c, &r);
	t->runs++;
	t->events += r.event_count;
	t->virtual_s += (double)r.virtual_us / 1e6;
	if (o->digest)
		printf("seed %llu digest %016llx\n", (unsigned long long)seed, (unsigned long long)r.digest);
	if (r.failed) {
		fail(t, seed, self, r.failure);
		return;
	}
	if (seed % TWICE_EVERY != 0)
		return;
	sim_run(seed, false, &ignored, &again);
	t->runs++;
	if (again.digest != r.digest)
		fail(t, seed, self, "the same seed gave another trace");
}

static bool enough(const struct options *o, const struct tally *t, double begun)
{
	if (t->failures > 0 && (o->stop || t->failures >= FAILURES_MAX))
		return true;
	return o->seconds > 0 && cpu_seconds() - begun > o->seconds;
}

static void run_all(const struct options *o, struct coverage *c, struct tally *t, const char *self)
{
	double begun = cpu_seconds();

	if (o->seconds > 0) {
		struct rng rng;

		rng_seed(&rng, (uint64_t)time(NULL));
		while (!enough(o, t, begun))
			run_seed(o, rng_u64(&rng) >> 16, c, t, self);
		return;
	}
	for (uint64_t seed = o->first; seed <= o->last && !enough(o, t, begun); seed++)
		run_seed(o, seed, c, t, self);
}

int main(int argc, char **argv)
{
	static struct coverage coverage;
	struct options o;
	struct tally t = {0};
	double begun = cpu_seconds(), took;
	uint32_t holes = 0;
	bool table_fails;

	if (parse(argc, argv, &o) < 0)
		return 2;
	if (o.plants && o.is_asan) {
		puts("sim-planted: the planted bugs are found in the plain build");
		return 77;
	}
	if (o.fair)
		return !fair_measure(&(struct fair_measure){.workers = 16,
							    .cores = o.fair_small ? 128 : 1024,
							    .keys = o.fair_small ? 1250 : 10000,
							    .shard_us = 10 * USEC_PER_MSEC,
							    .us = 3 * USEC_PER_SEC});
	if (o.plants)
		return plants_find_all(SEEDS_NORMAL);
	run_all(&o, &coverage, &t, argv[0]);
	took = cpu_seconds() - begun;
	if (o.table) {
		coverage_print(&coverage, stdout);
		holes = coverage_holes(&coverage, stdout);
	}
	table_fails = holes > 0 && o.seconds <= 0 && o.last - o.first + 1 >= SEEDS_QUICK;
	printf("mill: %llu passed, %llu failed\n", (unsigned long long)(t.runs - t.failures),
	       (unsigned long long)(t.failures + table_fails));
	printf("sim: %llu runs, %llu failed, %.0f seeds a second of one core, %llu events, %.1f hours of "
	       "virtual time%s\n",
	       (unsigned long long)t.runs, (unsigned long long)t.failures,
	       took > 0 ? (double)t.runs / took : 0, (unsigned long long)t.events, t.virtual_s / 3600,
	       holes ? "; the table has holes" : "");
	return t.failures > 0 || table_fails;
}
