/* Where the results of a job stand, when its definition says `output`. */
#include <string.h>

#include "dispatcher/api/job_json.h"
#include "jobs/definition.h"
#include "jobs/event.h"
#include "jobs/json.h"
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

static bool add_live(struct services *s, uint64_t job, struct arena *arena, json_t *value)
{
	const struct definition_body *body;
	struct job_parameters p;
	struct view_job v;

	if (!dispatcher_view_job(services_core(s), job, arena, &v) ||
	    !dispatcher_view_parameters(services_core(s), job, v.phase, arena, &p))
		return false;
	body = dispatcher_view_definition(services_core(s), v.definition);
	if (body != NULL && body->output.size > 0)
		add_url(value, body,
			&(struct template_values){.job = job, .job_name = v.name, .values = &p.values});
	return body != NULL;
}

/* What the templates name, from the event that history keeps. */
static bool read_values(struct services *s, const struct history_job *row, const struct text_item_list *names,
			struct arena *arena, struct text_item_list *ret)
{
	struct buf text = {0};
	struct event event;
	struct bytes kept;
	json_t *dom;
	bool fine = true;

	*ret = (struct text_item_list){arena_alloc(arena, (names->count + 1) * sizeof *ret->items), 0};
	if (names->count == 0)
		return true;
	if (history_event(s->reader, row->event_id_hi, row->event_id_lo, arena, &kept, NULL) < 0)
		return false;
	dom = json_read(kept, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, NULL);
	if (dom == NULL || event_from_json(dom, row->accepted_wall_us, &event, NULL) < 0) {
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

static void add_ended(struct services *s, uint64_t job, struct arena *arena, json_t *value)
{
	struct text_item_list values;
	struct definition *d;
	struct history_job row;
	struct bytes name, text;

	if (history_job(s->reader, job, arena, &row, NULL) < 0 ||
	    history_definition(s->reader, row.definition, arena, &name, &text, NULL) < 0 ||
	    definition_parse(text, "definition", NULL, &d, NULL) < 0)
		return;
	if (d->body.output.size > 0 && read_values(s, &row, &d->body.value_names, arena, &values))
		add_url(value, &d->body,
			&(struct template_values){.job = job, .job_name = row.name, .values = &values});
	definition_destroy(d);
}

void job_add_output(struct services *s, uint64_t job, json_t *value)
{
	struct arena arena;

	arena_init(&arena, 0);
	if (!add_live(s, job, &arena, value))
		add_ended(s, job, &arena, value);
	arena_fini(&arena);
}
