/* The virtual table of events: rows that windows and older formats left, and blocks. */
#include <sqlite3ext.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/store/history_module.h"
#include "dispatcher/store/history_walk.h"

SQLITE_EXTENSION_INIT3

enum column {
	COLUMN_EVENT,
	COLUMN_WALL_US,
	COLUMN_JSON,
	COLUMN_BY_KIND,
	COLUMN_BY_NAME,
	COLUMN_BY_NUMBER,
	COLUMN_ID,
	COLUMN_OBJECT_KEY,
	COLUMN_OBJECT_KEY_BASE64,
	COLUMN_SOURCE,
	COLUMN_FIRST_JOB, /* hidden, as the next */
	COLUMN_JOBS,
};

static const char declaration[] =
    "CREATE TABLE x(event BLOB, wall_us INTEGER, json TEXT, by_kind INTEGER,"
    " by_name TEXT, by_number INTEGER, id TEXT, object_key TEXT,"
    " object_key_base64 TEXT, source TEXT, first_job INTEGER HIDDEN, jobs INTEGER HIDDEN)";

#define SOURCE "CASE WHEN json_valid(json) THEN json_extract(json, '$.source') END"
#define ROWS                                                                                                 \
	"SELECT event, wall_us, json, by_kind, by_name, by_number, id, object_key, "                         \
	"object_key_base64, " SOURCE " FROM event_rows"

/* By the key that is asked for. */
static const char *const rows_by[] = {ROWS,
				      [FILTER_EVENT] = ROWS " WHERE event = ?",
				      [FILTER_ID] = ROWS " WHERE id = ?",
				      [FILTER_OBJECT] = ROWS " WHERE object_key = ?",
				      [FILTER_OBJECT_BASE64] = ROWS " WHERE object_key_base64 = ?",
				      [FILTER_SOURCE] = ROWS " WHERE " SOURCE " = ?"};

struct cursor {
	struct history_walk walk;
	enum filter_key key; /* 0: all */
	struct buf name;
	struct job_interval times;
	int64_t *blocks;
	uint32_t block_count, block_room, block_at;
	uint32_t at;
	struct history_hidden hidden;
	struct arena arena;
};

static int on_connect(sqlite3 *db, void *views, int argc, const char *const *argv, sqlite3_vtab **ret,
		      char **error)
{
	struct history_walk_table *t;
	int code = sqlite3_declare_vtab(db, declaration);

	(void)argc;
	(void)argv;
	(void)error;
	if (code != SQLITE_OK)
		return code;
	sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
	t = check_calloc(1, sizeof *t);
	t->views = views;
	*ret = &t->base;
	return SQLITE_OK;
}

/* idxNum: the key, or USE_FROM and USE_UNTIL. */
enum { USE_FROM = 16, USE_UNTIL = 32 };

static int key_of(int column)
{
	switch (column) {
	case COLUMN_EVENT:
		return FILTER_EVENT;
	case COLUMN_ID:
		return FILTER_ID;
	case COLUMN_OBJECT_KEY:
		return FILTER_OBJECT;
	case COLUMN_OBJECT_KEY_BASE64:
		return FILTER_OBJECT_BASE64;
	case COLUMN_SOURCE:
		return FILTER_SOURCE;
	default:
		return 0;
	}
}

static int on_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	int from = -1, until = -1, by = -1, argument = 1;

	(void)table;
	for (int i = 0; i < info->nConstraint; i++) {
		const struct sqlite3_index_constraint *c = &info->aConstraint[i];

		if (!c->usable)
			continue;
		if (c->op == SQLITE_INDEX_CONSTRAINT_EQ && key_of(c->iColumn) != 0 &&
		    history_is_exact(info, i) && (by < 0 || key_of(c->iColumn) != FILTER_SOURCE))
			by = i;
		if (c->iColumn != COLUMN_WALL_US)
			continue;
		if (c->op == SQLITE_INDEX_CONSTRAINT_GE || c->op == SQLITE_INDEX_CONSTRAINT_GT)
			from = i;
		if (c->op == SQLITE_INDEX_CONSTRAINT_LE || c->op == SQLITE_INDEX_CONSTRAINT_LT)
			until = i;
	}
	if (by >= 0) {
		info->idxNum = key_of(info->aConstraint[by].iColumn);
		info->aConstraintUsage[by].argvIndex = 1;
		info->estimatedRows = info->idxNum == FILTER_SOURCE ? 100000 : 1;
		info->estimatedCost = 1000.0 * (double)info->estimatedRows;
		return SQLITE_OK;
	}
	if (from >= 0)
		info->aConstraintUsage[from].argvIndex = argument++;
	if (until >= 0)
		info->aConstraintUsage[until].argvIndex = argument++;
	info->idxNum = (from >= 0 ? USE_FROM : 0) | (until >= 0 ? USE_UNTIL : 0);
	info->estimatedRows = argument == 3 ? 10000 : 1000000;
	info->estimatedCost = 10.0 * (double)info->estimatedRows;
	return SQLITE_OK;
}

static int on_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
	struct cursor *c = check_calloc(1, sizeof *c);

	c->walk.views = ((struct history_walk_table *)table)->views;
	arena_init(&c->arena, 0);
	*ret = &c->walk.base;
	return SQLITE_OK;
}

static void clear(struct cursor *c)
{
	history_walk_clear(&c->walk);
	c->block_count = c->block_at = c->at = 0;
	buf_clear(&c->name);
}

static int on_close(sqlite3_vtab_cursor *cursor)
{
	struct cursor *c = (struct cursor *)cursor;

	clear(c);
	buf_fini(&c->name);
	history_hidden_fini(&c->hidden);
	arena_fini(&c->arena);
	free(c->blocks);
	free(c);
	return SQLITE_OK;
}

static const char all_blocks[] =
    "SELECT block, NULL FROM blocks WHERE kind = 3 AND end_us >= ? AND begin_us <= ? ORDER BY block";
static const char all_filters[] = "SELECT block, filter FROM block_filters WHERE kind = 3 ORDER BY block";

static int list_blocks(struct cursor *c)
{
	uint64_t hash = filter_hash(c->key, buf_bytes(&c->name));
	sqlite3_stmt *stmt;
	int code = history_views_ask(c->walk.views, c->key != 0 ? all_filters : all_blocks, &stmt);

	if (code != SQLITE_OK)
		return code;
	if (c->key == 0) {
		sqlite3_bind_int64(stmt, 1, c->times.first);
		sqlite3_bind_int64(stmt, 2, c->times.last);
	}
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		const void *filter = sqlite3_column_blob(stmt, 1);

		if (c->key != 0 &&
		    !filter_may_have(BYTES(filter, (size_t)sqlite3_column_bytes(stmt, 1)), hash))
			continue;
		ARRAY_GROW(c->blocks, c->block_room, c->block_count);
		c->blocks[c->block_count++] = sqlite3_column_int64(stmt, 0);
	}
	history_views_done(c->walk.views, stmt);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool is_wanted(struct cursor *c)
{
	bool wanted;

	if (history_event_is_forgotten(&c->hidden, c->walk.view, c->at))
		return false;
	wanted = c->key == 0 || history_event_is(c->walk.view, c->at, c->key, buf_bytes(&c->name), &c->arena);
	arena_reset(&c->arena);
	return wanted;
}

/* The next that is wanted, from `at` on. */
static int find_next(struct cursor *c)
{
	int code = SQLITE_OK;

	for (;;) {
		for (; c->walk.view != NULL && c->at < block_view_count(c->walk.view); c->at++)
			if (is_wanted(c))
				return SQLITE_OK;
		history_views_release(c->walk.views, c->walk.view);
		c->walk.view = NULL;
		if (c->block_at == c->block_count) {
			c->walk.ended = true;
			return SQLITE_OK;
		}
		c->at = 0;
		code = history_views_get(c->walk.views, c->blocks[c->block_at++], HISTORY_EVENTS, true,
					 &c->walk.view);
		if (code == SQLITE_OK)
			code = history_hidden_read(
			    c->walk.views, history_block_jobs(c->walk.view, HISTORY_EVENTS), &c->hidden);
		if (code != SQLITE_OK)
			return code;
	}
}

static int next_of_rows(struct cursor *c)
{
	int code = history_walk_row(&c->walk);

	if (code != SQLITE_DONE)
		return code == SQLITE_ROW ? SQLITE_OK : code;
	code = list_blocks(c);
	return code == SQLITE_OK ? find_next(c) : code;
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
	struct cursor *c = (struct cursor *)cursor;

	c->walk.row++;
	if (c->walk.rows != NULL)
		return next_of_rows(c);
	c->at++;
	return find_next(c);
}

/* As blocks have it: of an event, two numbers. */
static void take_name(struct cursor *c, sqlite3_value *value)
{
	bool is_event = c->key == FILTER_EVENT;
	const uint8_t *data = is_event ? sqlite3_value_blob(value) : sqlite3_value_text(value);
	size_t size = (size_t)sqlite3_value_bytes(value);
	uint64_t halves[2] = {0};

	if (!is_event) {
		buf_append(&c->name, data, size);
		return;
	}
	for (size_t i = 0; size == 16 && i < 16; i++)
		halves[i / 8] = halves[i / 8] << 8 | data[i];
	buf_append(&c->name, halves, sizeof halves);
}

static int on_filter(sqlite3_vtab_cursor *cursor, int uses, const char *text, int argc, sqlite3_value **argv)
{
	struct cursor *c = (struct cursor *)cursor;
	int code;

	(void)text;
	(void)argc;
	clear(c);
	c->key = (enum filter_key)(uses & 15);
	c->times = (struct job_interval){INT64_MIN, INT64_MAX};
	if (uses & USE_FROM)
		c->times.first = sqlite3_value_int64(argv[0]);
	if (uses & USE_UNTIL)
		c->times.last = sqlite3_value_int64(argv[uses & USE_FROM ? 1 : 0]);
	code = history_views_ask(c->walk.views, rows_by[c->key], &c->walk.rows);
	if (code == SQLITE_OK && c->key != 0) {
		take_name(c, argv[0]);
		sqlite3_bind_value(c->walk.rows, 1, argv[0]);
	}
	return code == SQLITE_OK ? next_of_rows(c) : code;
}

void history_result_id(sqlite3_context *context, struct bytes id)
{
	uint64_t halves[2] = {0};
	uint8_t text[16];

	if (id.size == 16)
		memcpy(halves, id.data, 16);
	for (int i = 0; i < 8; i++) {
		text[i] = (uint8_t)(halves[0] >> (56 - 8 * i));
		text[8 + i] = (uint8_t)(halves[1] >> (56 - 8 * i));
	}
	if ((halves[0] | halves[1]) != 0)
		sqlite3_result_blob(context, text, sizeof text, SQLITE_TRANSIENT);
}

static void put_text(sqlite3_context *context, struct bytes text)
{
	if (text.size > 0)
		sqlite3_result_text64(context, (const char *)text.data, text.size, SQLITE_TRANSIENT,
				      SQLITE_UTF8);
}

static void put_name(struct cursor *c, sqlite3_context *context, int column)
{
	struct event_names names;

	event_names_find(block_view_text(c->walk.view, EVENT_JSON, c->at), &c->arena, &names);
	put_text(context, column == COLUMN_ID		? names.id
			  : column == COLUMN_OBJECT_KEY ? names.key
			  : column == COLUMN_SOURCE	? names.source
							: names.key_base64);
	arena_reset(&c->arena);
}

static void put_value(struct cursor *c, sqlite3_context *context, int column)
{
	static const int fields[] = {[COLUMN_EVENT] = EVENT_ID,
				     [COLUMN_WALL_US] = EVENT_WALL_US,
				     [COLUMN_JSON] = EVENT_JSON,
				     [COLUMN_BY_KIND] = EVENT_BY_KIND,
				     [COLUMN_BY_NAME] = EVENT_BY_NAME,
				     [COLUMN_BY_NUMBER] = EVENT_BY_NUMBER,
				     [COLUMN_FIRST_JOB] = EVENT_FIRST_JOB,
				     [COLUMN_JOBS] = EVENT_JOBS};
	uint32_t field = (uint32_t)fields[column];

	switch ((enum column)column) {
	case COLUMN_EVENT:
		history_result_id(context, block_view_text(c->walk.view, field, c->at));
		return;
	case COLUMN_JSON:
		put_text(context, block_view_text(c->walk.view, field, c->at));
		return;
	case COLUMN_ID:
	case COLUMN_OBJECT_KEY:
	case COLUMN_OBJECT_KEY_BASE64:
	case COLUMN_SOURCE:
		put_name(c, context, column);
		return;
	case COLUMN_BY_KIND: /* nobody: those who asked for its jobs */
	case COLUMN_BY_NAME:
	case COLUMN_BY_NUMBER:
		if (block_view_number(c->walk.view, EVENT_BY_KIND, c->at) == 0)
			return;
		if (column == COLUMN_BY_NAME) {
			struct bytes name = block_view_text(c->walk.view, field, c->at);

			sqlite3_result_text64(context, name.size > 0 ? (const char *)name.data : "",
					      name.size, SQLITE_TRANSIENT, SQLITE_UTF8);
			return;
		}
		break;
	case COLUMN_WALL_US:
	case COLUMN_FIRST_JOB:
	case COLUMN_JOBS:
		break;
	}
	sqlite3_result_int64(context, block_view_number(c->walk.view, field, c->at));
}

static int on_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
	struct cursor *c = (struct cursor *)cursor;

	if (c->walk.rows == NULL)
		put_value(c, context, column);
	else if (column < COLUMN_FIRST_JOB)
		sqlite3_result_value(context, sqlite3_column_value(c->walk.rows, column));
	return c->walk.view != NULL && block_view_is_damaged(c->walk.view) ? SQLITE_CORRUPT_VTAB : SQLITE_OK;
}

const sqlite3_module history_events_module = {.iVersion = 1,
					      .xCreate = on_connect,
					      .xConnect = on_connect,
					      .xBestIndex = on_best_index,
					      .xDisconnect = history_walk_disconnect,
					      .xDestroy = history_walk_disconnect,
					      .xOpen = on_open,
					      .xClose = on_close,
					      .xFilter = on_filter,
					      .xNext = on_next,
					      .xEof = history_walk_eof,
					      .xColumn = on_column,
					      .xRowid = history_walk_rowid};
