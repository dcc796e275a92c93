#include "dispatcher/store/sql.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

int sql_open(struct sql *s, const char *path, int flags, struct error *reterr)
{
	int code;

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

int sql_prepare(struct sql *s, const char *const texts[], size_t count, struct error *reterr)
{
	s->statements = check_calloc(count, sizeof *s->statements);
	s->statement_count = count;
	for (size_t i = 0; i < count; i++) {
		int code = sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
					      &s->statements[i], NULL);

		if (code != SQLITE_OK)
			return sql_error(s, code, reterr);
	}
	return 0;
}

static int bind(sqlite3_stmt *stmt, const char *format, va_list ap)
{
	int code = SQLITE_OK;

	CHECK((int)strlen(format) == sqlite3_bind_parameter_count(stmt));
	for (int i = 1; *format != '\0' && code == SQLITE_OK; format++, i++) {
		struct bytes b;

		switch (*format) {
		case 'i':
			code = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
			break;
		case 't':
			b = va_arg(ap, struct bytes);
			code = sqlite3_bind_text64(stmt, i, b.size ? (const char *)b.data : "", b.size,
						   SQLITE_STATIC, SQLITE_UTF8);
			break;
		case 'b':
			b = va_arg(ap, struct bytes);
			code = sqlite3_bind_blob64(stmt, i, b.size ? (const void *)b.data : "", b.size,
						   SQLITE_STATIC);
			break;
		default:
			CHECK(*format == 'z');
			code = sqlite3_bind_null(stmt, i);
		}
	}
	return code;
}

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
