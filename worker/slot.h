/* A slot: a thread that takes shards from two cells, runs an attempt for each, and keeps what became
 * of them until the agent fetches it.
 *
 * The agent thread opens and closes slots, arms cells, lowers their ends, stops them and fetches
 * batches; everything else happens in the slot's thread. Nothing is told per shard: a slot raises
 * the agent's eventfd only when its list of batches was empty. */
#pragma once

#include <pthread.h>

#include "worker/core/core.h"
#include "worker/output.h"
#include "worker/topology.h"

/* What all slots of a worker share; set before the first slot is opened, never changed after. */
struct slot_shared {
	struct uuid worker;
	const struct topology *topology;
	struct output_dir *output;
	const char *output_root;   /* where all workers' outputs are, for gather */
	const char *scratch;	   /* <scratch>/<worker id> */
	char *const *environ;	   /* what attempts inherit */
	uint64_t output_bytes_max; /* of an attempt's stream, unless its definition says */
	usec_t kill_grace_us;	   /* between SIGTERM and SIGKILL */
	int notify_fd;		   /* eventfd of the agent */
};

/* What became of shards of one cell, in one segment. */
struct slot_batch {
	struct slot_batch *next;
	uint32_t cell;
	struct token token;
	struct range_list done;
	uint32_t done_room;
	struct failure_list failed;
	uint32_t failed_room;
	struct arena texts;
	uint64_t run_us;
	uint64_t output_bytes;
	uint32_t segment;
	uint32_t run_counts[RUN_BUCKETS];
	bool released;
};

struct slot;

int slot_open(const struct slot_shared *shared, const struct worker_slot_ref *ref, unsigned first_core,
	      struct slot **ret, struct error *reterr) MUST_CHECK;
/* Waits for the thread; both cells are free. Accepts NULL. */
void slot_close(struct slot *s);
unsigned slot_first_core(const struct slot *s);
unsigned slot_core_count(const struct slot *s);

void slot_arm(struct slot *s, const struct worker_arm *arm);
/* false: the cell holds another token, or none. */
bool slot_lower_end(struct slot *s, const struct worker_lower_end *l, struct cell_view *ret);
void slot_stop(struct slot *s, const struct worker_stop *st);
/* Where a cell stands: for the progress that tells of a batch. */
struct cell_view slot_peek(const struct slot *s, uint32_t cell);

/* All batches so far, oldest first; the caller frees each with slot_batch_free. */
struct slot_batch *slot_fetch(struct slot *s);
void slot_batch_free(struct slot_batch *b);
/* Is it one of the slot's processes, or in the session of one? */
bool slot_owns(const struct slot *s, pid_t pid, pid_t session);
bool slot_is_starting(const struct slot *s);
/* The output segment is on disk. */
int slot_sync(struct slot *s, struct error *reterr) MUST_CHECK;
