/* SQLite with fewer words: statements from a table, values by a format, errors in our codes.
 *
 * Formats have a letter a value: i int64_t · t struct bytes as text · b struct bytes as blob ·
 * z nothing taken, NULL bound. Numbers of 64 bits are stored as SQLite's signed ones. Bytes that are
 * bound must live until the statement has run. */
#pragma once

#include <sqlite3.h>

#include "base/arena.h"
#include "base/error.h"

struct sql {
	sqlite3 *db;
	char *path;
	sqlite3_stmt **statements; /* by the number in the table */
	size_t statement_count;
};

/* flags as of sqlite3_open_v2. The connection belongs to one thread. */
int sql_open(struct sql *s, const char *path, int flags, struct error *reterr) MUST_CHECK;
/* All zero is fine. */
void sql_close(struct sql *s);
/* Statements that end with a semicolon each. */
int sql_script(struct sql *s, const char *script, struct error *reterr) MUST_CHECK;
int sql_prepare(struct sql *s, const char *const texts[], size_t count, struct error *reterr) MUST_CHECK;

/* Runs it to its end; rows are dropped. */
int sql_run(struct sql *s, int statement, struct error *reterr, const char *format, ...) MUST_CHECK;
/* Binds and makes the first step: 1 = there is a row, 0 = there is none, negative = an error. The
 * statement is to be ended with sql_end. */
int sql_begin(struct sql *s, int statement, struct error *reterr, const char *format, ...) MUST_CHECK;
int sql_next(struct sql *s, int statement, struct error *reterr) MUST_CHECK;
void sql_end(struct sql *s, int statement);

int64_t sql_int(const struct sql *s, int statement, int column); /* 0 for NULL */
/* Until the next step; size 0 for NULL. */
struct bytes sql_bytes(const struct sql *s, int statement, int column);
int64_t sql_changes(const struct sql *s);
/* ERR_LIMIT: no room; ERR_NOT_FOUND: cannot be opened; ERR_CORRUPT; ERR_BUSY; else ERR_IO. where = the file.
 */
int sql_error(const struct sql *s, int code, struct error *reterr);
