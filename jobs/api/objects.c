#include "jobs/api/objects.h"

#include <string.h>

#include "jobs/kinds.h"

/* ---- the schemas of RAW members ---- */

#define REF(name) "{\"$ref\":\"#/components/schemas/" #name "\"}"
#define TEXT_MAP "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}"
#define OBJECT_OR_NULL "{\"type\":[\"object\",\"null\"]}"
#define JOB_RANGES                                                                                           \
	"{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1},"     \
	"{\"type\":\"array\",\"minItems\":2,\"items\":{\"type\":\"integer\",\"minimum\":1}}]}}"
#define WORDS_OF_JOBS "held planning queued running gathering paused succeeded failed cancelled unknown"

/* ---- rows ---- */

#define HAS_ALWAYS(member) 0
#define HAS_NULL_AT_0(member) 0
#define HAS_OUT_AT_0(member) 0
#define HAS_KNOWN(member) offsetof(owner, has_##member)
#define HAS_GIVEN(member) offsetof(owner, has_##member)
#define HAS_OPEN(member) offsetof(owner, has_##member)
#define FIELD(since_, there_, member_, name_, kind_, doc_, ...)                                              \
	{.name = name_,                                                                                      \
	 .doc = doc_,                                                                                        \
	 .kind = kind_,                                                                                      \
	 .there = THERE_##there_,                                                                            \
	 .since = since_,                                                                                    \
	 .offset = offsetof(owner, member_),                                                                 \
	 .has_offset = HAS_##there_(member_),                                                                \
	 __VA_ARGS__},

#define OBJECT(name, text)                                                                                   \
	const struct object_type *object_##name(void)                                                        \
	{                                                                                                    \
		typedef struct api_##name owner;                                                             \
		static const char doc[] = text;                                                              \
		static const struct object_field fields[] = {
#define BOOL(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_BOOL, doc)
#define COUNT(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_COUNT, doc)
#define COUNT_TO(since, there, m, max_, doc) FIELD(since, there, m, #m, OBJECT_COUNT, doc, .max = max_)
#define SIZE(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_SIZE, doc)
#define INT(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_INT, doc)
#define SECONDS(since, there, m, doc) FIELD(since, there, m##_us, #m "_seconds", OBJECT_SECONDS, doc)
#define SECONDS_TO(since, there, m, max_, doc)                                                               \
	FIELD(since, there, m##_us, #m "_seconds", OBJECT_SECONDS, doc, .max = max_)
#define CPUS(since, there, m, doc) FIELD(since, there, m##_milli, #m, OBJECT_CPUS, doc)
#define CPUS_TO(since, there, m, max_, doc) FIELD(since, there, m##_milli, #m, OBJECT_CPUS, doc, .max = max_)
#define TIME(since, there, m, doc) FIELD(since, there, m##_wall_us, #m, OBJECT_TIME, doc)
#define TEXT(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_TEXT, doc)
#define TEXT_AS(since, there, m, json, doc) FIELD(since, there, m, json, OBJECT_TEXT, doc)
#define TEXT_TO(since, there, m, min_, max_, doc)                                                            \
	FIELD(since, there, m, #m, OBJECT_TEXT, doc, .min = min_, .max = max_)
#define WORD(since, there, m, words_, doc) FIELD(since, there, m, #m, OBJECT_TEXT, doc, .words = words_)
#define KIND_WORD(since, there, m, kind, doc)                                                                \
	FIELD(since, there, m, #m, OBJECT_TEXT, doc, .word = kind##_name)
#define SUB(since, there, type, m, doc) FIELD(since, there, m, #m, OBJECT_SUB, doc, .of = object_##type)
#define LIST(since, there, type, m, doc) FIELD(since, there, m, #m, OBJECT_LIST, doc, .of = object_##type)
#define TEXTS(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_TEXTS, doc)
#define COUNTS(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_COUNTS, doc)
#define EITHER(since, there, type, other_, m, doc)                                                           \
	FIELD(since, there, m, #m, OBJECT_EITHER, doc, .of = object_##type, .other = object_##other_)
#define SCALAR(since, there, m, doc) FIELD(since, there, m, #m, OBJECT_SCALAR, doc)
#define RAW(since, there, m, schema_, doc) FIELD(since, there, m, #m, OBJECT_RAW, doc, .schema = schema_)
#define TOTALS(since) TOTALS_ALL(TOTAL)
#define TOTAL(name, add, json, form, doc) TOTAL_##form(name, json, doc)
#define TOTAL_SECONDS(m, json, doc) FIELD(1, ALWAYS, totals.m, #json, OBJECT_SECONDS, doc)
#define TOTAL_NUMBER(m, json, doc) FIELD(1, ALWAYS, totals.m, #json, OBJECT_COUNT, doc)
#define TOTAL_KNOWN(m, json, doc) FIELD(1, NULL_AT_0, totals.m, #json, OBJECT_COUNT, doc)
#define END(name_)                                                                                           \
	}                                                                                                    \
	;                                                                                                    \
	static const struct object_type type = {#name_, doc, sizeof(owner), fields, ARRAY_LENGTH(fields)};   \
	return &type;                                                                                        \
	}

#include "jobs/api/dispatcher.def"
#include "jobs/api/jobs.def"

/* ---- all of them ---- */

#include "jobs/api/rows_end.h"

#define OBJECT(name, doc) object_##name,
#define BOOL(...)
#define COUNT(...)
#define COUNT_TO(...)
#define SIZE(...)
#define INT(...)
#define SECONDS(...)
#define SECONDS_TO(...)
#define CPUS(...)
#define CPUS_TO(...)
#define TIME(...)
#define TEXT(...)
#define TEXT_AS(...)
#define TEXT_TO(...)
#define WORD(...)
#define KIND_WORD(...)
#define SUB(...)
#define LIST(...)
#define TEXTS(...)
#define COUNTS(...)
#define EITHER(...)
#define SCALAR(...)
#define RAW(...)
#define TOTALS(...)
#define END(name)

static const struct object_type *(*const types[])(void) = {
#include "jobs/api/dispatcher.def"
#include "jobs/api/jobs.def"
};

const struct object_type *object_at(size_t i)
{
	return i < ARRAY_LENGTH(types) ? types[i]() : NULL;
}

const struct object_type *object_of(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		if (bytes_equal(bytes_of(types[i]()->name), name))
			return types[i]();
	return NULL;
}

const struct object_field *object_field_of(const struct object_type *o, const char *name)
{
	for (size_t i = 0; i < o->field_count; i++)
		if (strcmp(o->fields[i].name, name) == 0)
			return &o->fields[i];
	return NULL;
}
