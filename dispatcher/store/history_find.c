#include "dispatcher/store/history_find.h"

#include <sqlite3ext.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/kinds.h"

SQLITE_EXTENSION_INIT3

/* ---- a job ---- */

/* Blocks of ended jobs may overlap; none is longer than meta says. */
static const char ended_with[] = "SELECT block FROM blocks WHERE kind = 2 AND first BETWEEN ?1 -"
				 " (SELECT ifnull(max(value), 0) FROM meta WHERE name = 'block_span') AND ?1"
				 " AND last >= ?1 ORDER BY first DESC";
static const char made_with[] =
    "SELECT block, last, first, gone FROM blocks WHERE kind = 1 AND first <= ?1 ORDER BY first DESC LIMIT 1";

bool history_gone_has(struct bytes gone, int64_t first, int64_t job)
{
	uint64_t bit = (uint64_t)(job - first);

	return bit / 8 < gone.size && (gone.data[bit / 8] >> bit % 8 & 1) != 0;
}

static int look_into(struct history_views *v, int64_t job, bool with_body, struct history_found *f)
{
	struct block_view *view;
	int code = history_views_get(v, f->block, f->kind, with_body, &view);
	const int64_t *ids;

	if (code != SQLITE_OK)
		return code;
	ids = block_view_ids(view);
	for (f->row = 0; f->row < block_view_count(view); f->row++)
		if (ids[f->row] == job) {
			f->view = view;
			return SQLITE_OK;
		}
	history_views_release(v, view);
	return SQLITE_OK;
}

static int find_in(struct history_views *v, const char *text, int64_t job, bool with_body,
		   struct history_found *ret)
{
	sqlite3_stmt *stmt;
	int code = history_views_ask(v, text, &stmt);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(stmt, 1, job);
	while (ret->view == NULL && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
		ret->block = sqlite3_column_int64(stmt, 0);
		if (ret->kind == HISTORY_MADE) {
			const void *gone = sqlite3_column_blob(stmt, 3);

			if (sqlite3_column_int64(stmt, 1) < job ||
			    history_gone_has(BYTES(gone, (size_t)sqlite3_column_bytes(stmt, 3)),
					     sqlite3_column_int64(stmt, 2), job))
				continue;
		}
		code = look_into(v, job, with_body, ret);
		if (code != SQLITE_OK)
			break;
	}
	history_views_done(v, stmt);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int history_find_job(struct history_views *v, int64_t job, bool with_body, struct history_found *ret)
{
	struct history_hidden hidden = {0};
	int code;

	*ret = (struct history_found){.kind = HISTORY_ENDED};
	code = find_in(v, ended_with, job, with_body, ret);
	if (code == SQLITE_OK && ret->view == NULL) {
		ret->kind = HISTORY_MADE;
		return find_in(v, made_with, job, with_body, ret);
	}
	if (code == SQLITE_OK)
		code = history_hidden_read(v, (struct job_interval){job, job}, &hidden);
	if (ret->view != NULL && (code != SQLITE_OK || history_is_hidden(&hidden, job))) {
		history_views_release(v, ret->view);
		ret->view = NULL;
	}
	history_hidden_fini(&hidden);
	return code;
}

/* ---- the newest ---- */

bool newest_takes(const struct newest *n, int64_t job)
{
	return n->count < n->room || (n->room > 0 && job > n->items[0]);
}

static void sink(struct newest *n)
{
	uint32_t at = 0;

	for (;;) {
		uint32_t least = 2 * at + 1;
		int64_t item = n->items[at];

		if (least >= n->count)
			return;
		if (least + 1 < n->count && n->items[least + 1] < n->items[least])
			least++;
		if (n->items[least] >= item)
			return;
		n->items[at] = n->items[least];
		n->items[least] = item;
		at = least;
	}
}

void newest_put(struct newest *n, int64_t job)
{
	uint32_t at = n->count;

	if (!newest_takes(n, job))
		return;
	if (n->count == n->room) {
		n->items[0] = job;
		sink(n);
		return;
	}
	n->items[n->count++] = job;
	for (; at > 0 && n->items[(at - 1) / 2] > job; at = (at - 1) / 2)
		n->items[at] = n->items[(at - 1) / 2];
	n->items[at] = job;
}

static int descending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x < y) - (x > y);
}

void newest_sort(struct newest *n)
{
	uint32_t kept = 0;

	if (n->count > 0)
		qsort(n->items, n->count, sizeof n->items[0], descending);
	for (uint32_t i = 0; i < n->count; i++)
		if (kept == 0 || n->items[kept - 1] != n->items[i])
			n->items[kept++] = n->items[i];
	n->count = kept;
}

struct job_interval history_block_jobs(struct block_view *view, enum history_block_kind kind)
{
	const int64_t *ids = block_view_ids(view);
	struct job_interval r = {INT64_MAX, 0};

	for (uint32_t i = 0; i < block_view_count(view); i++) {
		int64_t last = ids[i];

		if (kind == HISTORY_EVENTS)
			last += block_view_number(view, EVENT_JOBS, i) - 1;
		r.first = ids[i] < r.first ? ids[i] : r.first;
		r.last = last > r.last ? last : r.last;
	}
	return r;
}

static int put_newest(struct history_views *v, int64_t block, enum history_block_kind kind, struct bytes gone,
		      int64_t before, uint32_t states, bool of_all_states, struct newest *to)
{
	uint32_t state = (uint32_t)history_block_field(HISTORY_ENDED, PART_JOB, "state");
	struct history_hidden hidden = {0};
	struct block_view *view;
	const int64_t *ids;
	int code = history_views_get(v, block, kind, !of_all_states, &view);

	if (code != SQLITE_OK)
		return code;
	ids = block_view_ids(view);
	if (kind == HISTORY_ENDED)
		code = history_hidden_read(v, history_block_jobs(view, kind), &hidden);
	for (uint32_t i = 0; code == SQLITE_OK && i < block_view_count(view); i++) {
		if (ids[i] >= before || !newest_takes(to, ids[i]))
			continue;
		if (!of_all_states && (states >> block_view_number(view, state, i) & 1) == 0)
			continue;
		if (kind == HISTORY_ENDED ? !history_is_hidden(&hidden, ids[i])
					  : !history_gone_has(gone, ids[0], ids[i]))
			newest_put(to, ids[i]);
	}
	history_hidden_fini(&hidden);
	history_views_release(v, view);
	return code;
}

static const char newest_of[] = "SELECT block, last, states, gone FROM blocks INDEXED BY blocks_by_last"
				" WHERE kind = ?1 AND first < ?2 AND states & ?3 ORDER BY last DESC";

int history_find_newest(struct history_views *v, enum history_block_kind kind, int64_t before,
			uint32_t states, struct newest *to)
{
	sqlite3_stmt *stmt;
	int code = history_views_ask(v, newest_of, &stmt);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(stmt, 1, kind);
	sqlite3_bind_int64(stmt, 2, before);
	sqlite3_bind_int64(stmt, 3, states);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint32_t there = (uint32_t)sqlite3_column_int64(stmt, 2);
		const void *gone = sqlite3_column_blob(stmt, 3);
		struct bytes bits = BYTES(gone, (size_t)sqlite3_column_bytes(stmt, 3));

		if (!newest_takes(to, sqlite3_column_int64(stmt, 1)))
			break;
		code = put_newest(v, sqlite3_column_int64(stmt, 0), kind, bits, before, states,
				  kind == HISTORY_MADE || (there & ~states) == 0, to);
		if (code != SQLITE_OK)
			break;
	}
	history_views_done(v, stmt);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* ---- events ---- */

bool history_event_is(struct block_view *view, uint32_t row, enum filter_key key, struct bytes name,
		      struct arena *arena)
{
	struct event_names names;
	struct bytes text = {0}, json;

	if (key == FILTER_EVENT)
		return bytes_equal(block_view_text(view, EVENT_ID, row), name);
	json = block_view_text(view, EVENT_JSON, row);
	/* Most do not have it anywhere. What is escaped may be written in another way. */
	if (json.size == 0 || (memmem(json.data, json.size, name.data, name.size) == NULL &&
			       memchr(json.data, '\\', json.size) == NULL))
		return false;
	event_names_find(json, arena, &names);
	text = key == FILTER_ID	      ? names.id
	       : key == FILTER_OBJECT ? names.key
	       : key == FILTER_SOURCE ? names.source
				      : names.key_base64;
	return text.size > 0 && bytes_equal(text, name);
}

bool history_event_is_forgotten(const struct history_hidden *h, struct block_view *view, uint32_t row)
{
	int64_t first = block_view_number(view, EVENT_FIRST_JOB, row);

	return h->forgotten_count > 0 &&
	       history_is_forgotten(h, first, first + block_view_number(view, EVENT_JOBS, row) - 1);
}

static int walk_events(struct history_views *v, int64_t block, enum filter_key key, struct bytes name,
		       history_event_found_fn *fn, void *arg)
{
	struct history_hidden hidden = {0};
	struct arena arena;
	struct block_view *view;
	int code = history_views_get(v, block, HISTORY_EVENTS, true, &view);

	if (code != SQLITE_OK)
		return code;
	arena_init(&arena, 0);
	code = history_hidden_read(v, history_block_jobs(view, HISTORY_EVENTS), &hidden);
	for (uint32_t i = block_view_count(view); code == SQLITE_OK && i-- > 0;) {
		if (history_event_is(view, i, key, name, &arena) &&
		    !history_event_is_forgotten(&hidden, view, i))
			code = fn(arg, view, i);
		arena_reset(&arena);
	}
	arena_fini(&arena);
	history_hidden_fini(&hidden);
	history_views_release(v, view);
	return code;
}

static const char all_filters[] =
    "SELECT block, filter FROM block_filters WHERE kind = 3 ORDER BY block DESC";

int history_find_events(struct history_views *v, enum filter_key key, struct bytes name,
			history_event_found_fn *fn, void *arg)
{
	uint64_t hash = filter_hash(key, name);
	sqlite3_stmt *stmt;
	int code;

	if (name.size == 0)
		return SQLITE_OK;
	code = history_views_ask(v, all_filters, &stmt);
	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		const void *filter = sqlite3_column_blob(stmt, 1);

		if (!filter_may_have(BYTES(filter, (size_t)sqlite3_column_bytes(stmt, 1)), hash))
			continue;
		code = walk_events(v, sqlite3_column_int64(stmt, 0), key, name, fn, arg);
		if (code != SQLITE_OK)
			break;
	}
	history_views_done(v, stmt);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}
