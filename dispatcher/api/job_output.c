/* What the definition of a job says: where its results stand, and what numbers its shards have. */
#include "dispatcher/api/job_output.h"
#include "jobs/definition.h"
#include "jobs/event.h"
#include "jobs/json.h"
#include "jobs/plan.h"
#include "jobs/result.h"

static bool is_gathered(const struct definition_body *body)
{
	const struct phase_def_list *phases = &body->phases;

	return phases->count > 0 && bytes_equal(phases->items[phases->count - 1].name, BYTES_LIT("gather"));
}

static void add_url(json_t *value, const struct definition_body *body, const struct template_values *values)
{
	struct buf url = {0};

	if (result_urls(body->output, &body->value_names, values, is_gathered(body), &url, NULL) == 0)
		json_object_set_new(value, "output", json_of_bytes(buf_bytes(&url)));
	buf_fini(&url);
}

/* ---- its array ---- */

/* The plan that the definition gives at once, where that has numbers; in the arena. */
static bool plan_of_definition(const struct definition *d, struct arena *arena, struct plan *ret)
{
	struct plan p = {.kind = d->shard.kind};

	if (plan_row(p.kind)->numbers == NULL)
		return false;
	plan_row(p.kind)->cut(&d->shard, &p);
	return plan_is_numbered(&p) && codec_copy(codec_plan(), &p, ret, arena);
}

bool job_array_of_text(struct bytes text, struct arena *arena, struct plan *ret)
{
	struct definition *d;
	bool numbered;

	if (text.size == 0 || definition_parse(text, "definition", NULL, &d, NULL) < 0)
		return false;
	numbered = plan_of_definition(d, arena, ret);
	definition_destroy(d);
	return numbered;
}

bool job_array_live(struct services *s, const struct view_job *v, struct arena *arena, struct plan *ret)
{
	const struct definition_body *body = dispatcher_view_definition(services_core(s), v->definition);
	struct job_parameters p;

	if (v->phase == v->shards_phase &&
	    dispatcher_view_parameters(services_core(s), v->job, v->phase, arena, &p)) {
		*ret = p.plan;
		return plan_is_numbered(ret);
	}
	return body != NULL && job_array_of_text(body->text, arena, ret);
}

static void add_array(json_t *value, const struct plan *p)
{
	struct buf numbers = {0};

	plan_numbers(p, (struct range){0, p->shard_count}, &numbers);
	json_object_set_new(value, "array", json_of_bytes(buf_bytes(&numbers)));
	buf_fini(&numbers);
}

/* ---- both ---- */

bool job_add_definition_live(struct services *s, const struct view_job *v, json_t *value)
{
	const struct definition_body *body = NULL;
	struct job_parameters p;
	struct arena arena;
	struct plan plan;

	arena_init(&arena, 0);
	if (dispatcher_view_parameters(services_core(s), v->job, v->phase, &arena, &p))
		body = dispatcher_view_definition(services_core(s), v->definition);
	if (body != NULL && body->output.size > 0)
		add_url(value, body,
			&(struct template_values){.job = v->job, .job_name = v->name, .values = &p.values});
	if (body != NULL && job_array_live(s, v, &arena, &plan))
		add_array(value, &plan);
	arena_fini(&arena);
	return body != NULL;
}

/* What the templates name, from the event that history keeps. */
static bool read_values(struct bytes kept, usec_t accepted_wall_us, const struct text_item_list *names,
			struct arena *arena, struct text_item_list *ret)
{
	struct buf text = {0};
	struct event event;
	json_t *dom;
	bool fine = true;

	*ret = (struct text_item_list){arena_alloc(arena, (names->count + 1) * sizeof *ret->items), 0};
	if (names->count == 0)
		return true;
	dom = json_read(kept, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, NULL);
	if (dom == NULL || event_from_json(dom, accepted_wall_us, &event, NULL) < 0) {
		json_decref(dom);
		return false;
	}
	for (uint32_t i = 0; fine && i < names->count; i++) {
		buf_clear(&text);
		fine = event_value(&event, names->items[i].text, &text, NULL) == 0;
		if (fine)
			ret->items[ret->count++].text = arena_copy(arena, buf_bytes(&text));
	}
	event_fini(&event);
	json_decref(dom);
	buf_fini(&text);
	return fine;
}

void job_add_definition(const struct job_output *o, const struct past_texts *texts, json_t *value)
{
	struct text_item_list values;
	struct definition *d;
	struct arena arena;
	struct plan plan;

	if (texts->definition.size == 0 ||
	    definition_parse(texts->definition, "definition", NULL, &d, NULL) < 0)
		return;
	arena_init(&arena, 0);
	if (d->body.output.size > 0 &&
	    read_values(texts->event, o->accepted_wall_us, &d->body.value_names, &arena, &values))
		add_url(value, &d->body,
			&(struct template_values){.job = o->job, .job_name = o->name, .values = &values});
	if (plan_of_definition(d, &arena, &plan))
		add_array(value, &plan);
	arena_fini(&arena);
	definition_destroy(d);
}
