/* Given, when, then for the dispatcher's core: virtual time, workers that are a struct, a journal that is
 * a buffer. Each step is followed by check(FULL). */
#pragma once

#include "dispatcher/core/core.h"
#include "dispatcher/core/view.h"

#define KIT_WORKERS 16
#define KIT_LEASES 4096

struct kit_lease {
	struct token token;
	uint64_t job;
	uint32_t phase, first, count, attempt;
	uint64_t memory_bytes;
	bool killed;
};

struct kit_worker {
	struct uuid id;
	uint64_t peer, session, seq, serial;
	uint64_t acked;	    /* by an ACK that was let out */
	uint32_t cpu_milli; /* all it offers */
	uint64_t memory_bytes;
	struct kit_lease leases[KIT_LEASES]; /* LEASES in the order of their coming; not removed */
	uint32_t lease_count;
	uint32_t who, drains, revokes, kills, refused;
	struct revoked last_revoke;
	struct registered registered;
	struct token_verdict verdicts[64];
};

struct kit {
	struct dispatcher_config config;
	struct dispatcher_core *core;
	struct dispatcher_effects out;
	usec_t mono_us, wall_us;
	struct buf journal; /* all records */
	struct buf sizes;   /* u32 bytes of each record */
	uint64_t first_lsn, last_lsn, durable_lsn, history_lsn;
	bool auto_durable; /* a step's records are durable at once */
	bool auto_history; /* and in history */
	bool stale;	   /* who reopens a job has asked history before anything was written */
	struct kit_worker workers[KIT_WORKERS];
	/* effects that wait for their lsn: released by kit_durable */
	struct dispatcher_effect *held;
	size_t held_count;
	struct arena arena;	       /* all that was ever let out */
	struct dispatcher_reply reply; /* the last */
	uint32_t replies;
	struct dispatcher_plan plan;
	uint32_t plans, plan_stops, ended_events, tells, parameters, looked, workers_changed;
	usec_t seal_wall_us; /* the bucket of keys that is to be sealed: the last one asked for */
	uint32_t seals;
	struct job_ended ended;
	char told[512];
	uint64_t next_request;
	uint64_t next_key;
	uint64_t outcome_records; /* RECORD_OUTCOMES written in the last step */
	size_t shown_bytes;	  /* of the journal */
	/* Each record, once it is durable. */
	void (*on_record)(uint32_t type, const void *record); /* may be NULL */
};

struct kit_job {
	const char *name;
	uint32_t shards;
	uint32_t attempts;  /* 0: 3 */
	usec_t backoff_us;  /* 0: 100 ms */
	uint32_t cpu_milli; /* 0: 1000 */
	uint64_t memory_bytes;
	uint8_t tolerate_kind;
	uint64_t tolerate;
	bool gather;
	uint32_t fanin;
	int64_t priority;
	const char *queue;
	usec_t due_wall_us;
	uint8_t planner; /* 0: pure */
	bool plan_phase; /* a command of one shard writes the items; planner says as what */
	uint32_t depth;
	bool retry_larger;
	const char *stdin_file;	    /* NULL: none */
	struct exit_rule rule;	    /* verdict 0: none */
	uint64_t key;		    /* 0: none */
	struct dedup_fact known;    /* bucket 0: no file has the key */
	struct after_job after[2];  /* job 0: none; of ended the done are borrowed */
	struct ended_fact ended[2]; /* job 0: none */
	usec_t deadline_us, start_by_us;
	const char *group; /* NULL: none; limit 0: 1, mode 0: queue */
	uint32_t group_limit;
	uint8_t group_mode;
	bool group_latest;
	bool whole; /* skipped, it is refused */
	struct rate rate;
	struct named_amount named; /* that a shard needs; amount 0: none */
	uint32_t max_running;
	struct principal by;
	const char *fair_key;
};

/* All parameters' defaults: what a core that a test makes by itself is created with. */
struct dispatcher_config kit_config(void);
void kit_open(struct kit *k);
/* The same in two steps: between them k->config may be changed. */
void kit_prepare(struct kit *k);
void kit_start(struct kit *k);
void kit_close(struct kit *k);
void kit_step(struct kit *k, uint32_t type, const void *body);
void kit_durable(struct kit *k); /* all that was written is durable; effects leave */
void kit_history(struct kit *k);
void kit_tick(struct kit *k);
/* Time passes in small steps: ticks at deadlines, heartbeats of the workers in `alive` (a bit each). */
void kit_pass(struct kit *k, usec_t us, uint32_t alive);
/* A crash: what is not durable is lost. The journal is replayed; a new epoch is opened. */
void kit_restart(struct kit *k);
/* Carries forward what is older than oldest_lsn, a few steps of bytes_max each; false when it is not done
 * in max_steps. Then the journal may be trimmed. */
bool kit_carry(struct kit *k, uint64_t oldest_lsn, uint32_t bytes_max, uint32_t max_steps);
void kit_trim(struct kit *k, uint64_t oldest_lsn);
/* Carries all that lives forward, trims all before it, and compares. */
void kit_carry_all(struct kit *k);
/* A core replayed from the journal has the same digest. */
void kit_compare_replay(struct kit *k);

uint64_t kit_submit(struct kit *k, struct kit_job job); /* its id; 0: refused, see reply */
/* What history knows of a job that ended; the numbers of the last end that was told are added. */
struct kit_reopened {
	uint64_t job;
	uint32_t reopens;
	const struct range *done;
	uint32_t done_count;
};
enum error_code kit_reopen(struct kit *k, struct kit_job job, struct kit_reopened as); /* as reply */
void kit_settle(struct kit *k, uint64_t job);
void kit_register(struct kit *k, uint32_t worker, uint32_t cpu_milli); /* without tokens */
void kit_register_with(struct kit *k, uint32_t worker, struct held_token_list tokens);
void kit_message(struct kit *k, uint32_t worker, enum message_type type, const void *body);
/* A report with these outcomes, the worker's whole capacity as credit. */
void kit_report(struct kit *k, uint32_t worker, const struct outcome *outcomes, uint32_t count);
void kit_idle(struct kit *k, uint32_t worker); /* an empty report: a slot has nothing to do */
void kit_done(struct kit *k, uint32_t worker, const struct kit_lease *lease);
void kit_done_range(struct kit *k, uint32_t worker, const struct kit_lease *lease, uint32_t first,
		    uint32_t count);
void kit_failed(struct kit *k, uint32_t worker, const struct kit_lease *lease, uint8_t kind, int64_t code);
void kit_returned(struct kit *k, uint32_t worker, const struct kit_lease *lease, uint32_t first,
		  uint32_t count);
/* As reply. */
enum error_code kit_set_queue(struct kit *k, struct queue_changed as);
void kit_cancel(struct kit *k, uint64_t job);
void kit_gone(struct kit *k, uint32_t worker);
struct kit_lease *kit_last_lease(struct kit *k, uint32_t worker);
struct view_job kit_view(struct kit *k, uint64_t job); /* state 0: not there */
