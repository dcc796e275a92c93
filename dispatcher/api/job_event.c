/* Which event a job was made for: what a person looks for who knows a file, and not a number. */
#include "dispatcher/api/job_json.h"
#include "jobs/event.h"
#include "jobs/json.h"

static void copy(json_t *to, const json_t *from, const char *name)
{
	json_t *value = json_object_get(from, name);

	if (value != NULL)
		json_object_set(to, name, value);
}

static json_t *event_json(const json_t *event)
{
	const json_t *object = json_object_get(json_object_get(event, "detail"), "object");
	json_t *value = json_object();

	copy(value, event, "id");
	copy(value, event, "source");
	copy(value, event, "detail-type");
	copy(value, object, "key");
	copy(value, object, "key-base64"); /* of a name that is not UTF-8 */
	return value;
}

void job_add_event(struct server *s, uint64_t job, json_t *value)
{
	struct history_job row;
	struct bytes kept;
	struct arena arena;
	json_t *event = NULL;

	arena_init(&arena, 0);
	if (history_job(s->reader, job, &arena, &row, NULL) == 0 &&
	    (row.event_id_hi | row.event_id_lo) != 0 &&
	    history_event(s->reader, row.event_id_hi, row.event_id_lo, &arena, &kept, NULL) == 0)
		event = json_read(kept, EVENT_BYTES_MAX, EVENT_DEPTH_MAX, NULL);
	json_object_set_new(value, "event", event != NULL ? event_json(event) : json_null());
	json_decref(event);
	arena_fini(&arena);
}
