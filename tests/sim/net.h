/* The simulated network between the dispatcher's ROUTER and each worker's DEALER, with what
 * ZeroMQ promises and no more: a connection keeps order; when it breaks, what was under way is
 * lost or lingers and arrives after frames of the next connection; a reconnect has a new peer
 * number; what a worker sends while it has no connection is queued and may be lost; a ROUTER
 * drops what it sends to a peer that is gone, and tells nobody.
 *
 * A frame may also be lost alone; then its connection breaks soon after (a full pipe, a
 * proxy that dies), because nothing that lives on loses frames. */
#pragma once

#include "tests/sim/coverage.h"
#include "tests/sim/world.h"

enum net_way {
	NET_UP,	  /* to the dispatcher */
	NET_DOWN, /* to the worker */
};

struct conn {
	uint64_t peer; /* the dispatcher's number for it: its index + 1, never used again */
	uint32_t host;
	uint64_t worker_life, dispatcher_life;
	bool broken;		/* both ends know */
	usec_t last_us[2];	/* arrival of the newest frame each way */
	usec_t lost_from_us[2]; /* what would arrive from then on is lost */
};

/* A worker process's socket. */
struct link {
	uint64_t life;		  /* of the worker; 0 = no process */
	size_t conn;		  /* index + 1; 0 = not connected */
	usec_t cut_until_us[2];	  /* a partition, each way */
	struct sim_frame **queue; /* sent while not connected */
	size_t queue_size;
	struct sim_frame *again; /* sent once more after the next connect; may be NULL */
};

/* In parts of a million of the frames. */
struct net_faults {
	uint32_t loss_ppm, duplicate_ppm, delay_ppm;
};

struct net {
	struct world *world;
	struct coverage *coverage;
	struct net_faults faults;
	struct conn *conns;
	size_t conn_count, conn_capacity;
	struct link links[SIM_HOSTS_MAX];
	uint64_t dispatcher_life; /* 0 = down */
	uint64_t lost_count, duplicate_count, late_count;
};

void net_init(struct net *n, struct world *w, struct coverage *c);
void net_fini(struct net *n);

/* A process starts to exist, or ends: with its sockets. */
void net_worker_up(struct net *n, uint32_t host, uint64_t life);
void net_worker_down(struct net *n, uint32_t host);
void net_dispatcher_up(struct net *n, uint64_t life);
void net_dispatcher_down(struct net *n);

void net_send_up(struct net *n, uint32_t host, struct bytes frame);
void net_send_down(struct net *n, uint64_t peer, struct bytes frame);

/* SIM_CONNECT and SIM_BREAK: whether the worker's socket is connected, or is not any more. */
bool net_connect(struct net *n, const struct sim_event *e);
bool net_broken(struct net *n, const struct sim_event *e);
/* SIM_TO_DISPATCHER, SIM_TO_WORKER: whether the frame arrives at a living process. */
bool net_arrives(struct net *n, const struct sim_event *e, struct conn **conn_ret);

/* The connection breaks now, if there is one; with linger what is under way up may still arrive, late. */
bool net_break(struct net *n, uint32_t host, bool linger);
/* Nothing passes the given ways until then; a long one also breaks the connection. */
void net_partition(struct net *n, uint32_t host, bool up, bool down, usec_t until_us);
