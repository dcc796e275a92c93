/* Says what our patterns say: each line of stdin is PATTERN TAB EVENT, and the answer is `match`, `nomatch`,
 * or `invalid` and the reason. The quick refusals have to agree (pattern_matches_event, pattern_allows). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/json.h"
#include "jobs/pattern.h"

static const char *verdict(struct bytes pattern, struct bytes event_text, struct arena *arena,
			   struct buf *why)
{
	const struct pattern *p = NULL;
	struct problems problems;
	struct error e = {0};
	struct node *n;
	json_t *event;
	bool matches;

	problems_init(&problems, "pattern", pattern);
	if (node_parse(pattern, arena, &problems, &n) < 0 || pattern_compile(n, arena, &problems, &p) < 0) {
		buf_printf(why, " %s: %s", problems.first.where, problems.first.what);
		problems_fini(&problems);
		return "invalid";
	}
	problems_fini(&problems);
	event = json_read(event_text, HTTP_BODY_BYTES_MAX, EVENT_DEPTH_MAX, &e);
	if (event == NULL) {
		buf_printf(why, " the event: %s", e.what);
		return "invalid";
	}
	matches = pattern_matches(p, event);
	if (json_is_string(json_object_get(event, "source")) &&
	    json_is_string(json_object_get(event, "detail-type")) &&
	    json_is_string(json_object_get(event, "id"))) {
		const char *source = json_string_value(json_object_get(event, "source"));
		struct event whole = {
		    .dom = event,
		    .source = source,
		    .id = json_string_value(json_object_get(event, "id")),
		    .detail_type = json_string_value(json_object_get(event, "detail-type")),
		};

		CHECK(pattern_matches_event(p, &whole) == matches);
		CHECK(!matches || pattern_allows(p, BYTES_LIT("source"), bytes_of(source)));
	}
	json_decref(event);
	return matches ? "match" : "nomatch";
}

int main(void)
{
	struct buf why = {0};
	struct arena arena;
	char *line = NULL;
	size_t room = 0;
	ssize_t size;

	arena_init(&arena, 0);
	while ((size = getline(&line, &room, stdin)) > 0) {
		char *tab = strchr(line, '\t');

		CHECK(tab != NULL);
		size -= line[size - 1] == '\n';
		buf_clear(&why);
		printf("%s", verdict(BYTES(line, (size_t)(tab - line)),
				     BYTES(tab + 1, (size_t)(line + size - tab - 1)), &arena, &why));
		printf("%s\n", why.size > 0 ? buf_text(&why) : "");
		arena_reset(&arena);
	}
	free(line);
	buf_fini(&why);
	arena_fini(&arena);
	return 0;
}
