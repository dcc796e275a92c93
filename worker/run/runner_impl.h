/* What runner.c (the process and its pipes) and runner_cell.c (the work) share. */
#pragma once

#include "worker/run/runner.h"
#include "worker/run/runner_protocol.h"

struct runner {
	struct scratch scratch; /* its own directory; what attempts leave in the slot's is removed */
	struct reaper reaper;	/* of it alone: the slot may run attempts beside it */
	struct process process;
	uint8_t sha256[32]; /* of the definition that it was started for, with its phase */
	uint32_t phase;
	uint8_t format;
	int in_fd, out_fd, err_fd;
	struct buf tx, rx;
	size_t tx_sent, rx_taken;
	struct arena arena;  /* of the message received last */
	uint64_t job;	     /* that it was started for */
	bool per_job;	     /* its command depends on that */
	uint64_t told_job;   /* of the last `job` message */
	uint32_t runs_max;   /* that it takes at a time */
	uint64_t looks;	     /* how often something of it was received */
	uint64_t usage_look; /* at which its usage was looked at last */
	struct memory_group memory;
	bool failing;	      /* it broke the protocol or hangs: end it without waiting */
	bool closed;	      /* it has ended, or takes no more: what it wrote before is in rx */
	struct totals totals; /* of it, as last looked at */
	usec_t rest_due_us;   /* when those that cost more are to be looked at again */
	off_t said_end;	      /* of its stderr, as last looked at */
	usec_t shard_us;      /* running estimate of a shard's time, in 1/1024 us */
};

/* Shards of a run, when each takes so long, in 1/1024 us. */
uint32_t runner_chunk_of(usec_t shard_us);
/* It was started for such work; another job's, too, when its command does not depend on the job. */
bool runner_fits(const struct runner *r, const struct worker_arm *arm);
/* The slot's runs, and may be given this work: another job's, too, when its command does not depend on the
 * job. */
bool runner_serves(const struct slot *s, const struct work *w);
/* Replaces the slot's runner by one for this work, and waits for its hello. */
typedef bool runner_stopped_fn(void *arg);
int runner_start(struct slot *s, struct work *w, const char *id, runner_stopped_fn *stopped, void *arg,
		 struct error *reterr) MUST_CHECK;
/* 1 and the next message; sends what is queued meanwhile. stopped: asked whenever the slot is woken.
 * ERR_CLOSED: it ended and all that it said was taken, or stopped() was true; ERR_TIMEOUT; ERR_INVALID: it
 * does not keep the protocol. */
int runner_receive(struct slot *s, usec_t deadline_us, runner_stopped_fn *stopped, void *arg,
		   struct runner_message *m, struct error *reterr) MUST_CHECK;
/* Ends it; in words: how it had ended by itself ("exit code 3"; "" when we ended it), and the last lines
 * that it wrote to stderr; or what is known of its memory. *ret_code: exit code or signal, 0 when we ended
 * it. said: its stderr, as runner_read_said has it. */
enum memory_verdict runner_end_told(struct slot *s, off_t from, struct buf *said, char *ret, size_t size,
				    int *ret_code);
/* How much it has written to stderr. */
off_t runner_said_end(struct runner *r);
/* Appends what it has written to stderr from a byte on, at most the last RUNNER_SAID_BYTES. */
void runner_read_said(struct runner *r, off_t from, struct buf *out);
/* What it wrote to stderr is long: it is to be forgotten when nothing is in flight. */
bool runner_words_are_long(const struct runner *r);
/* What it wrote to stderr is forgotten when it is long. */
void runner_trim_words(const struct runner *r);
