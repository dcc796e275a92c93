#include "jobs/pattern.h"

#include "jobs/pattern_tree.h"

bool pattern_matches(const struct pattern *p, const json_t *event)
{
	uint32_t steps = 0;

	for (uint32_t i = 0; json_is_object(event) && i < p->rule_count; i++)
		if (pattern_search(&p->rules[i], event, &steps) == PATTERN_MATCH)
			return true;
	return false;
}

/* NULL: this member has no field. */
static const char *field_of(const struct event *e, struct bytes key)
{
	if (bytes_equal(key, BYTES_LIT("source")))
		return e->source;
	if (bytes_equal(key, BYTES_LIT("detail-type")))
		return e->detail_type;
	return bytes_equal(key, BYTES_LIT("id")) ? e->id : NULL;
}

static bool rule_matches_event(const struct pattern_rule *rule, const struct event *e, uint32_t *steps)
{
	bool all = true;

	for (uint32_t i = 0; i < rule->field_count; i++) {
		const struct pattern_field *f = rule->fields[i];
		const char *text = field_of(e, f->path);

		if (text == NULL)
			all = false;
		else if (!pattern_values_match_text(&f->values, bytes_of(text)))
			return false;
	}
	return all || pattern_search(rule, event_dom(e), steps) == PATTERN_MATCH;
}

bool pattern_matches_event(const struct pattern *p, const struct event *e)
{
	uint32_t steps = 0;

	for (uint32_t i = 0; i < p->rule_count; i++)
		if (rule_matches_event(&p->rules[i], e, &steps))
			return true;
	return false;
}

/* A field that is a text is there, so {exists: false} does not count. */
static bool rule_allows(const struct pattern_rule *rule, struct bytes key, struct bytes text)
{
	for (uint32_t i = 0; i < rule->field_count; i++)
		if (bytes_equal(rule->fields[i]->path, key) &&
		    !pattern_values_match_text(&rule->fields[i]->values, text))
			return false;
	return true;
}

bool pattern_allows(const struct pattern *p, struct bytes key, struct bytes text)
{
	for (uint32_t i = 0; i < p->rule_count; i++)
		if (rule_allows(&p->rules[i], key, text))
			return true;
	return false;
}

uint32_t pattern_rule_count(const struct pattern *p)
{
	return p->rule_count;
}

bool pattern_explain(const struct pattern *p, const json_t *event,
		     void (*fn)(void *arg, const struct pattern_decision *decision), void *arg,
		     uint32_t *ret_rule, bool *ret_too_long)
{
	uint32_t steps = 0;
	bool matches = false;

	*ret_too_long = false;
	for (uint32_t i = 0; i < p->rule_count; i++) {
		const struct pattern_rule *rule = &p->rules[i];
		enum pattern_found found = pattern_search(rule, event, &steps);

		*ret_too_long |= found == PATTERN_TOO_LONG;
		if (found == PATTERN_MATCH && !matches)
			*ret_rule = i;
		matches |= found == PATTERN_MATCH;
		for (uint32_t j = 0; j < rule->field_count; j++) {
			struct pattern_rule alone = {.fields = &rule->fields[j], .field_count = 1};
			uint32_t alone_steps = 0;
			struct pattern_decision d = {
			    .rule = i, .path = rule->fields[j]->path, .at = rule->fields[j]->at};

			d.matches = pattern_search(&alone, event, &alone_steps) == PATTERN_MATCH;
			d.found = pattern_first_value(d.path, event);
			fn(arg, &d);
		}
	}
	return matches;
}
