/* What slots alone can do, without agent, network or journal: exec of /bin/true through two slots, as a
 * ratio to two processes that only posix_spawn it (spawn_limit.c), and no-op shards through a runner.
 *
 * Usage: bench-slots SPAWN_LIMIT NOOP_RUNNER [SHARDS_PER_SLOT] */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"

#define SLOTS 2
#define LIMIT_SECONDS 3

struct load {
	struct rig_work work;
	uint32_t shards, lease;
	uint32_t next[SLOTS];
};

/* Keeps both cells of a slot armed, as the core does. */
static bool feed(struct slot_rig *r, struct load *l, int slot)
{
	rig_fetch(r);
	while (!r->armed[r->turn] && l->next[slot] < l->shards) {
		uint32_t left = l->shards - l->next[slot], count = left < l->lease ? left : l->lease;

		rig_arm(r, &l->work, l->next[slot], count);
		l->next[slot] += count;
	}
	return r->done + r->failed < l->shards;
}

/* Processor time of ours and of what we waited for: what it says does not depend on who else is running. */
static double cpu_us(void)
{
	double us = 0;

	for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
		struct rusage u;

		getrusage(who, &u);
		us += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
		      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	}
	return us;
}

struct speed {
	double per_second, cpu_us_each;
};

static struct speed measure(struct load *l)
{
	double shards = (double)l->shards * SLOTS, cpu = cpu_us();
	static struct slot_rig rigs[SLOTS];
	bool busy = true;
	usec_t begun;

	for (int i = 0; i < SLOTS; i++)
		rig_open(&rigs[i], &(struct rig_options){.shard_count = l->shards});
	begun = clock_mono_us();
	while (busy) {
		busy = false;
		for (int i = 0; i < SLOTS; i++)
			busy |= feed(&rigs[i], l, i);
		if (busy)
			poll(NULL, 0, 1);
	}
	begun = clock_mono_us() - begun;
	for (int i = 0; i < SLOTS; i++) {
		CHECK(rigs[i].failed == 0);
		rig_close(&rigs[i]);
	}
	return (struct speed){shards * 1e6 / (double)begun, (cpu_us() - cpu) / shards};
}

static struct speed spawn_limit(const char *program)
{
	double limit = 0, cpu = cpu_us();
	char command[4200];
	FILE *f;

	snprintf(command, sizeof command, "exec %s /bin/true %d", program, LIMIT_SECONDS);
	f = popen(command, "r");
	CHECK(f != NULL && fscanf(f, "%lf", &limit) == 1);
	pclose(f);
	return (struct speed){limit, (cpu_us() - cpu) / (limit * LIMIT_SECONDS)};
}

/* As bench/run.py reads it. */
static void row(const char *figure, const struct speed *s, const struct speed *limit, const char *words)
{
	printf("row\t%s\t%.0f/s, %.3g us each\t%s: %.0f/s, %.3g us\t%.3f\n", figure, s->per_second,
	       s->cpu_us_each, words, limit->per_second, limit->cpu_us_each,
	       s->per_second / limit->per_second);
}

int main(int argc, char **argv)
{
	static struct load exec, runner;
	struct speed limit, speed;

	if (argc < 3)
		return 2;
	exec.shards = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 3000;
	exec.lease = 250;
	rig_work_init(&exec.work, (const char *const[]){"/bin/true", NULL});
	limit = spawn_limit(argv[1]);
	speed = measure(&exec);
	row("two slots alone: exec /bin/true", &speed, &limit, "posix_spawn loop of two processes");
	runner.shards = 5000000;
	runner.lease = 250000;
	rig_work_init(&runner.work, (const char *const[]){argv[2], NULL});
	runner.work.phase.run.kind = RUN_RUNNER;
	runner.work.phase.run.format = FORMAT_MSGPACK;
	limit = speed;
	speed = measure(&runner);
	row("two slots alone: no-op through a runner", &speed, &limit, "exec by the same slots");
	return 0;
}
