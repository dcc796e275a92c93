/* Blocks of history as one connection reads them: the last ones stay at hand, and what hides rows of them. By
 * SQLite's interface for extensions, since anybody's program may load it (history_module.h). Thread: that of
 * the connection. Functions return SQLite's codes. */
#pragma once

#include <sqlite3.h>

#include "dispatcher/store/history_block.h"

/* Statements that are kept for the next time. */
#define HISTORY_STATEMENTS_MAX 24

struct history_views;

struct history_views *history_views_create(sqlite3 *db);
void history_views_destroy(struct history_views *v); /* NULL is fine */
/* Ends statements that nobody uses: a connection cannot be closed before. */
void history_views_rest(struct history_views *v);

/* An idle statement with this text, which is static. It goes back by history_views_done. */
int history_views_ask(struct history_views *v, const char *text, sqlite3_stmt **ret) MUST_CHECK;
void history_views_done(struct history_views *v, sqlite3_stmt *stmt);

/* The block; valid until history_views_release. SQLITE_CORRUPT_VTAB when it is damaged. SQLITE_NOTFOUND when
 * it is not there. */
int history_views_get(struct history_views *v, int64_t block, enum history_block_kind kind, bool with_body,
		      struct block_view **ret) MUST_CHECK;
void history_views_release(struct history_views *v, const struct block_view *view);
/* Blocks with these numbers may come to hold other things: a transaction is rolled back. */
void history_views_forget(struct history_views *v);

struct job_interval {
	int64_t first, last;
};

/* Which jobs' rows in blocks are hidden, of an interval. */
struct history_hidden {
	struct job_interval *forgotten;
	int64_t *left; /* they have a row of their own */
	uint32_t forgotten_count, forgotten_room, left_count, left_room;
};

int history_hidden_read(struct history_views *v, struct job_interval jobs,
			struct history_hidden *ret) MUST_CHECK;
bool history_is_forgotten(const struct history_hidden *h, int64_t first, int64_t last); /* all of them */
bool history_is_hidden(const struct history_hidden *h, int64_t job);
void history_hidden_fini(struct history_hidden *h);
