/* `logs` looks on while shards run: which attempts are watched, and what of them has been shown, so that the
 * end of a shard adds what is missing and no line comes twice. Bounded: WATCHED_MAX shards at once, a line
 * begun of each stream; shards beyond that are shown when they end. */
#pragma once

#include "cli/lines.h"
#include "cli/logs.h"
#include "cli/numbers.h"
#include "cli/runs.h"

#define WATCHED_MAX 256u
#define PHASES_MAX 40u /* a gather tree's levels among them */

/* A shard of which an attempt is shown. */
struct watched {
	uint32_t phase;
	uint64_t shard;
	char attempt[sizeof(((struct http_header *)NULL)->value)]; /* its SHARDMILL_ATTEMPT_ID */
	struct watched_stream {
		uint64_t bytes; /* that were taken */
		struct lines lines;
	} streams[2]; /* stdout, stderr */
	bool listed;  /* it ran when we last looked */
	bool through; /* it does not run any more, and its last bytes were asked for */
};

/* One run of the verb. */
struct logs {
	struct cli *cli;
	const struct logs_options *options;
	uint64_t id;
	struct client_answer answer; /* job is read from it */
	struct api_job job;
	struct runs shown[PHASES_MAX]; /* shards that are through */
	struct numbers numbers;	       /* of the shards phase */
	struct terminal err_terminal;
	struct watched *watched; /* WATCHED_MAX */
	size_t watched_count;
	int trouble; /* exit code: an output is lost; 0 */
	bool blind;  /* the dispatcher is of a version that does not tell what runs */
};

/* Shows what those that run now have written since the last look. */
int watch_running(struct logs *logs, struct error *reterr) MUST_CHECK;
/* A shard of which nothing was shown. */
void watch_init(const struct logs *logs, struct watched *w, uint32_t phase, uint64_t shard);
void watch_fini(struct watched *w);
/* NULL: none is watched. Borrowed until the next call that changes which are. */
struct watched *watch_find(struct logs *logs, uint32_t phase, uint64_t shard);
void watch_forget(struct logs *logs, struct watched *w);
/* The last bytes of an attempt that does not run any more, whatever became of it. */
int watch_last_bytes(struct logs *logs, struct watched *w, struct error *reterr) MUST_CHECK;
/* From now on it is this attempt that is shown; if that is another, what was shown does not count. */
void watch_attempt(struct watched *w, const char *attempt);
/* The next bytes of a stream; arg is its watched_stream. For client_request.take. */
int watch_take(void *arg, struct bytes piece);
/* Nothing more comes: lines that were begun are shown. */
void watch_end(struct logs *logs);
