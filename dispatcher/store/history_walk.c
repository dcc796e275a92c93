#include "dispatcher/store/history_walk.h"

#include <sqlite3ext.h>
#include <stdlib.h>

SQLITE_EXTENSION_INIT3

int history_walk_disconnect(sqlite3_vtab *table)
{
	history_views_rest(((struct history_walk_table *)table)->views);
	free(table);
	return SQLITE_OK;
}

void history_walk_clear(struct history_walk *w)
{
	history_views_done(w->views, w->rows);
	history_views_release(w->views, w->view);
	w->rows = NULL;
	w->view = NULL;
	w->ended = false;
}

int history_walk_row(struct history_walk *w)
{
	int code = sqlite3_step(w->rows);

	if (code == SQLITE_ROW)
		return code;
	history_views_done(w->views, w->rows);
	w->rows = NULL;
	return code;
}

int history_walk_eof(sqlite3_vtab_cursor *cursor)
{
	return ((struct history_walk *)cursor)->ended;
}

int history_walk_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *ret)
{
	*ret = ((struct history_walk *)cursor)->row;
	return SQLITE_OK;
}
