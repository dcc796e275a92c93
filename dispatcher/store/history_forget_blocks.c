/* Jobs that are forgotten leave the blocks: a block of which nothing is left is deleted, one of which less
 * than half is left is written anew. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/store/history_blocks.h"

#define I64(x) ((int64_t)(x))

struct touched {
	int64_t block, kept;
	struct job_interval jobs;
	enum history_block_kind kind;
};

struct touched_list {
	struct touched *items;
	uint32_t count, room;
};

static int find_touched(struct history *h, enum history_block_kind kind, struct job_interval jobs,
			int64_t span, struct touched_list *to, struct error *reterr)
{
	int rc = sql_begin(&h->db, WRITE_BLOCKS_OF_JOBS, reterr, "iiii", I64(kind), jobs.first - span,
			   jobs.last, jobs.first);

	for (; rc == 1; rc = sql_next(&h->db, WRITE_BLOCKS_OF_JOBS, reterr)) {
		ARRAY_GROW(to->items, to->room, to->count);
		to->items[to->count++] = (struct touched){
		    sql_int(&h->db, WRITE_BLOCKS_OF_JOBS, 0),
		    sql_int(&h->db, WRITE_BLOCKS_OF_JOBS, 3),
		    {sql_int(&h->db, WRITE_BLOCKS_OF_JOBS, 1), sql_int(&h->db, WRITE_BLOCKS_OF_JOBS, 2)},
		    kind};
	}
	sql_end(&h->db, WRITE_BLOCKS_OF_JOBS);
	return rc;
}

/* How many rows are left, and their bytes of output: these only if the number is not the old one. */
static int count_kept(struct history *h, const struct touched *t, int64_t *ret_kept, int64_t *ret_rows,
		      int64_t *ret_bytes)
{
	uint32_t bytes = (uint32_t)history_block_field(HISTORY_ENDED, PART_JOB, "output_bytes");
	struct history_views *views = h->blocks->views;
	struct history_hidden hidden = {0};
	bool is_events = t->kind == HISTORY_EVENTS;
	struct block_view *view;
	int code = history_views_get(views, t->block, t->kind, is_events, &view);
	int64_t kept = 0;

	if (code != SQLITE_OK)
		return code;
	code = history_hidden_read(views, t->jobs, &hidden);
	*ret_rows = block_view_count(view);
	*ret_bytes = 0;
	for (uint32_t i = 0; i < block_view_count(view); i++)
		kept += is_events ? !history_event_is_forgotten(&hidden, view, i)
				  : !history_is_hidden(&hidden, block_view_ids(view)[i]);
	*ret_kept = kept;
	if (code == SQLITE_OK && !is_events && kept > 0 && kept != t->kept) {
		struct block_view *same;

		code = history_views_get(views, t->block, t->kind, true, &same);
		for (uint32_t i = 0; code == SQLITE_OK && i < block_view_count(view); i++)
			if (!history_is_hidden(&hidden, block_view_ids(view)[i]))
				*ret_bytes += block_view_number(view, bytes, i);
		history_views_release(views, code == SQLITE_OK ? same : NULL);
	}
	history_hidden_fini(&hidden);
	history_views_release(views, view);
	return code;
}

static int recount(struct history *h, const struct touched *t, struct error *reterr)
{
	int64_t kept, rows, bytes;
	int code = count_kept(h, t, &kept, &rows, &bytes);

	if (code != SQLITE_OK)
		return blocks_error(h, code, reterr);
	if (kept == t->kept)
		return 0;
	if (kept == 0)
		return block_delete(h, t->block, reterr);
	if (2 * kept < rows)
		return blocks_merge(h, t->kind, &t->block, 1, reterr);
	return sql_run(&h->db, WRITE_BLOCK_KEPT, reterr, "iii", kept, bytes, t->block);
}

int history_block_recount(struct history *h, int64_t block, struct error *reterr)
{
	struct touched t = {.block = block, .kept = -1, .kind = HISTORY_ENDED};
	int rc = sql_begin(&h->db, WRITE_BLOCK_HEAD, reterr, "i", block);

	if (rc == 1)
		t.jobs = (struct job_interval){sql_int(&h->db, WRITE_BLOCK_HEAD, 0),
					       sql_int(&h->db, WRITE_BLOCK_HEAD, 1)};
	sql_end(&h->db, WRITE_BLOCK_HEAD);
	return rc < 0 ? rc : recount(h, &t, reterr);
}

/* All of it at once, without a look at its rows. */
static int is_inside(struct history *h, const struct touched *t, bool *ret)
{
	struct history_hidden hidden = {0};
	int code = history_hidden_read(h->blocks->views, t->jobs, &hidden);

	*ret = code == SQLITE_OK && history_is_forgotten(&hidden, t->jobs.first, t->jobs.last);
	history_hidden_fini(&hidden);
	return code;
}

static int forget_in(struct history *h, const struct touched *t, struct error *reterr)
{
	bool inside;
	int code = is_inside(h, t, &inside);

	if (code != SQLITE_OK)
		return blocks_error(h, code, reterr);
	return inside ? block_delete(h, t->block, reterr) : recount(h, t, reterr);
}

int history_forget_in_blocks(struct history *h, struct job_interval jobs, struct error *reterr)
{
	struct touched_list touched = {0};
	int rc = history_ends_write(h, reterr);

	if (rc == 0)
		rc = find_touched(h, HISTORY_ENDED, jobs, I64(h->blocks->span), &touched, reterr);
	if (rc == 0)
		rc = find_touched(h, HISTORY_EVENTS, jobs, I64(h->blocks->span), &touched, reterr);
	for (uint32_t i = 0; rc == 0 && i < touched.count; i++)
		rc = forget_in(h, &touched.items[i], reterr);
	free(touched.items);
	return rc;
}
