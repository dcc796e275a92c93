#include "jobs/pattern.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/pattern_tree.h"

#define JOINED_BYTES_MAX 1024

/* The member of a pattern that is tried, as the event may spell it: "state", or "detail.state". */
struct joined {
	char text[JOINED_BYTES_MAX];
	size_t size;
};

static bool join(struct joined *j, struct bytes key)
{
	size_t dot = j->size > 0;

	if (key.size + dot + 1 > JOINED_BYTES_MAX - j->size)
		return false;
	if (dot)
		j->text[j->size++] = '.';
	memcpy(j->text + j->size, key.data, key.size);
	j->size += key.size;
	j->text[j->size] = '\0';
	return true;
}

static int compare_bytes(struct bytes a, struct bytes b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Exact texts are in order, so that thousands of them cost no more than a few. */
static bool has_text(const struct pattern_field *f, struct bytes text)
{
	uint32_t low = 0, high = f->text_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare_bytes(f->texts[middle], text);

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
	return (o->kind == PATTERN_PREFIX && begins_with(text, o->text)) ||
	       (o->kind == PATTERN_SUFFIX && ends_with(text, o->text));
}

static bool leaf_matches_text(const struct pattern_field *f, struct bytes text)
{
	if (has_text(f, text))
		return true;
	for (uint32_t i = 0; i < f->other_count; i++)
		if (other_matches_text(&f->others[i], text))
			return true;
	return false;
}

static bool other_matches(const struct pattern_other *o, const json_t *value)
{
	switch (o->kind) {
	case PATTERN_PREFIX:
	case PATTERN_SUFFIX:
		return false; /* of a text only */
	case PATTERN_INTEGER:
		return json_is_integer(value) && json_integer_value(value) == o->integer;
	case PATTERN_REAL:
		return json_is_real(value) && json_real_value(value) >= o->real &&
		       json_real_value(value) <= o->real;
	case PATTERN_TRUE:
		return json_is_true(value);
	case PATTERN_FALSE:
		return json_is_false(value);
	case PATTERN_NULL:
		return json_is_null(value);
	}
	return false;
}

static bool leaf_matches(const struct pattern_field *f, const json_t *value)
{
	if (json_is_string(value))
		return leaf_matches_text(f, BYTES(json_string_value(value), json_string_length(value)));
	for (uint32_t i = 0; i < f->other_count; i++)
		if (other_matches(&f->others[i], value))
			return true;
	return false;
}

static bool object_matches(const struct pattern *p, const json_t *object, struct joined *path);

/* Lists in the event: any element, however deep. */
static bool field_matches(const struct pattern_field *f, const json_t *value)
{
	if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++)
			if (field_matches(f, json_array_get(value, i)))
				return true;
		return false;
	}
	if (f->deeper != NULL) {
		struct joined path = {.size = 0};

		return json_is_object(value) && object_matches(f->deeper, value, &path);
	}
	return leaf_matches(f, value);
}

static bool object_matches(const struct pattern *p, const json_t *object, struct joined *path)
{
	size_t before = path->size;

	for (uint32_t i = 0; i < p->field_count; i++) {
		const struct pattern_field *f = &p->fields[i];
		bool matches = join(path, f->key);

		if (matches) {
			const json_t *value = json_object_get(object, path->text);

			if (value != NULL)
				matches = field_matches(f, value);
			else
				matches = f->deeper != NULL && object_matches(f->deeper, object, path);
		}
		path->size = before;
		if (!matches)
			return false;
	}
	return true;
}

bool pattern_matches(const struct pattern *p, const json_t *event)
{
	struct joined path = {.size = 0};

	return json_is_object(event) && object_matches(p, event, &path);
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

bool pattern_matches_event(const struct pattern *p, const struct event *e)
{
	bool all = true;

	for (uint32_t i = 0; i < p->field_count; i++) {
		const struct pattern_field *f = &p->fields[i];
		const char *text = f->deeper == NULL ? field_of(e, f->key) : NULL;

		if (text == NULL)
			all = false;
		else if (!leaf_matches_text(f, bytes_of(text)))
			return false;
	}
	return all || pattern_matches(p, event_dom(e));
}

bool pattern_allows(const struct pattern *p, struct bytes key, struct bytes text)
{
	for (uint32_t i = 0; i < p->field_count; i++) {
		const struct pattern_field *f = &p->fields[i];

		if (bytes_equal(f->key, key) && f->deeper == NULL && !leaf_matches_text(f, text))
			return false;
	}
	return true;
}
