/* How history's writer makes blocks (history_block.h).
 *
 * A job of one shard is put into a made block when it is accepted, and into an ended block when it ends; its
 * event stands in a block of events. Blocks are written with the transaction whose records they hold, so that
 * the lsn in the file is true, and nothing of a job is in memory alone. A transaction that sees the job
 * accepted and ended writes the end alone. Nothing in a block is changed: bits beside a made block say which
 * jobs have left it, and it is deleted when all have. Who made a job's output is known before its end: it
 * waits for the end in memory until the transaction is over, and becomes rows if the end is not there by
 * then.
 *
 * What few jobs meet (a failed attempt, a pause, a later phase, another life) makes a row of the job first
 * (history_unblock); from then on the job is one of those that never were in a block.
 *
 * Blocks begin as small as a transaction. Eight of a level become one of the next; from BLOCK_ROWS_FULL rows
 * on they stay. So a row is written four times at most.
 *
 * Thread: the writer's. Bound: what a transaction holds; a bit and a few bytes a live job, a few bytes a made
 * block. */
#pragma once

#include "dispatcher/store/history_find.h"
#include "dispatcher/store/history_private.h"

#define BLOCK_ROWS_FULL 512		    /* and more stay as they are */
#define BLOCK_BYTES_FULL (256 * KIB)	    /* likewise */
#define BLOCK_ROWS_END 4096		    /* then the next one begins */
#define BLOCK_BYTES_END ((size_t)(2 * MIB)) /* likewise */
#define BLOCK_LEVEL_FULL 3
#define BLOCKS_MERGED 8
#define MADE_SPAN_MAX 8192 /* of ids */

/* A block in the making, and what is known of it. */
struct block_draft {
	enum history_block_kind kind;
	struct block_builder *builder;
	struct job_interval jobs, times;
	int64_t output_bytes, states;
	struct segment_name *segments;
	uint32_t segment_count, segment_room;
	uint64_t *hashes; /* for the filter */
	uint32_t hash_count, hash_room;
	uint64_t last_name; /* hash of a job's name, or of an event's source, that many have */
};

/* Who made a job, what that took, or why it is dead, until its end. */
struct job_news {
	uint64_t job; /* 0: it is used up */
	struct history_entry entry;
};

struct made_block {
	int64_t block; /* 0: not written yet; it is the draft's */
	uint64_t first;
	uint32_t span, kept;
	uint8_t *gone;	     /* bits */
	int32_t priority;    /* of all, */
	int32_t *priorities; /* or of each */
	bool changed;
};

struct history_blocks {
	struct history_views *views;
	struct block_draft made_draft, ended_draft, events_draft, merged_draft;
	struct made_block *made; /* in order */
	uint32_t made_count, made_room;
	bool made_is_known; /* else it is to be read */
	struct job_news *news;
	uint32_t news_count, news_room;
	uint32_t *news_slots, news_slot_count; /* by job: number in news + 1; 0: free */
	struct arena texts;		       /* of news */
	struct arena names;		       /* of one event */
	struct buf ids, body, filter;
	int64_t span; /* of the longest block of ended jobs or events; at least that of meta */
};

/* ---- drafts (history_drafts.c) ---- */

void draft_init(struct block_draft *d, enum history_block_kind kind);
void draft_fini(struct block_draft *d);
void draft_clear(struct block_draft *d);
void draft_add_entry(struct block_draft *d, const struct history_entry *e);
void draft_add_event(struct history_blocks *b, struct block_draft *d, const struct history_event_row *e);
bool draft_is_full(const struct block_draft *d);
/* Writes it; *ret_block is its number, or 0: it was empty. kept, gone: of a made block. */
int draft_write(struct history *h, struct block_draft *d, uint32_t kept, struct bytes gone,
		int64_t *ret_block, struct error *reterr) MUST_CHECK;
/* The rows of these blocks that are not hidden become one block; they are deleted. */
int blocks_merge(struct history *h, enum history_block_kind kind, const int64_t *blocks, uint32_t count,
		 struct error *reterr) MUST_CHECK;
int block_delete(struct history *h, int64_t block, struct error *reterr) MUST_CHECK;
/* Small ones become larger ones. */
int blocks_merge_small(struct history *h, enum history_block_kind kind, struct error *reterr) MUST_CHECK;
/* What SQLite said of a view, as an error. */
int blocks_error(struct history *h, int code, struct error *reterr);

/* ---- live jobs (history_made.c) ---- */

/* Only ids that grow. */
bool made_may_take(const struct history_blocks *b, uint64_t job);
int made_put(struct history *h, const struct history_job *job, struct error *reterr) MUST_CHECK;
/* NULL: the job is in none. Reads what there is when it is not known. */
struct made_block *made_find(struct history *h, uint64_t job);
int made_load(struct history *h, struct error *reterr) MUST_CHECK;
void made_leave(struct made_block *m, uint64_t job);
int64_t made_priority(const struct made_block *m, uint64_t job);
/* The draft, if it is not empty, and which jobs have left. */
int made_write(struct history *h, struct error *reterr) MUST_CHECK;
int made_write_draft(struct history *h, struct error *reterr) MUST_CHECK;
void made_forget(struct history_blocks *b);
