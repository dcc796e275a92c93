/* Workers' connections: frames in and out. Each peer has a queue in order, for what its socket does not
 * take yet or what waits for history; a peer whose queue grows beyond its bound has lost frames, and is
 * told WHO, upon which it registers anew. */
#pragma once

#include "base/endpoint.h"
#include "dispatcher/server/server.h"

struct peer;

#define PEER_QUEUE_BYTES_MAX (16 * MIB) /* what its frames cost in memory */
#define PEER_JOBS_MAX 128 /* phases of jobs that a peer is remembered to hold; more are sent again */
#define PEER_DEFINITIONS_MAX 32

/* Binds the endpoint and takes frames from now on. */
int peers_open(struct server *s, struct error *reterr) MUST_CHECK;
void peers_close(struct server *s);
/* The file of allowed keys is read again; what is wrong with it is logged, and the keys before stay. */
void peers_reload_keys(struct server *s);
const char *peers_address(const struct peers *p);

/* Steps the frames that wait, at most a turn's worth. */
void peers_drain(struct server *s);
/* Are frames left for the next turn? */
bool peers_more(const struct peers *p);

/* A message of the core; LEASES get what belongs to them. */
void peers_send(struct server *s, const struct dispatcher_send *send);
/* The same, encoded before. */
void peers_send_frame(struct server *s, uint64_t peer, enum message_type type, struct bytes frame);
/* Ready-made: what leases.c puts beside the core's messages. */
void peers_put(struct server *s, uint64_t peer, enum message_type type, const void *body);
/* Leases that waited for history may go. */
void peers_history_grew(struct server *s, uint64_t lsn);

/* What the peer was sent in this session. The second returns whether it was remembered already, and
 * remembers it. */
bool peers_remember_definition(struct peers *p, uint64_t peer, struct bytes sha256);
bool peers_remember_job(struct peers *p, uint64_t peer, uint64_t job, uint32_t phase, uint32_t shard_count);

struct peers_counters {
	uint64_t peers;
	uint64_t frames_in;
	uint64_t frames_out;
	uint64_t denied;  /* of peers whose role may not say it */
	uint64_t dropped; /* frames to peers that were gone, or too slow */
	uint64_t queued_bytes;
};
void peers_counters(const struct peers *p, struct peers_counters *ret);
