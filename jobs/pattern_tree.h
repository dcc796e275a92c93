/* A compiled pattern: what pattern_compile.c and pattern_operators.c make, and pattern_search.c walks. Pure,
 * inside jobs/.
 *
 * A pattern is a list of rules, one for each way through its $or; a rule is a list of fields that all have to
 * match, in the order of their paths. A field is known by its path: keys joined with dots. */
#pragma once

#include "base/limits.h"
#include "jobs/pattern.h"
#include "jobs/pattern_address.h"
#include "jobs/pattern_case.h"
#include "jobs/pattern_number.h"
#include "jobs/pattern_wildcard.h"

enum pattern_kind {
	PATTERN_PREFIX,
	PATTERN_SUFFIX,
	PATTERN_CASELESS, /* equals-ignore-case */
	PATTERN_CASELESS_PREFIX,
	PATTERN_CASELESS_SUFFIX,
	PATTERN_WILDCARD,
	PATTERN_CIDR, /* an address that is written out, too: it has several spellings */
	PATTERN_NUMBER,
	PATTERN_RANGE,
	PATTERN_TRUE,
	PATTERN_FALSE,
	PATTERN_NULL,
	PATTERN_EXISTS,
	PATTERN_ANYTHING_BUT,
};

struct pattern_range {
	struct pattern_number low, high;
	bool has_low, has_high;
	bool open_low, open_high; /* the bound itself does not match */
};

/* Alternatives. */
struct pattern_values {
	struct bytes *texts; /* exact texts, in order */
	uint32_t text_count;
	struct pattern_other *others;
	uint32_t other_count;
};

struct pattern_other {
	enum pattern_kind kind;
	union {
		struct bytes text; /* PREFIX, SUFFIX */
		struct pattern_letters letters;
		struct pattern_wildcard wildcard;
		struct pattern_cidr cidr;
		struct pattern_number number;
		struct pattern_range range;
		const struct pattern_values *but;
	};
};

struct pattern_field {
	struct bytes path;
	struct place at; /* of its key in the pattern's text */
	struct pattern_values values;
	bool absent; /* {exists: false} is one of the alternatives */
};

struct pattern_rule {
	const struct pattern_field **fields; /* in the order of their paths */
	uint32_t field_count;
};

struct pattern {
	struct pattern_rule *rules;
	uint32_t rule_count;
};

bool pattern_values_match(const struct pattern_values *values, const json_t *value);
bool pattern_values_match_text(const struct pattern_values *values, struct bytes text);

enum pattern_found {
	PATTERN_NO_MATCH,
	PATTERN_MATCH,
	PATTERN_TOO_LONG, /* PATTERN_STEPS_MAX is passed: taken as no match */
};
/* *steps: values that the pattern has looked at so far; it goes on counting. */
enum pattern_found pattern_search(const struct pattern_rule *rule, const json_t *event, uint32_t *steps);
/* The first value at this path, whatever it is; NULL: there is none. */
const json_t *pattern_first_value(struct bytes path, const json_t *event);

/* What is common to the files that compile. */
struct pattern_compiler {
	struct arena *arena;
	struct problems *problems;
	uint32_t value_count;
	uint32_t depth;
	uint32_t keys;	   /* of the path */
	char shown[120];   /* the path of the member in work, for errors; cut when it is long */
	struct bytes path; /* the same, whole */
	uint8_t joined[PATTERN_PATH_BYTES_MAX]; /* in which it stands */
};

/* The alternatives of a field. */
int pattern_compile_values(struct pattern_compiler *c, const struct node *list,
			   struct pattern_field *field) MUST_CHECK;
/* Operators and words that may not name a field below $or. */
bool pattern_is_reserved(struct bytes name);
