/* What slot.c and the files that run attempts share. */
#pragma once

#include "jobs/kinds.h"
#include "jobs/template.h"
#include "worker/io/fetch.h"
#include "worker/io/input.h"
#include "worker/machine/memory.h"
#include "worker/run/process.h"
#include "worker/machine/scratch.h"
#include "worker/run/slot.h"

/* A cell's lease, ready to run: templates compiled once, not per shard. */
struct work {
	struct worker_arm arm;
	struct arena arena;
	struct slice slice;
	struct template *argv;
	struct template *env; /* of run_spec.env */
	struct template stdin_file;
	struct bytes *env_fixed; /* "NAME=value" of env_from and of what does not change per shard */
	uint32_t env_fixed_count;
	const char *directory; /* that its processes start in */
	bool per_job;	       /* a runner's command: what it says differs from job to job */
	bool has_command; /* directory, env_fixed and path are there: not while a resident runner serves */
	char *path;	  /* of the executable; NULL: to be looked up for each shard */
	int failed;	  /* 0, or the error that every shard of the lease fails with */
	uint8_t failed_kind;
	int failed_code;
	struct error why;
};

/* One attempt's verdict. */
struct verdict {
	bool done;
	bool whole;   /* of a range: its shards wrote one output together */
	bool stopped; /* by STOP: it is nobody's outcome */
	bool last;    /* the cell's release follows at once, and tells the agent */
	uint8_t kind; /* enum failure_kind */
	int64_t code; /* of a success its exit code */
	char why[400];
	uint32_t segment;     /* whose index names its output, also of a failure; 0: there is none */
	struct totals totals; /* output_bytes: of a success */
};

struct slot {
	const struct slot_shared *shared;
	uint32_t number;
	unsigned *cores, core_count;
	uint64_t cpu_milli;
	uint8_t bound; /* enum pin_kind that its thread is bound by; 0 = not yet */
	pthread_t thread;
	int wake_fd;   /* armed, stopped or closing */
	int opened_fd; /* signalfd: somebody opens an attempt's stdout or stderr by name (worker/io/stream.h)
			*/
	_Atomic bool closing;
	struct cell cells[SLOT_CELLS];
	struct worker_arm arms[SLOT_CELLS]; /* written by the agent before it arms */
	_Atomic bool stop[SLOT_CELLS];
	uint32_t turn;		   /* the cell that is in work, or comes next */
	uint32_t newest;	   /* in work are turn to this; only through a runner more than one */
	bool released[SLOT_CELLS]; /* before their turn, which has not come yet */
	_Atomic bool looks_itself; /* at what is armed: it need not be woken for that */
	struct output output;
	struct scratch scratch;	    /* where its attempts start */
	struct gpu_share gpus;	    /* its own, of shared->gpus */
	uint64_t memory_bytes;	    /* of its shape */
	struct memory_group memory; /* of its attempts; a runner has its own */
	struct arena arena;	    /* of one attempt */
	struct reaper reaper;	    /* of its attempts */
	struct runner *runner;	    /* NULL: none */
	struct fetch *ahead;	    /* the next shard's input, begun while another runs; NULL: none */
	_Atomic bool ended;
	pthread_mutex_t lock; /* of all below */
	struct slot_batch *first, *last;
	bool told, told_soon; /* the agent, since it fetched: to come, to come soon */
};

#define PATH_BYTES 4096

/* served: the slot's runner is known to take it. */
void work_prepare(struct work *w, const struct slot *s, const struct worker_arm *arm, bool served);
/* What a process of the work needs; does nothing when it is there already. */
int work_make_command(struct work *w, const struct slot *s) MUST_CHECK;
void work_fini(struct work *w);
/* Runs one shard to its end. */
void attempt_run(struct slot *s, struct work *w, uint32_t shard, struct verdict *ret);

/* A command that no shard's parameters are in, for a runner. In the slot's arena. */
struct runner_command {
	const char *path;
	char **argv, **envp;
};
/* id: unique among what runs at one time. */
int attempt_command(struct slot *s, struct work *w, const char *id, struct runner_command *ret,
		    struct error *reterr) MUST_CHECK;

/* The executable of argv[0], relative to the directory that it is started in. */
int work_find_program(const struct work *w, const char *name, char *ret, size_t size,
		      struct error *reterr) MUST_CHECK;

/* Batches: shards of one verdict; totals are of all of them. */
void slot_record(struct slot *s, uint32_t cell, struct token token, struct range shards,
		 const struct verdict *v);
/* No shard of the cell is left to be taken. */
bool slot_is_last(const struct slot *s, uint32_t cell);
void slot_record_release(struct slot *s, uint32_t cell, struct token token);
/* Raises the agent's flag. */
void slot_notify(struct slot *s);
/* All that was taken from the cell has ended, and it is empty. */
void slot_release(struct slot *s, uint32_t cell);
/* Frees cells that are not in work and were emptied by a stop or a revoke. */
void slot_release_emptied(struct slot *s);
/* The cell to be worked on after this one, which is in work. */
uint32_t slot_next(const struct slot *s, uint32_t cell);
