/* What changes durable state. Private to this folder: only its files include this header, before any other
 * (tests/tidy/includes.py), and for them alone the members that are marked DURABLE are not const. Deciding
 * code knows apply.h. Pure. */
#pragma once

#ifdef DURABLE
#error "writer.h comes before whatever includes durable/state.h"
#endif
#define DURABLE
#include "dispatcher/core/durable/state.h"

/* apply_*.c: a function a record, see apply.h */
int apply_accepted(struct durable *d, const struct accepted *r, uint64_t lsn, struct error *reterr);
int apply_piece(struct durable *d, const struct plan_piece *r, struct error *reterr);
int apply_sealed(struct durable *d, const struct plan_sealed *r, struct error *reterr);
int apply_plan_failed(struct durable *d, const struct plan_failed *r, struct error *reterr);
int apply_crashed(struct durable *d, const struct crashed *r, struct error *reterr);
int apply_changed(struct durable *d, const struct job_changed *r, struct error *reterr);
int apply_phase(struct durable *d, const struct phase_started *r, uint64_t lsn, struct error *reterr);
int apply_retried(struct durable *d, const struct retried *r, struct error *reterr);
int apply_ended(struct durable *d, const struct job_ended *r, uint64_t lsn, struct error *reterr);
int apply_ended_block(struct durable *d, const struct ended_block *r, uint64_t lsn, struct error *reterr);
int apply_forgotten(struct durable *d, const struct forgotten *r, struct error *reterr);
int apply_settled(struct durable *d, const struct event_settled *r);
int apply_reopened(struct durable *d, const struct reopened *r, uint64_t lsn, struct error *reterr);
int apply_slice(struct durable *d, const struct job_slice *r, uint64_t lsn, struct error *reterr);
int apply_window(struct durable *d, const struct window *r, uint64_t lsn, struct error *reterr) MUST_CHECK;
int apply_window_closed(struct durable *d, const struct window_closed *r, struct error *reterr) MUST_CHECK;

/* queue_table.c */
int apply_queue(struct durable *d, const struct queue_changed *r, uint64_t lsn,
		struct error *reterr) MUST_CHECK;
void queues_fini(struct durable *d);

/* The row of a live job, touched. NULL: it is not known yet; in replay its id is noted. */
struct job_row *apply_job(struct durable *d, uint64_t job);
/* A row for a job that is not known, or only noted; then as it was accepted. */
struct job_row *apply_new_row(struct durable *d, uint64_t job);
void apply_fill_row(struct durable *d, struct job_row *row, const struct new_job *j, usec_t wall_us);
void apply_plan(struct run *run, const struct plan *plan);
/* ERR_CORRUPT unless all of them are shards of the row's phase. */
int apply_check_ranges(const struct job_row *row, const struct range_list *ranges, struct error *reterr);

/* job_table.c */
/* A zeroed row; CHECKs that there is none yet. The caller sets its state or a flag. */
struct job_row *job_table_add(struct job_table *t, uint64_t job);
/* Frees the row's body and run too. */
void job_table_remove(struct job_table *t, uint64_t job);
void job_table_fini(struct job_table *t);
/* Replace the row's body by value, encoded. */
void job_row_set_body(struct job_row *row, const struct codec *codec, const void *value);

/* definition_table.c */
/* The definition of that hash; a placeholder that is not known is made when there is none. */
struct definition *definition_intern(struct definition_table *t, struct bytes sha256);
/* It becomes known: a copy of the body. Nothing happens when it is. */
void definition_fill(struct definition *d, const struct definition_body *body);
/* No job names it (CHECKed). */
void definition_remove(struct definition_table *t, struct definition *d);
void definition_table_fini(struct definition_table *t);

/* lease_table.c */
/* CHECKs that the token is new. It holds nothing yet. */
struct lease_entry *lease_add(struct durable *d, struct token token, struct worker *worker,
			      struct job_row *row, uint64_t job);
/* Whatever it holds is held no more; where that goes is the caller's matter. Frees it, and its worker
 * when that has neither leases nor a session. */
void lease_remove(struct durable *d, struct lease_entry *lease);
/* The lease holds r from now on, resp. no longer; the number of shards that changed. */
uint32_t lease_hold(struct lease_entry *lease, struct range r);
uint32_t lease_drop(struct lease_entry *lease, struct range r);
void lease_table_fini(struct durable *d);

/* shards.c: where the shards of the phase in work stand, the table in state.h, as moves. They are forgiving:
 * a move takes shards from wherever they are, because in the replay of a trimmed journal a record may come
 * before the slice that says so. */
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

/* dedup.c */
/* False when it was there already. The bucket that began at start_us is made when it is missing. */
bool dedup_add(struct dedup *t, usec_t start_us, struct dedup_item item, uint64_t lsn);
/* Buckets that began before go. */
void dedup_forget(struct dedup *t, usec_t before_us);
/* Buckets that began up to then are in files. */
void dedup_seal(struct dedup *t, usec_t up_to_us, uint64_t lsn);
void dedup_fini(struct dedup *t);

/* windows.c */
void windows_fini(struct durable *d);

/* waits.c */
/* The job is held, and has no conditions yet. */
void waits_add(struct durable *d, uint64_t job, const struct after_job_list *after);
/* The job has ended: who waits for that. state: enum job_state */
void waits_ended(struct durable *d, uint64_t job, uint8_t state);
/* The job waits for nothing more: it has ended. */
void waits_drop(struct durable *d, uint64_t job);
/* The replay is over: those whose condition cannot come true are to be ended. */
void waits_begin(struct durable *d);
void waits_fini(struct durable *d);

/* shard_waits.c */
/* A new job, whose row is filled in. */
void shard_waits_add(struct durable *d, struct job_row *row, const struct new_job *j);
/* Shards are done: those that wait for them may start. Also of jobs that are not known (yet). */
void shard_waits_done(struct durable *d, const struct outcome_taken *o);
/* The job is in this phase now; UINT32_MAX: it has ended. Who waits for shards before it does so in vain. */
void shard_waits_over(struct durable *d, uint64_t job, uint32_t phase);
/* The job has ended. */
void shard_waits_drop(struct durable *d, uint64_t job);
void shard_waits_fini(struct durable *d);
