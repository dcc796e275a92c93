/* System calls that fail when told to, over a disk that forgets what was not synced.
 *
 * The files are real. Beside them stands what the disk would hold: each sector of 512 bytes that was
 * written and not yet synced keeps its old content, and so does the directory. A power cut lets each such
 * sector arrive or not, and of the directory's changes a first part, in order. A sync that fails marks its
 * sectors as lost: they are read as they were written, later syncs do not write them, and the power cut
 * shows it (as Linux does: "Can Applications Recover from fsync Failures?", ATC '20). */
#pragma once

#include "base/rng.h"
#include "dispatcher/store/store_io.h"

enum fault_kind {
	FAULT_ONCE,   /* the N-th call fails */
	FAULT_ALWAYS, /* it and all that follow */
	FAULT_POWER,  /* so too; what it was doing may have been done, in part */
};

extern const struct store_io fault_io;

/* The nth call from now on (1 = the next) fails with `error`; 0 = none does. */
void fault_arm(uint64_t nth, enum fault_kind kind, int error);
/* Has the armed call been made? */
bool fault_was_hit(void);
/* The power goes and comes: the files are what the disk holds. Nobody has them open. */
void fault_power_cut(struct rng *r);
void fault_reset(void);
