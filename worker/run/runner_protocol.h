/* What a worker and a resident runner say to each other over the runner's stdin and stdout. Pure.
 *
 * Versions 1 and 2, two encodings of the same messages: `msgpack`, each a map behind its length (32 bits, big
 * endian), and `json`, each an object on a line of its own. Unknown members are skipped.
 *
 *   worker  {type: "hello", protocol: 1, protocol_max: 2, format, worker, slot, whole: true}
 *   runner  {type: "hello", protocol: 1}, or {type: "hello", protocol: 2, runs}
 *   worker  {type: "job", job, name, phase, shards, plan: {kind, …}, values: {path: text}}
 *   worker  {type: "run", token: "<epoch>-<lease>", first, count, items?: [text]}
 *   runner  {type: "done", first, count, failed?: [[shard, kind, code, why?]], results?: [[shard, bytes]]}
 *           {type: "done", first, count, result: bytes}
 *
 * A `job` precedes the first `run` of each job. Up to two runs are in flight; of a runner that speaks version
 * 2 as many as it says in `runs` (2 to 64), while they are short, and of as many jobs. They come together: a
 * runner that reads all that is there, and writes its answers when it has worked through that, costs two
 * system calls for all of them. `done` answers the runs
 * in order, whole or in pieces from the front; a shard in it that is not in `failed` succeeded, and
 * what `results` has for it is its output. kind is `exit` or `runner` (the default), code a number.
 * `result` is what all of them wrote together, for shards so short that one output each would be more than
 * the work: all succeeded, and they count as a whole or not at all (a late answer of which another has done
 * a part is worth nothing, and what is left runs again), so that each shard is in one output and no more. The
 * definition's output_max bounds it as a whole. A worker that takes it says `whole` in its hello.
 * The worker closes stdin when it wants no more: the runner ends. What it writes to stderr while it
 * has a shard that fails is kept as what that shard wrote. */
#pragma once

#include "base/buf.h"
#include "jobs/slice.h"
#include "worker/core/core.h"

#define RUNNER_PROTOCOL_MIN 1
#define RUNNER_PROTOCOL_MAX 2
#define RUNNER_RUNS_MAX 64u /* in flight */

void runner_encode_hello(const struct uuid *worker, uint32_t slot, uint8_t format, struct buf *out);
void runner_encode_job(const struct worker_arm *arm, uint8_t format, struct buf *out);
/* items: of the lease, when it has any; first_of_lease tells which is which. */
void runner_encode_run(const struct worker_arm *arm, const struct slice *slice, struct range run,
		       uint8_t format, struct buf *out);

enum runner_message_type { RUNNER_HELLO = 1, RUNNER_DONE };

struct runner_result {
	uint32_t shard;
	struct bytes output;
};

struct runner_message {
	enum runner_message_type type;
	uint32_t runs;		    /* HELLO: that it takes at a time */
	struct range done;	    /* DONE */
	struct failure_list failed; /* one shard each; texts in the arena */
	struct runner_result *results;
	uint32_t result_count;
	struct bytes result; /* of all of them together; empty = none */
};

/* Takes one message from the front of `in`. 1: *ret, and *used_ret bytes are done with; 0: not whole
 * yet; ERR_INVALID, ERR_LIMIT, ERR_VERSION in words. *ret lives as long as the arena. */
int runner_decode(struct bytes in, uint8_t format, struct arena *arena, struct runner_message *ret,
		  size_t *used_ret, struct error *reterr) MUST_CHECK;
