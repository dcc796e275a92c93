/* What history keeps in blocks (block.h), of jobs of one shard and of events. There are three kinds.
 *
 * made: such jobs as they were accepted, while they live. A job leaves when it has ended, is forgotten, or
 * becomes a row, since something happened to it that few jobs meet. Bits beside the block say which have
 * left.
 *
 * ended: such jobs that have ended. The job's row, and what else history has of its shard: who made its
 * output, what its last attempt took, why it is dead.
 *
 * events: events with the jobs that they made, whose ids follow one another.
 *
 * Whatever has a row in job_rows is not in a block any more, even when it still stands there; what is
 * forgotten is in none. Pure. */
#pragma once

#include "dispatcher/store/block.h"
#include "dispatcher/store/history_tables.h"

/* Blocks list the segments of outputs that their jobs name as such pairs, each 8 bytes as this machine has
 * them. */
struct segment_name {
	int64_t worker, segment;
};

enum history_block_kind { HISTORY_MADE = 1, HISTORY_ENDED = 2, HISTORY_EVENTS = 3 };

/* A row of made (its job alone) and of ended. */
struct history_entry {
	struct history_job job;
	struct history_range range;   /* count 0: none */
	struct history_effort effort; /* likewise */
	struct history_dead dead;     /* likewise */
};

/* A row of events. */
struct history_event_row {
	uint64_t first_job;
	uint32_t jobs;
	uint64_t event_hi, event_lo;
	usec_t wall_us;
	struct bytes json;
	struct principal by;
};

/* Tables of which an entry holds a row. */
enum history_part { PART_JOB, PART_RANGE, PART_EFFORT, PART_FAILURE, PART_COUNT };

const struct block_fields *history_block_fields(enum history_block_kind kind);
extern const struct sql_table *const history_part_tables[PART_COUNT];
/* The field of a column of that part's table; -1: it is none. */
int history_block_field(enum history_block_kind kind, enum history_part part, const char *column);
/* Job, phase and first shard, which stand once. */
void history_entry_complete(struct history_entry *e);

/* Fields that are asked for by name (history_block_field); the first is the job, or the event's first job. */
enum history_event_field {
	EVENT_FIRST_JOB,
	EVENT_JOBS,
	EVENT_ID,
	EVENT_WALL_US,
	EVENT_JSON,
	EVENT_BY_KIND,
	EVENT_BY_NAME,
	EVENT_BY_NUMBER,
};

/* By what people call an event: its id, or the key of its object, unescaped; and its source. */
struct event_names {
	struct bytes id, key, key_base64, source;
};
/* Of canonical JSON; size 0 of what is no text, or is not there. Texts are the JSON's, or the arena's. */
void event_names_find(struct bytes json, struct arena *arena, struct event_names *ret);

/* ---- a Bloom filter: 10 bits a key, 7 places ---- */

/* Of blocks of events, and of ended jobs their names. */
enum filter_key {
	FILTER_EVENT = 1,
	FILTER_ID,
	FILTER_OBJECT,
	FILTER_OBJECT_BASE64,
	FILTER_SOURCE,
	FILTER_NAME
};
uint64_t filter_hash(enum filter_key kind, struct bytes key);
/* Appends the filter of these. */
void filter_make(const uint64_t *hashes, size_t count, struct buf *out);
bool filter_may_have(struct bytes filter, uint64_t hash);
