#include "base/plant.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/decide/steps.h"

struct job_row *job_get(const struct dispatcher_core *core, uint64_t job)
{
	struct job_row *row = job == 0 ? NULL : job_table_get(&core->d.jobs, job);

	return row != NULL && row->state != 0 ? row : NULL;
}

struct job_row *job_get_live(const struct dispatcher_core *core, uint64_t job)
{
	struct job_row *row = job_get(core, job);

	return row != NULL && !job_state_is_ended(row->state) ? row : NULL;
}

bool job_may_have_items(const struct dispatcher_core *core, const struct job_row *row)
{
	const struct definition *def = job_definition(core, row);

	return !def->known || row->planner > PLANNER_SIZE || def->body.items_planner != 0;
}

struct definition *job_definition(const struct dispatcher_core *core, const struct job_row *row)
{
	return definition_at(&core->d.definitions, row->definition);
}

const struct policy *job_policy(const struct dispatcher_core *core, const struct job_row *row)
{
	return definition_policy(job_definition(core, row), row->phase);
}

struct shape *job_shape(const struct dispatcher_core *core, const struct job_row *row)
{
	struct definition *def = job_definition(core, row);

	return def->shapes[definition_phase(def, row->phase)];
}

void job_plan_of(const struct job_row *row, const struct new_job *body, struct plan *ret, struct arena *arena)
{
	*ret = body->plan;
	if (row->run != NULL && row->run->plan.size > 0)
		CHECK(codec_decode(codec_plan(), blob_bytes(&row->run->plan), ret, arena, NULL) == 0);
	ret->shard_count = row->shard_count;
}

void job_plan(const struct dispatcher_core *core, const struct job_row *row, struct plan *ret,
	      struct arena *arena)
{
	struct new_job body = {0};

	(void)core;
	if (row->run == NULL || row->run->plan.size == 0)
		job_row_body(row, codec_new_job(), &body, arena);
	job_plan_of(row, &body, ret, arena);
}

bool job_token_is_earlier(const struct job_row *row, struct token token)
{
	return row->run != NULL && token_compare(token, row->run->earlier) <= 0 &&
	       !PLANTED(earlier_gather_counts);
}
