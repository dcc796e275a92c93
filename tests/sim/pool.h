/* A pool of workers under virtual time, as large as one likes: the real cores, connected without loss, slots
 * that take as long for a shard as its job says. It shows who is served when; faults are the simulator's
 * (sim.h). */
#pragma once

#include "dispatcher/core/core.h"
#include "worker/core/core.h"

struct pool;

struct pool_job {
	const char *queue, *fair_key, *owner; /* owner: may be NULL */
	int64_t priority;
	uint32_t max_running;
	uint32_t shards;
	uint32_t cpu_milli;
	usec_t shard_us;
	void *arg; /* of whoever submits it */
};

struct pool_config {
	uint32_t workers, cores;				   /* cores of each */
	usec_t apart_us;					   /* between two workers' coming */
	usec_t latency_us;					   /* of a message */
	usec_t lease_ahead_us, fair_quantum_us, fair_half_life_us; /* 0: as the parameters say */
	enum check_depth depth;
	/* A slot begins a shard. */
	void (*on_start)(void *arg, usec_t now_us, const struct pool_job *job, uint64_t id, uint32_t shard);
	/* It has ended. */
	void (*on_stop)(void *arg, usec_t now_us, const struct pool_job *job, uint64_t id, uint32_t shard);
	/* All of a job's shards have ended. */
	void (*on_end)(void *arg, usec_t now_us, const struct pool_job *job, uint64_t id);
	void *arg;
};

/* Without its workers: those come with pool_connect. */
struct pool *pool_create(const struct pool_config *config);
void pool_connect(struct pool *p);
void pool_destroy(struct pool *p);
usec_t pool_now(const struct pool *p);
/* Its id: they count from 1. The struct is copied; its texts live as long as the pool. */
uint64_t pool_submit(struct pool *p, const struct pool_job *job);
/* Its settings from now on. */
void pool_set_queue(struct pool *p, const struct queue_changed *as);
/* Runs until then. */
void pool_run(struct pool *p, usec_t until_us);
/* Shards that were run to an end, and those that a worker gave back without having run them. */
uint64_t pool_ran(const struct pool *p);
uint64_t pool_given_back(const struct pool *p);
