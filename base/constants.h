/* What no operator sets: how long the programs wait, and from where on something counts as much. The cores
 * take these from their configurations, so that a test or the simulator may choose others. Pure. What an
 * operator may set is a parameter (base/params.def); what comes from outside is bounded by base/limits.h. */
#pragma once

#include "base/limits.h"
#include "base/types.h"

/* The dispatcher */
#define STEAL_WAIT_US (20 * USEC_PER_MSEC)  /* between two revokes for the benefit of idle workers */
#define STEAL_ABOVE_US (10 * USEC_PER_MSEC) /* so much work left in a lease is worth a revoke */
#define FAIR_QUANTUM_LEAST_US (10 * USEC_PER_MSEC)
#define FAIR_QUANTUM_PER_CORE_US 20   /* so that a pool of any size gets at most 50,000 leases a second */
#define UNKNOWN_SHARD_US USEC_PER_SEC /* what a shard of unknown run time counts in the demand */
#define PLAN_TRIES_MAX 8	      /* of what the dispatcher itself could not do for a plan */
#define QUARANTINE_AFTER 20	      /* failures in a row, of two jobs or more, while others succeed */
#define TROUBLE_LOOK_US USEC_PER_SEC  /* till it looks again whether its disks can be written */

/* How long nothing may have been heard of a segment of output that no job needs before it is removed, in
 * times of worker_timeout: one that its worker has closed; one of a worker that is gone and did not say so.
 */
#define SEGMENT_CLOSED_TIMEOUTS 2
#define SEGMENT_LEFT_TIMEOUTS 20
/* Files of deduplication keys: so many at most, or two become one, so fast; how long a failure waits to be
 * mended; between two looks at what is out of the window. */
#define DEDUP_FILES_MAX 6
#define DEDUP_MERGE_BYTES_PER_SECOND (64 * MIB)
#define DEDUP_FAILED_US (5 * USEC_PER_SEC)
#define DEDUP_LOOK_US (60 * USEC_PER_SEC)
#define RETENTION_US (10 * USEC_PER_SEC)       /* between two looks at what is kept */
#define RETENTION_WALK_US (600 * USEC_PER_SEC) /* between two walks through the outputs' directories */

/* The dispatcher's HTTP API: how long a connection may take for … */
#define HTTP_HEAD_US (10 * USEC_PER_SEC) /* its first head */
#define HTTP_NEW_US (4 * USEC_PER_MSEC)	 /* it may say something before it has to leave for another */
#define HTTP_BODY_US (60 * USEC_PER_SEC) /* a body */
#define HTTP_SEND_US (60 * USEC_PER_SEC) /* taking its answer, unless that is a stream */
#define HTTP_IDLE_US (60 * USEC_PER_SEC) /* its next head, all of it */
/* Of one listener where there are descriptors enough (dispatcher/descriptors.h), connections that … */
#define HTTP_LOOSE_MAX 1024 /* say or take something, or do nothing */
#define HTTP_CALLS_MAX 1024
#define HTTP_FIRST_MAX 128 /* ask for a status, cancel, … */
#define HTTP_LONG_MAX 128
#define HTTP_STREAMS_MAX 128
#define HTTP_WAITS_MAX 4096
/* Its endpoint for workers */
#define HANDSHAKE_US (5 * USEC_PER_SEC)
#define STRANGERS_MAX 48	 /* connections of which no frame was heard yet */
#define STRANGER_US USEC_PER_SEC /* from then on one of them leaves for the next */

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
#define REPORT_LEASES                                                                                        \
	1024 /* of which something has ended: they are told soon, also while every slot has work behind its  \
		own */
#define SLOT_PARTS_MIN 2 /* of leases in a slot: the one in work, and one behind it */
#define SLOT_AHEAD_US                                                                                        \
	(2 * USEC_PER_MSEC) /* a slot holds more than that while they take no longer together                \
			     */
#define BACKFILL_SPARE_US                                                                                    \
	(2 * USEC_PER_MSEC) /* between the end of what a slot is lent for and the time that it is needed:    \
			       slots are looked at once a millisecond */
#define PARAMETERS_SPARE_BYTES_MAX (64 * MIB) /* definitions and jobs that no lease names, kept in case */
#define WORDS_LINES 5		     /* of what an attempt wrote to stderr: its words when it has failed */
#define RUNNER_SAID_BYTES (64 * KIB) /* of a runner's stderr, kept for a shard that has failed */
#define SLICES_BYTES_MAX (64 * MIB)  /* slices that a worker holds at one time: its byte credit */
#define REPORT_BYTES_MAX (WIRE_FRAME_BYTES_MAX / 2)

/* The scaler */
#define START_TIMEOUT_US (60 * USEC_PER_SEC) /* a start that has not registered by then has failed */
#define START_BACKOFF_US USEC_PER_SEC	     /* after the first failed start; it doubles */
#define DEMAND_STALE_US (30 * USEC_PER_SEC)  /* older demand decides nothing */
