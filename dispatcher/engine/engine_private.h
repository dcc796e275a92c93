/* What the files of the engine share. */
#pragma once

#include "base/hash.h"
#include "dispatcher/engine/engine.h"
#include "dispatcher/engine/slice.h"

struct port {
	struct engine *engine;
};

/* ---- release.c ---- */

struct release {
	struct release_entry *now;     /* told at the end of the turn */
	struct release_entry *waiting; /* for an lsn, in its order */
	size_t count;
	struct release_entry *spare; /* small ones that were let out, for the next */
	size_t spare_count;
};

/* All effects of the step that just was: what goes out to workers and planners goes at once or when it is
 * durable; what is told to others waits for the end of the turn as well. */
void release_effects(struct engine *e);
/* An item of the stream, with what it points to. */
void release_item(struct engine *e, const struct stream_item *item, uint64_t lsn);
/* Lets out what is due, as it was at the time of the call. Was there any? */
bool release_due(struct engine *e);
bool release_is_due(const struct engine *e);
void release_fini(struct engine *e);

/* ---- port.c ---- */

/* A place for a ticket. A request's number is that of its place, from 1, below how often the place was given:
 * so an answer finds it without a search, and one that comes twice finds nothing. */
struct ticket_place {
	struct ticket ticket;
	uint32_t times; /* given */
	uint32_t next;	/* free one, from 1; 0: none */
	bool waiting;
};

struct tickets {
	struct ticket_place *places;
	uint32_t count, capacity;
	uint32_t free; /* the first, from 1 */
};

void tickets_deliver(struct engine *e, const struct dispatcher_reply *reply);
/* Calls all waits up to lsn that were there at the time of the call. Was there any? */
bool waits_deliver(struct port_wait **list, uint64_t lsn);
void port_fini(struct engine *e);

/* ---- stream.c ---- */

struct stream {
	struct subscriber *subscribers;
	struct subscriber *next; /* the one to be called after this */
	uint32_t kinds;
	struct buf changed; /* jobs of this turn: uint64_t each */
};

void stream_job(struct engine *e, uint64_t job);
/* The jobs that changed so far become part of the stream. */
void stream_turn(struct engine *e);
bool stream_wants(const struct engine *e, enum stream_kind kind);
void stream_deliver(struct engine *e, const struct stream_item *item);

/* ---- carry.c ---- */

struct engine_carry {
	uint64_t oldest_lsn;	/* all live state is being written at or after this; 0 = at rest */
	uint64_t written_bytes; /* in this round */
	uint64_t done_lsn;	/* when this is durable and history is past oldest_lsn: trim; 0 = not yet */
	uint64_t wait_bytes;	/* of journal, before the next round may start */
	uint64_t look_lsn;	/* when to look again whether a round is due */
};

/* Once a turn: cheap when there is nothing to do. */
void carry_turn(struct engine *e);

/* ---- late.c ---- */

struct late {
	struct late_lease *first;
	uint32_t reads;	    /* that are under way */
	uint64_t last_read; /* its number */
};

/* ---- engine.c ---- */

struct engine {
	struct port port;
	const struct engine_ops *ops;
	void *arg; /* of ops */
	struct engine_bounds bounds;
	struct dispatcher_core *core;
	struct dispatcher_effects effects;
	bool open, stopping;
	bool stepping; /* its effects are in use: no other step */
	uint32_t epoch;
	uint64_t last_lsn;		   /* of the last record emitted */
	uint64_t durable_lsn, history_lsn; /* as the core was told */
	struct buf batch;		   /* records */
	uint32_t batch_records;
	bool urgent; /* somebody waits for it: not to linger */
	usec_t linger_until_us;
	struct buf later; /* inputs that effects bring about, encoded, for the end of the turn */
	struct buf frame; /* the one that is being sent */
	struct release release;
	struct tickets tickets;
	struct port_wait *durable_waits, *history_waits;
	struct stream stream;
	struct sent *sent;
	struct short_lease *shorts;
	uint32_t sent_sweep_at, shorts_sweep_at; /* so many are worth a sweep */
	struct late late;
	struct engine_carry carry;
};

void engine_step(struct engine *e, enum input_type type, const void *body);
/* The same at the end of the turn, for what effects bring about; copied. */
void engine_later(struct engine *e, enum input_type type, const void *body);
/* Encodes and sends; wire as in message_encode. */
void engine_send(struct engine *e, uint64_t peer, uint32_t wire, enum message_type type, const void *body);
/* In words, for the log. */
#define SAY_BYTES (ERROR_LINE_MAX + 100)
void engine_say(struct engine *e, bool warning, uint64_t job, const char *what);
static inline usec_t engine_now_us(const struct engine *e)
{
	return e->ops->mono_us(e->arg);
}

/* ---- sent.c ---- */

#define SENT_JOBS_MAX 128 /* phases of jobs that a peer is remembered to hold; more are sent again */
#define SENT_DEFINITIONS_MAX 32

/* What the peer was sent in this session. Each returns whether it was remembered already, and remembers it.
 */
bool sent_definition(struct engine *e, uint64_t peer, uint64_t session, struct bytes sha256);
bool sent_job(struct engine *e, uint64_t peer, uint64_t session, uint64_t job, uint32_t phase,
	      uint32_t shard_count);
void sent_forget(struct engine *e, uint64_t peer);
void sent_fini(struct engine *e);

/* ---- leases.c ---- */

#define SLICE_BYTES_MAX (2 * MIB)   /* of a lease; of all in one message that are not read */
#define SLICE_BYTES_MIN (128 * KIB) /* the largest item fits */

/* LEASES as they go out: PARAMETERS first for what the peer was not sent yet, slices in place. */
void leases_send(struct engine *e, uint64_t peer, const struct leases *leases);
/* One of them, with its slice. keep_end: shards from there on are asked back at once. */
void leases_send_one(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l,
		     struct bytes slice, uint32_t keep_end);
/* The answer to NEED. */
void leases_answer_need(struct engine *e, const struct dispatcher_parameters *need);

/* ---- late.c ---- */

/* The lease goes when its slice was read. */
void late_read(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l);
/* What the lease needs is damaged, or not there: its job has failed, or it is tried again. */
void late_fail(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l,
	       const struct error *why);
/* The end of a lease that has not gone out yet. False: it has. */
bool late_revoke(struct engine *e, uint64_t peer, const struct revoked *r);
usec_t late_deadline(const struct engine *e);
void late_tick(struct engine *e);
void late_fini(struct engine *e);

/* ---- short.c ---- */

#define SWEEP_MIN 64

/* Shards of the lease from keep_end on were asked back, since its slice does not hold them. */
void short_add(struct engine *e, struct token token, uint32_t keep_end);
/* Asks once more, of a worker that has registered. */
void short_ask(struct engine *e, uint64_t peer, const struct registered *r);
void short_fini(struct engine *e);
