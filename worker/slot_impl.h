/* What slot.c and the files that run attempts share. */
#pragma once

#include "jobs/kinds.h"
#include "jobs/template.h"
#include "worker/input.h"
#include "worker/process.h"
#include "worker/slot.h"

/* A cell's lease, ready to run: templates compiled once, not per shard. */
struct work {
	struct worker_arm arm;
	struct arena arena;
	struct slice slice;
	struct template *argv;
	struct template *env;	 /* of run_spec.env */
	struct bytes *env_fixed; /* "NAME=value" of env_from and of what does not change per shard */
	uint32_t env_fixed_count;
	char path[4096]; /* of the executable */
	int failed;	 /* 0, or the error that every shard of the lease fails with */
	uint8_t failed_kind;
	int failed_code;
	struct error why;
};

/* One attempt's verdict. */
struct verdict {
	bool done;
	bool stopped; /* by STOP: it is nobody's outcome */
	uint8_t kind; /* enum failure_kind */
	int64_t code;
	char why[400];
	uint64_t output_bytes;
	usec_t run_us;
};

struct slot {
	const struct slot_shared *shared;
	uint32_t number;
	struct resources shape;
	unsigned first_core, core_count;
	pthread_t thread;
	int wake_fd; /* armed, stopped or closing */
	_Atomic bool closing;
	struct cell cells[SLOT_CELLS];
	struct worker_arm arms[SLOT_CELLS]; /* written by the agent before it arms */
	_Atomic bool stop[SLOT_CELLS];
	uint32_t turn;	     /* the cell that is in work, or comes next */
	bool other_released; /* while the cell in work was */
	struct output output;
	char scratch[4096]; /* the slot's own directory */
	struct arena arena; /* of one attempt */
	void *stack;
	struct runner *runner;		     /* NULL: none */
	_Atomic pid_t leader, runner_leader; /* of the attempt in work, of the runner; 0: none */
	_Atomic bool starting;		     /* a process that is in neither yet */
	pthread_mutex_t lock;		     /* of batches */
	struct slot_batch *first, *last;
};

void work_prepare(struct work *w, const struct slot *s, const struct worker_arm *arm);
void work_fini(struct work *w);
/* Runs one shard to its end. */
void attempt_run(struct slot *s, struct work *w, uint32_t shard, struct verdict *ret);

/* A command that no shard's parameters are in, for a runner. In the slot's arena. */
struct runner_command {
	const char *path;
	char **argv, **envp;
	const char *directory;
};
int attempt_command(struct slot *s, struct work *w, struct runner_command *ret,
		    struct error *reterr) MUST_CHECK;

/* Batches: shards of one verdict; run_us is of all of them. */
void slot_record(struct slot *s, uint32_t cell, struct token token, struct range shards,
		 const struct verdict *v);
void slot_record_release(struct slot *s, uint32_t cell, struct token token);
/* Frees the cell that is not in work when it was emptied by a stop or a revoke. */
void slot_release_other(struct slot *s);
