/* What the tables of the module share: a cursor goes through rows first, then through blocks. */
#pragma once

#include "dispatcher/store/history_views.h"

struct history_walk_table {
	sqlite3_vtab base;
	struct history_views *views;
};

struct history_walk {
	sqlite3_vtab_cursor base;
	struct history_views *views;
	sqlite3_stmt *rows;	 /* NULL: they are through */
	struct block_view *view; /* the block in work; NULL: none */
	int64_t row;
	bool ended;
};

int history_walk_disconnect(sqlite3_vtab *table);
void history_walk_clear(struct history_walk *w);
/* The next row: SQLITE_ROW; SQLITE_DONE when they are through, and blocks come now. */
int history_walk_row(struct history_walk *w);
int history_walk_eof(sqlite3_vtab_cursor *cursor);
int history_walk_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *ret);
