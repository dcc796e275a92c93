#include "dispatcher/store/sql.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"

#define BUSY_TIMEOUT_MS 5000 /* somebody else reads or looks with a tool that takes a lock */

int sql_error(const struct sql *s, int code, struct error *reterr)
{
	enum error_code rc = ERR_IO;

	switch (code & 0xff) {
	case SQLITE_FULL:
		rc = ERR_LIMIT;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		rc = ERR_CORRUPT;
		break;
	case SQLITE_CANTOPEN:
		rc = ERR_NOT_FOUND;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		rc = ERR_BUSY;
		break;
	default:
		break;
	}
	error_set(reterr, rc, "SQLite says: %s (%s)", s->db != NULL ? sqlite3_errmsg(s->db) : "",
		  sqlite3_errstr(code));
	error_where(reterr, "%s", s->path);
	return rc;
}

/* Nobody asks SQLite how much memory it has; the count costs a lock at each allocation. */
static void configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int sql_open(struct sql *s, const char *path, int flags, struct error *reterr)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int code;

	pthread_once(&once, configure);
	*s = (struct sql){.path = check_calloc(strlen(path) + 1, 1)};
	memcpy(s->path, path, strlen(path));
	code = sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
	if (code != SQLITE_OK) {
		int rc = sql_error(s, code, reterr);

		sql_close(s);
		return rc;
	}
	return 0;
}

void sql_close(struct sql *s)
{
	for (size_t i = 0; i < s->statement_count; i++)
		sqlite3_finalize(s->statements[i]);
	free(s->statements);
	sqlite3_close(s->db);
	free(s->path);
	*s = (struct sql){0};
}

int sql_script(struct sql *s, const char *script, struct error *reterr)
{
	int code = sqlite3_exec(s->db, script, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : sql_error(s, code, reterr);
}

int sql_prepare(struct sql *s, const struct sql_statement table[], size_t count, struct error *reterr)
{
	struct buf text = {0};
	int code = SQLITE_OK;

	s->table = table;
	s->statements = check_calloc(count, sizeof *s->statements);
	s->statement_count = count;
	for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
		buf_clear(&text);
		sql_statement_text(&table[i], &text);
		code = sqlite3_prepare_v3(s->db, buf_text(&text), -1, SQLITE_PREPARE_PERSISTENT,
					  &s->statements[i], NULL);
	}
	buf_fini(&text);
	return code == SQLITE_OK ? 0 : sql_error(s, code, reterr);
}

static int bind_text(sqlite3_stmt *stmt, int i, struct bytes b)
{
	return sqlite3_bind_text64(stmt, i, b.size ? (const char *)b.data : "", b.size, SQLITE_STATIC,
				   SQLITE_UTF8);
}

static int bind_blob(sqlite3_stmt *stmt, int i, struct bytes b)
{
	return sqlite3_bind_blob64(stmt, i, b.size ? (const void *)b.data : "", b.size, SQLITE_STATIC);
}

static int bind(sqlite3_stmt *stmt, const char *format, va_list ap)
{
	int code = SQLITE_OK;

	CHECK((int)strlen(format) == sqlite3_bind_parameter_count(stmt));
	for (int i = 1; *format != '\0' && code == SQLITE_OK; format++, i++) {
		if (*format == 'i') {
			code = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
		} else if (*format == 't') {
			code = bind_text(stmt, i, va_arg(ap, struct bytes));
		} else {
			CHECK(*format == 'b');
			code = bind_blob(stmt, i, va_arg(ap, struct bytes));
		}
	}
	return code;
}

/* ---- rows ---- */

static int bind_id(sqlite3_stmt *stmt, int i, const uint64_t id[2])
{
	uint8_t text[16];

	if (id[0] == 0 && id[1] == 0)
		return sqlite3_bind_null(stmt, i);
	sql_id_write(id[0], id[1], text);
	return sqlite3_bind_blob64(stmt, i, text, sizeof text, SQLITE_TRANSIENT);
}

static int bind_column(sqlite3_stmt *stmt, int i, enum sql_kind kind, const void *at)
{
	switch (kind) {
	case SQL_BOOL:
		return sqlite3_bind_int64(stmt, i, *(const bool *)at);
	case SQL_U8:
		return sqlite3_bind_int64(stmt, i, *(const uint8_t *)at);
	case SQL_U32:
		return sqlite3_bind_int64(stmt, i, *(const uint32_t *)at);
	case SQL_U64:
	case SQL_I64:
		return sqlite3_bind_int64(stmt, i, *(const int64_t *)at);
	case SQL_TEXT:
		return bind_text(stmt, i, *(const struct bytes *)at);
	case SQL_BLOB:
		return bind_blob(stmt, i, *(const struct bytes *)at);
	case SQL_ID:
		return bind_id(stmt, i, at);
	}
	CHECK(false);
	return SQLITE_ERROR;
}

int sql_put(struct sql *s, int statement, const void *row, struct error *reterr)
{
	const struct sql_statement *which = &s->table[statement];
	sqlite3_stmt *stmt = s->statements[statement];
	int code = SQLITE_OK, i = 0, rc;

	for (size_t n = 0; n < which->table->column_count && code == SQLITE_OK; n++) {
		const struct sql_column *c = &which->table->columns[n];

		if (c->uses & which->use)
			code = bind_column(stmt, ++i, c->kind, (const uint8_t *)row + c->offset);
	}
	if (which->verb == SQL_UPDATE && code == SQLITE_OK) {
		const struct sql_column *key = sql_table_key(which->table);

		code = bind_column(stmt, ++i, key->kind, (const uint8_t *)row + key->offset);
	}
	rc = code == SQLITE_OK ? sql_next(s, statement, reterr) : sql_error(s, code, reterr);
	sql_end(s, statement);
	return rc;
}

static void get_column(const struct sql *s, int statement, int i, enum sql_kind kind, void *at,
		       struct arena *arena)
{
	struct bytes b;

	switch (kind) {
	case SQL_BOOL:
		*(bool *)at = sql_int(s, statement, i) != 0;
		return;
	case SQL_U8:
		*(uint8_t *)at = (uint8_t)sql_int(s, statement, i);
		return;
	case SQL_U32:
		*(uint32_t *)at = (uint32_t)sql_int(s, statement, i);
		return;
	case SQL_U64:
	case SQL_I64:
		*(int64_t *)at = sql_int(s, statement, i);
		return;
	case SQL_TEXT:
	case SQL_BLOB:
		b = sql_bytes(s, statement, i);
		*(struct bytes *)at = arena != NULL ? arena_copy(arena, b) : b;
		return;
	case SQL_ID:
		sql_id_read(sql_bytes(s, statement, i), &((uint64_t *)at)[0], &((uint64_t *)at)[1]);
		return;
	}
	CHECK(false);
}

void sql_get(const struct sql *s, int statement, void *row, struct arena *arena)
{
	const struct sql_statement *which = &s->table[statement];
	int i = 0;

	for (size_t n = 0; n < which->table->column_count; n++) {
		const struct sql_column *c = &which->table->columns[n];

		if (c->uses & which->use)
			get_column(s, statement, i++, c->kind, (uint8_t *)row + c->offset, arena);
	}
}

/* ---- running ---- */

int sql_next(struct sql *s, int statement, struct error *reterr)
{
	int code = sqlite3_step(s->statements[statement]);

	if (code == SQLITE_ROW)
		return 1;
	return code == SQLITE_DONE ? 0 : sql_error(s, code, reterr);
}

void sql_end(struct sql *s, int statement)
{
	/* The error it would repeat was told by the step. */
	(void)sqlite3_reset(s->statements[statement]);
}

static int begin(struct sql *s, int statement, struct error *reterr, const char *format, va_list ap)
{
	int code = bind(s->statements[statement], format, ap);

	return code == SQLITE_OK ? sql_next(s, statement, reterr) : sql_error(s, code, reterr);
}

int sql_begin(struct sql *s, int statement, struct error *reterr, const char *format, ...)
{
	va_list ap;
	int rc;

	va_start(ap, format);
	rc = begin(s, statement, reterr, format, ap);
	va_end(ap);
	return rc;
}

int sql_run(struct sql *s, int statement, struct error *reterr, const char *format, ...)
{
	va_list ap;
	int rc;

	va_start(ap, format);
	rc = begin(s, statement, reterr, format, ap);
	va_end(ap);
	while (rc == 1)
		rc = sql_next(s, statement, reterr);
	sql_end(s, statement);
	return rc;
}

int64_t sql_int(const struct sql *s, int statement, int column)
{
	return sqlite3_column_int64(s->statements[statement], column);
}

struct bytes sql_bytes(const struct sql *s, int statement, int column)
{
	/* First the blob, then its size: SQLite asks for this order. */
	const void *data = sqlite3_column_blob(s->statements[statement], column);

	return BYTES(data, (size_t)sqlite3_column_bytes(s->statements[statement], column));
}

int64_t sql_changes(const struct sql *s)
{
	return sqlite3_changes64(s->db);
}

void sql_id_write(uint64_t hi, uint64_t lo, uint8_t ret[16])
{
	for (int i = 0; i < 8; i++) {
		ret[i] = (uint8_t)(hi >> (56 - 8 * i));
		ret[8 + i] = (uint8_t)(lo >> (56 - 8 * i));
	}
}

void sql_id_read(struct bytes id, uint64_t *ret_hi, uint64_t *ret_lo)
{
	*ret_hi = *ret_lo = 0;
	for (size_t i = 0; id.size == 16 && i < 8; i++) {
		*ret_hi = *ret_hi << 8 | id.data[i];
		*ret_lo = *ret_lo << 8 | id.data[8 + i];
	}
}
