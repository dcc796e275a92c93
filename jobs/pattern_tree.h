/* A compiled pattern: what pattern_compile.c makes and pattern.c walks. Pure, inside jobs/. */
#pragma once

#include "jobs/pattern.h"

enum pattern_kind {
	PATTERN_PREFIX,
	PATTERN_SUFFIX,
	PATTERN_INTEGER,
	PATTERN_REAL,
	PATTERN_TRUE,
	PATTERN_FALSE,
	PATTERN_NULL,
};

struct pattern_other {
	enum pattern_kind kind;
	struct bytes text; /* PREFIX, SUFFIX */
	int64_t integer;
	double real;
};

/* Either `deeper` or alternatives. */
struct pattern_field {
	struct bytes key;
	const struct pattern *deeper;
	struct bytes *texts; /* exact texts, in order */
	uint32_t text_count;
	struct pattern_other *others;
	uint32_t other_count;
};

struct pattern {
	struct pattern_field *fields;
	uint32_t field_count;
};
