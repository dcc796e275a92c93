/* What a worker was told is safe: it forgets the outcome, so nobody else may lose it. */
#include <stdlib.h>

#include "base/array.h"
#include "tests/sim/oracle.h"

static void remember(struct oracle *o, const struct oracle_reported *r)
{
	ARRAY_GROW(o->reported, o->reported_capacity, o->reported_count);
	o->reported[o->reported_count++] = *r;
}

/* Of this worker's earlier sessions nothing is acknowledged any more. */
static void forget_older(struct oracle *o, uint32_t host, uint64_t session)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->reported_count; i++)
		if (o->reported[i].host != host || o->reported[i].session == session)
			o->reported[kept++] = o->reported[i];
	o->reported_count = kept;
}

/* Sent again, perhaps with less in it: of what was killed since it says nothing any more. Was its first
 * sending moot? */
static bool forget_first(struct oracle *o, const struct report *r)
{
	size_t kept = 0;
	bool moot = false;

	for (size_t i = 0; i < o->reported_count; i++) {
		if (o->reported[i].session == r->session && o->reported[i].seq == r->seq)
			moot |= o->reported[i].moot;
		else
			o->reported[kept++] = o->reported[i];
	}
	o->reported_count = kept;
	return moot;
}

void oracle_reported(struct oracle *o, uint32_t host, const struct report *r)
{
	bool moot;

	forget_older(o, host, r->session);
	if (o->acked[host].session != r->session)
		o->acked[host] = (struct oracle_acked){.session = r->session};
	if (r->seq <= o->acked[host].seq)
		return;
	moot = forget_first(o, r);
	for (uint32_t i = 0; i < r->outcomes.count; i++) {
		const struct outcome *out = &r->outcomes.items[i];

		for (uint32_t k = 0; k < out->done.count; k++)
			remember(o, &(struct oracle_reported){.host = host,
							      .session = r->session,
							      .seq = r->seq,
							      .token = out->token,
							      .job = out->job,
							      .phase = out->phase,
							      .done = out->done.items[k],
							      .whole = out->whole,
							      .moot = moot});
	}
}

/* A whole may have counted for nothing, but only because some of it was done before. */
static bool is_safe(const struct oracle_job *j, const struct oracle_reported *r)
{
	const struct shard_set *done = &j->phases[r->phase].done;

	return j->ended || j->phase > r->phase || shard_set_contains_all(done, r->done) ||
	       (r->whole && shard_set_contains_any(done, r->done));
}

static void check_safe(struct oracle *o, const struct oracle_reported *r)
{
	const struct oracle_job *j = oracle_job(o, r->job);

	if (j != NULL && r->phase != j->shards_phase && oracle_is_earlier(j, r->token))
		return; /* of a gather before the job was reopened: it counts for nothing */
	if (j != NULL && j->grouped && oracle_is_earlier(j, r->token))
		return; /* it may have come while the job waited for its group again: late */
	if (j != NULL && (r->moot || is_safe(j, r)))
		return;
	world_fail(o->world, "shards %u+%u of job %llu are acknowledged as done before that is durable",
		   r->done.first, r->done.count, (unsigned long long)r->job);
}

void oracle_acknowledged(struct oracle *o, uint64_t session, uint64_t seq)
{
	size_t kept = 0;

	for (size_t host = 0; host < SIM_HOSTS_MAX; host++)
		if (o->acked[host].session == session && o->acked[host].seq < seq)
			o->acked[host].seq = seq;
	for (size_t i = 0; i < o->reported_count; i++) {
		struct oracle_reported r = o->reported[i];

		if (r.session == session && r.seq <= seq)
			check_safe(o, &r);
		else
			o->reported[kept++] = r;
	}
	o->reported_count = kept;
}
