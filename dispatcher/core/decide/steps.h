/* The verbs of the core: each file decides for one of them. What they call each other with. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* step.c: records and effects of the step */
void emit(struct dispatcher_core *core, uint32_t type, const void *record);
/* As emit, for a record whose parts were applied one by one. */
void emit_applied(struct dispatcher_core *core, uint32_t type, const void *record);
void *step_alloc(struct dispatcher_core *core, size_t size); /* zeroed, lives as long as the effects */
const char *step_uuid(struct dispatcher_core *core, const struct uuid *id);
const char *step_text(struct dispatcher_core *core, const char *fmt, ...) PRINTF_LIKE(2, 3);
void effect_send(struct dispatcher_core *core, uint64_t peer, enum message_type type, const void *body,
		 uint64_t after_lsn);
void reply_ok(struct dispatcher_core *core, uint64_t request, uint64_t job, uint32_t job_count,
	      bool duplicate, uint64_t after_lsn);
/* Jobs of an event that their concurrency groups skip: how many, and why the first. */
struct skipped {
	uint32_t count;
	const char *why;
};
/* What was accepted; after the last record. */
void reply_accepted(struct dispatcher_core *core, uint64_t request, uint64_t job, uint32_t job_count,
		    const struct skipped *skipped);
/* Nothing was made. duplicate: it is that job already; why: it would end at once, or NULL. */
void reply_dry(struct dispatcher_core *core, uint64_t request, uint64_t job, bool duplicate, const char *why);
void reply_error(struct dispatcher_core *core, uint64_t request, enum error_code code, const char *why);
void tell(struct dispatcher_core *core, bool warning, uint64_t job, const char *what);
void worker_changed(struct dispatcher_core *core, const struct session *s);
struct dispatcher_effect *effect_add(struct dispatcher_core *core, enum dispatcher_effect_kind kind,
				     uint64_t after_lsn);
/* Milliseconds do not jump: what retries are dated with. */
static inline usec_t steady_us(const struct dispatcher_core *core)
{
	return core->mono_us + core->offset_us;
}

/* jobs.c: what is asked of a row */
struct job_row *job_get(const struct dispatcher_core *core, uint64_t job); /* live or ended; or NULL */
struct job_row *job_get_live(const struct dispatcher_core *core, uint64_t job);
struct definition *job_definition(const struct dispatcher_core *core, const struct job_row *row);
/* False: no planner has made, or will make, items of it. */
bool job_may_have_items(const struct dispatcher_core *core, const struct job_row *row);
const struct policy *job_policy(const struct dispatcher_core *core, const struct job_row *row);
struct shape *job_shape(const struct dispatcher_core *core, const struct job_row *row);
/* Of the phase in work, shard_count as known now. */
void job_plan(const struct dispatcher_core *core, const struct job_row *row, struct plan *ret,
	      struct arena *arena);
/* The same of a row whose body was read already. */
void job_plan_of(const struct job_row *row, const struct new_job *body, struct plan *ret,
		 struct arena *arena);
/* Was it granted before the job was reopened the last time? */
bool job_token_is_earlier(const struct job_row *row, struct token token);
void job_counts(const struct job_row *row, usec_t steady, uint32_t *ready, uint64_t *done, uint64_t *dead);

/* names.c: shapes and queues of a definition */
int definition_bind(struct dispatcher_core *core, struct definition *def, struct error *reterr) MUST_CHECK;
void definition_unbind(struct dispatcher_core *core, struct definition *def);
/* Drops it when no job names it. */
void definition_release(struct dispatcher_core *core, struct definition *def);
/* Found; made if there is none. A row of its settings is a reference, as a definition is. */
struct queue *queue_find(const struct dispatcher_core *core, struct bytes name);
struct queue *queue_intern(struct dispatcher_core *core, struct bytes name);
void queue_release(struct dispatcher_core *core, struct queue *q);
int definition_check(const struct definition_body *body, struct error *reterr) MUST_CHECK;

/* seal.c: buckets of deduplication keys go to files */
void step_dedup_kept(struct dispatcher_core *core, const struct input_dedup_kept *in);
void seal_next(struct dispatcher_core *core);

/* accept.c, cancel.c, reopen.c: requests */
void step_accept(struct dispatcher_core *core, const struct input_accept *in);
/* Of records that one step writes: they are one commit. */
#define ACCEPT_BYTES_MAX (FRAME_BYTES_MAX - 64 * KIB)
/* given: the definition that it names, if it came with it; planned: its plan is looked at. */
int accept_check_job(struct dispatcher_core *core, const struct definition_body *given,
		     const struct new_job *j, bool planned, struct error *reterr) MUST_CHECK;
/* asked.c: the fields of new_job that came with version 4 */
int accept_check_asked(const struct new_job *j, struct error *reterr) MUST_CHECK;
/* A definition that a job names is known and bound afterwards, or nothing has changed. */
int accept_definition(struct dispatcher_core *core, const struct definition_body *body,
		      struct error *reterr) MUST_CHECK;
int accept_check_room(struct dispatcher_core *core, uint32_t jobs, struct error *reterr) MUST_CHECK;
void step_reopen(struct dispatcher_core *core, const struct input_reopen *in);
/* forget.c. The second: may the job have been forgotten since history was at this lsn? */
void step_forget(struct dispatcher_core *core, const struct input_forget *in);
bool forgotten_since(const struct dispatcher_core *core, uint64_t job, uint64_t history_lsn);
/* queue.c. The second: may the n-th of the jobs that come together be submitted to its queue? ERR_BUSY,
 * ERR_LIMIT, ERR_DENIED in words. The third: they were accepted. */
void step_queue_set(struct dispatcher_core *core, const struct input_queue_set *in);
int queue_check_submission(struct dispatcher_core *core, const struct new_job_list *jobs, uint32_t n,
			   const struct definition_body *def, struct error *reterr) MUST_CHECK;
void queue_note_submission(struct dispatcher_core *core, const struct new_job *j, const struct job_row *row);
void step_cancel(struct dispatcher_core *core, const struct input_cancel *in);
void step_pause(struct dispatcher_core *core, const struct input_pause *in);
void step_retry(struct dispatcher_core *core, const struct input_retry *in);
/* planner.c */
void step_piece(struct dispatcher_core *core, const struct input_piece *in);
void step_sealed(struct dispatcher_core *core, const struct input_sealed *in);
void step_plan_failed(struct dispatcher_core *core, const struct input_plan_failed *in);
void planner_start(struct dispatcher_core *core, uint64_t job, struct job_row *row);
void planner_await_history(struct dispatcher_core *core, uint64_t job, const struct job_row *row);
/* worker.c: messages; register.c; report.c; expire.c */
void step_message(struct dispatcher_core *core, const struct input_message *in);
void step_register(struct dispatcher_core *core, uint64_t peer, const struct register_worker *m);
void step_report(struct dispatcher_core *core, struct session *s, const struct report *m);
void step_gone(struct dispatcher_core *core, struct uuid worker);
/* Its leases go back; crashed: they were in work when it was lost. */
void session_end(struct dispatcher_core *core, struct session *s, bool crashed);
void step_drain(struct dispatcher_core *core, const struct input_drain *in);
void step_tick(struct dispatcher_core *core);
/* open.c */
int step_open(struct dispatcher_core *core, const struct input_open *in);
/* durability.c: what waits for an lsn */
void step_durable(struct dispatcher_core *core, uint64_t lsn);
void step_history(struct dispatcher_core *core, uint64_t lsn);
void step_settled(struct dispatcher_core *core, uint64_t job);
void job_await_durable(struct dispatcher_core *core, uint64_t job, struct job_row *row);
void ended_forget(struct dispatcher_core *core, uint64_t job);
/* carry.c */
void step_carry(struct dispatcher_core *core, const struct input_carry *in);

/* waits.c: jobs that wait for others */
/* Is each job that j waits for known? facts: of jobs that have ended. */
int wait_check(const struct dispatcher_core *core, const struct ended_fact_list *facts,
	       const struct new_job *j, struct error *reterr) MUST_CHECK;
/* What of j's conditions is left to wait for; *why is set when one can no longer come true, or NULL. */
struct after_job_list wait_left(struct dispatcher_core *core, const struct ended_fact_list *facts,
				const struct new_job *j, const char **why);
/* shard_waits.c: shards that wait for those of another job. May j do that? given: its definition, if that
 * came with it. */
int shard_wait_check(const struct dispatcher_core *core, const struct ended_fact_list *facts,
		     const struct definition_body *given, const struct new_job *j,
		     struct error *reterr) MUST_CHECK;
/* Adds to j, as it is written, which of its shards have to wait, and for whom. asked: as it came. */
void shard_wait_left(struct dispatcher_core *core, const struct ended_fact_list *facts,
		     const struct new_job *asked, struct new_job *j);
/* Why so many shards of it can never start. */
const char *shard_wait_why(struct dispatcher_core *core, uint64_t barred);
/* Cancels the job if it waits for what can no longer come true. False: it does not. */
bool wait_end_broken(struct dispatcher_core *core, uint64_t job);
/* What follows from the ends that jobs waited for, for one of them; 0: nothing is left to do. Else a job that
 * may go on, touched, or that has ended. */
uint64_t wait_settle_one(struct dispatcher_core *core);
/* Are there more of them? */
static inline bool wait_is_due(const struct dispatcher_core *core)
{
	return core->d.waited_head < core->d.waited_count;
}

/* expire.c */
/* A new or revived job's due time, deadline and start_by are looked at when they come; its group and its rate
 * are known. */
void expire_await(struct dispatcher_core *core, uint64_t job, const struct job_row *row);
/* The job has ended, and is counted no more: what would remind of it goes. */
void expire_forget(struct dispatcher_core *core, uint64_t job, const struct job_row *row);

/* groups.c: jobs of concurrency groups */
/* A new or revived job that names one. */
void group_await(struct dispatcher_core *core, uint64_t job, const struct job_row *row);
/* Nothing but its group keeps the held job from starting. False: it names none. */
bool group_arrives(struct dispatcher_core *core, uint64_t job);
/* Is a new job with this group skipped? ahead: jobs of the same group that come in the same step, before it.
 * *why is set then. */
bool group_skips(struct dispatcher_core *core, const struct concurrency *c, uint32_t ahead, const char **why);
/* Would a job that lives again be cancelled at once, since a newer one waits? */
bool group_drops(struct dispatcher_core *core, const struct concurrency *c, uint64_t job, const char **why);
/* One thing that follows for some group; 0: nothing does. Else the job that starts, or has ended. */
uint64_t group_settle_one(struct dispatcher_core *core);
static inline bool group_is_due(const struct dispatcher_core *core)
{
	return core->groups.due != NULL;
}

/* advance.c: what follows from what a step changed, until nothing does */
void step_settle(struct dispatcher_core *core);
/* by: who wants it; NULL: nobody, it follows. */
void job_end(struct dispatcher_core *core, uint64_t job, enum job_state state, const char *why,
	     const struct principal *by);
/* The effect that offers an ended job's event to the rules. */
void job_offer_event(struct dispatcher_core *core, const struct job_row *row, uint64_t after_lsn);

/* take_back.c: leases that end without their worker's word */
void lease_return(struct dispatcher_core *core, struct worker *worker, uint64_t unseen_by);
void lease_crash(struct dispatcher_core *core, struct worker *worker);

/* grant.c, grant_hard.c, revoke.c */
void step_grant(struct dispatcher_core *core);
void grant_hard(struct dispatcher_core *core);
void step_steal(struct dispatcher_core *core);
