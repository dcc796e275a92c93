/* Rows of blocks, found: a job by its id, the newest jobs, events by their names. As history_views.h says. */
#pragma once

#include "dispatcher/store/history_views.h"

struct history_found {
	struct block_view *view; /* NULL: nothing was found */
	int64_t block;
	enum history_block_kind kind;
	uint32_t row;
};

/* A job in an ended block, or else in a made one. The view is to be released. */
int history_find_job(struct history_views *v, int64_t job, bool with_body,
		     struct history_found *ret) MUST_CHECK;

/* The largest so many numbers of those that are put in, each once. */
struct newest {
	int64_t *items; /* a heap, until they are sorted; of the room */
	uint32_t count, room;
};
bool newest_takes(const struct newest *n, int64_t job);
void newest_put(struct newest *n, int64_t job);
/* Largest first, each once. */
void newest_sort(struct newest *n);

/* Jobs of blocks of this kind with ids below `before`, whose state is in `states` (bit 1 << state). */
int history_find_newest(struct history_views *v, enum history_block_kind kind, int64_t before,
			uint32_t states, struct newest *to) MUST_CHECK;

/* Not SQLITE_OK ends the walk, and is what it returns; SQLITE_DONE ends it as if it were at its end. */
typedef int history_event_found_fn(void *arg, struct block_view *view, uint32_t row);
/* Events with that name in blocks, the newest blocks first, that are not forgotten. Reads the filters of all
 * blocks of events. */
int history_find_events(struct history_views *v, enum filter_key key, struct bytes name,
			history_event_found_fn *fn, void *arg) MUST_CHECK;
/* Has row i of a block of events that name? */
bool history_event_is(struct block_view *view, uint32_t row, enum filter_key key, struct bytes name,
		      struct arena *arena);
/* Of row i: are all its jobs forgotten? */
bool history_event_is_forgotten(const struct history_hidden *h, struct block_view *view, uint32_t row);
/* The jobs that a block is about: of events all theirs. */
struct job_interval history_block_jobs(struct block_view *view, enum history_block_kind kind);
bool history_gone_has(struct bytes gone, int64_t first, int64_t job);
