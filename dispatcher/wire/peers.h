/* Workers' and producers' connections: frames in and out. Each peer has a queue in order, for what its socket
 * does not take yet; a peer whose queue grows beyond its bound has lost frames, and is told WHO, upon which
 * it registers anew. */
#pragma once

#include "base/endpoint.h"
#include "dispatcher/services.h"

struct peer;

#define PEER_QUEUE_BYTES_MAX (16 * MIB) /* what its frames cost in memory */

/* The file of allowed keys is read again; what is wrong with it is logged, and the keys before stay. */
void peers_reload_keys(struct peers *p);
const char *peers_address(const struct peers *p);

/* Submits the frames that wait, at most a turn's worth. */
void peers_drain(struct peers *p);
/* Are frames left for the next turn? NULL: no. */
bool peers_more(const struct peers *p);

void peers_send(struct peers *p, uint64_t peer, struct bytes frame);

struct peers_counters {
	uint64_t peers;
	uint64_t frames_in;
	uint64_t frames_out;
	uint64_t denied;  /* of peers whose role may not say it */
	uint64_t dropped; /* frames to peers that were gone, or too slow */
	uint64_t queued_bytes;
};
void peers_counters(const struct peers *p, struct peers_counters *ret);
