/* Any body: refused in words, or events whose canonical text is read as the same event, with the same
 * deduplication key, and whose CloudEvent is read as the same facts. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/event_cloudevents.h"
#include "jobs/event_plain.h"
#include "jobs/json.h"
#include "tests/fuzz/fuzz.h"

#define NOW ((usec_t)1795354256395000)

static const uint8_t secret[DEDUP_SECRET_BYTES + 1] = "a secret of ours"; /* and its NUL */

static void check_canonical(const struct event *e)
{
	struct event_list again = {0};
	struct buf text = {0}, second = {0};
	struct dedup_key a, b;

	event_write(e, &text);
	CHECK(text_is_utf8(buf_bytes(&text)));
	CHECK(events_read(buf_bytes(&text), NOW, &again, NULL) == 0);
	CHECK(again.count == 1);
	event_write(&again.items[0], &second);
	CHECK(bytes_equal(buf_bytes(&text), buf_bytes(&second)));
	a = event_dedup_key(e, secret);
	b = event_dedup_key(&again.items[0], secret);
	CHECK(a.hi == b.hi && a.lo == b.lo);
	events_fini(&again);
	buf_fini(&text);
	buf_fini(&second);
}

static void check_cloudevent(const struct event *e)
{
	struct event_list again = {0};
	struct buf text = {0};

	event_cloudevents_write(e, &text);
	CHECK(events_read(buf_bytes(&text), NOW, &again, NULL) == 0);
	CHECK(again.count == 1);
	CHECK(strcmp(again.items[0].id, e->id) == 0);
	CHECK(strcmp(again.items[0].detail_type, e->detail_type) == 0);
	CHECK(json_equal(again.items[0].detail, e->detail));
	events_fini(&again);
	buf_fini(&text);
}

static void check_values(const struct event *e)
{
	static const char *const paths[] = {"event.object",
					    "event.detail.object.key",
					    "event.detail.bucket.name",
					    "event.resources.0",
					    "event.detail",
					    "event.time",
					    "event"};
	struct event_object object;
	struct arena arena;
	struct buf out = {0};
	struct error err;

	arena_init(&arena, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
		if (event_value(e, bytes_of(paths[i]), &out, &err) < 0)
			CHECK(err.what[0] != '\0');
	if (event_object(e, &arena, &object, &err) == 0)
		CHECK(object.url.size > 0);
	buf_fini(&out);
	arena_fini(&arena);
}

/* The reader without a tree takes some of what the other takes, and gives the same. */
static void check_plain(struct bytes body, const struct event_list *list)
{
	struct event_list plain = {0};
	struct buf text = {0}, expected = {0};

	if (events_read_plain(body, EVENT_DEPTH_MAX + 8, NOW, &plain)) {
		CHECK(plain.count == list->count);
		for (uint32_t i = 0; i < plain.count; i++) {
			buf_clear(&text);
			buf_clear(&expected);
			event_write(&plain.items[i], &text);
			event_write(&list->items[i], &expected);
			CHECK(bytes_equal(buf_bytes(&text), buf_bytes(&expected)));
			CHECK(strcmp(plain.items[i].id, list->items[i].id) == 0);
			CHECK(json_equal(event_dom(&plain.items[i]), list->items[i].dom));
		}
	}
	buf_fini(&text);
	buf_fini(&expected);
	events_fini(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_list list = {0};
	struct error e = {0};

	if (events_read(BYTES(data, size), NOW, &list, &e) < 0) {
		CHECK(list.count == 0);
		CHECK(e.code < 0 && e.what[0] != '\0');
	}
	check_plain(BYTES(data, size), &list);
	for (uint32_t i = 0; i < list.count; i++) {
		check_canonical(&list.items[i]);
		check_cloudevent(&list.items[i]);
		check_values(&list.items[i]);
	}
	events_fini(&list);
	return 0;
}
