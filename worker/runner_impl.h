/* What runner.c (the process and its pipes) and runner_cell.c (the work) share. */
#pragma once

#include "worker/runner.h"
#include "worker/runner_protocol.h"

struct runner {
	struct process process;
	uint8_t sha256[32]; /* of the definition that it was started for, with its phase */
	uint32_t phase;
	uint8_t format;
	int in_fd, out_fd, err_fd;
	struct buf tx, rx;
	size_t tx_sent, rx_taken;
	struct arena arena; /* of the message received last */
	uint64_t told_job;  /* and phase: of the last `job` message */
	bool failing;	    /* it broke the protocol or hangs: end it without waiting */
	usec_t shard_us;    /* running estimate of a shard's time, in 1/1024 us */
};

bool runner_serves(const struct slot *s, const struct work *w);
/* Replaces the slot's runner by one for this work, and waits for its hello. */
int runner_start(struct slot *s, struct work *w, const struct runner_command *c,
		 struct error *reterr) MUST_CHECK;
/* 1 and the next message; sends what is queued meanwhile. ERR_CLOSED: it ended, or the cell was stopped;
 * ERR_TIMEOUT; ERR_INVALID: it does not keep the protocol. */
int runner_receive(struct slot *s, usec_t deadline_us, struct runner_message *m,
		   struct error *reterr) MUST_CHECK;
/* The last line that it wrote to stderr. */
void runner_last_words(const struct runner *r, char *ret, size_t size);
