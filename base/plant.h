/* Bugs planted on purpose, to show that the simulator finds them. Pure.
 *
 * `if (PLANTED(name))` is constant false unless the build says -DPLANT=name, or -DPLANT_CHOSEN: then
 * tests/sim chooses one at run time. Names stand in the list below, each with what it breaks; a name
 * that is not there does not compile. */
#pragma once

#include "base/types.h"

#define PLANTS(PLANT_ROW)                                                                                    \
	PLANT_ROW(report_dropped_on_reregister) /* worker: unacknowledged reports are not resent */          \
	PLANT_ROW(revoked_tail_off_by_one)	/* worker: a revoke gives back one shard less */             \
	PLANT_ROW(sync_skipped)			/* worker: reports outputs before they are synced */         \
	PLANT_ROW(stale_session_lease_started)	/* worker: runs leases of another session */                 \
	PLANT_ROW(lost_reported_done)	      /* worker: what was stopped or lost in work counts as done */  \
	PLANT_ROW(whole_counted_in_part)      /* dispatcher: half of an output counts */                     \
	PLANT_ROW(trouble_costs_a_retry)      /* dispatcher: a worker's trouble counts as the shard's */     \
	PLANT_ROW(token_not_compared)	      /* dispatcher: a failure counts from any token */              \
	PLANT_ROW(reply_before_durable)	      /* dispatcher: who submits is answered at once */              \
	PLANT_ROW(ack_before_durable)	      /* dispatcher: a report is acknowledged at once */             \
	PLANT_ROW(border_off_by_one_at_split) /* dispatcher: a suspect range loses a shard at its cut */     \
	PLANT_ROW(retry_counted_twice)	      /* dispatcher: a failure counts as two */                      \
	PLANT_ROW(duplicate_report_counted)   /* dispatcher: a report is taken again when it is resent */    \
	PLANT_ROW(lease_before_durable)	      /* dispatcher: a job is leased before its commit stands */     \
	PLANT_ROW(returned_dropped)	      /* dispatcher: a range given back is forgotten */              \
	PLANT_ROW(adopt_without_check)	      /* dispatcher: adopted though its shards are not free */       \
	PLANT_ROW(dedup_forgotten_in_replay)  /* dispatcher: keys do not survive a start */                  \
	PLANT_ROW(sealed_keys_dropped_early)  /* dispatcher: a bucket goes before its file stands */         \
	PLANT_ROW(sealed_keys_not_looked_up)  /* dispatcher: what the files of keys say is ignored */        \
	PLANT_ROW(crash_not_counted)	      /* dispatcher: a shard that kills workers is never found */    \
	PLANT_ROW(grant_skips_a_shard)	      /* dispatcher: the frontier moves one too far */               \
	PLANT_ROW(epoch_not_grown)	      /* dispatcher: tokens of two starts are the same */            \
	PLANT_ROW(reopened_forgets_done)      /* dispatcher: a reopened job begins with nothing done */      \
	PLANT_ROW(reopened_is_forgotten)      /* dispatcher: history passes an earlier end, and it goes */   \
	PLANT_ROW(earlier_gather_counts) /* dispatcher: an earlier life's gather is taken for this one */    \
	PLANT_ROW(ends_alike)		 /* dispatcher: a reopened job's end is told as its first */         \
	PLANT_ROW(lower_priority_first)	 /* dispatcher: priorities are compared the wrong way */             \
	PLANT_ROW(service_not_charged)	 /* dispatcher: what a key was served is not carried over */         \
	PLANT_ROW(weight_ignored)	 /* dispatcher: all queues count the same */                         \
	PLANT_ROW(after_counts_all)	 /* dispatcher: whoever waits starts, however the other job ended */ \
	PLANT_ROW(shards_open_early) /* dispatcher: shards that wait for others start before these stand */  \
	PLANT_ROW(group_without_limit)	 /* dispatcher: all jobs of a concurrency group start at once */     \
	PLANT_ROW(latest_drops_newest)	 /* dispatcher: of those that wait for a group the oldest stays */   \
	PLANT_ROW(rate_not_kept)	 /* dispatcher: shards start as fast as workers take them */         \
	PLANT_ROW(prefetch_before_rank)	 /* worker: what was held first goes first, whatever its rank */     \
	PLANT_ROW(backfill_ignores_room) /* worker: shards run in what a large shape waits for, however long \
					  */                                                                 \
	PLANT_ROW(backfill_left_out)	 /* worker: what a large shape waits for stands idle                 \
					  */                                                                 \
	PLANT_ROW(no_room_for_large) /* worker: what ranks behind a shape that no slot has keeps its slots   \
				      */

#define PLANT_ROW_ENUM(name) PLANT_##name,
enum plant { PLANT_none, PLANTS(PLANT_ROW_ENUM) };
#undef PLANT_ROW_ENUM

#ifdef PLANT
#define PLANT_PASTE(name) PLANT_##name
#define PLANT_NAMED(name) PLANT_PASTE(name)
#define PLANTED(name) (PLANT_NAMED(PLANT) == PLANT_##name)
#elif defined(PLANT_CHOSEN)
extern enum plant plant_chosen;
#define PLANTED(name) (plant_chosen == PLANT_##name)
#else
#define PLANTED(name) (false && PLANT_##name != PLANT_none)
#endif
