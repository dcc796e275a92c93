/* EventBridge event patterns, compiled. Pure.
 *
 * A pattern is an object; its members are objects (go deeper) or non-empty lists of alternatives: values (a
 * number by its value, else exact, type included) and operators (pattern_operators.c has their table). All
 * fields have to match; of the objects in $or one has to. A field is known by its path: keys joined with
 * dots, in the pattern and in the event, however they are spelled. A list in the event matches when one of
 * its values does; fields that lie in one list of objects have to match in the same element. Matching walks
 * no more of the event than the pattern names, and ends after PATTERN_STEPS_MAX values, without a match.
 * Source: EventBridge User Guide, "Event patterns"; event-ruler, the engine that AWS publishes. */
#pragma once

#include "base/arena.h"
#include "jobs/event.h"
#include "jobs/node.h"

struct pattern;

/* In the arena; it points into n's texts. Errors go to problems with their place and path; the first is
 * returned. Bounds: PATTERN_DEPTH_MAX, PATTERN_VALUES_MAX, PATTERN_PATH_BYTES_MAX, PATTERN_FIELDS_MAX,
 * PATTERN_RULES_MAX, PATTERN_STARS_MAX. */
int pattern_compile(const struct node *n, struct arena *arena, struct problems *problems,
		    const struct pattern **ret) MUST_CHECK;
bool pattern_matches(const struct pattern *p, const json_t *event);
/* The same; makes the event's tree only if the pattern asks for what has no field of its own. */
bool pattern_matches_event(const struct pattern *p, const struct event *e);
/* Could an event match whose member `key` is this text? False: none can, so it need not be made. */
bool pattern_allows(const struct pattern *p, struct bytes key, struct bytes text);

/* How a pattern was decided, field by field: of each way through its $or, the fields in order. */
struct pattern_decision {
	uint32_t rule; /* which way, from 0 */
	struct bytes path;
	struct place at;     /* of the field in the pattern's text */
	bool matches;	     /* alone */
	const json_t *found; /* the first value at this path; NULL: there is none */
};
/* Calls fn for each field, and returns whether the pattern matches; *ret_rule is then the way that does. When
 * it does not, though each field of a way matches alone, no element of a list has all of them (or the search
 * was too long: *ret_too_long). */
bool pattern_explain(const struct pattern *p, const json_t *event,
		     void (*fn)(void *arg, const struct pattern_decision *decision), void *arg,
		     uint32_t *ret_rule, bool *ret_too_long);
uint32_t pattern_rule_count(const struct pattern *p);
/* The operators, a line or two each, for help and documentation. */
void pattern_operators_write(struct buf *out);
