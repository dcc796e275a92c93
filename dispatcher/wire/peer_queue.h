/* What peers.c and peer_queue.c share: the peers, and what waits to be sent to each. */
#pragma once

#include <uthash.h>

#include "base/zap.h"
#include "dispatcher/wire/peers.h"

struct peer_item {
	struct peer_item *next;
	size_t size;
	uint8_t bytes[];
};

struct peer {
	uint64_t number;
	struct peer_item *first, *last;
	size_t bytes;
	usec_t used_us;
	UT_hash_handle hh;
};

struct peers {
	struct services *services;
	void *context; /* libzmq's */
	struct zap *zap;
	struct endpoint *endpoint;
	struct loop_watch watch;
	struct loop_task prepare;
	struct loop_timer retry;
	usec_t swept_us;
	bool prepared;
	bool more;
	struct peer *by_number;
	struct peers_counters counters;
};

struct peer *peer_find(struct peers *p, uint64_t number, bool create);
void peer_remove(struct peers *p, struct peer *peer);
/* Queues it, whatever the socket takes. */
void peer_queue(struct peers *p, struct peer *peer, struct bytes frame);
/* Sends, or queues behind what waits. */
void peer_transmit(struct peers *p, struct peer *peer, struct bytes frame);
/* Sends from the front as far as it goes. */
void peer_flush(struct peers *p, struct peer *peer);
void peers_retry_soon(struct peers *p);
