/* Jobs enter and leave blocks (history_blocks.h): accepted, news of their shard, their ends, and what makes
 * rows of them. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/store/history_blocks.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

#define I64(x) ((int64_t)(x))
#define TEXTS_BYTES_MAX ((size_t)(64 * MIB))

void history_blocks_open(struct history *h, struct history_views *views)
{
	struct history_blocks *b = h->blocks = check_calloc(1, sizeof *b);

	b->views = views;
	draft_init(&b->made_draft, HISTORY_MADE);
	draft_init(&b->ended_draft, HISTORY_ENDED);
	draft_init(&b->events_draft, HISTORY_EVENTS);
	arena_init(&b->texts, TEXTS_BYTES_MAX);
	arena_init(&b->names, 0);
}

void history_blocks_close(struct history *h)
{
	struct history_blocks *b = h->blocks;

	if (b == NULL)
		return;
	made_forget(b);
	free(b->made);
	draft_fini(&b->made_draft);
	draft_fini(&b->ended_draft);
	draft_fini(&b->events_draft);
	free(b->news);
	free(b->news_slots);
	arena_fini(&b->texts);
	arena_fini(&b->names);
	buf_fini(&b->ids);
	buf_fini(&b->body);
	buf_fini(&b->filter);
	free(b);
	h->blocks = NULL;
}

/* ---- news, by job ---- */

static uint32_t slot_of(const struct history_blocks *b, uint64_t job)
{
	uint32_t at = (uint32_t)((job * 0x9e3779b97f4a7c15ull) >> 32) & (b->news_slot_count - 1);

	while (b->news_slots[at] != 0 && b->news[b->news_slots[at] - 1].job != job)
		at = (at + 1) & (b->news_slot_count - 1);
	return at;
}

static struct job_news *find_news(struct history_blocks *b, uint64_t job)
{
	uint32_t at;

	if (b->news_count == 0)
		return NULL;
	at = slot_of(b, job);
	return b->news_slots[at] != 0 ? &b->news[b->news_slots[at] - 1] : NULL;
}

static void forget_news(struct history_blocks *b)
{
	if (b->news_count == 0)
		return;
	b->news_count = 0;
	memset(b->news_slots, 0, b->news_slot_count * sizeof *b->news_slots);
	arena_reset(&b->texts);
}

static struct job_news *add_news(struct history_blocks *b, uint64_t job)
{
	if (2 * b->news_count >= b->news_slot_count) {
		b->news_slot_count = b->news_slot_count > 0 ? 4 * b->news_slot_count : 256;
		free(b->news_slots);
		b->news_slots = check_calloc(b->news_slot_count, sizeof *b->news_slots);
		for (uint32_t i = 0; i < b->news_count; i++)
			b->news_slots[slot_of(b, b->news[i].job)] = i + 1;
	}
	ARRAY_GROW(b->news, b->news_room, b->news_count);
	b->news[b->news_count] = (struct job_news){.job = job};
	b->news_slots[slot_of(b, job)] = b->news_count + 1;
	return &b->news[b->news_count++];
}

/* ---- accepted ---- */

/* Nothing is known that would make it more than its shard. */
static bool is_small(const struct history *h, const struct accepted *r, const struct new_job *j)
{
	return j->plan.shard_count == 1 && j->planner == PLANNER_PURE && j->due_wall_us == 0 &&
	       j->after.count == 0 && ((j->event_id_hi | j->event_id_lo) == 0 || r->event.size > 0) &&
	       made_may_take(h->blocks, j->job);
}

int history_accept_small(struct history *h, const struct accepted *r, const struct history_job *row,
			 const struct new_job *j, struct error *reterr)
{
	int rc = made_load(h, reterr);

	if (rc < 0 || !is_small(h, r, j))
		return rc;
	rc = made_put(h, row, reterr);
	return rc < 0 ? rc : 1;
}

int history_is_made(struct history *h, uint64_t job, struct error *reterr)
{
	int rc = made_load(h, reterr);

	return rc < 0 ? rc : made_find(h, job) != NULL;
}

int history_accept_event(struct history *h, const struct accepted *r, struct error *reterr)
{
	const struct new_job *first = &r->jobs.items[0];
	const struct history_event_row row = {.first_job = first->job,
					      .jobs = r->jobs.count,
					      .event_hi = first->event_id_hi,
					      .event_lo = first->event_id_lo,
					      .wall_us = r->wall_us,
					      .json = r->event,
					      .by = r->by};
	struct history_blocks *b = h->blocks;
	int64_t block;

	if (r->event.size == 0 || (row.event_hi | row.event_lo) == 0)
		return 0;
	draft_add_event(b, &b->events_draft, &row);
	return draft_is_full(&b->events_draft)
		   ? draft_write(h, &b->events_draft, block_builder_count(b->events_draft.builder),
				 (struct bytes){0}, &block, reterr)
		   : 0;
}

/* ---- its shard ---- */

static bool is_whole_shard(uint32_t count, uint32_t first, uint32_t shards)
{
	return count == 1 && first == 0 && shards == 1;
}

/* Done or dead, at once. */
static bool is_plain(const struct outcome_taken *o)
{
	const struct shard_failure *f = o->failed.items;
	bool done = o->failed.count == 0 && o->done.count > 0 &&
		    is_whole_shard(o->done.count, o->done.items[0].first, o->done.items[0].count);
	bool dead = o->done.count == 0 && o->failed.count > 0 &&
		    is_whole_shard(o->failed.count, f->first, f->count) && f->dead;

	return o->phase == 0 && (done || dead) && o->efforts.count <= 1;
}

static void fill_news(struct history_blocks *b, struct history_entry *e, const struct outcome_taken *o,
		      int64_t worker, usec_t wall_us)
{
	bool done = o->done.count > 0;

	if (done) {
		e->range = (struct history_range){
		    .shards.count = 1, .place = {worker, o->token, o->segment}, .wall_us = wall_us};
	} else {
		const struct shard_failure *f = &o->failed.items[0];

		e->dead = (struct history_dead){.shards.count = 1,
						.kind = f->kind,
						.code = f->code,
						.why = arena_copy(&b->texts, f->why),
						.wall_us = wall_us};
		if (f->segment > 0)
			e->dead.place = (struct history_place){worker, o->token, f->segment};
	}
	if (o->efforts.count == 1 && (o->efforts.items[0].kind == 0) == done) {
		e->effort = (struct history_effort){
		    .effort = o->efforts.items[0], .attempt = o->attempt, .worker = worker};
		e->effort.effort.first = 0;
		e->effort.effort.count = 1;
	}
}

int history_take_news(struct history *h, const struct outcome_taken *o, int64_t worker, usec_t wall_us,
		      struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	int rc = made_load(h, reterr);

	if (rc < 0 || made_find(h, o->job) == NULL)
		return rc;
	if (o->done.count == 0 && o->failed.count == 0)
		return 1; /* nothing that history would keep */
	if (!is_plain(o) || find_news(b, o->job) != NULL)
		return history_unblock(h, o->job, reterr);
	fill_news(b, &add_news(b, o->job)->entry, o, worker, wall_us);
	return 1;
}

/* ---- the end ---- */

static bool ends_plainly(const struct job_ended *r)
{
	return r->shards == 1 && r->phase == 0 && r->shards_phase == 0 && r->later.count == 0 &&
	       r->reopens == 0 && r->name.size > 0 && r->definition.size == 32;
}

int history_end_small(struct history *h, const struct job_ended *r, const struct history_job *row,
		      struct error *reterr)
{
	static struct history_entry none;
	struct history_blocks *b = h->blocks;
	struct made_block *m;
	struct job_news *news;
	struct history_entry e;
	int64_t block;
	int rc = made_load(h, reterr);

	m = rc == 0 ? made_find(h, r->job) : NULL;
	if (m == NULL)
		return rc;
	if (!ends_plainly(r))
		return history_unblock(h, r->job, reterr);
	news = find_news(b, r->job);
	e = news != NULL ? news->entry : none;
	e.job = *row;
	e.job.priority = made_priority(m, r->job);
	e.job.carried = false;
	history_entry_complete(&e);
	draft_add_entry(&b->ended_draft, &e);
	made_leave(m, r->job);
	if (news != NULL)
		news->entry = none; /* it has no shard: it is used up */
	if (draft_is_full(&b->ended_draft))
		rc = draft_write(h, &b->ended_draft, block_builder_count(b->ended_draft.builder),
				 (struct bytes){0}, &block, reterr);
	return rc < 0 ? rc : 1;
}

/* ---- back to rows ---- */

static int put_parts(struct history *h, struct history_entry *e, struct error *reterr)
{
	int rc = 0;

	history_entry_complete(e);
	if (e->range.shards.count > 0)
		rc = sql_put(&h->db, WRITE_RANGE, &e->range, reterr);
	if (rc == 0 && e->dead.shards.count > 0)
		rc = history_dead_put(h, &e->dead, reterr);
	if (rc == 0 && e->effort.effort.count > 0)
		rc = history_effort_put(h, &e->effort, reterr);
	return rc;
}

static int put_row(struct history *h, const struct history_found *f, struct error *reterr)
{
	struct history_entry e = {0};
	int rc;

	block_view_row(f->view, f->row, &e);
	if (block_view_is_damaged(f->view))
		return blocks_error(h, SQLITE_CORRUPT, reterr);
	rc = sql_put(&h->db, f->kind == HISTORY_ENDED ? WRITE_JOB_WHOLE : WRITE_JOB, &e.job, reterr);
	if (rc == 0 && f->kind == HISTORY_ENDED)
		rc = put_parts(h, &e, reterr);
	return rc;
}

/* What was done of it in this transaction. */
static int put_news(struct history *h, uint64_t job, struct error *reterr)
{
	struct job_news *news = find_news(h->blocks, job);
	struct history_entry e;

	if (news == NULL)
		return 0;
	e = news->entry;
	news->entry = (struct history_entry){0};
	e.job.job = job;
	return put_parts(h, &e, reterr);
}

/* All that the open transaction knows is where readers of blocks find it. */
int history_ends_write(struct history *h, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	int64_t block;
	int rc = made_load(h, reterr);

	if (rc == 0)
		rc = draft_write(h, &b->ended_draft, block_builder_count(b->ended_draft.builder),
				 (struct bytes){0}, &block, reterr);
	return rc < 0 ? rc
		      : draft_write(h, &b->events_draft, block_builder_count(b->events_draft.builder),
				    (struct bytes){0}, &block, reterr);
}

static int unblock_live(struct history *h, struct made_block *m, uint64_t job, struct error *reterr)
{
	struct history_found f;
	int rc = 0, code;

	if (m->block == 0)
		rc = made_write_draft(h, reterr);
	if (rc < 0)
		return rc;
	code = history_find_job(h->blocks->views, I64(job), true, &f);
	if (code != SQLITE_OK || f.view == NULL)
		return blocks_error(h, code != SQLITE_OK ? code : SQLITE_CORRUPT, reterr);
	rc = put_row(h, &f, reterr);
	history_views_release(h->blocks->views, f.view);
	made_leave(m, job);
	return rc < 0 ? rc : put_news(h, job, reterr);
}

int history_unblock(struct history *h, uint64_t job, struct error *reterr)
{
	int rc = made_load(h, reterr);
	struct made_block *m = rc == 0 ? made_find(h, job) : NULL;

	return m == NULL ? rc : unblock_live(h, m, job, reterr);
}

int history_unblock_ended(struct history *h, uint64_t job, struct error *reterr)
{
	struct history_found f;
	int rc = history_unblock(h, job, reterr), code;

	if (rc < 0)
		return rc;
	rc = history_ends_write(h, reterr);
	if (rc < 0)
		return rc;
	code = history_find_job(h->blocks->views, I64(job), true, &f);
	if (code != SQLITE_OK || f.view == NULL)
		return blocks_error(h, code, reterr);
	rc = put_row(h, &f, reterr);
	history_views_release(h->blocks->views, f.view);
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_BLOCK_LEFT, reterr, "i", I64(job));
	return rc < 0 ? rc : history_block_recount(h, f.block, reterr);
}

/* ---- transactions ---- */

int history_blocks_write(struct history *h, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	int rc = made_load(h, reterr);

	for (uint32_t i = 0; rc == 0 && i < b->news_count; i++)
		if (b->news[i].entry.range.shards.count > 0 || b->news[i].entry.dead.shards.count > 0)
			rc = history_unblock(h, b->news[i].job, reterr); /* its end did not come */
	forget_news(b);
	if (rc == 0)
		rc = made_write(h, reterr);
	if (rc == 0)
		rc = history_ends_write(h, reterr);
	if (rc == 0)
		rc = blocks_merge_small(h, HISTORY_ENDED, reterr);
	return rc < 0 ? rc : blocks_merge_small(h, HISTORY_EVENTS, reterr);
}

void history_blocks_rollback(struct history *h)
{
	struct history_blocks *b = h->blocks;

	forget_news(b);
	made_forget(b);
	draft_clear(&b->ended_draft);
	draft_clear(&b->events_draft);
	history_views_forget(b->views);
}
