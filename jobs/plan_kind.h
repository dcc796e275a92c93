/* What a plan kind is: one way to cut a phase into shards. A kind is one file of jobs/plans/ with one struct
 * plan_row, and one line of plans.def. The rest of the program names no kind: it asks the row. Pure; what
 * needs a file, a socket or a command (a size, a list) is named by the row's data and done by the shells. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "jobs/kinds.h"
#include "jobs/range.h"
#include "jobs/schema.h"

/* ---- facts: names and values that a kind tells, each reader in a form of its own ---- */

#define PLAN_FACTS_MAX 9
#define PLAN_FACTS_ROOM 3000

enum plan_fact_form { FACT_NUMBER, FACT_SIZE, FACT_TEXT };

struct plan_fact {
	const char *name;
	enum plan_fact_form form;
	int64_t number;	   /* NUMBER */
	uint64_t size;	   /* SIZE */
	struct bytes text; /* TEXT; borrowed from plan, item or room */
};

struct plan_facts {
	struct plan_fact items[PLAN_FACTS_MAX];
	uint32_t count;
	char room[PLAN_FACTS_ROOM]; /* texts that are made for it; not copied with the struct */
	size_t used;
};

void fact_number(struct plan_facts *f, const char *name, int64_t value);
void fact_size(struct plan_facts *f, const char *name, uint64_t value);
void fact_text(struct plan_facts *f, const char *name, struct bytes text);
/* A text that lives as long as the facts: a name that is made for them. */
const char *facts_keep(struct plan_facts *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
void fact_printf(struct plan_facts *f, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define PLAN_FACT_DIGITS 24
/* The value as text; a number is written into digits. */
struct bytes fact_as_text(const struct plan_fact *fact, char digits[PLAN_FACT_DIGITS]);
const struct plan_fact *facts_find(const struct plan_facts *f, struct bytes name); /* NULL: none */

/* ---- `shard` of a definition ---- */

/* How the first phase is cut; without `shard` one shard. */
struct shard_section {
	uint8_t kind;	 /* enum plan_kind */
	uint8_t planner; /* enum planner_kind: who makes the plan whole, when the event does not */
	int64_t start;
	int64_t step;
	uint32_t count;
	uint64_t step_bytes;
	uint8_t align; /* enum align_kind */
	struct bytes
	    of; /* template of a URL: what is cut, or the list; empty: the plan phase writes the list */
	struct text_item_list items;
};

enum shard_form {
	SHARD_TEXT,  /* a text, or a map of texts, which the kind parses and writes */
	SHARD_SIZE,  /* step_bytes */
	SHARD_ALIGN, /* align */
	SHARD_URL,   /* of */
	SHARD_AXES,  /* items: a map of names, each with a text or a list of texts; or a list of NAME=TEXT */
	SHARD_ITEMS, /* items; or a URL or a command whose lines are the items, and the planner that reads
			them */
};

/* A name and its values: in one text, or each in its own. */
struct shard_axis {
	struct bytes name;
	struct bytes text;	    /* values NULL */
	const struct bytes *values; /* NULL: text */
	size_t value_count;
};

#define SHARD_KEYS_MAX 3
#define SHARD_MEMBERS_MAX 4

struct shard_key {
	const char *name; /* NULL: behind the last */
	enum shard_form form;
	/* Of SHARD_TEXT. members: of a map, all of them required; none: a text. texts are in their order.
	 * ERR_INVALID without words says that it is not `expected`. What it makes lives in the arena. write:
	 * one fact, or one for each member.
	 */
	const char *members[SHARD_MEMBERS_MAX];
	const char *expected, *help;
	int (*parse)(const struct bytes texts[], struct arena *arena, struct shard_section *s,
		     struct error *reterr);
	void (*write)(const struct shard_section *s, struct plan_facts *ret);
	/* Of SHARD_AXES, for each in the file's order; errors as of parse. */
	int (*add)(const struct shard_axis *axis, struct arena *arena, struct shard_section *s,
		   struct error *reterr);
};

/* ---- the row ---- */

/* What a shard gets beside its number, and where that comes from. */
enum plan_input {
	PLAN_INPUT_NONE,
	PLAN_INPUT_PART,    /* bytes of one object, found by URL and range */
	PLAN_INPUT_ITEM,    /* one text, which comes with the lease: from the plan, or from its blob */
	PLAN_INPUT_OUTPUTS, /* what shards of the phase before wrote; the lease names who wrote it */
};

/* One shard, as far as it is known where the question is asked. */
struct plan_shard {
	const struct plan *plan;
	uint32_t shard;
	struct bytes item; /* PLAN_INPUT_ITEM */
	bool aligned;	   /* PLAN_INPUT_PART: first and end are its records' */
	uint64_t first, end;
	struct bytes manifest; /* PLAN_INPUT_OUTPUTS: the file that lists them */
	uint64_t missing;      /* and how many there are not */
};

#define PLAN_NAMES_MAX 5

/* A function may be NULL where there is nothing to say or to do. */
struct plan_row {
	uint8_t kind;
	uint8_t input;	    /* enum plan_input */
	uint8_t planner;    /* shard_section.planner, unless a key names another */
	bool planned;	    /* a planner may have made it: history keeps what it found */
	const char *column; /* title of what tells a shard from others, in a table */

	/* From a definition to a plan. The first key chooses the kind; without keys no definition can. */
	struct shard_key keys[SHARD_KEYS_MAX + 1];
	void (*defaults)(struct shard_section *s);		      /* of the keys behind the first */
	void (*cut)(const struct shard_section *s, struct plan *ret); /* what the definition says of it */
	/* PLAN_INPUT_PART: url and size_bytes are known now, and with them how many shards there are. */
	int (*size)(struct plan *p, struct error *reterr);
	/* Does a plan that came from outside keep the kind's rules? ERR_INVALID in words. */
	int (*validate)(const struct plan *p, struct error *reterr);

	/* For people. sentence: how many shards and why, without a full stop; at_least: a list was not read
	 * to its end. describe, preview: the members of the API's answer for all of it, for one shard. */
	void (*sentence)(const struct plan *p, bool at_least, struct buf *out);
	void (*describe)(const struct plan *p, struct plan_facts *ret);
	void (*preview)(const struct plan_shard *s, struct plan_facts *ret);

	/* Numbers of its own that people call its shards by; all NULL: shard n is called n. numbers: of a run
	 * of shards, as --array takes them. find: the way back; false: none has it. */
	int64_t (*number)(const struct plan *p, uint32_t shard);
	bool (*find)(const struct plan *p, int64_t number, uint32_t *ret_shard);
	void (*numbers)(const struct plan *p, struct range shards, struct buf *out);

	/* For the shard: {{shard.NAME}}, of which expand tells all that `names` has; variables of its
	 * environment; what a runner is told of the plan. */
	const char *names[PLAN_NAMES_MAX + 1];
	/* The definition chooses names beside those: is this one of them? */
	bool (*names_also)(const struct shard_section *s, struct bytes name);
	void (*expand)(const struct plan_shard *s, struct plan_facts *ret);
	void (*environment)(const struct plan_shard *s, struct plan_facts *ret);
	void (*runner)(const struct plan *p, struct plan_facts *ret);
};

/* Never NULL: of a kind that this build does not know, a row with kind 0 that gives nothing. */
const struct plan_row *plan_row(uint32_t kind);
/* The rows in their order in plans.def; NULL behind the last. */
const struct plan_row *plan_row_at(size_t i);
