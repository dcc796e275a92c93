/* What peers.c and peer_queue.c share: the peers, and what waits to be sent to each. */
#pragma once

#include <uthash.h>

#include "base/zap.h"
#include "dispatcher/server/peers.h"

struct peer_item {
	struct peer_item *next;
	uint64_t wait_lsn; /* raw: history must be past it */
	bool raw;	   /* LEASES as the core gave them: leases_send is still to see them */
	size_t size;
	uint8_t bytes[];
};

struct peer_job {
	uint64_t job;
	uint32_t phase;
	uint32_t shard_count;
};

/* Both are filled by hash: a newcomer takes the place of another. */
struct peer_sent {
	struct peer_job jobs[PEER_JOBS_MAX];
	uint8_t definitions[PEER_DEFINITIONS_MAX][32];
};

struct peer {
	uint64_t number;
	struct peer_item *first, *last;
	size_t bytes;
	struct peer_sent *sent; /* NULL: nothing in this session */
	usec_t used_us;
	UT_hash_handle hh;
};

struct peers {
	void *context; /* libzmq's */
	struct zap *zap;
	struct endpoint *endpoint;
	struct loop_watch watch;
	struct loop_task prepare;
	struct loop_timer retry;
	usec_t swept_us;
	bool prepared;
	bool more;
	uint32_t waiting; /* peers whose queue begins with raw leases */
	struct peer *by_number;
	struct peers_counters counters;
};

struct peer *peer_find(struct peers *p, uint64_t number, bool create);
void peer_remove(struct peers *p, struct peer *peer);
void peer_forget_sent(struct peer *peer);
/* Sends, or queues behind what waits. */
void peer_transmit(struct server *s, struct peer *peer, struct bytes frame);
void peer_queue_leases(struct peers *p, struct peer *peer, const struct leases *leases, uint64_t wait_lsn);
/* Sends from the front as far as it goes. */
void peer_flush(struct server *s, struct peer *peer);
void peers_retry_soon(struct server *s);
