/* Any JSON object is matched by the pattern that is made of its own values; any text is refused in words
 * or compiles. What stands in front of the first NUL byte is the event, the rest a pattern. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/json.h"
#include "jobs/pattern.h"
#include "tests/fuzz/fuzz.h"

/* Pattern of a value: objects member by member, of a list its first element, of others [value]. NULL when
 * there is nothing to match. */
static json_t *pattern_of(const json_t *value)
{
	const char *key;
	json_t *item, *map;

	while (json_is_array(value))
		value = json_array_get(value, 0);
	if (value == NULL)
		return NULL;
	if (!json_is_object(value))
		return json_pack("[O]", value);
	map = json_object();
	json_object_foreach((json_t *)value, key, item)
	{
		json_t *below = pattern_of(item);

		if (below != NULL && strcmp(key, "$or") != 0)
			json_object_set_new(map, key, below);
		else
			json_decref(below);
	}
	if (json_object_size(map) > 0)
		return map;
	json_decref(map);
	return NULL;
}

/* NULL when it is refused. */
static const struct pattern *compile(struct bytes text, struct arena *arena)
{
	const struct pattern *p = NULL;
	struct problems problems;
	struct node *n;

	problems_init(&problems, "fuzz", text);
	if (node_parse(text, arena, &problems, &n) < 0 || pattern_compile(n, arena, &problems, &p) < 0) {
		CHECK(problems.count > 0 && problems.first.what[0] != '\0');
		CHECK(strlen(problems_text(&problems)) > 0);
		p = NULL;
	} else {
		CHECK(problems.count == 0);
	}
	problems_fini(&problems);
	return p;
}

static void check_own_pattern(const json_t *event, struct arena *arena)
{
	json_t *own = pattern_of(event);
	struct buf text = {0};
	const struct pattern *p;

	if (json_is_object(own)) {
		json_write(&text, own);
		p = compile(buf_bytes(&text), arena);
		if (p != NULL)
			CHECK(pattern_matches(p, event));
	}
	json_decref(own);
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size == 0 ? NULL : memchr(data, '\0', size);
	size_t event_size = nul == NULL ? size : (size_t)(nul - data);
	json_t *event = json_read(BYTES(data, event_size), MIB, EVENT_DEPTH_MAX, NULL);
	const struct pattern *p;
	struct arena arena;

	arena_init(&arena, 0);
	if (json_is_object(event))
		check_own_pattern(event, &arena);
	p = nul == NULL ? NULL : compile(BYTES(nul + 1, size - event_size - 1), &arena);
	if (p != NULL && event != NULL)
		(void)pattern_matches(p, event);
	json_decref(event);
	arena_fini(&arena);
	return 0;
}
