/* Definitions come to life in the core: their shapes and queues are interned, once each. */
#include <string.h>

#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/shared.h"
#include "dispatcher/core/volatile/turns.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/decide/steps.h"

/* The oldest version in which a worker does all that the phase asks for. */
static uint32_t wire_for(const struct run_spec *run)
{
	return run->stdin_bytes.size > 0 || run->stdin_file.size > 0 ? WIRE_VERSION_STDIN : 0;
}

static struct shape *shape_intern(struct dispatcher_core *core, const struct phase_def *phase,
				  struct error *reterr)
{
	const struct resources *r = &phase->policy.shape;
	uint32_t wire_min = wire_for(&phase->run);
	struct amounts need, shared;
	uint32_t free_at = core->shape_count;
	struct shape *s;
	bool ok, is_shared;

	if (amounts_of_shape(core, r, &need, reterr) < 0)
		return NULL;
	is_shared = shared_split(core, &need, &shared);
	for (uint32_t i = 0; i < core->shape_count; i++) {
		s = core->shapes[i];
		if (s == NULL)
			free_at = i < free_at ? i : free_at;
		else if (memcmp(&s->need, &need, sizeof need) == 0 &&
			 memcmp(&s->shared, &shared, sizeof shared) == 0 && s->wire_min == wire_min)
			return s;
	}
	if (free_at == core->shape_count) {
		core->shapes = check_realloc(core->shapes, core->shape_count + 1, sizeof s);
		core->shape_count++;
	}
	s = check_calloc(1, sizeof *s);
	s->need = need;
	s->shared = shared;
	s->is_shared = is_shared;
	s->wire_min = wire_min;
	s->index = free_at;
	arena_init(&s->arena, 0);
	ok = codec_copy(codec_resources(), r, &s->resources, &s->arena);
	CHECK(ok);
	core->shapes[free_at] = s;
	return s;
}

static void shape_release(struct dispatcher_core *core, struct shape *s)
{
	if (--s->references > 0)
		return;
	core->shapes[s->index] = NULL;
	share_line_fini(&s->queues);
	arena_fini(&s->arena);
	free(s);
}

struct queue *queue_find(const struct dispatcher_core *core, struct bytes name)
{
	for (uint32_t i = 0; i < core->queue_count; i++)
		if (core->queues[i] != NULL && bytes_equal(blob_bytes(&core->queues[i]->name), name))
			return core->queues[i];
	return NULL;
}

struct queue *queue_intern(struct dispatcher_core *core, struct bytes name)
{
	struct queue *q = queue_find(core, name);
	uint32_t free_at = 0;

	if (q != NULL)
		return q;
	while (free_at < core->queue_count && core->queues[free_at] != NULL)
		free_at++;
	if (free_at == core->queue_count) {
		core->queues = check_realloc(core->queues, core->queue_count + 1, sizeof q);
		core->queue_count++;
	}
	q = check_calloc(1, sizeof *q);
	q->index = free_at;
	blob_set(&q->name, name);
	core->queues[free_at] = q;
	limits_queue_init(core, q);
	turns_queue_init(core, q);
	return q;
}

void queue_release(struct dispatcher_core *core, struct queue *q)
{
	if (--q->references > 0)
		return;
	turns_queue_fini(core, q);
	limits_queue_fini(q);
	core->queues[q->index] = NULL;
	blob_fini(&q->name);
	free(q);
}

int definition_bind(struct dispatcher_core *core, struct definition *def, struct error *reterr)
{
	if (def->queue != NULL)
		return 0;
	for (uint32_t i = 0; i < def->body.phases.count; i++) {
		struct shape *s = shape_intern(core, &def->body.phases.items[i], reterr);

		if (s == NULL) {
			while (i-- > 0) {
				shape_release(core, def->shapes[i]);
				def->shapes[i] = NULL;
			}
			return ERR_LIMIT;
		}
		s->references++;
		def->shapes[i] = s;
	}
	def->queue = queue_intern(core, def->body.queue);
	def->queue->references++;
	estimates_recall(core, def);
	return 0;
}

void definition_unbind(struct dispatcher_core *core, struct definition *def)
{
	if (def->queue == NULL)
		return;
	for (uint32_t i = 0; i < PHASES_MAX && def->shapes[i] != NULL; i++)
		shape_release(core, def->shapes[i]);
	queue_release(core, def->queue);
	def->queue = NULL;
}

void definition_release(struct dispatcher_core *core, struct definition *def)
{
	if (def->references > 0)
		return;
	estimates_keep(core, def);
	definition_unbind(core, def);
	durable_remove_definition(&core->d, def);
}

static int check_phase(const struct phase_def *p, struct error *reterr)
{
	const struct policy *y = &p->policy;

	if (y->attempts_max < 1 || y->attempts_max > ATTEMPTS_MAX)
		return error_set(reterr, ERR_INVALID, "expected 1 to %d attempts, found %u", ATTEMPTS_MAX,
				 y->attempts_max);
	if (y->backoff_us < 0 || y->backoff_max_us < 0)
		return error_set(reterr, ERR_INVALID, "expected a backoff that is not negative");
	if (y->tolerate_kind > TOLERATE_FAILURES)
		return error_set(reterr, ERR_INVALID, "expected tolerate %s", tolerate_kind_names());
	if (p->fanin == 1)
		return error_set(reterr, ERR_INVALID, "a gather of one input a node never comes to an end");
	return 0;
}

int definition_check(const struct definition_body *body, struct error *reterr)
{
	if (body->sha256.size != 32)
		return error_set(reterr, ERR_INVALID, "expected a sha256 of 32 bytes, found %zu",
				 body->sha256.size);
	if (body->phases.count < 1 || body->phases.count > PHASES_MAX)
		return error_set(reterr, ERR_INVALID, "expected 1 to %d phases, found %u", PHASES_MAX,
				 body->phases.count);
	if (body->items_planner != 0 &&
	    (body->phases.count < 2 ||
	     (body->items_planner != PLANNER_LINES && body->items_planner != PLANNER_JSON_LINES)))
		return error_set(reterr, ERR_INVALID,
				 "a plan phase needs lines or json-lines, and a phase behind it");
	if (body->items_planner == 0 && body->phases.count == PHASES_MAX)
		return error_set(reterr, ERR_INVALID, "expected 1 to 2 phases without a plan phase, found %u",
				 body->phases.count);
	for (uint32_t i = 0; i < body->phases.count; i++) {
		int rc = check_phase(&body->phases.items[i], reterr);

		if (rc < 0)
			return rc;
	}
	return 0;
}
