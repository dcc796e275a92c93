/* Does one value match one of the alternatives? */
#include <string.h>

#include "jobs/pattern_tree.h"

static int compare_bytes(struct bytes a, struct bytes b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Exact texts are in order, so that thousands of them cost no more than a few. */
static bool has_text(const struct pattern_values *v, struct bytes text)
{
	uint32_t low = 0, high = v->text_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare_bytes(v->texts[middle], text);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static bool begins_with(struct bytes text, struct bytes prefix)
{
	return text.size >= prefix.size &&
	       (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

static bool ends_with(struct bytes text, struct bytes suffix)
{
	return text.size >= suffix.size && (suffix.size == 0 || memcmp(text.data + text.size - suffix.size,
								       suffix.data, suffix.size) == 0);
}

static bool other_matches_text(const struct pattern_other *o, struct bytes text)
{
	switch (o->kind) {
	case PATTERN_PREFIX:
		return begins_with(text, o->text);
	case PATTERN_SUFFIX:
		return ends_with(text, o->text);
	case PATTERN_CASELESS:
		return pattern_letters_equal(&o->letters, text);
	case PATTERN_CASELESS_PREFIX:
		return pattern_letters_begin(&o->letters, text);
	case PATTERN_CASELESS_SUFFIX:
		return pattern_letters_end(&o->letters, text);
	case PATTERN_WILDCARD:
		return pattern_wildcard_matches(&o->wildcard, text);
	case PATTERN_CIDR:
		return pattern_cidr_matches(&o->cidr, text);
	case PATTERN_EXISTS:
		return true;
	case PATTERN_ANYTHING_BUT:
		return !pattern_values_match_text(o->but, text);
	case PATTERN_NUMBER:
	case PATTERN_RANGE:
	case PATTERN_TRUE:
	case PATTERN_FALSE:
	case PATTERN_NULL:
		return false;
	}
	return false;
}

bool pattern_values_match_text(const struct pattern_values *v, struct bytes text)
{
	if (has_text(v, text))
		return true;
	for (uint32_t i = 0; i < v->other_count; i++)
		if (other_matches_text(&v->others[i], text))
			return true;
	return false;
}

static bool in_range(const struct pattern_range *r, const struct pattern_number *n)
{
	return n->comparable &&
	       (!r->has_low || (r->open_low ? n->real > r->low.real : n->real >= r->low.real)) &&
	       (!r->has_high || (r->open_high ? n->real < r->high.real : n->real <= r->high.real));
}

static bool other_matches_number(const struct pattern_other *o, const struct pattern_number *n)
{
	return (o->kind == PATTERN_NUMBER && pattern_number_equal(&o->number, n)) ||
	       (o->kind == PATTERN_RANGE && in_range(&o->range, n));
}

static bool other_matches(const struct pattern_other *o, const json_t *value)
{
	struct pattern_number n;

	switch (o->kind) {
	case PATTERN_EXISTS:
		return true;
	case PATTERN_ANYTHING_BUT:
		return !pattern_values_match(o->but, value);
	case PATTERN_TRUE:
		return json_is_true(value);
	case PATTERN_FALSE:
		return json_is_false(value);
	case PATTERN_NULL:
		return json_is_null(value);
	case PATTERN_NUMBER:
	case PATTERN_RANGE:
		if (!json_is_number(value))
			return false;
		n = pattern_number_of(value, BYTES_LIT(""));
		return other_matches_number(o, &n);
	case PATTERN_PREFIX:
	case PATTERN_SUFFIX:
	case PATTERN_CASELESS:
	case PATTERN_CASELESS_PREFIX:
	case PATTERN_CASELESS_SUFFIX:
	case PATTERN_WILDCARD:
	case PATTERN_CIDR:
		return false; /* of a text only */
	}
	return false;
}

bool pattern_values_match(const struct pattern_values *v, const json_t *value)
{
	if (json_is_string(value))
		return pattern_values_match_text(v,
						 BYTES(json_string_value(value), json_string_length(value)));
	for (uint32_t i = 0; i < v->other_count; i++)
		if (other_matches(&v->others[i], value))
			return true;
	return false;
}
