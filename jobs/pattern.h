/* EventBridge event patterns, compiled. Pure.
 *
 * A pattern is an object; its members are objects (go deeper) or non-empty lists of alternatives: a
 * value (exact, type included), {prefix: text}, {suffix: text}. All members have to match; a list in
 * the event matches when one of its elements does; members of one object inside a list have to match
 * in the same element. A dotted key in the event stands for the nesting that it spells. Matching
 * walks no more of the event than the pattern names.
 * Source: EventBridge User Guide, "Event patterns". */
#pragma once

#include "base/arena.h"
#include "jobs/event.h"
#include "jobs/node.h"

struct pattern;

/* In the arena. Errors go to problems with their place and path; the first is returned.
 * Bounds: PATTERN_DEPTH_MAX, PATTERN_VALUES_MAX. */
int pattern_compile(const struct node *n, struct arena *arena, struct problems *problems,
		    const struct pattern **ret) MUST_CHECK;
bool pattern_matches(const struct pattern *p, const json_t *event);
/* The same; makes the event's tree only if the pattern asks for what has no field of its own. */
bool pattern_matches_event(const struct pattern *p, const struct event *e);
/* Could an event match whose member `key` is this text? False: none can, so it need not be made. */
bool pattern_allows(const struct pattern *p, struct bytes key, struct bytes text);
