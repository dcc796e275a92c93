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
	uint64_t peer;
	struct sent_ref jobs[SENT_JOBS_MAX];
	uint8_t definitions[SENT_DEFINITIONS_MAX][32];
	UT_hash_handle hh;
};

static struct sent *sent_of(struct engine *e, uint64_t peer)
{
	struct sent *s = NULL;

	HASH_FIND(hh, e->sent, &peer, sizeof(peer), s);
	if (s == NULL) {
		s = check_calloc(1, sizeof(*s));
		s->peer = peer;
		HASH_ADD(hh, e->sent, peer, sizeof(s->peer), s);
	}
	return s;
}

bool sent_definition(struct engine *e, uint64_t peer, struct bytes sha256)
{
	uint8_t *place;

	if (sha256.size != 32)
		return false;
	place = sent_of(e, peer)->definitions[sha256.data[0] % SENT_DEFINITIONS_MAX];
	if (memcmp(place, sha256.data, 32) == 0)
		return true;
	memcpy(place, sha256.data, 32);
	return false;
}

bool sent_job(struct engine *e, uint64_t peer, uint64_t job, uint32_t phase, uint32_t shard_count)
{
	struct sent_ref *place;

	if (shard_count <= 1) /* leased once: not worth a place */
		return false;
	place = &sent_of(e, peer)->jobs[(job * 31 + phase) % SENT_JOBS_MAX];
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
