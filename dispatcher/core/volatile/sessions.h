/* Sessions: who is here, what they offer, how long they were silent. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

struct session *session_find(const struct dispatcher_core *core, uint64_t id);
struct session *session_of_peer(const struct dispatcher_core *core, uint64_t peer);
/* Takes the worker's leases with it: what they use is counted. Takes the peer from whoever had it. */
struct session *session_create(struct dispatcher_core *core, uint64_t id, uint64_t peer,
			       struct worker *worker, const struct register_worker *m);
/* Its leases stay with the worker. */
void session_destroy(struct dispatcher_core *core, struct session *s);
void session_offer(struct dispatcher_core *core, struct session *s, const struct resources *credit);
/* It was heard of: it is the last to expire. */
void session_heard(struct dispatcher_core *core, struct session *s);
/* It may take more than when it was last looked at. */
void session_is_hungry(struct dispatcher_core *core, struct session *s);
void session_is_full(struct dispatcher_core *core, struct session *s);
/* Something new is there to take: all look again. */
void sessions_are_hungry(struct dispatcher_core *core);
/* Work waits: when no other worker is left to take it, those in quarantine get another chance. */
void quarantine_review(struct dispatcher_core *core);
/* A lease counts for its worker's session and its shape; after apply_hint, or when it is adopted. */
void session_bind(struct dispatcher_core *core, struct lease_entry *lease, struct shape *shape);
void session_await_ack(struct session *s, uint64_t lsn);
/* Reports up to this are durable. */
uint64_t session_acked(struct session *s, uint64_t durable_lsn);
/* May leases wait there behind others? As long as its work lasts for less than lease_ahead_us. */
bool session_may_hold_more(const struct dispatcher_core *core, const struct session *s);
bool session_takes_leases(const struct session *s);
/* Is its worker new enough for shards of this shape? */
static inline bool session_knows(const struct session *s, const struct shape *shape)
{
	return s->wire >= shape->wire_min;
}
