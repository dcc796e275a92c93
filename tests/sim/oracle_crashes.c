/* Shards that were in work when their worker was lost. */
#include "tests/sim/oracle.h"

static void crash_dead(struct oracle *o, struct oracle_job *j, uint32_t phase, struct range r)
{
	if (shard_set_contains_any(&j->phases[phase].done, r))
		world_fail(o->world, "shards %u+%u of job %llu are done, and dead of crashes", r.first,
			   r.count, (unsigned long long)j->id);
	for (uint64_t i = r.first; i < range_end(r) && i < ORACLE_FATED; i++) {
		const struct shard_facts *f = oracle_facts(j, phase, (uint32_t)i);

		if (f->crashes < o->scenario->crashes_max ||
		    (!f->kills && !f->unlucky && o->world->harm_count == 0))
			world_fail(o->world, "shard %llu of job %llu is dead of %u crashes, and %s",
				   (unsigned long long)i, (unsigned long long)j->id, f->crashes,
				   f->kills ? "that is too few" : "never took a worker with it");
	}
	shard_set_add(&j->phases[phase].dead, r.first, r.count);
	coverage_hit(o->coverage, ROW_CRASH_DEAD, o->world->now_us);
}

static void count_crash(struct oracle_job *j, uint32_t phase, struct range r, bool taken)
{
	for (uint64_t i = r.first; i < range_end(r) && i < ORACLE_FATED; i++) {
		struct shard_facts *f = oracle_facts(j, phase, (uint32_t)i);

		f->crashes++;
		f->unlucky = f->unlucky || !taken;
	}
}

/* Did its worker live to hear of it? */
static bool was_taken(const struct oracle *o, struct token t)
{
	const struct oracle_lease *l = oracle_find_lease(o, t);

	return l != NULL && l->taken;
}

void oracle_lost(struct oracle *o, const struct crashed *c)
{
	struct oracle_job *j = oracle_alive(o, c->job, c->phase, "a crash");
	bool taken = was_taken(o, c->token);

	for (uint32_t i = 0; i < c->suspects.count; i++) {
		count_crash(j, c->phase,
			    (struct range){c->suspects.items[i].first, c->suspects.items[i].count}, taken);
		coverage_hit(o->coverage, ROW_CRASH_SUSPECT, o->world->now_us);
	}
	for (uint32_t i = 0; i < c->dead.count; i++) {
		count_crash(j, c->phase, c->dead.items[i], taken);
		crash_dead(o, j, c->phase, c->dead.items[i]);
	}
}
