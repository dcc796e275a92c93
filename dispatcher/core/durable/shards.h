/* Where the shards of the phase in work stand: the table in state.h, as moves. Durable: only apply_*.c
 * call what changes. They are forgiving: a move takes shards from wherever they are, because in the
 * replay of a trimmed journal a record may come before the slice that says so. Pure. */
#pragma once

#include "dispatcher/core/durable/state.h"

struct run *run_create(uint64_t job);
void run_destroy(struct run *run); /* NULL is fine; its leases are gone */
/* Nothing is known of any shard: for a phase that begins. */
void run_clear_shards(struct run *run);

/* pending, delayed or special → in no state: the caller puts them into one. */
void shards_take(struct run *run, struct range r);
/* in no state → pending, or special by its traits */
void shards_release(struct run *run, struct range r, struct traits traits);
void shards_delay(struct run *run, struct range r, usec_t due_wall_us, struct traits traits);
/* any state but done → done; by is the lease that says so, or NULL. The number that were not done. */
uint32_t shards_done(struct run *run, struct range r, struct lease_entry *by);
/* in no state → dead */
void shards_dead(struct run *run, struct range r, uint8_t kind);
/* dead → in no state */
void shards_revive(struct run *run, struct range r);
/* One failure more of each. */
void shards_count_failure(struct run *run, struct range r);
void shards_forget_failures(struct run *run, struct range r);
/* Kept for people; beyond DEAD_NOTES_MAX it is dropped. */
void shards_note(struct run *run, const struct shard_failure *f);
void shards_forget_notes(struct run *run);

/* All knowledge of the window goes; its shards are in no state. Leases too. */
void shards_forget_window(struct run *run, struct range window);

bool shards_is_dead(const struct run *run, uint32_t shard);
/* Is it pending, delayed or special? */
bool shards_is_free(const struct run *run, uint32_t shard);
uint64_t shards_dead_count(const struct run *run);
uint64_t shards_delayed_count(const struct run *run);
uint64_t shards_special_count(const struct run *run);
/* Failures of the shard so far; *end (may be NULL) gets the first number behind it with another count,
 * limit at most. */
uint32_t shards_failures(const struct run *run, uint32_t shard, uint64_t limit, uint64_t *end);
/* Bytes of all sets. */
size_t shards_bytes(const struct run *run);

static inline bool traits_none(struct traits t)
{
	return t.crashes == 0 && t.doublings == 0;
}
