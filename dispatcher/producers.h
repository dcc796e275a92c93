/* Producers: who sends events as frames, by the socket of workers, with a key of the role `producer`.
 *
 * A producer opens a session and is told its credit: how many events, and bytes of them, it may have without
 * an answer. An event is answered when it is durable, so an answered event is never lost; what had no answer
 * when a connection or the dispatcher ended is sent again, and the deduplication of events knows what was
 * taken before. An event that is not one is refused by its number, and its neighbours are taken. While the
 * journal has no room, the rules cannot be read or too many jobs live, no credit is given; what came within
 * the credit before waits here and is taken later.
 *
 * Knows rules and the engine's port. Does not know sockets: whoever has them hands frames in, and is given
 * frames. Bounds: PRODUCERS_MAX sessions, PRODUCER_BYTES_MAX each of frames that wait. Thread: the loop's. */
#pragma once

#include "base/limits.h"
#include "dispatcher/services.h"

struct producers;

#define PRODUCERS_MAX 128u			  /* sessions at one time */
#define PRODUCERS_WIDE 8u			  /* the first of them get all of: */
#define PRODUCER_BYTES_MAX (4 * MIB)		  /* credit of one; later ones get: */
#define PRODUCER_BYTES_LEAST WIRE_FRAME_BYTES_MAX /* as much as the largest event needs */
#define PRODUCER_EVENTS_MAX 16384u		  /* without an answer */

typedef void producers_send_fn(void *arg, uint64_t peer, struct bytes frame);
/* By whom answers go out; NULL: they are dropped. */
void producers_speak_by(struct producers *p, producers_send_fn *send, void *arg);
/* A frame of a peer whose key has the role and this name (copied). */
void producers_frame(struct producers *p, uint64_t peer, const char *name, struct bytes frame);

struct producers_counters {
	uint64_t sessions;
	uint64_t events;	/* answered: durable, known already, matched by no rule, or refused */
	uint64_t refused;	/* records that are no events, or never taken */
	uint64_t waiting_bytes; /* of frames that are not answered yet */
	uint64_t strange;	/* frames that no producer should send */
};
void producers_counters(const struct producers *p, struct producers_counters *ret);
