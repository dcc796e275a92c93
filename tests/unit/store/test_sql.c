/* A table's columns as a table: what statements come of it, and how rows go through them. */
#include <criterion/criterion.h>

#include "dispatcher/store/sql.h"

struct thing {
	uint64_t number;
	struct bytes name, data;
	uint8_t kind;
	bool good;
	uint64_t hi, lo;
	int64_t left;
	struct bytes of_other;
};

enum { PUT = 1, GET = 2, AGAIN = 4 };

#define THING(name_, type_, kind_, member, uses_)                                                            \
	{                                                                                                    \
		.name = name_, .type = type_, .kind = kind_, .offset = offsetof(struct thing, member),       \
		.uses = uses_                                                                                \
	}

static const struct sql_column columns[] = {
    THING("number", "INTEGER", SQL_U64, number, PUT | GET),
    THING("name", "TEXT", SQL_TEXT, name, PUT | GET | AGAIN),
    {.name = "data",
     .type = "BLOB",
     .put = "nullif(?, x'')",
     .kind = SQL_BLOB,
     .offset = offsetof(struct thing, data),
     .uses = PUT | GET},
    THING("kind", "INTEGER NOT NULL DEFAULT 3", SQL_U8, kind, GET),
    THING("good", "INTEGER", SQL_BOOL, good, PUT | GET | AGAIN),
    THING("id", "BLOB", SQL_ID, hi, PUT | GET),
    THING("left", "INTEGER", SQL_I64, left, PUT | GET),
    {.get = "o.text", .kind = SQL_TEXT, .offset = offsetof(struct thing, of_other), .uses = GET},
};

static const struct sql_table things = {.name = "things",
					.alias = "t",
					.key = "number",
					.rest = ", PRIMARY KEY(number)",
					.rest_end = " WITHOUT ROWID",
					.columns = columns,
					.column_count = ARRAY_LENGTH(columns)};

enum { T_PUT, T_GET, T_AGAIN, T_COUNT };

static const struct sql_statement statements[] = {
    [T_PUT] = {NULL, SQL_INSERT_OR_IGNORE, &things, PUT, 0},
    [T_GET] = {"FROM things t LEFT JOIN others o ON o.name = t.name WHERE t.number = ?", SQL_SELECT, &things,
	       GET, 0},
    [T_AGAIN] = {", kind = 9", SQL_INSERT, &things, PUT, AGAIN},
};

static void assert_text(int statement, const char *expected)
{
	struct buf text = {0};

	sql_statement_text(&statements[statement], &text);
	cr_assert_str_eq(buf_text(&text), expected);
	buf_fini(&text);
}

Test(sql, statements_name_the_columns_that_they_use)
{
	struct buf text = {0};

	sql_table_create(&things, &text);
	cr_assert_str_eq(buf_text(&text),
			 "CREATE TABLE things(number INTEGER, name TEXT, data BLOB,"
			 " kind INTEGER NOT NULL DEFAULT 3, good INTEGER, id BLOB, left INTEGER,"
			 " PRIMARY KEY(number)) WITHOUT ROWID;");
	buf_fini(&text);
	assert_text(T_PUT, "INSERT OR IGNORE INTO things(number, name, data, good, id, left)"
			   " VALUES(?, ?, nullif(?, x''), ?, ?, ?)");
	assert_text(T_GET, "SELECT t.number, t.name, t.data, t.kind, t.good, t.id, t.left, o.text"
			   " FROM things t LEFT JOIN others o ON o.name = t.name WHERE t.number = ?");
	assert_text(T_AGAIN, "INSERT INTO things(number, name, data, good, id, left)"
			     " VALUES(?, ?, nullif(?, x''), ?, ?, ?) ON CONFLICT(number) DO UPDATE SET"
			     " name = excluded.name, good = excluded.good, kind = 9");
}

static void get(struct sql *s, int64_t number, struct thing *ret, struct arena *arena)
{
	cr_assert_eq(sql_begin(s, T_GET, NULL, "i", number), 1);
	sql_get(s, T_GET, ret, arena);
	sql_end(s, T_GET);
}

Test(sql, a_row_comes_back_as_it_was_put)
{
	const struct thing first = {.number = UINT64_MAX,
				    .name = BYTES_LIT("one"),
				    .data = BYTES_LIT("\x01\x00\x02"),
				    .good = true,
				    .hi = 1,
				    .lo = 2,
				    .left = -5};
	struct thing second = {.number = 7}, got;
	struct arena arena;
	struct sql s;

	arena_init(&arena, 0);
	cr_assert_eq(sql_open(&s, ":memory:", SQLITE_OPEN_READWRITE, NULL), 0);
	cr_assert_eq(sql_script(&s,
				"CREATE TABLE things(number INTEGER PRIMARY KEY, name TEXT, data BLOB,"
				" kind INTEGER DEFAULT 3, good INTEGER, id BLOB, left INTEGER);"
				"CREATE TABLE others(name TEXT, text TEXT);"
				"INSERT INTO others VALUES('one', 'joined');",
				NULL),
		     0);
	cr_assert_eq(sql_prepare(&s, statements, T_COUNT, NULL), 0);
	cr_assert_eq(sql_put(&s, T_PUT, &first, NULL), 0);
	cr_assert_eq(sql_put(&s, T_PUT, &second, NULL), 0);
	get(&s, -1, &got, &arena);
	cr_assert_eq(got.number, UINT64_MAX);
	cr_assert(bytes_equal(got.name, first.name));
	cr_assert(bytes_equal(got.data, first.data));
	cr_assert_eq(got.kind, 3);
	cr_assert(got.good);
	cr_assert_eq(got.hi, 1);
	cr_assert_eq(got.lo, 2);
	cr_assert_eq(got.left, -5);
	cr_assert(bytes_equal(got.of_other, BYTES_LIT("joined")));
	second.good = true;
	second.left = 8;
	cr_assert_eq(sql_put(&s, T_AGAIN, &second, NULL), 0);
	get(&s, 7, &got, &arena);
	cr_assert_eq(got.data.size + got.name.size + got.of_other.size, 0, "NULL and empty");
	cr_assert_eq(got.hi + got.lo, 0);
	cr_assert_eq(got.kind, 9);
	cr_assert(got.good);
	cr_assert_eq(got.left, 0, "it is not among what is set");
	sql_close(&s);
	arena_fini(&arena);
}
