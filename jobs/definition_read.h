/* What the files of definition_*.c share: reading nodes into typed values. Pure, inside jobs/.
 *
 * Each reader says in problems what is wrong and returns false, and the others go on, so that a person
 * sees all mistakes at once. *ret is written only on success. */
#pragma once

#include "jobs/amounts_text.h"
#include "jobs/definition.h"
#include "jobs/kinds.h"
#include "jobs/node.h"
#include "jobs/result.h"
#include "jobs/template.h"

#define DEFINITION_VALUES_MAX 256 /* event.PATH that one definition names */
#define DEFINITION_PATTERNS_MAX 64
#define DEFINITION_EXIT_RULES_MAX 64
#define DEFINITION_PRIORITY_MAX 1000000
#define DEFINITION_AFTER_MAX 64

struct definition_reader {
	struct definition *d;
	struct arena *arena; /* the definition's */
	struct problems *problems;
	json_t *on;		  /* the patterns, for the canonical text; owned */
	struct text_item *values; /* DEFINITION_VALUES_MAX of room */
	uint32_t value_count;
	uint32_t fanin;		       /* gather's */
	struct result_streams streams; /* out and err */
	/* By name while they are read; d->body.phases holds those that there are in the end. */
	struct phase_def plan, shards, gather;
	bool has_gather;
	bool names_part; /* a template of `run` names what a shard gets of its plan */
};

/* definition_parse, with the caller's problems: errors are there. */
int definition_parse_in(struct problems *problems, struct definition **ret) MUST_CHECK;

/* One key of a map. The table's order is the order of reading, not of the file. */
struct definition_key {
	const char *name;
	bool required;
	bool (*read)(struct definition_reader *r, const struct node *n, void *target);
};

/* A map: each key it has is read into target; unknown ones are told with the nearest known. `what` is
 * "a definition", "`run`", …. */
bool read_map(struct definition_reader *r, const struct node *n, const char *what,
	      const struct definition_key keys[], size_t key_count, void *target);

/* expected …, found …; help may be NULL. Returns false. */
bool read_refuse(struct definition_reader *r, const struct node *n, const char *help, const char *expected);
/* An error that another module set. Returns false. */
bool read_refuse_error(struct definition_reader *r, struct place at, const struct error *e);

bool read_text(struct definition_reader *r, const struct node *n, struct bytes *ret);
/* [A-Za-z0-9] and then also . _ -, at most NAME_BYTES_MAX. */
bool read_name(struct definition_reader *r, const struct node *n, struct bytes *ret);
bool read_integer(struct definition_reader *r, const struct node *n, int64_t min, int64_t max, int64_t *ret);
bool read_bool(struct definition_reader *r, const struct node *n, bool *ret);
bool read_duration(struct definition_reader *r, const struct node *n, int64_t *ret);
/* `none` is 0. */
bool read_timeout(struct definition_reader *r, const struct node *n, int64_t *ret);
bool read_size(struct definition_reader *r, const struct node *n, uint64_t *ret);
bool read_milli(struct definition_reader *r, const struct node *n, uint64_t *ret);
/* `of` is an enum's X_of, names its X_names(). */
bool read_kind(struct definition_reader *r, const struct node *n, uint8_t (*of)(struct bytes),
	       const char *names, uint8_t *ret);
/* Compiles it, and notes the values that it names (keep_values). */
bool read_template(struct definition_reader *r, const struct node *n, unsigned scope, bool keep_values,
		   struct bytes *ret);
/* One to max templates. */
bool read_template_list(struct definition_reader *r, const struct node *n, unsigned scope, uint32_t max,
			struct text_item_list *ret);
/* Zeroed room in the definition's arena. */
void *read_alloc(struct definition_reader *r, size_t count, size_t size);

/* The sections: one file each. */
bool read_on(struct definition_reader *r, const struct node *n, void *target);
bool read_shard(struct definition_reader *r, const struct node *n, void *target);  /* struct shard_section */
bool read_run(struct definition_reader *r, const struct node *n, void *target);	   /* struct phase_def */
bool read_gather(struct definition_reader *r, const struct node *n, void *target); /* struct phase_def */
/* The command whose output lines are the items. */
bool read_plan_run(struct definition_reader *r, const struct node *n, void *target); /* struct phase_def */
bool read_resources(struct definition_reader *r, const struct node *n, struct run_spec *ret);
bool read_retry(struct definition_reader *r, const struct node *n, void *target);	 /* struct policy */
bool read_tolerate(struct definition_reader *r, const struct node *n, void *target);	 /* struct policy */
bool read_keep_going(struct definition_reader *r, const struct node *n, void *target);	 /* struct policy */
bool read_max_failures(struct definition_reader *r, const struct node *n, void *target); /* struct policy */
bool read_output(struct definition_reader *r, const struct node *n, void *target); /* struct definition */
bool read_out(struct definition_reader *r, const struct node *n, void *target);
bool read_err(struct definition_reader *r, const struct node *n, void *target);
/* A map, or GROUP[:LIMIT][:MODE]. */
bool read_concurrency(struct definition_reader *r, const struct node *n, void *target); /* definition */
bool read_max_jobs(struct definition_reader *r, const struct node *n, void *target);
bool read_rate(struct definition_reader *r, const struct node *n, void *target);
void run_defaults(struct run_spec *run);
void policy_defaults(struct policy *p);

/* Canonical JSON of what was read. */
void definition_write(const struct definition *d, const json_t *on, struct buf *out);
