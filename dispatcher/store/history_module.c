#include "dispatcher/store/history_module_plan.h"

#include <sqlite3ext.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"

SQLITE_EXTENSION_INIT3

struct listed_block {
	int64_t block;
	enum history_block_kind kind;
};

struct cursor {
	struct history_walk walk;
	const struct layout *layout;
	enum history_part part;
	struct job_interval jobs, ends;
	uint32_t states;
	uint64_t name;		   /* its hash in filters; 0: any */
	struct segment_name place; /* that blocks have to name; 0: any */
	struct listed_block *blocks;
	uint32_t block_count, block_room, block_at;
	enum history_block_kind kind;
	uint32_t *matches, match_count, match_room, match_at; /* rows of it */
	struct history_hidden hidden;
	uint8_t sha256[32]; /* whose number is known */
	int64_t definition;
};

static int on_connect(sqlite3 *db, void *views, int argc, const char *const *argv, sqlite3_vtab **ret,
		      char **error)
{
	struct table *t;
	int part = 0, code;

	const struct layout *layouts = history_layouts();

	while (argc > 3 && part < PART_COUNT && strcmp(argv[3], layouts[part].name) != 0)
		part++;
	if (argc <= 3 || part == PART_COUNT) {
		*error = sqlite3_mprintf("no table of history has this name");
		return SQLITE_ERROR;
	}
	code = sqlite3_declare_vtab(db, (const char *)layouts[part].declare.data);
	if (code != SQLITE_OK)
		return code;
	sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
	t = check_calloc(1, sizeof *t);
	t->walk.views = views;
	t->layout = &layouts[part];
	t->part = (enum history_part)part;
	*ret = &t->walk.base;
	return SQLITE_OK;
}

/* ---- cursors ---- */

static int on_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
	const struct table *t = (const struct table *)table;
	struct cursor *c = check_calloc(1, sizeof *c);

	c->walk.views = t->walk.views;
	c->layout = t->layout;
	c->part = t->part;
	*ret = &c->walk.base;
	return SQLITE_OK;
}

static void clear(struct cursor *c)
{
	history_walk_clear(&c->walk);
	c->block_count = c->block_at = c->match_count = c->match_at = 0;
}

static int on_close(sqlite3_vtab_cursor *cursor)
{
	struct cursor *c = (struct cursor *)cursor;

	clear(c);
	history_hidden_fini(&c->hidden);
	free(c->blocks);
	free(c->matches);
	free(c);
	return SQLITE_OK;
}

static const char blocks_with[] =
    "SELECT block, kind FROM blocks WHERE kind = 2 AND first BETWEEN"
    " ?1 - (SELECT ifnull(max(value), 0) FROM meta WHERE name = 'block_span') AND ?2 AND last >= ?1"
    " AND states & ?3 AND end_us >= ?5 AND begin_us <= ?6 AND (?7 IS NULL OR instr(segments, ?7) > 0)"
    " UNION ALL SELECT block, kind FROM blocks WHERE kind = 1 AND first <= ?2 AND last >= ?1"
    " AND states & ?3 AND ?4";

static int list_blocks(struct cursor *c)
{
	sqlite3_stmt *stmt;
	int code = history_views_ask(c->walk.views, blocks_with, &stmt);

	if (code != SQLITE_OK)
		return code;
	/* No id is below 0, and the difference does not pass the bounds of numbers. */
	sqlite3_bind_int64(stmt, 1, c->jobs.first < 0 ? 0 : c->jobs.first);
	sqlite3_bind_int64(stmt, 2, c->jobs.last);
	sqlite3_bind_int64(stmt, 3, c->states);
	sqlite3_bind_int64(stmt, 4, c->part == PART_JOB);
	sqlite3_bind_int64(stmt, 5, c->ends.first);
	sqlite3_bind_int64(stmt, 6, c->ends.last);
	if (c->place.worker > 0 && c->place.segment > 0)
		sqlite3_bind_blob(stmt, 7, &c->place, sizeof c->place, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, 7);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		ARRAY_GROW(c->blocks, c->block_room, c->block_count);
		c->blocks[c->block_count++] = (struct listed_block){
		    sqlite3_column_int64(stmt, 0), (enum history_block_kind)sqlite3_column_int(stmt, 1)};
	}
	history_views_done(c->walk.views, stmt);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static const char gone_of[] = "SELECT first, gone FROM blocks WHERE block = ?";

/* Rows of the block that the query may have. */
static int match(struct cursor *c)
{
	int state = history_block_field(HISTORY_ENDED, PART_JOB, "state"), is_there = c->layout->is_there;
	const int64_t *ids = block_view_ids(c->walk.view);
	struct bytes gone = {0};
	sqlite3_stmt *stmt = NULL;
	int64_t first = 0;
	int code;

	if (c->kind == HISTORY_MADE) {
		code = history_views_ask(c->walk.views, gone_of, &stmt);
		if (code == SQLITE_OK) {
			sqlite3_bind_int64(stmt, 1, c->blocks[c->block_at - 1].block);
			code = sqlite3_step(stmt) == SQLITE_ROW ? SQLITE_OK : SQLITE_CORRUPT_VTAB;
		}
		if (code == SQLITE_OK) {
			first = sqlite3_column_int64(stmt, 0);
			gone.data = sqlite3_column_blob(stmt, 1);
			gone.size = (size_t)sqlite3_column_bytes(stmt, 1);
		}
	} else {
		code =
		    history_hidden_read(c->walk.views, history_block_jobs(c->walk.view, c->kind), &c->hidden);
	}
	c->match_count = c->match_at = 0;
	for (uint32_t i = 0; code == SQLITE_OK && i < block_view_count(c->walk.view); i++) {
		if (ids[i] < c->jobs.first || ids[i] > c->jobs.last)
			continue;
		if (c->kind == HISTORY_MADE
			? history_gone_has(gone, first, ids[i])
			: history_is_hidden(&c->hidden, ids[i]) ||
			      !(c->states >> block_view_number(c->walk.view, (uint32_t)state, i) & 1) ||
			      (is_there >= 0 && block_view_number(c->walk.view, (uint32_t)is_there, i) == 0))
			continue;
		ARRAY_GROW(c->matches, c->match_room, c->match_count);
		c->matches[c->match_count++] = i;
	}
	history_views_done(c->walk.views, stmt);
	return code;
}

static const char filter_of[] = "SELECT filter FROM block_filters WHERE block = ?";

/* What cannot be read now is read, and told, with the block. */
static bool may_have_name(struct cursor *c, const struct listed_block *b)
{
	sqlite3_stmt *stmt;
	bool may = true;

	if (c->name == 0 || b->kind != HISTORY_ENDED ||
	    history_views_ask(c->walk.views, filter_of, &stmt) != SQLITE_OK)
		return true;
	sqlite3_bind_int64(stmt, 1, b->block);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		const void *filter = sqlite3_column_blob(stmt, 0);

		may = filter_may_have(BYTES(filter, (size_t)sqlite3_column_bytes(stmt, 0)), c->name);
	}
	history_views_done(c->walk.views, stmt);
	return may;
}

/* The next row of blocks, of this one or of a later one. */
static int next_of_blocks(struct cursor *c)
{
	int code = SQLITE_OK;

	while (code == SQLITE_OK && c->match_at == c->match_count) {
		history_views_release(c->walk.views, c->walk.view);
		c->walk.view = NULL;
		if (c->block_at == c->block_count) {
			c->walk.ended = true;
			return SQLITE_OK;
		}
		if (!may_have_name(c, &c->blocks[c->block_at])) {
			c->block_at++;
			continue;
		}
		c->kind = c->blocks[c->block_at].kind;
		code = history_views_get(c->walk.views, c->blocks[c->block_at++].block, c->kind, true,
					 &c->walk.view);
		if (code == SQLITE_OK)
			code = match(c);
	}
	return code;
}

static int next_of_rows(struct cursor *c)
{
	int code = history_walk_row(&c->walk);

	if (code != SQLITE_DONE)
		return code == SQLITE_ROW ? SQLITE_OK : code;
	code = list_blocks(c);
	return code == SQLITE_OK ? next_of_blocks(c) : code;
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
	struct cursor *c = (struct cursor *)cursor;

	c->walk.row++;
	if (c->walk.rows != NULL)
		return next_of_rows(c);
	c->match_at++;
	return next_of_blocks(c);
}

static void bound(struct cursor *c, int use, sqlite3_value *value)
{
	bool is_number = sqlite3_value_numeric_type(value) == SQLITE_INTEGER;
	int64_t n = sqlite3_value_int64(value);

	if (use == USE_NAME) {
		const void *text = sqlite3_value_text(value);

		c->name = filter_hash(FILTER_NAME, BYTES(text, (size_t)sqlite3_value_bytes(value)));
	} else if (use == USE_STATES) {
		c->states = (uint32_t)n;
	} else if (use == USE_STATE) {
		c->states &= is_number && n >= 0 && n < 32 ? 1u << n : UINT32_MAX;
	} else if (!is_number) {
		return; /* SQLite looks again */
	} else if (use == USE_WORKER) {
		c->place.worker = n;
	} else if (use == USE_SEGMENT) {
		c->place.segment = n;
	} else if (use == USE_FROM) {
		c->ends.first = n;
	} else if (use == USE_UNTIL) {
		c->ends.last = n;
	} else if (use == USE_EQ) {
		c->jobs = (struct job_interval){n, n};
	} else if (use == USE_GE || use == USE_GT) {
		n += use == USE_GT && n < INT64_MAX;
		c->jobs.first = n > c->jobs.first ? n : c->jobs.first;
	} else {
		n -= use == USE_LT && n > INT64_MIN;
		c->jobs.last = n < c->jobs.last ? n : c->jobs.last;
	}
}

static int on_filter(sqlite3_vtab_cursor *cursor, int uses, const char *text, int argc, sqlite3_value **argv)
{
	struct cursor *c = (struct cursor *)cursor;
	int code;

	(void)text;
	(void)argc;
	clear(c);
	c->jobs = (struct job_interval){0, INT64_MAX};
	c->states = UINT32_MAX;
	c->ends = (struct job_interval){INT64_MIN, INT64_MAX};
	c->name = 0;
	c->place = (struct segment_name){0};
	for (int use = 0, i = 0; use < USE_COUNT; use++)
		if (uses & 1 << use)
			bound(c, use, argv[i++]);
	code = history_views_ask(c->walk.views, (const char *)c->layout->rows.data, &c->walk.rows);
	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(c->walk.rows, 1, c->jobs.first);
	sqlite3_bind_int64(c->walk.rows, 2, c->jobs.last);
	if (c->part == PART_JOB)
		sqlite3_bind_int64(c->walk.rows, 3, c->states);
	return next_of_rows(c);
}

/* ---- values ---- */

static const char definition_of[] = "SELECT id FROM definitions WHERE sha256 = ?";

/* Rows have the number of the definition, blocks what it is. */
static void put_definition(struct cursor *c, sqlite3_context *context, struct bytes sha256)
{
	sqlite3_stmt *stmt;

	if (sha256.size != 32)
		return;
	if (memcmp(sha256.data, c->sha256, 32) != 0 || c->definition == 0) {
		if (history_views_ask(c->walk.views, definition_of, &stmt) != SQLITE_OK)
			return;
		sqlite3_bind_blob64(stmt, 1, sha256.data, 32, SQLITE_STATIC);
		c->definition = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
		memcpy(c->sha256, sha256.data, 32);
		history_views_done(c->walk.views, stmt);
	}
	if (c->definition != 0)
		sqlite3_result_int64(context, c->definition);
}

static void put_value(struct cursor *c, sqlite3_context *context, int column)
{
	const struct sql_column *of = c->layout->columns[column];
	int field = c->kind == HISTORY_MADE ? c->layout->made[column] : c->layout->ended[column];
	uint32_t row = c->matches[c->match_at];
	struct bytes text;

	if (column == 0) {
		sqlite3_result_int64(context, block_view_ids(c->walk.view)[row]);
	} else if (field < 0) {
		/* Of a block's shard it is phase 0, shard 0; and what a row would have by itself. */
		if (strstr(of->type, "DEFAULT 0") != NULL || c->part != PART_JOB)
			sqlite3_result_int64(context, 0);
	} else if (of->kind == SQL_ID) {
		history_result_id(context, block_view_text(c->walk.view, (uint32_t)field, row));
	} else if (of->kind == SQL_TEXT) {
		text = block_view_text(c->walk.view, (uint32_t)field, row);
		sqlite3_result_text64(context, text.size > 0 ? (const char *)text.data : "", text.size,
				      SQLITE_TRANSIENT, SQLITE_UTF8);
	} else if (of->kind == SQL_BLOB) {
		put_definition(c, context, block_view_text(c->walk.view, (uint32_t)field, row));
	} else {
		sqlite3_result_int64(context, block_view_number(c->walk.view, (uint32_t)field, row));
	}
}

static int on_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
	struct cursor *c = (struct cursor *)cursor;

	if (column >= (int)c->layout->count) /* hidden */
		return SQLITE_OK;
	if (c->walk.rows != NULL)
		sqlite3_result_value(context, sqlite3_column_value(c->walk.rows, column));
	else
		put_value(c, context, column);
	return c->walk.view != NULL && block_view_is_damaged(c->walk.view) ? SQLITE_CORRUPT_VTAB : SQLITE_OK;
}

static const sqlite3_module module = {.iVersion = 1,
				      .xCreate = on_connect,
				      .xConnect = on_connect,
				      .xBestIndex = history_best_index,
				      .xDisconnect = history_walk_disconnect,
				      .xDestroy = history_walk_disconnect,
				      .xOpen = on_open,
				      .xClose = on_close,
				      .xFilter = on_filter,
				      .xNext = on_next,
				      .xEof = history_walk_eof,
				      .xColumn = on_column,
				      .xRowid = history_walk_rowid};

static void on_destroy(void *views)
{
	history_views_destroy(views);
}

int history_module_register(sqlite3 *db, struct history_views **ret)
{
	struct history_views *views = history_views_create(db);
	int code = sqlite3_create_module_v2(db, "shardmill_events", &history_events_module, views, NULL);

	if (code != SQLITE_OK) {
		history_views_destroy(views);
		return code;
	}
	code = sqlite3_create_module_v2(db, "shardmill_history", &module, views, on_destroy);
	if (code == SQLITE_OK && ret != NULL)
		*ret = views;
	return code;
}
