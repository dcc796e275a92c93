/* What one seed's world is: its workers, its jobs and what their shards do, what clients ask for,
 * which faults come. All of it is drawn from the seed before the run begins. */
#pragma once

#include "tests/sim/world.h"

#define SIM_JOBS_MAX 8
#define SIM_ACTIONS_MAX 64
#define SIM_RATE_MAX 16

/* What becomes of a shard: a pure function of (job, phase, shard, executions that ended before). */
enum fate {
	FATE_OK,
	FATE_FAIL,    /* exit 1 */
	FATE_FATAL,   /* exit 42, which the definition's exit rules make dead at once */
	FATE_EXCUSED, /* exit 3, which they count as success */
	FATE_TIMEOUT,
	FATE_OOM,
	FATE_TROUBLE, /* the worker could not start it: no scenario asks for it, any shard may meet it */
	FATE_CRASH,   /* takes its worker with it */
};

#define EVENT_JOBS_MAX 12

struct sim_job {
	uint32_t number; /* its index */
	uint32_t shard_count;
	bool gather;
	uint32_t gather_fanin; /* 0 = one node */
	uint32_t gather_fails; /* own failures of the gather's shard before it is well */
	uint8_t planner;       /* enum planner_kind */
	bool plan_phase;       /* its items are what a phase of one shard writes; planner is LINES then */
	uint32_t plan_pieces;  /* of a planner that is not pure */
	uint32_t plan_fails;   /* attempts of the planner that fail, after its first piece */
	bool plan_hopeless;    /* it never ends well */
	uint32_t attempts_max;
	usec_t backoff_us, backoff_max_us;
	uint8_t tolerate_kind; /* enum tolerate_kind */
	uint64_t tolerate;
	uint64_t cpu_milli;
	int64_t priority;
	bool durable_output, retry_larger;
	bool whole;	     /* what a slot tells at one time has one output */
	usec_t shard_us;     /* of one shard, about */
	usec_t gather_us;    /* of a gather's; 0 = as of one shard */
	usec_t due_after_us; /* held so long, by the wall clock; 0 = not held */
	/* Of the shards below 1024, in parts of a million. */
	uint32_t flaky_ppm;    /* fail some times, then well */
	uint32_t hopeless_ppm; /* always fail */
	uint32_t fatal_ppm, excused_ppm, timeout_ppm, oom_ppm;
	uint32_t crash_shard; /* this one kills its worker … */
	uint32_t crash_times; /* … so often; 0 = never */
	uint8_t after;	      /* enum after_condition: it waits so for the job before it; 0 = for none */
	usec_t deadline_us;   /* 0 = none */
	uint32_t group_limit; /* of the world's concurrency group, as this job says it; 0 = it names none */
	uint8_t group_mode;   /* enum concurrency_mode */
	bool group_latest;
	uint32_t rate_count; /* of its shards a second; 0 = no bound */
	bool chains;	     /* its end starts another job */
	uint32_t event_jobs; /* that its event makes */
	bool second_fails;   /* of two: nothing can be run of it, it has failed when it is accepted */
};

enum action_kind {
	ACTION_SUBMIT, /* the job's event; a second time it is a repeat */
	ACTION_CANCEL,
	ACTION_PAUSE,
	ACTION_RESUME,
	ACTION_RETRY,
	ACTION_REOPEN,	 /* one of its jobs that has ended */
	ACTION_REGATHER, /* one that gathers is cancelled, and goes on */
	ACTION_DRAIN,	 /* worker */
	ACTION_TERM,	 /* SIGTERM to a worker */
};

struct action {
	usec_t at_us;
	enum action_kind kind;
	uint32_t target; /* job's index or worker's host */
};

struct scenario {
	uint32_t worker_count;
	uint64_t worker_cpu_milli[SIM_HOSTS_MAX];
	bool scaler; /* the scaler's core starts and drains workers */
	bool journal_tiny;
	usec_t timeout_us, heartbeat_us;
	uint32_t crashes_max;
	usec_t history_lag_us;
	struct sim_job jobs[SIM_JOBS_MAX];
	uint32_t job_count;
	struct action actions[SIM_ACTIONS_MAX];
	uint32_t action_count;
	usec_t calm_at_us;    /* faults end */
	uint32_t fault_count; /* events of the fault kinds drawn while it runs */
	uint32_t loss_ppm, duplicate_ppm, delay_ppm;
	/* Weights of the faults to come; 0 = this world has none of it. */
	uint32_t w_break, w_partition, w_pause, w_worker_crash, w_dispatcher_crash, w_wall, w_slow_disk;
};

/* The phase that the job's shards are. */
uint32_t scenario_shards_phase(const struct sim_job *j);
/* Does the end of a job start another? */
bool scenario_chains(const struct scenario *s);

void scenario_draw(struct scenario *s, struct world *w);
void scenario_say(const struct scenario *s, struct world *w);

/* ended: executions of this shard that ended, or ended their worker, before. */
enum fate scenario_fate(const struct scenario *s, uint64_t seed, uint32_t job, uint32_t phase, uint32_t shard,
			uint32_t ended);
/* How many shards from the front of the range run alike and well; 0 = the first has its own fate. */
uint32_t scenario_plain_run(uint32_t first, uint32_t count);
