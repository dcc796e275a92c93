/* A worker's slots, for sim_worker.c only. */
#pragma once

#include "tests/sim/sim_worker.h"

/* Does the core wait for a progress of it? */
bool sim_slot_answers(const struct sim_slot *s, uint32_t cell);

void sim_slot_open(struct sim_worker *w, uint32_t slot);
void sim_slot_close(struct sim_worker *w, uint32_t slot);
void sim_slot_arm(struct sim_worker *w, const struct worker_arm *a);
void sim_slot_lower_end(struct sim_worker *w, const struct worker_lower_end *l);
void sim_slot_stop(struct sim_worker *w, const struct worker_stop *stop);

/* Idle slots begin; true when the core has to be told something (see answer). */
bool sim_slots_begin(struct sim_worker *w);
/* The slot's attempt ends; true when the core has to be told. failed_ret->count 0: no failure. */
bool sim_slot_attempt(struct sim_worker *w, struct sim_slot *s, struct failure *failed_ret, bool *crash_ret);
/* What the core is told of a cell; failed may be NULL. It lives until the slot is used again. */
void sim_slot_progress(struct sim_worker *w, uint32_t slot, uint32_t cell, const struct failure *failed,
		       struct worker_slot_progress *ret);
