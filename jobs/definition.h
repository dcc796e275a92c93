/* A job definition: YAML, compiled. DESIGN section 12 shows one; each section has its file,
 * definition_<section>.c. Pure.
 *
 * Canonical text is JSON of what was understood: defaults written out, quantities in one spelling.
 * It is a definition too, and its canonical text is itself. The sha256 of it names the version, so
 * comments, order and spelling do not make a new one. */
#pragma once

#include "base/arena.h"
#include "jobs/event.h"
#include "jobs/pattern.h"
#include "jobs/plan_kind.h"
#include "jobs/problems.h"
#include "jobs/schema.h"

struct pattern_list {
	const struct pattern **items;
	uint32_t count;
};

struct definition {
	struct definition_body body; /* see phases.h */
	struct pattern_list on;
	struct shard_section shard;
	int64_t max_running;	     /* of a job's shards at a time; 0 = no bound */
	struct bytes fair_by;	     /* template: whose share of its queue a job is; empty = its owner's */
	struct text_item_list after; /* templates of jobs that it waits for (after_text.h) */
	int64_t deadline_us, start_by_us; /* from when a job is accepted; 0 = none */
	struct concurrency concurrency;	  /* group: a template; empty = none */
	int64_t max_jobs;		  /* that are active at a time; 0 = no bound */
	struct rate rate;		  /* of its shards' starts */
	struct arena arena;		  /* holds all of it */
};

/* file is what people call the text. report (may be NULL) gets all errors that were found, each with its
 * line and a caret; reterr the first. */
int definition_parse(struct bytes text, const char *file, struct buf *report, struct definition **ret,
		     struct error *reterr) MUST_CHECK;
void definition_destroy(struct definition *d);
bool definition_matches(const struct definition *d, const struct event *e);
/* False: no event of this source can match. */
bool definition_may_match(const struct definition *d, struct bytes source);

/* `shardmill submit --array 1-1000:2 -- prog {}`: a definition of one command. `{}` inside an argument,
 * when no other brace touches it, is {{shard.value}}. Texts are what the keys of the same name would hold; an
 * empty one is left out. */
struct definition_command {
	struct bytes name; /* empty: the program's */
	const struct bytes *argv;
	size_t argc;
	const struct bytes *gather; /* argv of the gather phase; `{}` is nothing special there */
	size_t gather_count;
	bool literal;	    /* argv and gather are passed as they are, braces and all */
	struct bytes array; /* "100", "1-1000:2" or "1,5,9-20:2", each also with "%50": max_running; one at
			       most of these five cuts */
	const struct bytes *grid; /* "seed=1-100", "lr=0.1,0.01" */
	size_t grid_count;
	struct bytes bytes; /* shard size */
	const struct bytes *items;
	size_t item_count;
	struct bytes lines; /* file:///… whose lines are the items */
	struct bytes of;
	struct bytes align;
	struct bytes input;
	struct bytes stdin_file; /* an absolute path; {} as in a word of the command */
	struct bytes stdin_base64;
	struct bytes timeout;
	struct bytes cpus;
	struct bytes memory;
	struct bytes gpus;
	struct bytes pin;
	struct bytes attempts;
	struct bytes tolerate; /* one at most of these three */
	struct bytes max_failures;
	struct bytes max_running;
	struct bytes concurrency; /* GROUP[:LIMIT][:MODE] */
	struct bytes rate;	  /* 10/s */
	bool keep_going;
	const struct pair *exits; /* "2" or "75-78", and the verdict */
	size_t exit_count;
	struct bytes queue;
	struct bytes priority;
	struct bytes output;
	struct bytes out, err; /* URLs of files a shard; {} as in a word of the command */
	struct bytes directory;
	const struct pair *env; /* values are taken literally */
	size_t env_count;
};
int definition_from_command(const struct definition_command *c, struct definition **ret,
			    struct error *reterr) MUST_CHECK;
