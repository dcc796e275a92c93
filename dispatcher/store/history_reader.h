/* Reading history. Any process may, also while the dispatcher runs: it sees whole transactions.
 * A reader belongs to one thread. Texts are in the arena, which the caller resets. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "jobs/schema.h"

struct history_reader;

/* ERR_NOT_FOUND when there is no such file. */
int history_reader_open(struct history_reader **ret, const char *path, struct error *reterr) MUST_CHECK;
void history_reader_close(struct history_reader *r);
/* The last record that it knows. */
int history_reader_lsn(struct history_reader *r, uint64_t *ret, struct error *reterr) MUST_CHECK;

struct history_job {
	uint64_t job;
	struct bytes name;
	struct bytes definition; /* sha256; size 0 = not known */
	uint8_t state;		 /* enum job_state: held and active as of the last record */
	bool paused;
	struct bytes why;
	int64_t priority;
	uint32_t depth;
	uint64_t event_id_hi, event_id_lo;				      /* 0, 0 = none */
	usec_t due_wall_us, accepted_wall_us, started_wall_us, ended_wall_us; /* 0 = not (yet) */
	uint64_t shards; /* of the shards phase; the counts below stand when it has ended */
	uint64_t done, dead, dropped, retries;
	struct totals totals;
	uint32_t phase;			/* the last one begun */
	uint32_t shards_phase;		/* 1 behind a plan phase; known when it has ended */
	struct phase_counts_list later; /* phases behind that; done and dead stand when it has ended */
	uint32_t reopens;
	struct principal by;	     /* who asked for it; kind 0 = not known */
	struct principal stopped_by; /* who paused or cancelled it */
	struct principal again_by;   /* who retried or reopened it last */
	struct bytes owner, traceparent;
	bool carried; /* known from a later record: what came before it is not in history; for the writer */
};

/* ERR_NOT_FOUND. */
int history_job(struct history_reader *r, uint64_t job, struct arena *arena, struct history_job *ret,
		struct error *reterr) MUST_CHECK;

/* Negative ends the walk and is what it returns. */
typedef int history_job_fn(void *arg, const struct history_job *job);
/* Newest first: at most `limit` jobs with ids below `before` (0 = from the newest) whose state is in
 * `states` (bit 1 << state; 0 = any). The last id is the next cursor. */
int history_jobs(struct history_reader *r, uint64_t before, uint32_t states, uint32_t limit,
		 struct arena *arena, history_job_fn *fn, void *arg, struct error *reterr) MUST_CHECK;

/* The same of jobs in any state whose event has this id, or an object of this key. exact: the key in base64,
 * as events that are not UTF-8 have it. */
int history_jobs_of_event(struct history_reader *r, struct bytes text, struct bytes exact, uint64_t before,
			  uint32_t limit, struct arena *arena, history_job_fn *fn, void *arg,
			  struct error *reterr) MUST_CHECK;

struct history_winner {
	struct range shards;
	bool is_missing; /* nobody made these: dead, dropped, not done yet; the rest says nothing */
	struct uuid worker;
	struct token token;
	uint32_t segment;
	struct range row; /* all that was made so, of which `shards` is a part: if it names a segment, one of
			     these has an entry there */
};
typedef int history_winner_fn(void *arg, const struct history_winner *w);
/* Who made the outputs of shards [first, first + count) of a phase, in shard order, without gaps or
 * overlaps; what nobody made comes as missing. */
int history_winners(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		    history_winner_fn *fn, void *arg, struct error *reterr) MUST_CHECK;
/* N of a phase, as far as it was planned. ERR_NOT_FOUND when it was never begun. */
int history_phase_shards(struct history_reader *r, uint64_t job, uint32_t phase, uint64_t *ret,
			 struct error *reterr) MUST_CHECK;

struct history_failure {
	struct range shards;
	uint8_t kind; /* enum failure_kind */
	int64_t code;
	struct bytes why;
	usec_t wall_us;
	/* Where the index of what their last attempt wrote is; segment 0: nothing is kept. */
	struct uuid worker;
	struct token token;
	uint32_t segment;
};
typedef int history_failure_fn(void *arg, const struct history_failure *f);
/* Dead shards in shard order, from shard `first` on, at most `limit` ranges. The first
 * HISTORY_FAILURES_MAX of a job are kept. */
int history_failures(struct history_reader *r, uint64_t job, uint32_t phase, uint32_t first, uint32_t limit,
		     struct arena *arena, history_failure_fn *fn, void *arg, struct error *reterr) MUST_CHECK;

struct history_effort;
typedef int history_effort_fn(void *arg, const struct history_effort *e);
/* What the last attempts of shards in the range took, in the order of shards; rows may reach beyond it, and
 * one of sums over others that came later (history_tables.h). */
int history_efforts(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		    history_effort_fn *fn, void *arg, struct error *reterr) MUST_CHECK;
/* The host of a worker, as it last said; size 0 when it is not known. */
int history_host(struct history_reader *r, const struct uuid *worker, struct arena *arena, struct bytes *ret,
		 struct error *reterr) MUST_CHECK;

/* Canonical JSON. ERR_NOT_FOUND. */
int history_event(struct history_reader *r, uint64_t hi, uint64_t lo, struct arena *arena, struct bytes *ret,
		  struct error *reterr) MUST_CHECK;
typedef int history_event_fn(void *arg, struct bytes event);
/* The keys (16 bytes, big-endian) of all events that jobs of a definition of this name come from, some of
 * them more than once. Reads all jobs. */
int history_events_of(struct history_reader *r, const char *name, history_event_fn *fn, void *arg,
		      struct error *reterr) MUST_CHECK;
/* Canonical text. ERR_NOT_FOUND, also when only its name is known any more. */
int history_definition(struct history_reader *r, struct bytes sha256, struct arena *arena,
		       struct bytes *ret_name, struct bytes *ret_text, struct error *reterr) MUST_CHECK;
/* Of the job's shards, as its planner sealed it. ERR_NOT_FOUND: it was pure, or never whole, or sealed before
 * history kept plans. */
int history_plan(struct history_reader *r, uint64_t job, struct arena *arena, struct plan *ret,
		 struct error *reterr) MUST_CHECK;
