/* Tables whose columns are a table in C: from it come the text of CREATE TABLE, the columns of INSERT and
 * SELECT, and the ways of values from and to a C struct, the row. So no statement counts columns. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/types.h"

enum sql_kind {
	SQL_BOOL,
	SQL_U8,
	SQL_U32,
	SQL_U64, /* as SQLite's signed one */
	SQL_I64,
	SQL_TEXT, /* struct bytes */
	SQL_BLOB, /* struct bytes */
	SQL_ID,	  /* two uint64_t, the high one first: 16 bytes, or NULL when both are 0 */
};

struct sql_column {
	const char *name;
	const char
	    *type;	 /* as CREATE TABLE has it; NULL: not of this table, `get` is of one that is joined */
	const char *put; /* how a value is put; NULL: "?" */
	const char *get; /* how it is got; NULL: by its name, of the table's alias */
	enum sql_kind kind;
	size_t offset; /* in the row */
	uint32_t uses; /* the statements that have it: bits, the table's own */
};

struct sql_table {
	const char *name;
	const char *alias;    /* in SELECT */
	const char *key;      /* of ON CONFLICT */
	const char *rest;     /* of CREATE TABLE, behind the columns */
	const char *rest_end; /* behind its parenthesis */
	const struct sql_column *columns;
	size_t column_count;
};

enum sql_verb {
	SQL_AS_IT_STANDS,
	SQL_SELECT, /* the columns; the text goes on with FROM */
	SQL_INSERT,
	SQL_INSERT_OR_IGNORE,
	SQL_INSERT_OR_REPLACE,
	SQL_UPDATE, /* the columns, of the row with the key; the text has other assignments */
};

/* A statement, or the end of one that begins with a table's columns. */
struct sql_statement {
	const char *text; /* NULL: nothing follows */
	enum sql_verb verb;
	const struct sql_table *table;
	uint32_t use;  /* columns with this bit */
	uint32_t sets; /* of INSERT: if the key is there already, columns with this bit are set, and what text
			  says */
};

const struct sql_column *sql_table_key(const struct sql_table *t);
/* Appends. */
void sql_table_create(const struct sql_table *t, struct buf *out);
void sql_statement_text(const struct sql_statement *s, struct buf *out);
