/* Slices of live jobs for the journal. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Writes the next slice of a job: part 0, or the next one of core->carry.job. */
void carry_job(struct dispatcher_core *core, uint64_t job, struct job_row *row);
/* Fills the slice's window and what is in it, from `from` on: some RUNS_PER_SLICE of each set. */
void slice_window(struct dispatcher_core *core, const struct job_row *row, uint32_t from,
		  struct job_slice *r);
