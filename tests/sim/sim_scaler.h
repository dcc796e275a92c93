/* The shell of the real scaler core, with a provider that starts workers on free hosts, late, not at
 * all, or says that it did and does not. */
#pragma once

#include "scaler/core/core.h"
#include "tests/sim/world.h"

struct sim;

/* What the provider knows of a host. */
struct sim_instance {
	uint64_t number; /* names it; 0 = the host is free */
	char id[24];
	bool void_start; /* it will never come */
};

struct sim_scaler {
	struct sim *sim;
	struct scaler_core *core;
	struct sim_instance instances[SIM_HOSTS_MAX];
	usec_t idle_since_us[SIM_HOSTS_MAX];
	bool told_busy[SIM_HOSTS_MAX], told_draining[SIM_HOSTS_MAX];
	struct uuid
	    registered[SIM_HOSTS_MAX]; /* the worker that the host's instance became; lo 0 = not yet */
	uint64_t next_number;
};

void sim_scaler_init(struct sim_scaler *s, struct sim *sim);
void sim_scaler_fini(struct sim_scaler *s);
/* SIM_SCALER: it looks, decides, and comes again. */
void sim_scaler_turn(struct sim_scaler *s);
/* The host's process ended. */
void sim_scaler_ended(struct sim_scaler *s, uint32_t host);
