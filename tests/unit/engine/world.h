/* What the engine needs of the world, as plain memory: nothing is durable or read until a test says so. */
#pragma once

#include "dispatcher/engine/engine.h"

#define WORLD_FRAMES_MAX 64

struct world_frame {
	enum message_type type;
	void *body; /* in the arena */
};

struct world_read {
	uint64_t number;
	struct slice_request request;
};

struct world {
	struct dispatcher_core *core;
	struct engine *engine;
	struct port *port;
	usec_t mono_us;
	uint64_t submitted_lsn, durable_lsn, history_lsn;
	uint32_t commits;
	struct world_frame frames[WORLD_FRAMES_MAX]; /* to the worker, as they came */
	size_t frame_count;
	struct world_read reads[32];
	size_t read_count;
	uint32_t plans, plan_stops, tells;
	uint64_t reports;
	struct arena arena;
};

void world_open(struct world *w);
void world_close(struct world *w);
/* All that was submitted is durable, and in history; a turn ends. */
void world_durable(struct world *w);
void world_turn(struct world *w);
/* A job of so many items in a blob; its id, once that is durable. */
uint64_t world_submit(struct world *w, uint32_t shards);
/* A worker with so many cpus registers over peer 1. */
void world_register(struct world *w, uint32_t cpus, struct held_token_list tokens);
/* The worker has done all of the lease. */
void world_done(struct world *w, const struct lease *l);
/* The frames of this type so far, from the n-th on; NULL: no more. */
const void *world_frame(const struct world *w, enum message_type type, size_t n);
