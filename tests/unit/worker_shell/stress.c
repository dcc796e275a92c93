/* Slots under random leases, stops, revokes, syncs and sweeps, from a seed: nothing is lost, nothing
 * counted twice (the rig checks it), nothing hangs. A plain program, so that ThreadSanitizer can watch
 * the threads: meson setup build/tsan -Db_sanitize=thread, then this.
 *
 * Usage: worker-stress [SEED [LEASES]] */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"
#include "worker/io/syncer.h"

#define SLOTS 3
#define KINDS 7

struct world {
	struct rng rng;
	struct slot_rig rigs[SLOTS];
	struct syncer syncers[SLOTS];
	uint64_t generation[SLOTS];
	struct rig_work works[KINDS];
	uint64_t leases;
};

static void make_works(struct world *w)
{
	static const char *const scripts[KINDS] = {":", "echo $SHARDMILL_SHARD",
						   "exit $((SHARDMILL_SHARD % 3))", "exec sleep 0.03",
						   "echo x >left; (setsid sleep 0.05 &) ; echo y >&2"};

	for (int k = 0; k < KINDS; k++) {
		if (scripts[k] != NULL) {
			rig_work_shell(&w->works[k], scripts[k]);
			continue;
		}
		rig_work_init(&w->works[k], (const char *const[]){NOOP_RUNNER, NULL});
		w->works[k].phase.run.kind = RUN_RUNNER;
		w->works[k].phase.run.format = FORMAT_MSGPACK;
		w->works[k].sha256[0] = (uint8_t)k;
	}
	w->works[3].phase.run.timeout_us = 20000;
}

static uint32_t below(struct world *w, uint32_t bound)
{
	return (uint32_t)rng_below(&w->rng, bound);
}

/* As the core does: the cell whose turn it is, when it is free. */
static void arm_one(struct world *w, struct slot_rig *r)
{
	uint32_t kind = below(w, KINDS), count = kind >= 5 ? 1 + below(w, 5000) : 1 + below(w, 6);

	if (r->armed[r->turn])
		return;
	rig_arm(r, &w->works[kind], below(w, r->shard_count - count), count);
	w->leases++;
}

static void take_one_back(struct world *w, struct slot_rig *r)
{
	uint32_t cell = below(w, SLOT_CELLS);

	if (!r->armed[cell])
		return;
	if (below(w, 2) == 0)
		rig_stop(r, cell);
	else
		rig_lower_end(r, cell, r->range[cell].first + below(w, r->range[cell].count));
}

static void sync_one(struct world *w, int i)
{
	struct syncer *s = &w->syncers[i];
	uint32_t segments[] = {1, 1 + below(w, 20)};
	uint64_t count, done;

	if (read(s->fd, &count, sizeof count) < 0 && w->generation[i] > 0)
		return; /* still under way */
	pthread_mutex_lock(&s->lock);
	done = s->done;
	CHECK(s->failed.code == ERR_OK);
	pthread_mutex_unlock(&s->lock);
	CHECK(done == w->generation[i]);
	syncer_request(s, ++w->generation[i], segments, 2);
}

static void reopen(struct world *w, struct slot_rig *r)
{
	struct worker_slot_ref ref = {.shape = {.cpu_milli = 1000}};

	if (r->armed[0] || r->armed[1] || below(w, 8) != 0)
		return;
	slot_close(r->slot);
	r->turn = 0;
	CHECK(slot_open(&r->shared, &ref, &(unsigned){0}, 1, &r->slot, NULL) == 0);
}

static void turn(struct world *w)
{
	int i = (int)below(w, SLOTS);
	struct slot_rig *r = &w->rigs[i];

	switch (below(w, 7)) {
	case 0:
	case 1:
	case 2:
		arm_one(w, r);
		break;
	case 3:
		take_one_back(w, r);
		break;
	case 4:
		sync_one(w, i);
		break;
	case 5:
		reopen(w, r);
		break;
	default:
		poll(&(struct pollfd){r->shared.notify_fd, POLLIN, 0}, 1, 5);
	}
	rig_fetch(r);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t leases = argc > 2 ? strtoull(argv[2], NULL, 10) : 400, done = 0, failed = 0;
	static struct world w;

	rng_seed(&w.rng, seed);
	make_works(&w);
	for (int i = 0; i < SLOTS; i++) {
		rig_open(&w.rigs[i], &(struct rig_options){.shard_count = 10000,
							   .roll_bytes = 200,
							   .kill_grace_us = 10000,
							   .runner_idle_us = 20000});
		CHECK(syncer_start(&w.syncers[i], &w.rigs[i].output, NULL) == 0);
	}
	while (w.leases < leases)
		turn(&w);
	for (int i = 0; i < SLOTS; i++) {
		rig_await_release(&w.rigs[i], 0);
		rig_await_release(&w.rigs[i], 1);
		done += w.rigs[i].done;
		failed += w.rigs[i].failed;
		syncer_stop(&w.syncers[i]);
		rig_close(&w.rigs[i]);
	}
	printf("seed %llu: %llu leases, %llu shards done, %llu failed\n", (unsigned long long)seed,
	       (unsigned long long)w.leases, (unsigned long long)done, (unsigned long long)failed);
	printf("mill: 1 passed, 0 failed\n");
	return 0;
}
