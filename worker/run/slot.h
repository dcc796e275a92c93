/* A slot: a thread that takes shards from its cells, runs an attempt for each, and keeps what became
 * of them until the agent fetches it.
 *
 * The agent thread opens and closes slots, arms cells, lowers their ends, stops them and fetches
 * batches; everything else happens in the slot's thread. Nothing is told per shard: a slot raises
 * the agent's eventfd only when its list of batches was empty. */
#pragma once

#include <pthread.h>

#include "base/gpus.h"
#include "worker/core/core.h"
#include "worker/io/output.h"
#include "worker/machine/topology.h"

struct home;
struct s3_client;
struct nursery;

/* What a slot that has released a cell adds to notify_fd's count: it may be armed again. */
#define SLOT_NOTIFY_RELEASED (UINT64_C(1) << 32)

/* What all slots of a worker share; set before the first slot is opened, never changed after. */
struct slot_shared {
	struct uuid worker;
	const struct topology *topology;
	const struct memory_bounds *memory; /* NULL: none are kept */
	const struct nursery *nursery;	    /* that forks reapers */
	struct output_dir *output;
	const char *output_root;     /* where all workers' outputs are, for gather */
	struct home *home;	     /* where attempts' directories and files are made */
	char *const *environ;	     /* what attempts inherit */
	const struct gpu_list *gpus; /* that the worker offers; NULL: none */
	uint64_t output_bytes_max;   /* of an attempt's stream, unless its definition says */
	usec_t kill_grace_us;	     /* between SIGTERM and SIGKILL */
	usec_t runner_idle_us;	     /* a runner that had no work for so long is ended; 0 = never */
	int notify_fd;		     /* eventfd of the agent; SLOT_NOTIFY_RELEASED or more: a cell is free */
	struct s3_client *s3;	     /* NULL: there is none */
	size_t read_ahead_bytes;     /* of an object: held for a shard, and as much for the next one */
	bool prefetch;		     /* read the next shard's while one runs */
};

/* What became of shards of one cell, in one segment: 0 when none of them wrote anything. */
struct slot_batch {
	struct slot_batch *next;
	uint32_t cell;
	struct token token;
	struct range_list done;
	uint32_t done_room;
	bool whole; /* of done: see worker_slot_progress */
	struct failure_list failed;
	uint32_t failed_room;
	struct arena texts;
	struct totals totals;
	struct effort_list efforts;
	uint32_t effort_room;
	uint32_t segment;
	uint32_t run_counts[RUN_BUCKETS];
	bool released;
};

struct slot;

/* cores: their numbers in the topology; copied. */
int slot_open(const struct slot_shared *shared, const struct worker_slot_ref *ref, const unsigned cores[],
	      unsigned core_count, struct slot **ret, struct error *reterr) MUST_CHECK;
/* Tells the thread to end when its cells are released, or stopped; it takes no more work. It raises
 * notify_fd when slot_has_ended: its runner may need its time for that. */
void slot_end(struct slot *s);
bool slot_has_ended(const struct slot *s);
/* Waits for the thread, telling it to end if that was not done. Accepts NULL. */
void slot_close(struct slot *s);
/* What topology_place gave it, for topology_use. */
const unsigned *slot_cores(const struct slot *s, unsigned *ret_count, uint64_t *ret_cpu_milli);

void slot_arm(struct slot *s, const struct worker_arm *arm);
/* false: the cell holds another token, or none. */
bool slot_lower_end(struct slot *s, const struct worker_lower_end *l, struct cell_view *ret);
void slot_stop(struct slot *s, const struct worker_stop *st);
/* Where a cell stands: for the progress that tells of a batch. */
struct cell_view slot_peek(const struct slot *s, uint32_t cell);

/* All batches so far, oldest first; the caller frees each with slot_batch_free. */
struct slot_batch *slot_fetch(struct slot *s);
/* For who looks on: what its attempt has written. */
struct output *slot_output(struct slot *s);
void slot_batch_free(struct slot_batch *b);
