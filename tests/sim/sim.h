/* One run of one seed: the world and all that is in it. */
#pragma once

#include "base/params.h"
#include "tests/sim/coverage.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"
#include "tests/sim/oracle.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim_dispatcher.h"
#include "tests/sim/sim_scaler.h"
#include "tests/sim/sim_worker.h"
#include "tests/sim/world.h"

struct sim {
	struct world world;
	struct params params; /* the defaults: what a configuration does not choose otherwise */
	struct scenario scenario;
	struct net net;
	struct disk disk;
	struct oracle oracle;
	struct coverage *coverage;
	struct sim_dispatcher dispatcher;
	struct sim_worker workers[SIM_HOSTS_MAX];
	struct sim_scaler scaler; /* in some worlds */
	uint64_t next_life;
	bool calm; /* faults are over */
	uint32_t faults_left;
	bool answered[SIM_ACTIONS_MAX];
};

struct sim_result {
	bool failed;
	char failure[1200];
	uint64_t digest;
	uint64_t event_count;
	usec_t virtual_us;
};

/* coverage is added to. */
void sim_run(uint64_t seed, bool trace, struct coverage *coverage, struct sim_result *ret);

/* describe.c: who holds what, as lines of the story. */
void sim_describe(struct sim *s);

/* faults.c: SIM_FAULT, SIM_CALM. */
void sim_fault(struct sim *s);
void sim_calm(struct sim *s);
