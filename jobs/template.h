/* Placeholders inside one argv element, environment value or URL: `{{event.detail.object.key}}`,
 * `{{shard.value}}`, `{{job.id}}`. A value is copied byte for byte into its element; no shell, no
 * splitting, no second expansion. Pure. Workers expand, so this is part of the shape archive.
 *
 * Text     { and } are ordinary; only {{ opens a placeholder. {{{{ stands for {{ itself. In {{{x}}}
 *          the outer braces are ordinary.
 * Blanks   around the name are allowed.
 * Names    template_names(scope) lists them. event.PATH is a dotted path into the canonical event;
 *          its values are stored with the job, in the order of the definition's value_names. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "jobs/schema.h"

/* What a text may name: a set of these. */
enum template_scope {
	TEMPLATE_EVENT = 1, /* event.PATH */
	TEMPLATE_JOB = 2,   /* job.id, job.name */
	TEMPLATE_SHARD = 4, /* shard.index, shard.count */
	TEMPLATE_INPUT = 8, /* shard.input_file: input: file */
};
/* And what the shards of a plan kind have: its row's names. */
#define TEMPLATE_PLAN(kind) (256u << (kind))
#define TEMPLATE_ALL UINT32_MAX

enum template_part_kind {
	PART_TEXT,
	PART_EVENT,
	PART_JOB_ID,
	PART_JOB_NAME,
	PART_SHARD_INDEX,
	PART_SHARD_COUNT,
	PART_SHARD_PLAN, /* a name of a plan kind's row */
	PART_SHARD_INPUT_FILE,
};

#define TEMPLATE_UNRESOLVED UINT32_MAX

struct template_part {
	enum template_part_kind kind;
	struct bytes text; /* TEXT: the bytes; else the name: "event.detail.object.key" */
	uint32_t value;	   /* EVENT: index into value_names, or TEMPLATE_UNRESOLVED */
};

struct template
{
	struct template_part *parts;
	uint32_t part_count;
};

/* Compiles into the arena; parts point into text, which has to live as long.
 * ERR_INVALID in words; *offset_ret (may be NULL) is then the byte in text that is wrong. */
int template_compile(struct bytes text, unsigned scope, struct arena *arena, struct template *ret,
		     size_t *offset_ret, struct error *reterr) MUST_CHECK;
/* Finds each event.PATH among a definition's value_names. ERR_NOT_FOUND names the one that is not. */
int template_resolve(struct template *t, const struct text_item_list *value_names,
		     struct error *reterr) MUST_CHECK;
/* Is it text without placeholders? */
bool template_is_literal(const struct template *t);
/* Appends text such that template_compile gives it back as a literal. */
void template_escape(struct buf *out, struct bytes literal);
/* May a plan give its shards a value of this name? shard.NAME that nothing else is called. */
bool template_is_choosable(struct bytes name);
/* "event.PATH, job.id, …" for errors. */
const char *template_names(unsigned scope, char *buf, size_t size);

/* What a worker knows of a shard. Fields that no scope of the text names are not looked at. */
struct template_values {
	uint64_t job;
	struct bytes job_name;
	const struct text_item_list *values; /* of the job */
	const struct plan *plan;
	uint32_t shard;
	struct bytes item;	 /* plan by items: the shard's */
	struct bytes input_file; /* input: file */
};

/* Appends the expansion. ERR_INVALID when a value has a NUL byte (argv and environment cannot carry
 * one), ERR_LIMIT beyond ARG_BYTES_MAX - 1 bytes; out is then as it was. Any other byte passes. */
int template_expand(const struct template *t, const struct template_values *v, struct buf *out,
		    struct error *reterr) MUST_CHECK;
