#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "jobs/kinds.h"

void oracle_init(struct oracle *o, struct world *w, const struct scenario *s, struct coverage *c)
{
	memset(o, 0, sizeof *o);
	o->world = w;
	o->scenario = s;
	o->coverage = c;
}

void oracle_fini(struct oracle *o)
{
	for (size_t i = 0; i < o->job_count; i++)
		shard_set_fini(&o->jobs[i].opened);
	for (size_t i = 0; i < o->job_count; i++)
		for (size_t p = 0; p < ORACLE_PHASES; p++) {
			shard_set_fini(&o->jobs[i].phases[p].done);
			shard_set_fini(&o->jobs[i].phases[p].dead);
			free(o->jobs[i].phases[p].facts);
		}
	for (size_t i = 0; i < o->lease_count; i++) {
		shard_set_fini(&o->leases[i].well);
		shard_set_fini(&o->leases[i].synced);
		shard_set_fini(&o->leases[i].kept);
		free(o->leases[i].wholes);
	}
	free(o->jobs);
	free(o->leases);
	free(o->reported);
}

struct oracle_job *oracle_job(struct oracle *o, uint64_t id)
{
	for (size_t i = 0; i < o->job_count; i++)
		if (o->jobs[i].id == id)
			return &o->jobs[i];
	return NULL;
}

struct shard_facts *oracle_facts(struct oracle_job *j, uint32_t phase, uint32_t shard)
{
	struct oracle_phase *p = &j->phases[phase];

	CHECK(shard < ORACLE_FATED);
	if (p->facts == NULL)
		p->facts = check_calloc(ORACLE_FATED, sizeof *p->facts);
	return &p->facts[shard];
}

/* Leases go out when their slices were read; the newest is near the end. */
struct oracle_lease *oracle_find_lease(const struct oracle *o, struct token t)
{
	for (size_t i = o->lease_count; i > 0; i--) {
		struct oracle_lease *l = &o->leases[i - 1];

		if (l->token.epoch == t.epoch && l->token.lease == t.lease)
			return l;
		if (l->token.epoch < t.epoch)
			return NULL;
	}
	return NULL;
}

struct oracle_lease *oracle_lease(struct oracle *o, struct token t)
{
	struct oracle_lease *l = oracle_find_lease(o, t);

	if (l == NULL)
		world_fail(o->world, "token %u.%llu was never granted", t.epoch, (unsigned long long)t.lease);
	return l;
}

void oracle_granted(struct oracle *o, const struct lease *l)
{
	struct oracle_job *j = oracle_job(o, l->job);
	struct range r = {l->first, l->count};
	struct token last = o->lease_count ? o->leases[o->lease_count - 1].token : (struct token){0};
	struct oracle_lease *ol;

	if (j == NULL)
		world_fail(o->world, "shards of job %llu are leased before it is durable",
			   (unsigned long long)l->job);
	if (j->ended || l->phase != j->phase)
		world_fail(o->world, "phase %u of job %llu is leased; durable is phase %u%s", l->phase,
			   (unsigned long long)l->job, j->phase, j->ended ? ", and that it ended" : "");
	if (j->after != 0 || j->after_broken)
		world_fail(o->world, "job %llu is leased, but waits for another%s",
			   (unsigned long long)l->job, j->after_broken ? " in vain" : "");
	if (j->grouped && !j->active)
		world_fail(o->world, "job %llu is leased, but waits for its group",
			   (unsigned long long)l->job);
	if (j->by_shards && l->phase == 0 && !shard_set_contains_all(&j->opened, r))
		world_fail(o->world,
			   "shards %u+%u of job %llu are leased, but the same ones of the job that "
			   "they wait for are not durably done",
			   r.first, r.count, (unsigned long long)l->job);
	if (!range_is_valid(r, j->phases[l->phase].shard_count))
		world_fail(o->world, "shards %u+%u of job %llu are leased; %u are durable", r.first, r.count,
			   (unsigned long long)l->job, j->phases[l->phase].shard_count);
	if (l->token.epoch < last.epoch)
		world_fail(o->world, "token %u.%llu comes after epoch %u has begun", l->token.epoch,
			   (unsigned long long)l->token.lease, last.epoch);
	if (oracle_find_lease(o, l->token) != NULL)
		world_fail(o->world, "token %u.%llu is granted twice", l->token.epoch,
			   (unsigned long long)l->token.lease);
	/* While a slice is read, a late success of an earlier token may count. */
	if (l->slice.size == 0 && shard_set_contains_any(&j->phases[l->phase].done, r))
		world_fail(o->world, "shards %u+%u of job %llu are leased, but some are durably done",
			   r.first, r.count, (unsigned long long)l->job);
	oracle_rated(o, j, l);
	ARRAY_GROW(o->leases, o->lease_capacity, o->lease_count);
	ol = &o->leases[o->lease_count++];
	*ol = (struct oracle_lease){
	    .token = l->token, .job = (size_t)(j - o->jobs), .phase = l->phase, .range = r};
	SAY(o->world, "d: grants %u.%llu: job %llu phase %u shards %u+%u", l->token.epoch,
	    (unsigned long long)l->token.lease, (unsigned long long)l->job, l->phase, r.first, r.count);
}

/* ---- executions ---- */

void oracle_taken(struct oracle *o, struct token t)
{
	oracle_lease(o, t)->taken = true;
}

static struct oracle_job *executed(struct oracle *o, struct token t, struct range r,
				   struct oracle_lease **lease_ret)
{
	struct oracle_lease *l = oracle_lease(o, t);

	if (r.first < l->range.first || range_end(r) > range_end(l->range))
		world_fail(o->world, "shards %u+%u were run by token %u.%llu, which names %u+%u", r.first,
			   r.count, t.epoch, (unsigned long long)t.lease, l->range.first, l->range.count);
	*lease_ret = l;
	return &o->jobs[l->job];
}

static struct shard_facts *ended(struct oracle *o, struct token t, uint32_t shard)
{
	struct oracle_lease *l;
	struct oracle_job *j = executed(o, t, (struct range){shard, 1}, &l);
	struct shard_facts *f;

	if (shard >= ORACLE_FATED)
		return NULL;
	f = oracle_facts(j, l->phase, shard);
	f->ended++;
	return f;
}

void oracle_well(struct oracle *o, struct token t, struct range r)
{
	struct oracle_lease *l;
	uint64_t fated = range_end(r) < ORACLE_FATED ? range_end(r) : ORACLE_FATED;

	executed(o, t, r, &l);
	for (uint64_t i = r.first; i < fated; i++)
		oracle_facts(&o->jobs[l->job], l->phase, (uint32_t)i)->ended++;
	if (shard_set_contains_any(&l->well, r))
		world_fail(o->world, "token %u.%llu runs a shard of %u+%u twice", t.epoch,
			   (unsigned long long)t.lease, r.first, r.count);
	shard_set_add(&l->well, r.first, r.count);
}

void oracle_whole(struct oracle *o, struct token t, struct range r)
{
	struct oracle_lease *l = oracle_lease(o, t);

	ARRAY_GROW(l->wholes, l->whole_capacity, l->whole_count);
	l->wholes[l->whole_count++] = r;
}

void oracle_synced(struct oracle *o, struct token t, struct range r, bool failed)
{
	struct oracle_lease *l = oracle_lease(o, t);

	shard_set_add(failed ? &l->kept : &l->synced, r.first, r.count);
}

void oracle_failed(struct oracle *o, struct token t, uint32_t shard, enum fate fate)
{
	struct shard_facts *f = ended(o, t, shard);

	if (f == NULL)
		return;
	f->failed++;
	if (fate == FATE_FATAL)
		f->fatal++;
}

void oracle_crashed(struct oracle *o, struct token t, uint32_t shard)
{
	struct shard_facts *f = ended(o, t, shard);

	if (f != NULL)
		f->kills = true;
}

/* ---- answers ---- */

void oracle_answered(struct oracle *o, uint32_t sim_job, uint64_t job, bool repeat)
{
	struct oracle_event *e = &o->events[sim_job];
	const struct oracle_job *j = oracle_job(o, job);

	if (j == NULL)
		world_fail(o->world, "event %u is acknowledged before its job %llu is durable", sim_job,
			   (unsigned long long)job);
	if (j->sim_job != sim_job || j->chained || j->second)
		world_fail(o->world, "event %u is answered with job %llu, which is another's", sim_job,
			   (unsigned long long)job);
	if (e->answered_job != 0 && e->answered_job != job)
		world_fail(o->world, "event %u is answered with job %llu, before with %llu", sim_job,
			   (unsigned long long)job, (unsigned long long)e->answered_job);
	coverage_hit(o->coverage, repeat ? ROW_REPEATED : ROW_ACCEPTED, o->world->now_us);
	e->answered_job = job;
}

void oracle_cancel_asked(struct oracle *o, uint64_t job)
{
	struct oracle_job *j = oracle_job(o, job);

	if (j != NULL)
		j->cancel_asked = true;
}

void oracle_told_ended(struct oracle *o, uint64_t job)
{
	const struct oracle_job *j = oracle_job(o, job);

	if (j == NULL || !j->ended)
		world_fail(o->world, "job %llu is told as ended before that is durable",
			   (unsigned long long)job);
}

/* ---- the end ---- */

static bool job_is_quiet(const struct oracle_job *j)
{
	return j->ended && (j->settled || !j->event_due);
}

bool oracle_is_quiet(const struct oracle *o)
{
	for (size_t i = 0; i < o->scenario->job_count; i++)
		if (o->events[i].answered_job == 0 && !o->events[i].skipped)
			return false;
	for (size_t i = 0; i < o->job_count; i++)
		if (!job_is_quiet(&o->jobs[i]))
			return false;
	return true;
}

_Noreturn void oracle_fail_unquiet(const struct oracle *o, const char *when)
{
	for (size_t i = 0; i < o->scenario->job_count; i++)
		if (o->events[i].answered_job == 0 && !o->events[i].skipped)
			world_fail(o->world, "%s: event %zu is not answered", when, i);
	for (size_t i = 0; i < o->job_count; i++) {
		const struct oracle_job *j = &o->jobs[i];
		const struct oracle_phase *p = &j->phases[j->phase];

		if (job_is_quiet(j))
			continue;
		world_fail(o->world, "%s: job %llu has %s: phase %u, %u of %u shards are done, %u dead%s",
			   when, (unsigned long long)j->id,
			   j->ended ? "ended and is not settled" : "not ended", j->phase,
			   shard_set_count(&p->done), p->shard_count, shard_set_count(&p->dead),
			   p->sealed ? "" : ", not sealed");
	}
	world_fail(o->world, "%s: all is quiet, but the world goes on", when);
}

static size_t jobs_like(const struct oracle *o, uint32_t sim_job, uint64_t parent)
{
	size_t n = 0;

	for (size_t i = 0; i < o->job_count; i++)
		n += o->jobs[i].sim_job == sim_job && o->jobs[i].parent == parent;
	return n;
}

void oracle_finish(struct oracle *o)
{
	if (!oracle_is_quiet(o))
		oracle_fail_unquiet(o, "at the end");
	for (uint32_t i = 0; i < o->scenario->job_count; i++) {
		size_t n = jobs_like(o, i, 0), wanted = o->scenario->jobs[i].event_jobs;

		wanted -= o->events[i].skipped;

		if (n != wanted)
			world_fail(o->world, "event %u made %zu jobs, not %zu", i, n, wanted);
	}
	for (size_t i = 0; i < o->job_count; i++) {
		const struct oracle_job *j = &o->jobs[i];
		size_t n = jobs_like(o, j->sim_job, j->id);
		size_t wanted = o->scenario->jobs[j->sim_job].chains && !j->chained ? j->due_ends : 0;

		if (n != wanted)
			world_fail(o->world, "the ends of job %llu started %zu jobs, not %zu",
				   (unsigned long long)j->id, n, wanted);
	}
}
