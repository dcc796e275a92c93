/* What no operator sets: how long the programs wait, and from where on something counts as much. The cores
 * take these from their configurations, so that a test or the simulator may choose others. Pure. What an
 * operator may set is a parameter (base/params.def); what comes from outside is bounded by base/limits.h. */
#pragma once

#include "base/limits.h"
#include "base/types.h"

/* The dispatcher */
#define STEAL_WAIT_US (20 * USEC_PER_MSEC)  /* between two revokes for the benefit of idle workers */
#define STEAL_ABOVE_US (10 * USEC_PER_MSEC) /* so much work left in a lease is worth a revoke */
#define UNKNOWN_SHARD_US USEC_PER_SEC	    /* what a shard of unknown run time counts in the demand */
#define PLAN_TRIES_MAX 8		    /* of what the dispatcher itself could not do for a plan */
#define QUARANTINE_AFTER 20		    /* failures in a row, of two jobs or more, while others succeed */

/* A worker */
#define REPORT_RESEND_US (5 * USEC_PER_SEC) /* without an acknowledgement, reports are sent again */
#define REGISTER_RETRY_US                                                                                    \
	(500 * USEC_PER_MSEC) /* the first wait for an answer; it doubles, with jitter, up to: */
#define REGISTER_RETRY_MAX_US (10 * USEC_PER_SEC)
#define NEED_RETRY_US USEC_PER_SEC /* the first wait for parameters; it doubles, up to 16 times as much */
#define ABORT_WAIT_US                                                                                        \
	USEC_PER_SEC /* how long an aborting worker waits for processes and acknowledgements                 \
		      */
#define REST_US                                                                                              \
	USEC_PER_SEC /* a worker that met trouble takes no leases; each further rest doubles, up to: */
#define REST_MAX_US (60 * USEC_PER_SEC)
#define PARAMETERS_SPARE_BYTES_MAX (64 * MIB) /* definitions and jobs that no lease names, kept in case */
#define WORDS_LINES 5		     /* of what an attempt wrote to stderr: its words when it has failed */
#define RUNNER_SAID_BYTES (64 * KIB) /* of a runner's stderr, kept for a shard that has failed */
#define SLICES_BYTES_MAX (64 * MIB)  /* slices that a worker holds at one time: its byte credit */
#define REPORT_BYTES_MAX (FRAME_BYTES_MAX / 2)

/* The scaler */
#define START_TIMEOUT_US (60 * USEC_PER_SEC) /* a start that has not registered by then has failed */
#define START_BACKOFF_US USEC_PER_SEC	     /* after the first failed start; it doubles */
#define DEMAND_STALE_US (30 * USEC_PER_SEC)  /* older demand decides nothing */
