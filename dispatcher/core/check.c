/* What always holds. A failure here is a bug of ours: CHECK ends the process before it is written. */
#include "dispatcher/core/volatile/groups.h"
#include "dispatcher/core/volatile/turns.h"
#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/volatile/shared.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/shard_waits.h"
#include "dispatcher/core/durable/waits.h"
#include "dispatcher/core/durable/windows.h"

/* Each shard stands in exactly one place: by number. */
static void check_counts(const struct job_row *row)
{
	const struct run *run = row->run;

	CHECK(run->frontier <= row->shard_count && run->ready_count <= row->shard_count);
	CHECK(run->queued_count <= row->shard_count && run->ready_count <= run->queued_count);
	CHECK((uint64_t)row->shard_count - run->frontier + shard_set_count(&run->returned) +
		  shard_set_count(&run->blocked) + shard_set_count(&run->done) + shards_dead_count(run) +
		  shards_delayed_count(run) + shards_special_count(run) + run->leased_shards ==
	      row->shard_count);
}

static void add_all(struct shard_set *all, const struct shard_set *s, const struct run *run)
{
	uint32_t n = shard_set_count(s);
	struct range r;

	shard_set_check(s);
	CHECK(shard_set_unite(all, s) == n); /* in no other */
	for (uint64_t at = 0; shard_set_next_range(s, at, &r); at = range_end(r))
		CHECK(range_end(r) <= run->frontier);
}

static uint64_t check_leases(const struct run *run, const struct job_row *row, struct shard_set *all)
{
	const struct lease_entry *lease;
	uint64_t held = 0;
	uint32_t n = 0;
	struct range r;

	DL_FOREACH2(run->leases, lease, job_next)
	{
		CHECK(lease->run == run && lease->job == run->job && lease->phase == row->phase);
		CHECK(!shard_set_is_empty(&lease->held));
		for (uint64_t at = 0; shard_set_next_range(&lease->held, at, &r); at = range_end(r))
			CHECK(r.first >= lease->first &&
			      range_end(r) <= (uint64_t)lease->first + lease->count);
		add_all(all, &lease->held, run);
		held += shard_set_count(&lease->held);
		n++;
	}
	CHECK(n == run->lease_count && held == run->leased_shards);
	return n;
}

static uint64_t check_run(const struct run *run, const struct job_row *row)
{
	struct shard_set all = {0};
	uint64_t leases;

	add_all(&all, &run->returned, run);
	add_all(&all, &run->done, run);
	add_all(&all, &run->blocked, run);
	for (uint32_t i = 0; i < run->dead_count; i++)
		add_all(&all, &run->dead[i].shards, run);
	for (uint32_t i = 0; i < run->delayed_count; i++) {
		CHECK(!shard_set_is_empty(&run->delayed[i].shards));
		CHECK(i == 0 || run->delayed[i - 1].due_wall_us <= run->delayed[i].due_wall_us);
		add_all(&all, &run->delayed[i].shards, run);
	}
	for (uint32_t i = 0; i < run->special_count; i++) {
		const struct special *s = &run->special[i];

		CHECK(!traits_none(s->traits) && range_is_valid(s->shards, row->shard_count));
		CHECK(i == 0 || range_end(run->special[i - 1].shards) <= s->shards.first);
		CHECK(shard_set_add(&all, s->shards.first, s->shards.count) == s->shards.count);
	}
	leases = check_leases(run, row, &all);
	CHECK(shard_set_count(&all) == run->frontier);
	for (uint32_t k = 0; k < run->failed_count; k++) {
		shard_set_check(&run->failed[k]);
		CHECK(!shard_set_contains_any(&run->failed[k], range_between(row->shard_count, SHARDS_MAX)));
	}
	for (uint32_t k = 1; k < run->failed_count; k++) {
		struct shard_set copy = {0};

		shard_set_copy(&copy, &run->failed[k]);
		shard_set_subtract(&copy, &run->failed[k - 1]);
		CHECK(shard_set_is_empty(&copy));
		shard_set_fini(&copy);
	}
	shard_set_fini(&all);
	return leases;
}

static void check_indexed(const struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	uint64_t hard, n = runnable_shards(core, job, row, &hard);

	CHECK((n > 0) == ((row->live_flags & JOB_RUNNABLE) != 0));
	CHECK((hard > 0) == ((row->live_flags & JOB_HARD) != 0));
	CHECK((n + hard > 0) == ((row->live_flags & JOB_DEMANDED) != 0));
}

static void check_touched(const struct dispatcher_core *core)
{
	for (uint32_t i = 0; i < core->d.touched_count; i++) {
		const struct job_row *row = job_get(core, core->d.touched[i]);

		if (row == NULL)
			continue;
		CHECK(!job_state_is_ended(row->state) || row->run == NULL);
		if (row->run != NULL)
			check_counts(row);
	}
}

struct counted {
	uint64_t live, held, ended, leases, runnable, hard, grouped, timed;
};

static void check_job(const struct dispatcher_core *core, uint64_t job, struct counted *t)
{
	const struct job_row *row = job_table_get(&core->d.jobs, job);

	if (row->state == 0) {
		CHECK(!core->open);
		return;
	}
	CHECK(job < core->d.next_job && row->definition < core->d.definitions.capacity);
	CHECK(definition_at(&core->d.definitions, row->definition) != NULL);
	if (job_state_is_ended(row->state)) {
		CHECK(row->run == NULL && !(row->live_flags & (JOB_RUNNABLE | JOB_HARD | JOB_DEMANDED)));
		t->ended++;
		return;
	}
	t->live++;
	t->held += row->state == JOB_HELD || (row->live_flags & JOB_WAITED);
	t->grouped += (row->flags & JOB_GROUPED) != 0;
	t->timed += (row->flags & JOB_TIMED) != 0;
	t->runnable += (row->live_flags & JOB_RUNNABLE) != 0;
	t->hard += (row->live_flags & JOB_HARD) != 0;
	if (row->run != NULL) {
		CHECK(row->run->job == job);
		check_counts(row);
		t->leases += check_run(row->run, row);
	}
	/* What is due by the clock becomes runnable in the next tick. */
	if (core->open && !(row->flags & JOB_RATED) && (row->run == NULL || row->run->delayed_count == 0))
		check_indexed(core, job, row);
}

static void check_workers(const struct dispatcher_core *core)
{
	const struct worker *w;

	for (w = core->d.workers; w != NULL; w = w->hh.next) {
		const struct lease_entry *lease;
		uint64_t held = 0, load_ns = 0;
		uint32_t n = 0;
		struct amounts used = {{0}};

		CHECK(!w->pinned && (w->leases != NULL || w->session != NULL));
		DL_FOREACH2(w->leases, lease, worker_next)
		{
			CHECK(lease->worker == w && lease_find(&core->d, lease->token) == lease);
			CHECK(!core->open || lease->shape != NULL);
			held += shard_set_count(&lease->held);
			load_ns += lease->load_ns;
			n++;
			if (lease->shape != NULL)
				amounts_add(&used,
					    amounts_doubled(&lease->shape->need, lease->traits.doublings));
		}
		CHECK(n == w->lease_count && held == w->leased_shards && load_ns == w->load_ns);
		if (w->session == NULL)
			continue;
		CHECK(w->session->worker == w && w->session->kill == NULL && w->session->revoke == NULL);
		for (uint32_t i = 0; i < AMOUNTS; i++)
			CHECK(w->session->used.v[i] == used.v[i]);
		CHECK(w->session->acked_seq <= w->session->seq);
	}
}

static void check_index(const struct dispatcher_core *core, const struct counted *t)
{
	uint64_t n = turns_check(core), jobs = 0;

	CHECK(n == t->runnable && n == core->runnable_jobs && t->hard == core->hard_count);
	for (uint32_t i = 0; i < core->shape_count; i++)
		if (core->shapes[i] != NULL)
			jobs += core->shapes[i]->plain_jobs + core->shapes[i]->demand_jobs;
	CHECK(jobs >= t->runnable && jobs <= t->live);
}

static void check_definitions(const struct dispatcher_core *core)
{
	const struct definition_table *defs = &core->d.definitions;
	uint32_t *references = check_calloc(defs->capacity + 1u, sizeof *references);

	for (uint64_t job = job_table_next(&core->d.jobs, 0); job != 0;
	     job = job_table_next(&core->d.jobs, job)) {
		const struct job_row *row = job_table_get(&core->d.jobs, job);

		if (row->state != 0)
			references[row->definition]++;
	}
	for (uint32_t i = 0; i < defs->capacity; i++)
		CHECK(references[i] == (defs->items[i] != NULL ? defs->items[i]->references : 0));
	free(references);
}

void dispatcher_core_check(const struct dispatcher_core *core, enum check_depth depth)
{
	struct counted t = {0};

	check_touched(core);
	if (depth == CHECK_TOUCHED)
		return;
	for (uint64_t job = job_table_next(&core->d.jobs, 0); job != 0;
	     job = job_table_next(&core->d.jobs, job))
		check_job(core, job, &t);
	CHECK(t.leases == HASH_COUNT(core->d.leases));
	windows_check(&core->d);
	waits_check(&core->d);
	shard_waits_check(&core->d);
	check_workers(core);
	shared_check(core);
	check_definitions(core);
	if (!core->open)
		return;
	CHECK(t.live == core->live_jobs && t.held == core->held_jobs && t.ended == core->ended_jobs);
	CHECK(t.grouped == groups_check(core) && t.timed == core->timed_jobs);
	check_index(core, &t);
	limits_check(core);
}
