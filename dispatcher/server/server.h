/* The dispatcher's shell: one thread and its loop around the core. The map.
 *
 *   start.c     state directory, keys, journal and history, replay, rules, then the doors open
 *   step.c      inputs -> core -> records -> journal, a turn's worth as one commit
 *   release.c   effects: at once, or in lsn order when they are durable
 *   replies.c   who waits for the core's answer to a request
 *   peers.c     frames <-> core, roles, what waits to be sent to whom (peers.h)
 *   looks.c     LOOK and TAIL: who asked, and for how long they wait
 *   leases.c    LEASES get what they need beside them: definitions, jobs, slices
 *   slice.c     the values of just the leased shards
 *   unread.c    leases whose plan could not be read for the moment
 *   losses.c    what the state directory has lost
 *   carry.c     keeps the journal short
 *   dispatcher/api (HTTP), rules.c, intake/ (events), planners/: parts with headers of their own
 *
 * One turn of the loop: frames are drained, requests read, timers run, each of them an input; at its end
 * server_commit hands all records to the journal as one commit. Steps go on while it is in flight. With
 * nothing else queued the commit is made inline. Nothing here blocks but that. */
#pragma once

#include "base/fs.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/params.h"
#include "base/statedir.h"
#include "dispatcher/core/view.h"
#include "dispatcher/pools.h"
#include "dispatcher/server/looks.h"
#include "dispatcher/server/release.h"
#include "dispatcher/server/replies.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/journal.h"
#include "jobs/event.h"

struct api;
struct blobs;
struct buckets;
struct ended;
struct peers;
struct planners;
struct rules;

/* step.c's: what was emitted and is not submitted yet. */
struct steps {
	struct dispatcher_effects effects;
	struct buf batch; /* records */
	uint32_t batch_records;
	bool urgent;	      /* somebody waits for it: not to linger */
	uint64_t last_lsn;    /* of the last record emitted */
	uint64_t durable_lsn; /* as the core was told */
	uint64_t history_lsn; /* as the core was told */
	uint32_t epoch;
	struct buf later; /* inputs, encoded, for the end of the turn */
	struct loop_task turn_end;
	struct loop_timer tick;
	struct loop_timer linger;
};

struct carry {
	uint64_t oldest_lsn;	/* all live state is being written at or after this; 0 = at rest */
	uint64_t written_bytes; /* in this round */
	uint64_t done_lsn;	/* when this is durable and history is past oldest_lsn: trim; 0 = not yet */
	uint64_t wait_bytes;	/* of journal, before the next round may start */
	uint64_t look_lsn;	/* when to look again whether a round is due */
};

/* unread.c's. */
struct unread {
	struct unread_lease *first; /* the oldest */
	struct loop_timer timer;
};

struct server {
	const struct params *params;
	struct loop *loop;
	struct statedir state;
	char *plans_dir;
	char *output_dir;
	uint8_t dedup_secret[DEDUP_SECRET_BYTES];
	usec_t started_wall_us;
	bool open; /* INPUT_OPEN was stepped */
	bool stopping;
	struct dispatcher_core *core;
	struct journal *journal;
	struct history *history;
	struct history_reader *reader; /* of our own, for questions of a few rows */
	struct loop_watch journal_watch, history_watch;
	struct steps steps;
	struct release release;
	struct replies replies;
	struct looks looks;
	struct carry carry;
	struct unread unread;
	struct peers *peers;
	struct blobs *blobs;
	struct planners *planners;
	struct rules *rules;
	struct ended *ended;
	struct buckets *buckets;
	struct pools pools;
	struct api *api;
	uint64_t events_unmatched; /* that no rule matches: answered, counted, not kept */
};

/* ---- start.c ---- */

/* Opens all of it, in order. On failure server_close is due as well. */
int server_open(struct server *s, const struct params *params, struct error *reterr) MUST_CHECK;
/* Until SIGTERM or SIGINT. Leases stay with their workers. */
void server_run(struct server *s);
void server_close(struct server *s);

/* ---- step.c ---- */

void steps_init(struct server *s);
void steps_fini(struct server *s);
/* Steps the core and carries out or queues its effects. Never from within an effect: server_later. */
void server_step(struct server *s, enum input_type type, const void *body);
/* The same at the end of the turn; body is copied. For what effects bring about. */
void server_later(struct server *s, enum input_type type, const void *body);
/* Submits what was emitted; the journal's failure ends the process. */
void server_commit(struct server *s);
/* What is durable or in history has grown. */
void server_progress(struct server *s);
/* May a request be taken on? ERR_BUSY, or ERR_LIMIT when the disk is full; in words. */
int server_has_room(struct server *s, struct error *reterr) MUST_CHECK;

/* ---- carry.c ---- */

/* Once a turn: cheap when there is nothing to do. */
void carry_turn(struct server *s);

/* ---- leases.c ---- */

/* LEASES as they go out: PARAMETERS first for what the peer was not sent yet, slices in place.
 * ERR_BUSY: history is not past *ret_wait_lsn yet, nothing was sent. */
int leases_send(struct server *s, uint64_t peer, const struct leases *leases, uint64_t *ret_wait_lsn);
/* The same once more, for leases that unread.c has kept; tries: how often they could not be read. */
int leases_send_again(struct server *s, uint64_t peer, const struct leases *leases, uint32_t tries,
		      uint64_t *ret_wait_lsn);
/* The answer to NEED. */
void leases_answer_need(struct server *s, const struct dispatcher_parameters *need);

/* ---- unread.c ---- */

void unread_init(struct server *s);
void unread_fini(struct server *s);
/* What the lease needs could not be read: it is tried again and sent later; or its job has failed, when
 * that has been tried for half a minute or cannot help. */
void unread_keep(struct server *s, uint64_t peer, uint64_t session, const struct lease *l, uint32_t tries,
		 const struct error *e);

/* ---- slice.c ---- */

/* Appends the slice of the first *ret_count shards of the lease to out: as many as fit bytes_max, one at
 * least. ERR_BUSY as above; else the job cannot go on, and reterr says why. */
int slice_cut(struct server *s, const struct plan *plan, const struct lease *l, size_t bytes_max,
	      struct arena *arena, struct buf *out, uint32_t *ret_count, uint64_t *ret_wait_lsn,
	      struct error *reterr) MUST_CHECK;
