/* Bugs planted on purpose, to show that the simulator finds them. Pure.
 *
 * `if (PLANTED(name))` is constant false unless the build says -DPLANT=name. Names stand in the
 * list below, each with what it breaks; a name that is not there does not compile. */
#pragma once

#include "base/types.h"

#define PLANTS(PLANT_ROW)                                                                                    \
	PLANT_ROW(report_dropped_on_reregister) /* worker: unacknowledged reports are not resent */          \
	PLANT_ROW(revoked_tail_off_by_one)	/* worker: a revoke gives back one shard less */             \
	PLANT_ROW(sync_skipped)			/* worker: reports outputs before they are synced */         \
	PLANT_ROW(stale_session_lease_started)	/* worker: runs leases of another session */                 \
	PLANT_ROW(returned_reported_twice)	/* worker: says twice that a shard is given back */

#define PLANT_ROW_ENUM(name) PLANT_##name,
enum plant { PLANT_none, PLANTS(PLANT_ROW_ENUM) };
#undef PLANT_ROW_ENUM

#ifdef PLANT
#define PLANT_PASTE(name) PLANT_##name
#define PLANT_NAMED(name) PLANT_PASTE(name)
#define PLANTED(name) (PLANT_NAMED(PLANT) == PLANT_##name)
#else
#define PLANTED(name) (false && PLANT_##name)
#endif
