#include "dispatcher/store/sql_table.h"

#include <string.h>

#include "base/check.h"

const struct sql_column *sql_table_key(const struct sql_table *t)
{
	for (size_t i = 0; i < t->column_count; i++)
		if (strcmp(t->columns[i].name, t->key) == 0)
			return &t->columns[i];
	CHECK_NEVER("a table without its key");
}

void sql_table_create(const struct sql_table *t, struct buf *out)
{
	const char *comma = "";

	buf_printf(out, "CREATE TABLE %s(", t->name);
	for (size_t i = 0; i < t->column_count; i++) {
		if (t->columns[i].type == NULL)
			continue;
		buf_printf(out, "%s%s %s", comma, t->columns[i].name, t->columns[i].type);
		comma = ", ";
	}
	buf_printf(out, "%s)%s;", t->rest != NULL ? t->rest : "", t->rest_end != NULL ? t->rest_end : "");
}

static void select_columns(const struct sql_statement *s, struct buf *out)
{
	const struct sql_table *t = s->table;
	const char *comma = "SELECT ";

	for (size_t i = 0; i < t->column_count; i++) {
		const struct sql_column *c = &t->columns[i];

		if ((c->uses & s->use) == 0)
			continue;
		if (c->get != NULL)
			buf_printf(out, "%s%s", comma, c->get);
		else
			buf_printf(out, "%s%s.%s", comma, t->alias, c->name);
		comma = ", ";
	}
	buf_printf(out, " ");
}

static void insert_columns(const struct sql_statement *s, const char *verb, struct buf *out)
{
	const struct sql_table *t = s->table;
	const char *comma = "(";

	buf_printf(out, "%s INTO %s", verb, t->name);
	for (size_t i = 0; i < t->column_count; i++)
		if (t->columns[i].uses & s->use) {
			buf_printf(out, "%s%s", comma, t->columns[i].name);
			comma = ", ";
		}
	comma = ") VALUES(";
	for (size_t i = 0; i < t->column_count; i++)
		if (t->columns[i].uses & s->use) {
			buf_printf(out, "%s%s", comma, t->columns[i].put != NULL ? t->columns[i].put : "?");
			comma = ", ";
		}
	buf_printf(out, ")");
	if (s->sets == 0)
		return;
	buf_printf(out, " ON CONFLICT(%s) DO UPDATE SET", t->key);
	comma = " ";
	for (size_t i = 0; i < t->column_count; i++)
		if (t->columns[i].uses & s->sets) {
			buf_printf(out, "%s%s = excluded.%s", comma, t->columns[i].name, t->columns[i].name);
			comma = ", ";
		}
}

/* The key is the last value. */
static void update_columns(const struct sql_statement *s, struct buf *out)
{
	const struct sql_table *t = s->table;
	const char *comma = " SET ";

	buf_printf(out, "UPDATE %s", t->name);
	for (size_t i = 0; i < t->column_count; i++)
		if (t->columns[i].uses & s->use) {
			buf_printf(out, "%s%s = ?", comma, t->columns[i].name);
			comma = ", ";
		}
	buf_printf(out, "%s WHERE %s = ?", s->text != NULL ? s->text : "", t->key);
}

void sql_statement_text(const struct sql_statement *s, struct buf *out)
{
	static const char *const inserts[] = {[SQL_INSERT] = "INSERT",
					      [SQL_INSERT_OR_IGNORE] = "INSERT OR IGNORE",
					      [SQL_INSERT_OR_REPLACE] = "INSERT OR REPLACE"};

	if (s->verb == SQL_UPDATE) {
		update_columns(s, out);
		return;
	}
	if (s->verb == SQL_SELECT)
		select_columns(s, out);
	else if (s->verb != SQL_AS_IT_STANDS)
		insert_columns(s, inserts[s->verb], out);
	buf_printf(out, "%s", s->text != NULL ? s->text : "");
}
