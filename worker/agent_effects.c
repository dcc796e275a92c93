/* What the worker's core wants done, and what it is told in return. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "jobs/kinds.h"
#include "worker/agent_impl.h"

static struct worker_input *put(struct agent *a, enum worker_input_kind kind, const char *why)
{
	struct agent_inputs *p = &a->next;
	struct agent_input *i;

	ARRAY_GROW(p->items, p->room, p->count);
	i = &p->items[p->count++];
	i->in = (struct worker_input){.kind = kind};
	snprintf(i->why, sizeof i->why, "%s", why);
	return &i->in;
}

void agent_send(struct agent *a, const struct worker_send *s)
{
	int rc;

	buf_clear(&a->frame);
	message_encode(s->wire, s->type, s->body, &a->frame);
	rc = endpoint_send(a->endpoint, 0, buf_bytes(&a->frame));
	if (rc < 0) /* no connection now: the core says it again when there is one */
		log_debug("a frame was not sent", log_u64("type", s->type), log_i64("code", rc));
}

static void use_cores(struct agent *a, const struct slot *s, int sign)
{
	unsigned count;
	uint64_t cpu_milli;
	const unsigned *cores = slot_cores(s, &count, &cpu_milli);

	topology_use(a->cores_used, cpu_milli, cores, count, sign);
}

static void open_slot(struct agent *a, const struct worker_slot_ref *ref)
{
	unsigned *cores = check_calloc(a->topology.core_count, sizeof *cores);
	unsigned count = topology_place(&a->topology, a->cores_used, ref->shape.cpu_milli, cores);
	char line[400];
	struct error e;
	struct slot *s;
	int rc = slot_open(&a->shared, ref, cores, count, &s, &e);

	free(cores);
	if (rc == 0) {
		use_cores(a, s, 1);
		a->slots[ref->slot] = s;
		if (ref->slot >= a->slots_end)
			a->slots_end = ref->slot + 1;
		return;
	}
	error_text(&e, line, sizeof line);
	log_error("a slot does not start", log_u64("slot", ref->slot), log_text("error", line));
	put(a, WORKER_SLOT_LOST, line)->lost =
	    (struct worker_slot_lost){.slot = ref->slot, .kind = FAILURE_START};
}

/* Its thread may have to end a runner or to wait for a disk: nobody waits for it here. */
static void close_slot(struct agent *a, uint32_t number)
{
	struct slot *s = a->slots[number];

	if (s == NULL)
		return;
	use_cores(a, s, -1);
	a->slots[number] = NULL;
	a->ending = check_realloc(a->ending, a->ending_count + 1, sizeof(struct slot *));
	a->ending[a->ending_count++] = s;
	slot_end(s);
}

static void lower_end(struct agent *a, const struct worker_lower_end *l)
{
	struct cell_view v;

	if (a->slots[l->slot] == NULL || !slot_lower_end(a->slots[l->slot], l, &v))
		return;
	put(a, WORKER_SLOT_PROGRESS, "")->progress = (struct worker_slot_progress){
	    .slot = l->slot, .cell = l->cell, .token = l->token, .next = v.next, .end = v.end};
}

static void carry_out(struct agent *a, const struct worker_effect *e)
{
	switch (e->kind) {
	case WORKER_SEND:
		agent_send(a, &e->send);
		return;
	case WORKER_OPEN_SLOT:
		open_slot(a, &e->open);
		return;
	case WORKER_CLOSE_SLOT:
		close_slot(a, e->close.slot);
		return;
	case WORKER_ARM:
		if (a->slots[e->arm.slot] != NULL)
			slot_arm(a->slots[e->arm.slot], &e->arm);
		return;
	case WORKER_LOWER_END:
		lower_end(a, &e->lower_end);
		return;
	case WORKER_STOP:
		if (a->slots[e->stop.slot] != NULL)
			slot_stop(a->slots[e->stop.slot], &e->stop);
		return;
	case WORKER_SYNC:
		syncer_request(&a->syncer, e->sync.generation, e->sync.segments, e->sync.segment_count);
		return;
	case WORKER_FORGET_DEFINITION:
	case WORKER_FORGET_JOB:
		return; /* nothing is kept beyond the lease that it was compiled for */
	case WORKER_EXIT:
		a->exit_code = (int)e->exit.code;
		log_info("worker leaves", log_bytes("why", e->exit.why));
		loop_stop(a->loop);
		return;
	}
}

static void step_one(struct agent *a, struct worker_input *in)
{
	struct error e;
	uint64_t withheld;

	in->mono_us = clock_mono_us();
	in->wall_us = clock_wall_us();
	worker_effects_clear(&a->effects);
	if (worker_core_step(a->core, in, &a->effects, &e) < 0 &&
	    log_quota_take(&a->senseless, in->mono_us, &withheld))
		log_warn("what the worker was told makes no sense and is dropped", log_text("error", e.what),
			 log_u64("withheld", withheld));
	for (uint32_t i = 0; i < a->effects.count; i++)
		carry_out(a, &a->effects.items[i]);
}

void agent_step(struct agent *a, struct worker_input *in)
{
	step_one(a, in);
	while (a->next.count > 0) {
		struct agent_inputs now = a->next;

		a->next = a->now;
		a->next.count = 0;
		a->now = now;
		for (uint32_t i = 0; i < now.count; i++) {
			if (now.items[i].in.kind == WORKER_SLOT_LOST)
				now.items[i].in.lost.why = bytes_of(now.items[i].why);
			step_one(a, &now.items[i].in);
		}
	}
}

static void tell_batch(struct agent *a, uint32_t slot, const struct slot_batch *b)
{
	struct worker_input in = {.kind = WORKER_SLOT_PROGRESS};
	struct cell_view v = slot_peek(a->slots[slot], b->cell);

	if (b->released)
		v.next = v.end; /* the agent alone arms: nothing else is in the cell */
	in.progress = (struct worker_slot_progress){
	    .slot = slot,
	    .cell = b->cell,
	    .token = b->token,
	    .done = b->done,
	    .whole = b->whole,
	    .failed = b->failed,
	    .totals = b->totals,
	    .efforts = b->efforts,
	    .segment = b->segment,
	    .run_counts = b->run_counts,
	    .next = v.next,
	    .end = v.end,
	    .released = b->released,
	};
	agent_step(a, &in);
}

static void reap_slots(struct agent *a)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->ending_count; i++)
		if (slot_has_ended(a->ending[i]))
			slot_close(a->ending[i]);
		else
			a->ending[kept++] = a->ending[i];
	a->ending_count = kept;
}

void agent_fetch_slots(struct agent *a)
{
	a->slots_fetched_us = clock_mono_us();
	a->slots_due_us = USEC_NEVER;
	for (uint32_t i = 0; i < a->slots_end; i++) {
		struct slot_batch *b = a->slots[i] != NULL ? slot_fetch(a->slots[i]) : NULL;

		while (b != NULL) {
			struct slot_batch *next = b->next;

			tell_batch(a, i, b);
			slot_batch_free(b);
			b = next;
		}
	}
	reap_slots(a);
}

void agent_close_slots(struct agent *a)
{
	for (uint32_t i = 0; i < a->slots_end; i++)
		if (a->slots[i] != NULL)
			slot_end(a->slots[i]);
	for (uint32_t i = 0; i < a->slots_end; i++)
		slot_close(a->slots[i]);
	for (uint32_t i = 0; i < a->ending_count; i++)
		slot_close(a->ending[i]);
	free(a->ending);
	free(a->now.items);
	free(a->next.items);
}
