/* POST /v1/plan: what a submission would be cut into. */
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/api/submission.h"
#include "dispatcher/plan_words.h"
#include "dispatcher/planners/planners.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

#define ENDS PLAN_PREVIEW_ITEMS
#define ITEM_SHOWN_BYTES 1000u

struct planning {
	struct request *request;
	struct submission submission;
	struct plan_preview preview; /* its plan also where nobody had to look */
};

static void planning_destroy(void *state)
{
	struct planning *p = state;

	submission_fini(&p->submission);
	plan_preview_fini(&p->preview);
	free(p);
}

/* What a plan kind tells: its members are among those of the objects `plan` and `plan_shard`. */
static void set_facts(json_t *to, const struct plan_facts *facts)
{
	for (uint32_t i = 0; i < facts->count; i++) {
		const struct plan_fact *fact = &facts->items[i];

		json_object_set_new(to, fact->name,
				    fact->form == FACT_TEXT	? json_of_bytes(fact->text)
				    : fact->form == FACT_NUMBER ? json_integer((json_int_t)fact->number)
								: json_integer((json_int_t)fact->size));
	}
}

/* Of an item that is shown; empty where its shard has none. */
static struct bytes item_of(const struct plan_preview *v, uint32_t shard)
{
	const struct plan *p = &v->plan;
	struct bytes item = p->items.count > 0 ? p->items.items[shard].text
			    : shard < ENDS     ? buf_bytes(&v->first[shard])
					       : buf_bytes(&v->last[shard % ENDS]);

	if (item.size > ITEM_SHOWN_BYTES)
		item.size = ITEM_SHOWN_BYTES;
	return item;
}

static json_t *shard_json(const struct plan_preview *v, uint32_t shard)
{
	const struct plan_shard s = {.plan = &v->plan, .shard = shard, .item = item_of(v, shard)};
	struct plan_facts facts = {.count = 0};
	json_t *value = object_write(object_plan_shard(), &(struct api_plan_shard){.shard = shard});

	plan_row(v->plan.kind)->preview(&s, &facts);
	set_facts(value, &facts);
	return value;
}

static void set_object(json_t *value, const struct plan *p)
{
	const struct plan_row *row = plan_row(p->kind);
	struct plan_facts facts = {.count = 0};

	if (row->describe != NULL)
		row->describe(p, &facts);
	set_facts(value, &facts);
}

static void answer(struct planning *p)
{
	const struct definition *d = p->submission.definition;
	const struct plan *plan = &p->preview.plan;
	json_t *value, *first = json_array(), *last = json_array();
	bool known = d->body.items_planner == 0;
	uint32_t count = known ? plan->shard_count : 0;
	char definition[HEX_BYTES_MAX];
	struct buf why = {0};

	plan_sentence(d, plan, p->preview.at_least, &why);
	for (uint32_t i = 0; i < count && i < ENDS; i++)
		json_array_append_new(first, shard_json(&p->preview, i));
	for (uint32_t i = count > 2 * ENDS ? count - ENDS : ENDS; i < count; i++)
		json_array_append_new(last, shard_json(&p->preview, i));
	value = object_write(object_plan(), &(struct api_plan){
						.name = p->submission.job.name,
						.definition = hex_of(d->body.sha256, definition),
						.kind = bytes_of(plan_kind_name(d->shard.kind)),
						.has_shards = known,
						.shards = count,
						.at_least = p->preview.at_least,
						.why = buf_bytes(&why),
						.gather = d->body.phases.count > (known ? 1u : 2u),
						.first = first,
						.last = last,
					    });
	set_object(value, plan);
	buf_fini(&why);
	request_answer(p->request, MHD_HTTP_OK, value);
}

static void on_preview(struct plan_preview *preview)
{
	struct planning *p = preview->arg;

	if (preview->rc < 0)
		request_fail(p->request, &preview->error);
	else
		answer(p);
}

void api_plan(struct request *r)
{
	json_t *body = request_object(r);
	struct planning *p;
	struct error e = {0};

	if (body == NULL)
		return;
	p = check_calloc(1, sizeof(*p));
	p->request = r;
	arena_init(&p->preview.arena, 0);
	r->state = p;
	r->state_fini = planning_destroy;
	if (submission_read(&p->submission, body, &e) < 0) {
		request_fail(r, &e);
		return;
	}
	p->preview.planner = p->submission.job.planner;
	p->preview.plan = p->submission.job.plan;
	p->preview.done = on_preview;
	p->preview.arg = p;
	if (p->preview.planner == PLANNER_PURE)
		answer(p);
	else
		planners_preview(r->services->planners, &p->preview);
}
