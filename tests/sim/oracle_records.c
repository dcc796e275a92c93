/* What the durable records say, held against what really happened. */
#include <string.h>

#include "base/array.h"
#include "jobs/kinds.h"
#include "tests/sim/oracle.h"

void oracle_hit(struct oracle *o, enum cover_row row)
{
	coverage_hit(o->coverage, row, o->world->now_us);
}

struct oracle_job *oracle_known(struct oracle *o, uint64_t id, const char *what)
{
	struct oracle_job *j = oracle_job(o, id);

	if (j == NULL)
		world_fail(o->world, "%s of job %llu, which does not exist", what, (unsigned long long)id);
	return j;
}

struct oracle_job *oracle_alive(struct oracle *o, uint64_t id, uint32_t phase, const char *what)
{
	struct oracle_job *j = oracle_known(o, id, what);

	if (j->ended || phase != j->phase)
		world_fail(o->world, "%s of job %llu phase %u; %s", what, (unsigned long long)id, phase,
			   j->ended ? "it has ended" : "that is not the phase in work");
	return j;
}

static void add_job(struct oracle *o, const struct accepted *a, const struct new_job *n)
{
	struct sim_job_value v;
	struct oracle_job *j;

	if (oracle_job(o, n->job) != NULL)
		world_fail(o->world, "job id %llu is given twice", (unsigned long long)n->job);
	if (n->values.count != 1 || n->values.items[0].text.size != sizeof v)
		world_fail(o->world, "job %llu lost its values", (unsigned long long)n->job);
	memcpy(&v, n->values.items[0].text.data, sizeof v);
	ARRAY_GROW(o->jobs, o->job_capacity, o->job_count);
	j = &o->jobs[o->job_count++];
	memset(j, 0, sizeof *j);
	j->id = n->job;
	j->sim_job = v.sim_job;
	j->second = v.second;
	j->chained = v.parent != 0;
	j->parent = v.parent;
	j->key_hi = a->key_hi;
	j->key_lo = a->key_lo;
	j->shards_phase = scenario_shards_phase(&o->scenario->jobs[j->sim_job]);
	j->phases[0].shard_count = n->plan.shard_count;
	j->phases[0].sealed = n->planner == PLANNER_PURE;
	j->deadline_wall_us = n->deadline_wall_us;
	oracle_awaits(o, j, v.after);
	oracle_joins(o, j, n);
	oracle_check_blocked(o, j, n);
	if (n->due_wall_us != 0)
		oracle_hit(o, ROW_HELD);
	if (j->chained)
		oracle_hit(o, ROW_CHAINED);
}

static void on_accepted(struct oracle *o, const struct accepted *a)
{
	for (size_t i = 0; i < o->job_count; i++)
		if (o->jobs[i].key_hi == a->key_hi && o->jobs[i].key_lo == a->key_lo)
			world_fail(o->world, "an event is accepted twice: its first job is %llu",
				   (unsigned long long)o->jobs[i].id);
	for (uint32_t i = 0; i < a->jobs.count; i++)
		add_job(o, a, &a->jobs.items[i]);
	if (a->jobs.count == 0)
		oracle_skipped(o, a->key_lo - 1);
}

/* ---- plans ---- */

static void on_piece(struct oracle *o, const struct plan_piece *p)
{
	struct oracle_job *j = oracle_alive(o, p->job, p->phase, "a piece");
	struct oracle_phase *ph = &j->phases[p->phase];

	ph->shard_count += p->count;
	if (ph->sealed || p->phase != j->shards_phase ||
	    ph->shard_count > o->scenario->jobs[j->sim_job].shard_count)
		world_fail(o->world, "job %llu is planned beyond its %u shards: %u",
			   (unsigned long long)j->id, o->scenario->jobs[j->sim_job].shard_count,
			   ph->shard_count);
	oracle_hit(o, ROW_PIECE);
}

static void on_sealed(struct oracle *o, const struct plan_sealed *p)
{
	struct oracle_job *j = oracle_alive(o, p->job, p->phase, "a seal");

	j->phases[p->phase].sealed = true;
	if (j->phases[p->phase].shard_count != o->scenario->jobs[j->sim_job].shard_count ||
	    p->plan.shard_count != j->phases[p->phase].shard_count)
		world_fail(o->world, "job %llu is sealed with %u shards of %u", (unsigned long long)j->id,
			   j->phases[p->phase].shard_count, o->scenario->jobs[j->sim_job].shard_count);
	oracle_hit(o, ROW_SEALED);
}

static void on_plan_failed(struct oracle *o, const struct plan_failed *p)
{
	struct oracle_job *j = oracle_alive(o, p->job, p->phase, "a planner's failure");

	if (p->due_wall_us == 0)
		j->planner_failed = true;
	oracle_hit(o, p->due_wall_us == 0 ? ROW_PLAN_DEAD : ROW_PLAN_RETRY);
}

static void on_phase(struct oracle *o, const struct phase_started *p)
{
	struct oracle_job *j = oracle_known(o, p->job, "a phase");
	struct oracle_phase *before = &j->phases[j->phase];

	if (p->phase != j->phase + 1 || p->phase >= ORACLE_PHASES)
		world_fail(o->world, "job %llu goes from phase %u to %u", (unsigned long long)j->id, j->phase,
			   p->phase);
	if (!before->sealed ||
	    (uint64_t)shard_set_count(&before->done) + shard_set_count(&before->dead) + oracle_barred(j) !=
		before->shard_count)
		world_fail(o->world, "job %llu begins phase %u with %u done and %u dead of %u",
			   (unsigned long long)j->id, p->phase, shard_set_count(&before->done),
			   shard_set_count(&before->dead), before->shard_count);
	j->phase = p->phase;
	oracle_shards_over(o, j);
	j->phases[p->phase].shard_count = p->plan.shard_count;
	j->phases[p->phase].sealed = p->phase != j->shards_phase;
	oracle_hit(o, j->phases[p->phase].sealed ? ROW_PHASE : ROW_PLAN_PHASE);
}

/* ---- outcomes ---- */

static void take_done(struct oracle *o, struct oracle_job *j, const struct oracle_lease *l, struct range r)
{
	struct oracle_phase *p = &j->phases[l->phase];
	bool synced = o->scenario->jobs[j->sim_job].durable_output;

	if (!range_is_valid(r, p->shard_count) || shard_set_contains_any(&p->done, r))
		world_fail(o->world,
			   "shards %u+%u of job %llu are counted as done a second time, or are none", r.first,
			   r.count, (unsigned long long)j->id);
	if (l->phase != j->shards_phase && oracle_is_earlier(j, l->token))
		world_fail(o->world, "a phase of job %llu's earlier life is taken for one of this",
			   (unsigned long long)j->id);
	if (!shard_set_contains_all(synced ? &l->synced : &l->well, r))
		world_fail(o->world,
			   "token %u.%llu is named for shards %u+%u of job %llu, which it did not %s",
			   l->token.epoch, (unsigned long long)l->token.lease, r.first, r.count,
			   (unsigned long long)j->id, synced ? "run and sync" : "run");
	shard_set_add(&p->done, r.first, r.count);
	oracle_shards_done(o, j, l->phase, r);
	shard_set_remove(&p->dead, r.first, r.count);
	oracle_hit(o, ROW_DONE);
}

static void count_failure(struct oracle *o, struct oracle_job *j, uint32_t phase, uint32_t shard,
			  const struct shard_failure *f)
{
	uint32_t budget = o->scenario->jobs[j->sim_job].attempts_max;
	struct shard_facts *facts = oracle_facts(j, phase, shard);

	facts->recorded++;
	if (++facts->recorded_ever > facts->failed)
		world_fail(o->world, "shard %u of job %llu failed %u times, the journal says %u", shard,
			   (unsigned long long)j->id, facts->failed, facts->recorded_ever);
	if (f->dead && facts->recorded < budget && facts->fatal == 0)
		world_fail(o->world, "shard %u of job %llu is dead after %u failures of %u", shard,
			   (unsigned long long)j->id, facts->recorded, budget);
	if (!f->dead && facts->recorded >= budget)
		world_fail(o->world, "shard %u of job %llu is tried again after %u failures of %u", shard,
			   (unsigned long long)j->id, facts->recorded, budget);
}

/* Where people look for the output of the dead, it has to be. */
static void check_kept(struct oracle *o, const struct oracle_job *j, const struct oracle_lease *l,
		       const struct shard_failure *f)
{
	if (f->segment == 0 ||
	    (f->dead && (!o->scenario->jobs[j->sim_job].durable_output ||
			 shard_set_contains_all(&l->kept, (struct range){f->first, f->count}))))
		return;
	world_fail(o->world, "the output of shards %u+%u of job %llu is named, which %s", f->first, f->count,
		   (unsigned long long)j->id, f->dead ? "nobody synced" : "are not dead");
}

static void take_failure(struct oracle *o, struct oracle_job *j, const struct oracle_lease *l,
			 const struct shard_failure *f)
{
	uint32_t phase = l->phase;
	struct oracle_phase *p = &j->phases[phase];
	struct range r = {f->first, f->count};

	if (!range_is_valid(r, p->shard_count) || shard_set_contains_any(&p->done, r) ||
	    shard_set_contains_any(&p->dead, r))
		world_fail(o->world, "shards %u+%u of job %llu are done, dead or none, and fail", r.first,
			   r.count, (unsigned long long)j->id);
	check_kept(o, j, l, f);
	if (f->dead)
		shard_set_add(&p->dead, r.first, r.count);
	for (uint64_t i = r.first; i < range_end(r) && i < ORACLE_FATED; i++)
		count_failure(o, j, phase, (uint32_t)i, f);
	oracle_hit(o, f->dead ? ROW_DEAD : ROW_RETRIED);
}

/* Half of an output would count shards of another's again. */
static void check_wholes(struct oracle *o, const struct oracle_lease *l, const struct range_list *done)
{
	for (size_t i = 0; i < l->whole_count; i++) {
		uint64_t counted = 0;

		for (uint32_t k = 0; k < done->count; k++)
			counted += range_intersect(done->items[k], l->wholes[i]).count;
		if (counted > 0 && counted < l->wholes[i].count)
			world_fail(o->world, "%llu of %u shards with one output, of token %u.%llu, are done",
				   (unsigned long long)counted, l->wholes[i].count, l->token.epoch,
				   (unsigned long long)l->token.lease);
	}
}

static void take_outcome(struct oracle *o, const struct outcome_taken *t)
{
	struct oracle_job *j = oracle_alive(o, t->job, t->phase, "an outcome");
	bool ran = t->done.count + t->failed.count > 0;
	/* What was only given back may never have gone out: its slice was still being read. */
	const struct oracle_lease *l = ran ? oracle_lease(o, t->token) : oracle_find_lease(o, t->token);

	if (l != NULL && (&o->jobs[l->job] != j || l->phase != t->phase))
		world_fail(o->world, "token %u.%llu is of another job or phase", t->token.epoch,
			   (unsigned long long)t->token.lease);
	if (ran)
		check_wholes(o, l, &t->done);
	for (uint32_t i = 0; i < t->done.count; i++)
		take_done(o, j, l, t->done.items[i]);
	for (uint32_t i = 0; i < t->failed.count; i++)
		take_failure(o, j, l, &t->failed.items[i]);
	for (uint32_t i = 0; i < t->returned.count; i++) {
		if (!range_is_valid(t->returned.items[i], j->phases[t->phase].shard_count))
			world_fail(o->world, "shards are given back that are none");
		oracle_hit(o, ROW_RETURNED);
	}
	totals_add(&j->totals, &t->totals);
}

static void on_outcomes(struct oracle *o, const struct outcomes_taken *t)
{
	for (uint32_t i = 0; i < t->outcomes.count; i++)
		take_outcome(o, &t->outcomes.items[i]);
}

static void on_retried(struct oracle *o, const struct retried *r)
{
	struct oracle_job *j = oracle_alive(o, r->job, r->phase, "a retry");

	for (uint32_t i = 0; i < r->shards.count; i++) {
		struct range s = r->shards.items[i];

		if (shard_set_remove(&j->phases[r->phase].dead, s.first, s.count) != s.count)
			world_fail(o->world, "shards %u+%u are revived, but were not dead", s.first, s.count);
		for (uint64_t k = s.first; k < range_end(s) && k < ORACLE_FATED; k++) {
			oracle_facts(j, r->phase, (uint32_t)k)->recorded = 0;
			oracle_facts(j, r->phase, (uint32_t)k)->crashes = 0;
		}
	}
	oracle_hit(o, ROW_REVIVED);
}

/* ---- the end of a job ---- */

static void on_changed(struct oracle *o, const struct job_changed *c)
{
	static const enum cover_row rows[] = {
	    [CHANGE_ACTIVATED] = ROW_ACTIVATED, [CHANGE_PAUSED] = ROW_PAUSED, [CHANGE_RESUMED] = ROW_RESUMED};

	struct oracle_job *j = oracle_known(o, c->job, "a change");

	if (c->change == CHANGE_ACTIVATED)
		oracle_activated(o, j);
	oracle_hit(o, rows[c->change]);
}

static void on_slice(struct oracle *o, const struct job_slice *s)
{
	struct oracle_job *j = oracle_known(o, s->job, "a slice");

	if (j->ended)
		world_fail(o->world, "job %llu has ended and is carried forward", (unsigned long long)j->id);
	for (uint32_t i = 0; i < s->done.count; i++)
		if (!shard_set_contains_all(&j->phases[s->phase].done, s->done.items[i]))
			world_fail(o->world, "job %llu is carried forward with shards done that are not",
				   (unsigned long long)j->id);
	oracle_hit(o, ROW_CARRIED);
}

void oracle_record(struct oracle *o, uint32_t type, const void *body)
{
	switch (type) {
	case RECORD_EPOCH:
		if (((const struct epoch_started *)body)->epoch != o->epoch + 1)
			world_fail(o->world, "after epoch %u comes %u", o->epoch,
				   ((const struct epoch_started *)body)->epoch);
		o->epoch++;
		break;
	case RECORD_ACCEPTED:
		on_accepted(o, body);
		break;
	case RECORD_PLAN_PIECE:
		on_piece(o, body);
		break;
	case RECORD_PLAN_SEALED:
		on_sealed(o, body);
		break;
	case RECORD_PLAN_FAILED:
		on_plan_failed(o, body);
		break;
	case RECORD_PHASE_STARTED:
		on_phase(o, body);
		break;
	case RECORD_OUTCOMES:
		on_outcomes(o, body);
		break;
	case RECORD_CRASHED:
		oracle_lost(o, body);
		break;
	case RECORD_RETRIED:
		on_retried(o, body);
		break;
	case RECORD_ENDED:
		oracle_ended(o, body);
		break;
	case RECORD_ENDED_BLOCK:
		oracle_ended_block(o, body);
		break;
	case RECORD_REOPENED:
		oracle_reopened(o, body);
		break;
	case RECORD_JOB_CHANGED:
		on_changed(o, body);
		break;
	case RECORD_SETTLED:
		oracle_known(o, ((const struct event_settled *)body)->job, "a settlement")->settled = true;
		break;
	case RECORD_JOB_SLICE:
		on_slice(o, body);
		break;
	default:
		break;
	}
}
