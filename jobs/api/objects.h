/* The objects of the HTTP API as C structs, by the tables dispatcher.def and jobs.def: written by whoever
 * answers, read by whoever asked, and described for all others in GET /v1/openapi.json. Pure.
 *
 * Texts are borrowed: those to be written until that is done, those that were read as long as the JSON. A
 * list, SCALAR or RAW member is JSON: a reference that object_write takes over, and that object_read lends. A
 * member's default is 0, or nothing: an unset list is written as an empty one. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "jobs/totals.h"

/* Counts on with each member and route that comes. */
#define API_REVISION 2

enum object_kind {
	OBJECT_BOOL,
	OBJECT_COUNT,	/* uint64_t */
	OBJECT_SIZE,	/* the same, in bytes */
	OBJECT_INT,	/* int64_t */
	OBJECT_SECONDS, /* usec_t, or a uint64_t of microseconds */
	OBJECT_CPUS,	/* uint64_t, thousandths */
	OBJECT_TIME,	/* usec_t, wall */
	OBJECT_TEXT,	/* struct bytes; what is no UTF-8 is escaped when it is written */
	OBJECT_SUB,	/* a struct api_… */
	OBJECT_LIST,	/* json_t *, of objects */
	OBJECT_TEXTS,	/* json_t * */
	OBJECT_COUNTS,	/* json_t * */
	OBJECT_EITHER,	/* json_t *, a list of objects of two kinds */
	OBJECT_SCALAR,	/* json_t *, a text or a number */
	OBJECT_RAW,	/* json_t * */
};

/* When a member stands in the JSON. */
enum object_there {
	THERE_ALWAYS,
	THERE_NULL_AT_0,
	THERE_OUT_AT_0,
	THERE_KNOWN, /* null unless has_… */
	THERE_GIVEN, /* left out unless has_… */
	THERE_OPEN,  /* the same; null is told by hand */
};

struct object_type;

struct object_field {
	const char *name; /* in JSON */
	const char *doc;
	enum object_kind kind;
	enum object_there there;
	uint32_t since;
	size_t offset, has_offset;
	const struct object_type *(*of)(void);	  /* SUB, LIST and EITHER */
	const struct object_type *(*other)(void); /* EITHER */
	const char *schema;			  /* RAW */
	const char *words;			  /* a text that is one of these, with blanks between */
	const char *(*word)(uint32_t n);	  /* the same, of an enumeration of kinds.h */
	uint64_t min, max;			  /* of a request; max 0 = no bounds. TEXT: bytes */
};

struct object_type {
	const char *name;
	const char *doc;
	size_t size;
	const struct object_field *fields;
	size_t field_count;
};

/* ---- the structs ---- */

#define HAS_ALWAYS(member)
#define HAS_NULL_AT_0(member)
#define HAS_OUT_AT_0(member)
#define HAS_KNOWN(member) bool has_##member;
#define HAS_GIVEN(member) bool has_##member;
#define HAS_OPEN(member) bool has_##member;
#define MEMBER(type, there, member)                                                                          \
	type member;                                                                                         \
	HAS_##there(member)

#define OBJECT(name, doc)                                                                                    \
	const struct object_type *object_##name(void);                                                       \
	struct api_##name {
#define BOOL(since, there, member, doc) MEMBER(bool, there, member)
#define COUNT(since, there, member, doc) MEMBER(uint64_t, there, member)
#define COUNT_TO(since, there, member, max, doc) MEMBER(uint64_t, there, member)
#define SIZE(since, there, member, doc) MEMBER(uint64_t, there, member)
#define INT(since, there, member, doc) MEMBER(int64_t, there, member)
#define SECONDS(since, there, name, doc) MEMBER(usec_t, there, name##_us)
#define SECONDS_TO(since, there, name, max, doc) MEMBER(usec_t, there, name##_us)
#define CPUS(since, there, name, doc) MEMBER(uint64_t, there, name##_milli)
#define CPUS_TO(since, there, name, max, doc) MEMBER(uint64_t, there, name##_milli)
#define TIME(since, there, name, doc) MEMBER(usec_t, there, name##_wall_us)
#define TEXT(since, there, member, doc) MEMBER(struct bytes, there, member)
#define TEXT_AS(since, there, member, json, doc) MEMBER(struct bytes, there, member)
#define TEXT_TO(since, there, member, min, max, doc) MEMBER(struct bytes, there, member)
#define WORD(since, there, member, words, doc) MEMBER(struct bytes, there, member)
#define KIND_WORD(since, there, member, kind, doc) MEMBER(struct bytes, there, member)
#define SUB(since, there, type, member, doc) MEMBER(struct api_##type, there, member)
#define LIST(since, there, type, member, doc) MEMBER(json_t *, there, member)
#define TEXTS(since, there, member, doc) MEMBER(json_t *, there, member)
#define COUNTS(since, there, member, doc) MEMBER(json_t *, there, member)
#define EITHER(since, there, type, other, member, doc) MEMBER(json_t *, there, member)
#define SCALAR(since, there, member, doc) MEMBER(json_t *, there, member)
#define RAW(since, there, member, schema, doc) MEMBER(json_t *, there, member)
#define TOTALS(since) struct totals totals;
#define END(name)                                                                                            \
	}                                                                                                    \
	;

#include "jobs/api/dispatcher.def"
#include "jobs/api/jobs.def"

#include "jobs/api/rows_end.h"
#undef MEMBER
#undef HAS_ALWAYS
#undef HAS_NULL_AT_0
#undef HAS_OUT_AT_0
#undef HAS_KNOWN
#undef HAS_GIVEN
#undef HAS_OPEN

/* ---- writing and reading ---- */

/* The i-th of all objects; NULL behind the last. */
const struct object_type *object_at(size_t i);
const struct object_type *object_of(struct bytes name); /* NULL: there is none */
/* By its name in JSON; NULL: there is none. */
const struct object_field *object_field_of(const struct object_type *o, const char *name);

/* A new reference. */
json_t *object_write(const struct object_type *o, const void *value) MUST_CHECK;
/* The same as canonical text, appended: for answers with many objects. */
void object_write_text(const struct object_type *o, const void *value, struct buf *out);
/* An answer, of this build's dispatcher or of another one's: members that are missing or null are 0, and
 * unknown ones are passed over. ERR_IO when a member is of another type, at any depth; where is its name and
 * what was asked: "workers[3].cpus of GET /v1/workers". asked may be NULL. */
int object_read_answer(const struct object_type *o, const json_t *json, const char *asked, void *ret,
		       struct error *reterr) MUST_CHECK;
/* The same of what is known to be as its rows say: an item of an answer that object_read_answer has taken, or
 * what object_write wrote. A member of another type is 0. */
void object_read(const struct object_type *o, const json_t *json, void *ret);
/* A request: ERR_INVALID when a member is unknown, of another type or out of bounds. Missing members are 0.
 */
int object_read_request(const struct object_type *o, const json_t *json, void *ret,
			struct error *reterr) MUST_CHECK;
/* Its JSON Schema (draft 2020-12), a new reference. Other objects are #/components/schemas/NAME. A request
 * admits no unknown members. */
json_t *object_schema(const struct object_type *o, bool request) MUST_CHECK;

/* A text that was read, with a NUL behind it. */
static inline const char *api_text(struct bytes text)
{
	return text.data != NULL ? (const char *)text.data : "";
}
