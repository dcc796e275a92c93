/* What the files of the agent share. */
#pragma once

#include "base/endpoint.h"
#include "base/loop.h"
#include "base/params.h"
#include "worker/core/core.h"
#include "worker/home.h"
#include "worker/slot.h"
#include "worker/syncer.h"

struct agent {
	const struct params *params;
	struct loop *loop;
	void *context; /* libzmq's */
	struct endpoint *endpoint;
	struct worker_core *core;
	struct worker_effects effects;
	struct topology topology;
	struct home home;
	struct output_dir output;
	struct slot_shared shared;
	struct slot *slots[SLOTS_PER_WORKER_MAX];
	uint8_t cores_used[SLOTS_PER_WORKER_MAX]; /* slots on each of our cores: fractions may share one */
	struct syncer syncer;
	struct arena frame_arena;
	struct buf frame;
	struct buf unsent; /* frames, length-prefixed, that the connection does not take now */
	struct loop_watch frame_watch, event_watch, slot_watch, sync_watch;
	struct loop_task prepare;
	struct loop_timer tick, slot_timer, stray_timer;
	usec_t slots_fetched_us;
	int notify_fd;
	int exit_code;
	bool refusal_told;
};

/* One input in, its effects out; effects may lead to more inputs, taken in turn. */
void agent_step(struct agent *a, struct worker_input *in);
void agent_carry_out(struct agent *a, const struct worker_effect *e);
/* Fetches what all slots have done. */
void agent_fetch_slots(struct agent *a);
