/* The table of verbs (verbs.def), and what each takes. */
#pragma once

#include "base/options.h"

struct verb {
	const char *name; /* NULL: a group's title, which is doc */
	int (*run)(int argc, char **argv);
	const char *doc;
};

extern const struct verb verbs[];
extern const size_t verb_count; /* titles among them */

const struct verb *verb_find(const char *name); /* NULL: there is none */
/* Calls fn with the verb's options, as --help would tell them. fn is not called for what is no verb. */
void verb_describe(const struct verb *verb, void (*fn)(void *arg, const struct options_spec *spec),
		   void *arg);
/* Of the command itself, with the list of verbs in its details (text of `details`, which outlives it). */
struct options_spec command_spec(struct buf *details);
