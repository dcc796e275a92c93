/* What a command is told: its arguments and environment. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "jobs/plan.h"
#include "worker/run/attempt.h"

struct template_values attempt_values(const struct attempt *a)
{
	const struct worker_arm *arm = &a->work->arm;

	return (struct template_values){
	    .job = arm->job,
	    .job_name = arm->parameters->name,
	    .values = &arm->parameters->values,
	    .plan = &arm->parameters->plan,
	    .shard = a->shard,
	    .item = a->input.item,
	    .input_file = a->input.file,
	};
}

static char *keep(struct attempt *a, struct buf *b)
{
	char *text = (char *)(uintptr_t)arena_copy(&a->slot->arena, buf_bytes(b)).data;

	buf_clear(b);
	return text;
}

static int build_argv(struct attempt *a)
{
	uint32_t count = a->work->arm.run->run.argv.count;
	struct template_values values = attempt_values(a);
	struct buf b = {0};
	int rc = 0;

	a->argv = arena_alloc(&a->slot->arena, (count + 1) * sizeof *a->argv);
	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		rc = template_expand(&a->work->argv[i], &values, &b, &a->why);
		if (rc == 0)
			a->argv[i] = keep(a, &b);
	}
	buf_fini(&b);
	return rc;
}

/* What the plan gives the shard. */
static void add_plan(struct attempt *a, struct buf *b, uint32_t *count)
{
	const struct plan_shard shard = {
	    .plan = &a->work->arm.parameters->plan,
	    .shard = a->shard,
	    .item = a->input.item,
	    .aligned = a->input.ranged,
	    .first = a->input.first_byte,
	    .end = a->input.end,
	    .manifest = a->input.manifest,
	    .missing = a->input.missing,
	};
	const struct plan_row *row = plan_row(shard.plan->kind);
	struct plan_facts facts = {.count = 0};
	char digits[PLAN_FACT_DIGITS];

	if (row->environment != NULL)
		row->environment(&shard, &facts);
	for (uint32_t i = 0; i < facts.count; i++) {
		struct bytes value = fact_as_text(&facts.items[i], digits);

		buf_printf(b, "%s=%.*s", facts.items[i].name, (int)value.size, (const char *)value.data);
		a->envp[(*count)++] = keep(a, b);
	}
	if (a->input.file.size > 0) {
		buf_printf(b, "SHARDMILL_INPUT_FILE=%s", (const char *)a->input.file.data);
		a->envp[(*count)++] = keep(a, b);
	}
}

static int build_envp(struct attempt *a)
{
	const struct pair_list *env = &a->work->arm.run->run.env;
	const struct worker_arm *arm = &a->work->arm;
	struct template_values values = attempt_values(a);
	struct buf b = {0};
	uint32_t count = 0;
	int rc = 0;

	a->envp = arena_alloc(&a->slot->arena,
			      (a->work->env_fixed_count + env->count + PLAN_FACTS_MAX + 6) * sizeof *a->envp);
	buf_printf(&b, "SHARDMILL_ATTEMPT_ID=%s", a->id);
	a->envp[count++] = keep(a, &b);
	for (uint32_t i = 0; i < a->work->env_fixed_count; i++)
		a->envp[count++] = (char *)(uintptr_t)a->work->env_fixed[i].data;
	for (uint32_t i = 0; rc == 0 && i < env->count; i++) {
		buf_printf(&b, "%.*s=", (int)env->items[i].name.size, (const char *)env->items[i].name.data);
		rc = template_expand(&a->work->env[i], &values, &b, &a->why);
		if (rc == 0)
			a->envp[count++] = keep(a, &b);
	}
	buf_clear(&b);
	if (!a->has_shard) {
		buf_fini(&b);
		return rc;
	}
	buf_printf(&b, "SHARDMILL_SHARD=%u", a->shard);
	a->envp[count++] = keep(a, &b);
	buf_printf(&b, "SHARDMILL_ATTEMPT=%u", arm->attempt);
	a->envp[count++] = keep(a, &b);
	add_plan(a, &b, &count);
	buf_fini(&b);
	return rc;
}

static int find_program(struct attempt *a)
{
	char *path;

	a->path = a->work->path;
	if (a->path != NULL)
		return 0;
	path = arena_alloc(&a->slot->arena, PATH_BYTES);
	a->path = path;
	return work_find_program(a->work, a->argv[0], path, PATH_BYTES, &a->why);
}

int attempt_build_command(struct attempt *a)
{
	int rc = build_argv(a);

	if (rc == 0)
		rc = build_envp(a);
	return rc < 0 ? rc : find_program(a);
}

int attempt_command(struct slot *s, struct work *w, const char *id, struct runner_command *ret,
		    struct error *reterr)
{
	struct attempt a = {.slot = s, .work = w, .input = ATTEMPT_NO_INPUT};
	int rc;

	arena_reset(&s->arena);
	snprintf(a.id, sizeof a.id, "%s", id);
	rc = attempt_build_command(&a);
	*ret = (struct runner_command){a.path, a.argv, a.envp};
	if (rc < 0 && reterr != NULL)
		*reterr = a.why;
	return rc;
}
