/* A real slot without agent or dispatcher: its thread, its outputs and its scratch directory below a
 * temporary one. It arms cells as the core would, fetches batches as the agent would, and checks what
 * the core checks: each shard was begun, ends once, and a released cell is empty.
 *
 * No test framework in it: it is linked into tests, into the stress program for ThreadSanitizer, and
 * into bench. What must hold is a CHECK. */
#pragma once

#include "base/buf.h"
#include "worker/machine/groups.h"
#include "worker/machine/home.h"
#include "worker/machine/memory.h"
#include "worker/run/nursery.h"
#include "worker/run/slot.h"

#define RIG_WAIT_US (30 * USEC_PER_SEC)
#define RIG_ARGS_MAX 8

enum rig_end { RIG_NOT_ENDED, RIG_DONE, RIG_FAILED };

struct rig_shard {
	uint8_t end;  /* enum rig_end */
	uint8_t kind; /* enum failure_kind */
	int64_t code;
	char why[401];
	uint32_t segment;
	struct token token;
};

/* What an arming names: it has to live until the cell is released. */
struct rig_work {
	uint64_t job;
	struct run_definition definition;
	struct phase_run phase;
	struct job_parameters parameters;
	uint8_t sha256[32];
	struct text_item argv[RIG_ARGS_MAX], value_names[2], values[2];
	struct pair env[4];
	struct exit_rule rules[4];
	struct buf slice;
};

struct slot_rig {
	char dir[256], scratch[300], root[300];
	struct topology topology;
	struct home home;
	struct nursery nursery;
	struct output_dir output;
	struct slot_shared shared;
	struct slot *slot;
	struct rig_shard *shards;
	uint32_t shard_count;
	uint32_t turn; /* the cell that is armed next */
	bool armed[SLOT_CELLS];
	struct token token[SLOT_CELLS];
	struct range range[SLOT_CELLS];
	struct cell_view seen[SLOT_CELLS];
	uint32_t ended[SLOT_CELLS]; /* shards of the lease */
	bool stopped[SLOT_CELLS];
	uint64_t lease;		       /* of the last token */
	uint64_t done, failed, wholes; /* wholes: of the done */
	struct totals totals;
	uint64_t run_counted; /* shards in the histograms */
};

struct rig_options {
	uint32_t shard_count; /* 0 = 1000 */
	usec_t kill_grace_us; /* 0 = 100 ms */
	uint64_t output_bytes_max;
	uint64_t roll_bytes; /* 0 = OUTPUT_ROLL_BYTES */
	const char *cores;
	bool pin;
	uint64_t cpu_milli; /* 0 = 1000 */
	uint64_t memory_bytes;
	struct memory_bounds *memory; /* that hold it to them; NULL: nobody */
	struct groups *groups;	      /* that end attempts; NULL: the reaper alone */
	usec_t runner_idle_us;
};

void rig_open(struct slot_rig *r, const struct rig_options *options);
void rig_close(struct slot_rig *r);
/* "<dir>/name": in one of a few static buffers. */
const char *rig_path(const struct slot_rig *r, const char *name);

/* argv: templates; at most RIG_ARGS_MAX, NULL behind the last. A count plan of 1,000,000 shards. *w is
 * all zero, or was used before. */
void rig_work_init(struct rig_work *w, const char *const *argv);
/* sh -c script */
void rig_work_shell(struct rig_work *w, const char *script);
/* A variable of the definition's `env`. */
void rig_work_env(struct rig_work *w, const char *name, const char *value);
void rig_work_items(struct rig_work *w, const struct bytes *items, uint32_t count);
void rig_work_fini(struct rig_work *w);

/* Arms the cell whose turn it is, and returns it. */
uint32_t rig_arm(struct slot_rig *r, struct rig_work *w, uint32_t first, uint32_t count);
/* The cell that was armed last. */
uint32_t rig_last(const struct slot_rig *r);
void rig_stop(struct slot_rig *r, uint32_t cell);
/* What really holds afterwards. */
struct cell_view rig_lower_end(struct slot_rig *r, uint32_t cell, uint32_t end);
/* Fetches what there is. */
void rig_fetch(struct slot_rig *r);
/* Until the cell is released, or so many shards ended. */
void rig_await_release(struct slot_rig *r, uint32_t cell);
void rig_await_ended(struct slot_rig *r, uint64_t shards);
/* arm, and await its release */
void rig_run(struct slot_rig *r, struct rig_work *w, uint32_t first, uint32_t count);

/* Calls it until it is true. */
void rig_await(bool (*holds)(const void *arg), const void *arg, const char *what);
bool rig_file_exists(const void *path);
/* "out" or "err" of a shard that is done, as the index says; "" when it has no entry. */
void rig_output(const struct slot_rig *r, uint32_t shard, const char *kind, struct buf *ret);
