/* What the files of the agent share. */
#pragma once

#include "base/endpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/params.h"
#include "worker/core/core.h"
#include "worker/machine/descriptors.h"
#include "worker/machine/groups.h"
#include "worker/machine/home.h"
#include "worker/machine/memory.h"
#include "worker/run/nursery.h"
#include "worker/run/slot.h"
#include "worker/io/syncer.h"

/* Inputs of the core, each with the text that it may point to. */
struct agent_inputs {
	struct agent_input {
		struct worker_input in;
		char why[400];
	} * items;
	uint32_t count, room;
};

struct agent {
	const struct params *params;
	struct loop *loop;
	void *context; /* libzmq's */
	struct endpoint *endpoint;
	struct worker_core *core;
	struct worker_effects effects;
	struct topology topology;
	struct gpu_list gpus;	   /* that slots are given, by their places in it */
	struct resources capacity; /* all that it offers */
	struct named_amount named[NAMED_RESOURCES_MAX];
	struct nursery nursery;
	struct descriptors descriptors;
	struct home home;
	struct memory_bounds memory;
	struct groups groups;
	struct output_dir output;
	struct s3_client *s3;
	struct slot_shared shared;
	struct slot *slots[SLOTS_PER_WORKER_MAX];
	struct slot **ending; /* closed by the core; their threads still end */
	uint32_t ending_count;
	uint32_t *cores_used;	       /* thousandths that slots take of each of our cores */
	struct agent_inputs now, next; /* that effects gave rise to */
	struct syncer syncer;
	struct arena frame_arena;
	struct buf frame;
	struct loop_watch frame_watch, event_watch, slot_watch, sync_watch, nursery_watch;
	struct loop_task prepare;
	struct loop_timer tick, slot_timer, drain_timer;
	usec_t slots_fetched_us, slots_due_us; /* when they were looked at; when the timer does it */
	uint32_t slots_end;		       /* of the slots ever opened, the highest number + 1 */
	int notify_fd;
	int exit_code;
	bool refusal_told;
	struct log_quota senseless; /* frames */
};

/* A frame to the dispatcher; it is lost when there is no connection. */
void agent_send(struct agent *a, const struct worker_send *s);
/* agent_look.c */
void agent_answer_look(struct agent *a, const struct look *m);
void agent_answer_tail(struct agent *a, const struct tail *m);
/* agent_offer.c: needs the topology. */
int agent_open_offer(struct agent *a, struct error *reterr) MUST_CHECK;
/* One input in, its effects out; effects may lead to more inputs, taken in turn. */
void agent_step(struct agent *a, struct worker_input *in);
/* Fetches what all slots have done, and lets those go that have ended. */
void agent_fetch_slots(struct agent *a);
/* Ends all slots, at the same time, and waits for them. */
void agent_close_slots(struct agent *a);
