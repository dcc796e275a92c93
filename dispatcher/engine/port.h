/* The one way into the dispatcher, and the one way out, for all that stands around it: HTTP, watched
 * directories, planners, workers' frames, the ends of jobs. Whoever brings something in submits an input;
 * whoever tells of something subscribes to the stream. Nobody needs to know more of the engine than this.
 *
 * Tickets, waits and the stream are delivered at the end of a turn, in the order of their lsn, once they are
 * durable. Each of them may submit inputs of its own. Not thread safe. */
#pragma once

#include "dispatcher/core/view.h"

struct port;

/* ---- in ---- */

/* The core's answer to an input; borrowed for the call. Called once, unless the engine ends before. */
typedef void ticket_fn(void *arg, const struct dispatcher_reply *reply);

struct ticket {
	ticket_fn *fn;
	void *arg;
};

/* body: the struct of the type. With a ticket its `request` is set, and the type must have one; NULL: nobody
 * waits. What it points to is borrowed for the call. */
void port_submit(struct port *p, enum input_type type, void *body, const struct ticket *ticket);

/* May an input be taken on? ERR_BUSY, or ERR_LIMIT when the disk is full; in words. */
int port_has_room(const struct port *p, struct error *reterr) MUST_CHECK;

struct port_view {
	const struct dispatcher_core *core; /* read by view.h */
	uint64_t last_lsn;		    /* of the newest record */
	uint64_t durable_lsn, history_lsn;  /* as the core knows them */
};
struct port_view port_view(const struct port *p);

/* The caller's memory; all zero, or waiting, or called. */
typedef void port_wait_fn(void *arg);

struct port_wait {
	port_wait_fn *fn;
	void *arg;
	uint64_t lsn;
	struct port_wait **list; /* NULL: it waits for nothing */
	struct port_wait *prev, *next;
};

/* fn is called when this lsn is durable, or when history has passed it; never before the turn's end. */
void port_when_durable(struct port *p, uint64_t lsn, struct port_wait *w);
void port_when_in_history(struct port *p, uint64_t lsn, struct port_wait *w);
/* Fine for one that waits for nothing. */
void port_wait_cancel(struct port_wait *w);

/* ---- out ---- */

enum stream_kind {
	STREAM_JOB = 1,	  /* something of it changed */
	STREAM_JOB_ENDED, /* for the rules, which do not hear of jobs that were cancelled: told once in each
			     of its lives, and again after a restart until it is settled */
	STREAM_WORKER,	  /* it registered, left, drains, or has trouble */
	STREAM_POOL,	  /* somebody reported it */
	STREAM_LOOKED,	  /* a worker has answered LOOK or TAIL */
};

/* Borrowed for the call. */
struct stream_item {
	enum stream_kind kind;
	uint64_t lsn;
	union {
		uint64_t job;
		const struct job_ended *ended;
		struct uuid worker;
		struct bytes pool;
		const struct dispatcher_looked *looked;
	};
};

typedef void stream_fn(void *arg, const struct stream_item *item);

/* The caller's memory, which stays where it is. */
struct subscriber {
	stream_fn *fn;
	void *arg;
	uint32_t kinds; /* 1 << enum stream_kind */
	struct subscriber *prev, *next;
};

/* Called in the order in which they subscribed. One may subscribe or unsubscribe within its own call. */
void port_subscribe(struct port *p, struct subscriber *s);
void port_unsubscribe(struct port *p, struct subscriber *s);
/* Who knows something that the core does not: it becomes part of the stream. Copied. */
void port_tell_pool(struct port *p, struct bytes name);
