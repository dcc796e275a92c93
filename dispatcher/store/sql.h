/* SQLite with fewer words: statements from a table, rows by their columns (sql_table.h), errors in our codes.
 *
 * The few values of a statement that is no row come by a format, a letter a value: i int64_t · t struct bytes
 * as text · b struct bytes as blob. Numbers of 64 bits are stored as SQLite's signed ones. Bytes that are
 * bound must live until the statement has run. */
#pragma once

#include <sqlite3.h>

#include "base/arena.h"
#include "base/error.h"
#include "dispatcher/store/sql_table.h"

struct sql {
	sqlite3 *db;
	char *path;
	const struct sql_statement *table;
	sqlite3_stmt **statements; /* by the number in the table */
	size_t statement_count;
};

/* flags as of sqlite3_open_v2. The connection belongs to one thread. */
int sql_open(struct sql *s, const char *path, int flags, struct error *reterr) MUST_CHECK;
/* All zero is fine. */
void sql_close(struct sql *s);
/* Statements that end with a semicolon each. */
int sql_script(struct sql *s, const char *script, struct error *reterr) MUST_CHECK;
/* The table lives as long as the connection. */
int sql_prepare(struct sql *s, const struct sql_statement table[], size_t count,
		struct error *reterr) MUST_CHECK;

/* Runs it to its end; rows are dropped. */
int sql_run(struct sql *s, int statement, struct error *reterr, const char *format, ...) MUST_CHECK;
/* Binds and makes the first step: 1 = there is a row, 0 = there is none, negative = an error. The
 * statement is to be ended with sql_end. */
int sql_begin(struct sql *s, int statement, struct error *reterr, const char *format, ...) MUST_CHECK;
int sql_next(struct sql *s, int statement, struct error *reterr) MUST_CHECK;
void sql_end(struct sql *s, int statement);

/* An INSERT of a table's columns: their values are in *row. */
int sql_put(struct sql *s, int statement, const void *row, struct error *reterr) MUST_CHECK;
/* Of a SELECT of a table's columns, the row on which it stands; NULL is 0, or no bytes. Bytes go to the
 * arena; NULL: they are SQLite's, until the next step. What is no column of the statement stays as it is in
 * *row. */
void sql_get(const struct sql *s, int statement, void *row, struct arena *arena);

int64_t sql_int(const struct sql *s, int statement, int column); /* 0 for NULL */
/* Until the next step; size 0 for NULL. */
struct bytes sql_bytes(const struct sql *s, int statement, int column);
int64_t sql_changes(const struct sql *s);
/* ERR_LIMIT: no room; ERR_NOT_FOUND: cannot be opened; ERR_CORRUPT; ERR_BUSY; else ERR_IO. where = the file.
 */
int sql_error(const struct sql *s, int code, struct error *reterr);

/* An id as history keeps it: 16 bytes, big-endian, so that people see it as it is written. Other sizes read
 * as 0. */
void sql_id_write(uint64_t hi, uint64_t lo, uint8_t ret[16]);
void sql_id_read(struct bytes id, uint64_t *ret_hi, uint64_t *ret_lo);
