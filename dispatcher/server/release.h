/* Effects that wait until the lsn they name is durable, in lsn order. */
#pragma once

#include "base/log.h"
#include "dispatcher/core/core.h"

struct server;
struct release_entry;

typedef void release_fn(struct server *s, void *arg);

struct release {
	struct release_entry *first, *last;
	size_t count;
	size_t bytes; /* of frames */
	struct log_quota tells;
};

/* All effects of the step that just was. */
void release_effects(struct server *s, const struct dispatcher_effects *effects);
/* fn runs when lsn is durable; never before the turn's end. What must be undone is the caller's. */
void release_call(struct server *s, uint64_t lsn, release_fn *fn, void *arg);
/* Lets out what is durable. */
void release_durable(struct server *s, uint64_t lsn);
/* Forgets all, for the end. */
void release_fini(struct release *r);
