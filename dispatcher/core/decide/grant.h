/* How leases are written: one round a session, one record, one message. Pure. */
#pragma once

#include "base/plant.h"
#include "dispatcher/core/volatile/state.h"

struct candidate {
	struct range shards; /* count 0: none */
	struct traits traits;
	bool is_whole; /* more would not be its turn */
};

struct turn_entry;

struct grant_round {
	struct dispatcher_core *core;
	struct session *session;
	struct granted record;
	struct lease_list leases;
	uint32_t capacity;
	uint64_t after_lsn;	  /* the leases leave when this is durable; 0 = at once */
	struct grant_round *next; /* of the step */
};

void grant_open(struct dispatcher_core *core, struct grant_round *g, struct session *s);
/* Leases the candidate's shards, or the first of them that are at the same attempt; applied at once. e:
 * whose turn it is, and who is charged; NULL: nobody's, it goes before all. */
void grant_add(struct grant_round *g, uint64_t job, struct job_row *row, struct candidate c,
	       const struct turn_entry *e);
/* The first shards of the entry's first job, as many as one lease may hold. */
void grant_from(struct grant_round *g, const struct turn_entry *e);
/* May it be sent before what the session holds, though that lasts long enough? */
bool grant_may_be_sent_before(const struct dispatcher_core *core, const struct session *s,
			      const struct turn_entry *e);
/* grant_overtake.c */
void grant_overtaking(struct grant_round *g);
/* Writes the record and the message, if anything was added. */
void grant_close(struct grant_round *g);
