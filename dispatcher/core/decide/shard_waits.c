/* A job whose shards wait for the same shards of another: how these stand when it is accepted. */
#include "dispatcher/core/durable/shard_waits.h"

#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/decide/steps.h"
#include "jobs/phases.h"

#define BLOCKED_RANGES_MAX 65536u /* in one record */

static const struct after_job *find_asked(const struct new_job *j)
{
	for (uint32_t i = 0; i < j->after.count; i++)
		if (j->after.items[i].condition == AFTER_SHARD)
			return &j->after.items[i];
	return NULL;
}

static const struct ended_fact *find_fact(const struct ended_fact_list *facts, uint64_t job)
{
	for (uint32_t i = 0; i < facts->count; i++)
		if (facts->items[i].job == job)
			return &facts->items[i];
	return NULL;
}

/* Its row, if its shards are in work. */
static const struct job_row *row_at_shards(const struct dispatcher_core *core, uint64_t job)
{
	const struct job_row *row = job_get_live(core, job);

	return row != NULL && row->phase == phases_shards(&job_definition(core, row)->body) ? row : NULL;
}

static bool is_before_shards(const struct dispatcher_core *core, uint64_t job)
{
	const struct job_row *row = job_get_live(core, job);

	return row != NULL && (row->phase < phases_shards(&job_definition(core, row)->body) ||
			       (row_at_shards(core, job) != NULL && !(row->flags & JOB_SEALED)));
}

static bool is_whole(const struct dispatcher_core *core, const struct definition_body *given,
		     const struct new_job *j)
{
	const struct definition *def = definition_find(&core->d.definitions, j->definition);
	const struct definition_body *body = given != NULL ? given : def != NULL ? &def->body : NULL;

	return body != NULL && phases_shards(body) == 0 && j->planner == PLANNER_PURE;
}

int shard_wait_check(const struct dispatcher_core *core, const struct ended_fact_list *facts,
		     const struct definition_body *given, const struct new_job *j, struct error *reterr)
{
	const struct after_job *a = find_asked(j);
	unsigned long long job = a != NULL ? a->job : 0;
	const struct job_row *row = row_at_shards(core, job);
	const struct ended_fact *fact = find_fact(facts, job);
	uint32_t shards = row != NULL ? row->shard_count : fact != NULL ? fact->shards : 0;

	if (a == NULL)
		return 0;
	if (job >= core->d.next_job)
		return error_set(reterr, ERR_INVALID, "there is no job %llu to wait for", job);
	if (!is_whole(core, given, j))
		return error_set(
		    reterr, ERR_INVALID,
		    "shards can wait for those of another job only where their number is known at "
		    "once");
	if (is_before_shards(core, job)) {
		error_set(reterr, ERR_INVALID, "job %llu is not cut into shards yet", job);
		return error_help(reterr, "try again later");
	}
	if (row == NULL && fact == NULL)
		return error_set(reterr, ERR_BUSY, "how the shards of job %llu stand is not known", job);
	if (shards != j->plan.shard_count)
		return error_set(reterr, ERR_INVALID,
				 "job %llu has %u shards, and this one %u: each waits for the same one", job,
				 shards, j->plan.shard_count);
	if (row == NULL && fact->done.count >= BLOCKED_RANGES_MAX)
		return error_set(reterr, ERR_LIMIT, "the done shards of job %llu are too scattered", job);
	if (row != NULL && row->run != NULL && shard_set_run_count(&row->run->done) >= BLOCKED_RANGES_MAX)
		return error_set(reterr, ERR_BUSY, "the done shards of job %llu are too scattered", job);
	if (shard_waits_count(&core->d, job) >= SHARD_WAITERS_MAX)
		return error_set(reterr, ERR_BUSY,
				 "%d jobs wait for the shards of job %llu already, which is the most",
				 SHARD_WAITERS_MAX, job);
	return 0;
}

static void add_gap(struct range_list *list, uint64_t first, uint64_t end)
{
	if (first < end)
		list->items[list->count++] = range_between(first, end);
}

void shard_wait_left(struct dispatcher_core *core, const struct ended_fact_list *facts,
		     const struct new_job *asked, struct new_job *j)
{
	const struct after_job *a = find_asked(asked);
	const struct job_row *row = a != NULL ? row_at_shards(core, a->job) : NULL;
	const struct shard_set *done = row != NULL && row->run != NULL ? &row->run->done : NULL;
	const struct ended_fact *fact = row == NULL && a != NULL ? find_fact(facts, a->job) : NULL;
	uint32_t n = done != NULL ? shard_set_run_count(done) : fact != NULL ? fact->done.count : 0;
	uint64_t at = 0;
	struct range r;

	if (a == NULL)
		return;
	j->blocked.items = step_alloc(core, ((size_t)n + 1) * sizeof *j->blocked.items);
	for (uint64_t from = 0; done != NULL && shard_set_next_range(done, from, &r); from = at) {
		add_gap(&j->blocked, at, r.first);
		at = range_end(r);
	}
	for (uint32_t i = 0; fact != NULL && i < fact->done.count; i++) {
		add_gap(&j->blocked, at, fact->done.items[i].first);
		at = range_end(fact->done.items[i]);
	}
	add_gap(&j->blocked, at, j->plan.shard_count);
	if (row != NULL) /* wait_left has room for it */
		j->after.items[j->after.count++] = (struct after_job){a->job, AFTER_SHARD, row->phase};
}

const char *shard_wait_why(struct dispatcher_core *core, uint64_t barred)
{
	return step_text(core,
			 "%llu shard%s can no longer start: the same of the job that they wait for %s not "
			 "succeeded",
			 (unsigned long long)barred, barred == 1 ? "" : "s", barred == 1 ? "has" : "have");
}
