/* Blocks are written, merged and deleted. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/store/history_blocks.h"

#define I64(x) ((int64_t)(x))

void draft_init(struct block_draft *d, enum history_block_kind kind)
{
	*d = (struct block_draft){.kind = kind};
	d->builder = block_builder_create(history_block_fields(kind));
	draft_clear(d);
}

void draft_fini(struct block_draft *d)
{
	block_builder_destroy(d->builder);
	free(d->segments);
	free(d->hashes);
}

void draft_clear(struct block_draft *d)
{
	block_builder_clear(d->builder);
	d->jobs = d->times = (struct job_interval){INT64_MAX, INT64_MIN};
	d->output_bytes = d->states = 0;
	d->segment_count = d->hash_count = 0;
	d->last_name = 0;
}

static void widen(struct job_interval *i, int64_t first, int64_t last)
{
	i->first = first < i->first ? first : i->first;
	i->last = last > i->last ? last : i->last;
}

static void add_hash(struct block_draft *d, enum filter_key key, struct bytes name)
{
	if (name.size == 0)
		return;
	ARRAY_GROW(d->hashes, d->hash_room, d->hash_count);
	d->hashes[d->hash_count++] = filter_hash(key, name);
}

/* One that most have. */
static void add_common(struct block_draft *d, enum filter_key key, struct bytes name)
{
	uint64_t hash = filter_hash(key, name);

	if (hash != d->last_name)
		add_hash(d, key, name);
	d->last_name = hash;
}

static void add_segment(struct block_draft *d, const struct history_place *p)
{
	for (uint32_t i = d->segment_count; i-- > 0;)
		if (d->segments[i].segment == p->segment && d->segments[i].worker == p->worker)
			return;
	ARRAY_GROW(d->segments, d->segment_room, d->segment_count);
	d->segments[d->segment_count++] = (struct segment_name){p->worker, p->segment};
}

void draft_add_entry(struct block_draft *d, const struct history_entry *e)
{
	block_builder_add(d->builder, e);
	widen(&d->jobs, I64(e->job.job), I64(e->job.job));
	d->states |= 1 << e->job.state;
	if (d->kind == HISTORY_MADE) {
		widen(&d->times, e->job.accepted_wall_us, e->job.accepted_wall_us);
		return;
	}
	widen(&d->times, e->job.ended_wall_us, e->job.ended_wall_us);
	d->output_bytes += I64(e->job.totals.output_bytes);
	add_common(d, FILTER_NAME, e->job.name);
	if (e->range.shards.count > 0 && e->range.place.segment > 0)
		add_segment(d, &e->range.place);
	if (e->dead.shards.count > 0 && e->dead.place.segment > 0)
		add_segment(d, &e->dead.place);
}

void draft_add_event(struct history_blocks *b, struct block_draft *d, const struct history_event_row *e)
{
	struct event_names names;

	block_builder_add(d->builder, e);
	widen(&d->jobs, I64(e->first_job), I64(e->first_job) + e->jobs - 1);
	widen(&d->times, e->wall_us, e->wall_us);
	arena_reset(&b->names);
	event_names_find(e->json, &b->names, &names);
	add_hash(d, FILTER_EVENT, BYTES(&e->event_hi, 16));
	add_hash(d, FILTER_ID, names.id);
	add_hash(d, FILTER_OBJECT, names.key);
	add_hash(d, FILTER_OBJECT_BASE64, names.key_base64);
	add_common(d, FILTER_SOURCE, names.source);
}

_Static_assert(offsetof(struct history_event_row, event_lo) ==
		   offsetof(struct history_event_row, event_hi) + sizeof(uint64_t),
	       "an id is two numbers");

bool draft_is_full(const struct block_draft *d)
{
	return block_builder_count(d->builder) >= BLOCK_ROWS_END ||
	       block_builder_bytes(d->builder) >= BLOCK_BYTES_END;
}

static int level_of(uint32_t rows, size_t bytes)
{
	int level = 0;

	if (bytes >= BLOCK_BYTES_FULL)
		return BLOCK_LEVEL_FULL;
	for (uint32_t n = 8; level < BLOCK_LEVEL_FULL && rows >= n; n *= BLOCKS_MERGED)
		level++;
	return level;
}

static int count_segments(struct history *h, int statement, const struct segment_name *names, uint32_t count,
			  struct error *reterr)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = sql_run(&h->db, statement, reterr, "ii", names[i].worker, names[i].segment);
	return rc;
}

static int note_span(struct history *h, const struct block_draft *d, struct error *reterr)
{
	struct history_blocks *b = h->blocks;

	if (d->kind == HISTORY_MADE || d->jobs.last - d->jobs.first <= b->span)
		return 0;
	b->span = d->jobs.last - d->jobs.first;
	return sql_run(&h->db, WRITE_BLOCK_SPAN, reterr, "i", b->span);
}

static int write_head(struct history *h, const struct block_draft *d, uint32_t rows, uint32_t kept,
		      struct bytes gone, int64_t *ret_block, struct error *reterr)
{
	int level = level_of(rows, h->blocks->body.size);
	struct bytes segments = BYTES(d->segments, d->segment_count * sizeof *d->segments);
	int rc = sql_run(&h->db, WRITE_BLOCK, reterr, "iiiiiiiiiibb", I64(d->kind), d->jobs.first,
			 d->jobs.last, I64(rows), I64(kept), d->output_bytes, d->times.first, d->times.last,
			 d->states, I64(d->kind == HISTORY_MADE ? BLOCK_LEVEL_FULL : level), segments, gone);

	*ret_block = sqlite3_last_insert_rowid(h->db.db);
	return rc;
}

int draft_write(struct history *h, struct block_draft *d, uint32_t kept, struct bytes gone,
		int64_t *ret_block, struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	uint32_t rows = block_builder_count(d->builder);
	int rc;

	*ret_block = 0;
	if (rows == 0)
		return 0;
	buf_clear(&b->ids);
	buf_clear(&b->body);
	buf_clear(&b->filter);
	block_builder_end(d->builder, &b->ids, &b->body);
	rc = write_head(h, d, rows, kept, gone, ret_block, reterr);
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_BLOCK_BODY, reterr, "ibb", *ret_block, buf_bytes(&b->ids),
			     buf_bytes(&b->body));
	if (rc == 0 && d->kind != HISTORY_MADE) {
		filter_make(d->hashes, d->hash_count, &b->filter);
		rc = sql_run(&h->db, WRITE_BLOCK_FILTER, reterr, "iib", *ret_block, I64(d->kind),
			     buf_bytes(&b->filter));
	}
	if (rc == 0)
		rc = count_segments(h, WRITE_BLOCK_SEGMENT_UP, d->segments, d->segment_count, reterr);
	if (rc == 0)
		rc = note_span(h, d, reterr);
	draft_clear(d);
	return rc;
}

int blocks_error(struct history *h, int code, struct error *reterr)
{
	if ((code & 0xff) == SQLITE_NOTFOUND)
		code = SQLITE_CORRUPT;
	return code == SQLITE_OK ? 0 : sql_error(&h->db, code, reterr);
}

int block_delete(struct history *h, int64_t block, struct error *reterr)
{
	struct segment_name *names = NULL;
	uint32_t count = 0;
	int rc = sql_begin(&h->db, WRITE_BLOCK_SEGMENTS, reterr, "i", block);

	if (rc == 1) {
		struct bytes blob = sql_bytes(&h->db, WRITE_BLOCK_SEGMENTS, 0);

		count = (uint32_t)(blob.size / sizeof *names);
		names = check_calloc(count + 1, sizeof *names);
		if (count > 0)
			memcpy(names, blob.data, count * sizeof *names);
	}
	sql_end(&h->db, WRITE_BLOCK_SEGMENTS);
	if (rc >= 0)
		rc = count_segments(h, WRITE_BLOCK_SEGMENT_DOWN, names, count, reterr);
	for (int s = WRITE_BLOCK_DELETE_FIRST; rc == 0 && s < WRITE_BLOCK_DELETE_END; s++)
		rc = sql_run(&h->db, s, reterr, "i", block);
	free(names);
	return rc;
}

/* ---- merging ---- */

static int take_rows(struct history *h, enum history_block_kind kind, int64_t block, struct block_draft *to,
		     struct error *reterr)
{
	struct history_blocks *b = h->blocks;
	struct history_hidden hidden = {0};
	struct block_view *view;
	int code = history_views_get(b->views, block, kind, true, &view);

	if (code != SQLITE_OK)
		return blocks_error(h, code, reterr);
	code = history_hidden_read(b->views, history_block_jobs(view, kind), &hidden);
	for (uint32_t i = 0; code == SQLITE_OK && i < block_view_count(view); i++) {
		struct history_event_row event;
		struct history_entry entry;

		if (kind == HISTORY_EVENTS && !history_event_is_forgotten(&hidden, view, i)) {
			block_view_row(view, i, &event);
			draft_add_event(b, to, &event);
		} else if (kind == HISTORY_ENDED && !history_is_hidden(&hidden, block_view_ids(view)[i])) {
			entry = (struct history_entry){0};
			block_view_row(view, i, &entry);
			history_entry_complete(&entry);
			draft_add_entry(to, &entry);
		}
	}
	if (code == SQLITE_OK && block_view_is_damaged(view))
		code = SQLITE_CORRUPT;
	history_hidden_fini(&hidden);
	history_views_release(b->views, view);
	return blocks_error(h, code, reterr);
}

int blocks_merge(struct history *h, enum history_block_kind kind, const int64_t *blocks, uint32_t count,
		 struct error *reterr)
{
	struct block_draft draft;
	int64_t merged;
	uint32_t rows;
	int rc = 0;

	draft_init(&draft, kind);
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = take_rows(h, kind, blocks[i], &draft, reterr);
	rows = block_builder_count(draft.builder);
	/* First those that are counted anew, so that no segment seems unused in between. */
	if (rc == 0)
		rc = draft_write(h, &draft, rows, (struct bytes){0}, &merged, reterr);
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = block_delete(h, blocks[i], reterr);
	draft_fini(&draft);
	return rc;
}

/* Eight of one level, the oldest; 0: there are fewer. */
static int find_small(struct history *h, enum history_block_kind kind, int64_t blocks[BLOCKS_MERGED],
		      struct error *reterr)
{
	uint32_t counts[BLOCK_LEVEL_FULL] = {0};
	int64_t found[BLOCK_LEVEL_FULL][BLOCKS_MERGED];
	int rc = sql_begin(&h->db, WRITE_BLOCKS_SMALL, reterr, "i", I64(kind)), full = -1;

	for (; rc == 1 && full < 0; rc = sql_next(&h->db, WRITE_BLOCKS_SMALL, reterr)) {
		int64_t level = sql_int(&h->db, WRITE_BLOCKS_SMALL, 1);

		if (level < 0 || level >= BLOCK_LEVEL_FULL)
			continue;
		found[level][counts[level]++] = sql_int(&h->db, WRITE_BLOCKS_SMALL, 0);
		full = counts[level] == BLOCKS_MERGED ? (int)level : -1;
	}
	sql_end(&h->db, WRITE_BLOCKS_SMALL);
	if (rc < 0 || full < 0)
		return rc < 0 ? rc : 0;
	memcpy(blocks, found[full], sizeof found[full]);
	return 1;
}

int blocks_merge_small(struct history *h, enum history_block_kind kind, struct error *reterr)
{
	int64_t blocks[BLOCKS_MERGED];
	int rc;

	while ((rc = find_small(h, kind, blocks, reterr)) == 1) {
		rc = blocks_merge(h, kind, blocks, BLOCKS_MERGED, reterr);
		if (rc < 0)
			return rc;
	}
	return rc;
}
