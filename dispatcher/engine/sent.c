/* What a peer was sent in its session, so that it is not sent twice. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/engine/engine_private.h"

struct sent_ref {
	uint64_t job;
	uint32_t phase;
	uint32_t shard_count;
};

/* Both are filled by hash: a newcomer takes the place of another. */
struct sent {
	uint64_t peer, session;
	struct sent_ref jobs[SENT_JOBS_MAX];
	uint8_t definitions[SENT_DEFINITIONS_MAX][32];
	UT_hash_handle hh;
};

/* Those of sessions that are over. */
static void sweep(struct engine *e)
{
	struct sent *s, *next;

	HASH_ITER (hh, e->sent, s, next)
		if (dispatcher_view_wire(e->core, s->session) == 0)
			sent_forget(e, s->peer);
	e->sent_sweep_at = 2 * HASH_COUNT(e->sent) + SWEEP_MIN;
}

/* NULL: of a session that another one has followed. */
static struct sent *sent_of(struct engine *e, uint64_t peer, uint64_t session)
{
	struct sent *s = NULL;

	HASH_FIND(hh, e->sent, &peer, sizeof(peer), s);
	if (s != NULL && s->session == session)
		return s;
	if (s != NULL && s->session > session)
		return NULL;
	sent_forget(e, peer);
	if (HASH_COUNT(e->sent) >= e->sent_sweep_at)
		sweep(e);
	s = check_calloc(1, sizeof(*s));
	s->peer = peer;
	s->session = session;
	HASH_ADD(hh, e->sent, peer, sizeof(s->peer), s);
	return s;
}

bool sent_definition(struct engine *e, uint64_t peer, uint64_t session, struct bytes sha256)
{
	struct sent *s = sent_of(e, peer, session);
	uint8_t *place;

	if (s == NULL || sha256.size != 32)
		return false;
	place = s->definitions[sha256.data[0] % SENT_DEFINITIONS_MAX];
	if (memcmp(place, sha256.data, 32) == 0)
		return true;
	memcpy(place, sha256.data, 32);
	return false;
}

bool sent_job(struct engine *e, uint64_t peer, uint64_t session, uint64_t job, uint32_t phase,
	      uint32_t shard_count)
{
	struct sent *s = shard_count <= 1 ? NULL /* leased once: not worth a place */
					  : sent_of(e, peer, session);
	struct sent_ref *place;

	if (s == NULL)
		return false;
	place = &s->jobs[(job * 31 + phase) % SENT_JOBS_MAX];
	if (place->job == job && place->phase == phase && place->shard_count == shard_count)
		return true;
	*place = (struct sent_ref){.job = job, .phase = phase, .shard_count = shard_count};
	return false;
}

void sent_forget(struct engine *e, uint64_t peer)
{
	struct sent *s = NULL;

	HASH_FIND(hh, e->sent, &peer, sizeof(peer), s);
	if (s == NULL)
		return;
	HASH_DELETE(hh, e->sent, s);
	free(s);
}

void sent_fini(struct engine *e)
{
	while (e->sent != NULL)
		sent_forget(e, e->sent->peer);
}
