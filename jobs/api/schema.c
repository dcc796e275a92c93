/* Objects as JSON Schema (draft 2020-12, https://json-schema.org/draft/2020-12), which is what an OpenAPI 3.1
 * document says of them. Units and revisions are told by members of our own, x-unit and x-since. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "jobs/api/objects.h"

#define KINDS_MAX 256

static json_t *reference(const struct object_type *o)
{
	char path[128];

	snprintf(path, sizeof(path), "#/components/schemas/%s", o->name);
	return json_pack("{s:s}", "$ref", path);
}

static json_t *list_of(json_t *items)
{
	return json_pack("{s:s,s:o}", "type", "array", "items", items);
}

static json_t *words_of(const struct object_field *f)
{
	json_t *list = json_array();

	for (const char *word = f->words; word != NULL && *word != '\0'; word += strspn(word, " ")) {
		size_t length = strcspn(word, " ");

		json_array_append_new(list, json_stringn(word, length));
		word += length;
	}
	for (uint32_t kind = 1; f->word != NULL && kind < KINDS_MAX; kind++)
		if (strcmp(f->word(kind), f->word(0)) != 0)
			json_array_append_new(list, json_string(f->word(kind)));
	return list;
}

static json_t *text_schema(const struct object_field *f)
{
	json_t *schema = json_pack("{s:s}", "type", "string");

	if (f->words != NULL || f->word != NULL)
		json_object_set_new(schema, "enum", words_of(f));
	/* Of text a schema counts characters, the bound counts bytes: it admits more. */
	if (f->max > 0)
		json_object_set_new(schema, "maxLength", json_integer((json_int_t)f->max));
	if (f->min > 0)
		json_object_set_new(schema, "minLength", json_integer((json_int_t)f->min));
	return schema;
}

static json_t *number_schema(const struct object_field *f, const char *type, const char *unit)
{
	json_t *schema = json_pack("{s:s,s:i}", "type", type, "minimum", 0);

	if (unit != NULL)
		json_object_set_new(schema, "x-unit", json_string(unit));
	if (f->max > 0)
		json_object_set_new(schema, "maximum", json_integer((json_int_t)f->max));
	return schema;
}

static json_t *raw_schema(const struct object_field *f)
{
	json_t *schema = json_loads(f->schema, 0, NULL);

	CHECK(schema != NULL);
	return schema;
}

static json_t *value_schema(const struct object_field *f)
{
	switch (f->kind) {
	case OBJECT_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case OBJECT_COUNT:
		return number_schema(f, "integer", NULL);
	case OBJECT_SIZE:
		return number_schema(f, "integer", "bytes");
	case OBJECT_INT:
		return json_pack("{s:s}", "type", "integer");
	case OBJECT_SECONDS:
		return number_schema(f, "number", "seconds");
	case OBJECT_CPUS:
		return number_schema(f, "number", "cores");
	case OBJECT_TIME:
		return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
	case OBJECT_TEXT:
		return text_schema(f);
	case OBJECT_SUB:
		return reference(f->of());
	case OBJECT_LIST:
		return list_of(reference(f->of()));
	case OBJECT_TEXTS:
		return list_of(json_pack("{s:s}", "type", "string"));
	case OBJECT_COUNTS:
		return list_of(json_pack("{s:s,s:i}", "type", "integer", "minimum", 0));
	case OBJECT_EITHER:
		return list_of(json_pack("{s:[o,o]}", "anyOf", reference(f->of()), reference(f->other())));
	case OBJECT_SCALAR:
		return json_pack("{s:[s,s]}", "type", "string", "number");
	case OBJECT_RAW:
		break;
	}
	return raw_schema(f);
}

/* The same, or null. */
static json_t *or_null(json_t *schema)
{
	json_t *type = json_object_get(schema, "type"), *words = json_object_get(schema, "enum");

	if (!json_is_string(type))
		return json_pack("{s:[o,{s:s}]}", "anyOf", schema, "type", "null");
	json_object_set_new(schema, "type", json_pack("[O,s]", type, "null"));
	if (words != NULL)
		json_array_append_new(words, json_null());
	return schema;
}

static json_t *field_schema(const struct object_field *f)
{
	json_t *schema = value_schema(f);

	if (f->there == THERE_NULL_AT_0 || f->there == THERE_KNOWN || f->there == THERE_OPEN)
		schema = or_null(schema);
	if (f->doc[0] != '\0')
		json_object_set_new(schema, "description", json_string(f->doc));
	json_object_set_new(schema, "x-since", json_integer(f->since));
	return schema;
}

static bool is_required(const struct object_field *f)
{
	return f->there == THERE_ALWAYS || f->there == THERE_NULL_AT_0 || f->there == THERE_KNOWN;
}

json_t *object_schema(const struct object_type *o, bool request)
{
	json_t *schema = json_pack("{s:s,s:s}", "type", "object", "description", o->doc);
	json_t *members = json_object(), *required = json_array();

	for (size_t i = 0; i < o->field_count; i++) {
		const struct object_field *f = &o->fields[i];

		json_object_set_new(members, f->name, field_schema(f));
		if (is_required(f))
			json_array_append_new(required, json_string(f->name));
	}
	json_object_set_new(schema, "properties", members);
	if (json_array_size(required) > 0)
		json_object_set(schema, "required", required);
	json_decref(required);
	if (request)
		json_object_set_new(schema, "additionalProperties", json_false());
	return schema;
}
