/* What the files of the engine share. */
#pragma once

#include "dispatcher/core/hash.h"
#include "dispatcher/engine/engine.h"

struct port {
	struct engine *engine;
};

/* ---- release.c ---- */

struct release {
	struct release_entry *now;     /* told at the end of the turn */
	struct release_entry *waiting; /* for an lsn, in its order */
	size_t count, bytes;
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

struct ticket_waiting {
	uint64_t request;
	struct ticket ticket;
	UT_hash_handle hh;
};

struct tickets {
	struct ticket_waiting *waiting; /* by request */
	uint64_t last;
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
	struct unread_lease *unread;
	struct engine_carry carry;
};

void engine_step(struct engine *e, enum input_type type, const void *body);
/* The same at the end of the turn, for what effects bring about; copied. */
void engine_later(struct engine *e, enum input_type type, const void *body);
/* Encodes and sends. */
void engine_send(struct engine *e, uint64_t peer, enum message_type type, const void *body);
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
bool sent_definition(struct engine *e, uint64_t peer, struct bytes sha256);
bool sent_job(struct engine *e, uint64_t peer, uint64_t job, uint32_t phase, uint32_t shard_count);
void sent_forget(struct engine *e, uint64_t peer);
void sent_fini(struct engine *e);

/* ---- leases.c ---- */

/* LEASES as they go out: PARAMETERS first for what the peer was not sent yet, slices in place. tries: how
 * often they could not be read (unread.c). */
void leases_send(struct engine *e, uint64_t peer, const struct leases *leases, uint32_t tries);
/* The answer to NEED. */
void leases_answer_need(struct engine *e, const struct dispatcher_parameters *need);

/* ---- unread.c ---- */

/* What the lease needs could not be read: it is tried again and sent later; or its job has failed, when
 * that has been tried for half a minute or cannot help. */
void unread_keep(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l, uint32_t tries,
		 const struct error *why);
/* History has to pass this lsn first. */
void unread_keep_until(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l,
		       uint32_t tries, uint64_t history_lsn);
usec_t unread_deadline(const struct engine *e);
void unread_tick(struct engine *e);
void unread_fini(struct engine *e);

/* ---- slice.c ---- */

/* Appends the slice of the first *ret_count shards of the lease to out: as many as fit bytes_max, one at
 * least. ERR_BUSY: history is not past *ret_wait_lsn yet; else the job cannot go on, and reterr says why. */
int slice_cut(struct engine *e, const struct plan *plan, const struct lease *l, size_t bytes_max,
	      struct arena *arena, struct buf *out, uint32_t *ret_count, uint64_t *ret_wait_lsn,
	      struct error *reterr) MUST_CHECK;
