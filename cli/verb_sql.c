/* History asked in SQL, without a dispatcher. */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/statedir.h"
#include "cli/cli.h"
#include "cli/csv.h"

struct sql_options {
	const char *history; /* NULL: the state directory's */
};

static int sql_fails(sqlite3 *db, const char *path, struct error *reterr)
{
	error_set(reterr, ERR_INVALID, "SQLite says: %s", sqlite3_errmsg(db));
	return error_where(reterr, "%s", path);
}

static void hex_of(const void *blob, int size, struct buf *out)
{
	buf_clear(out);
	for (int i = 0; i < size; i++)
		buf_printf(out, "%02x", ((const uint8_t *)blob)[i]);
}

static json_t *json_of(sqlite3_stmt *stmt, int column, struct buf *room)
{
	switch (sqlite3_column_type(stmt, column)) {
	case SQLITE_INTEGER:
		return json_integer(sqlite3_column_int64(stmt, column));
	case SQLITE_FLOAT:
		return json_real(sqlite3_column_double(stmt, column));
	case SQLITE_TEXT:
		return json_string((const char *)sqlite3_column_text(stmt, column));
	case SQLITE_BLOB:
		hex_of(sqlite3_column_blob(stmt, column), sqlite3_column_bytes(stmt, column), room);
		return json_string(buf_text(room));
	default:
		return json_null();
	}
}

/* A line with an object. */
static void print_json_row(sqlite3_stmt *stmt, struct buf *room)
{
	json_t *row = json_object();
	char *text;

	for (int i = 0; i < sqlite3_column_count(stmt); i++) {
		json_t *value = json_of(stmt, i, room); /* NULL: a text that is not UTF-8 */

		json_object_set_new(row, sqlite3_column_name(stmt, i), value != NULL ? value : json_null());
	}
	text = json_dumps(row, JSON_COMPACT | JSON_ENCODE_ANY);
	CHECK(text != NULL);
	puts(text);
	free(text);
	json_decref(row);
}

static void print_csv_row(sqlite3_stmt *stmt, struct buf *room)
{
	struct buf line = {0};

	for (int i = 0; i < sqlite3_column_count(stmt); i++) {
		if (sqlite3_column_type(stmt, i) == SQLITE_BLOB) {
			hex_of(sqlite3_column_blob(stmt, i), sqlite3_column_bytes(stmt, i), room);
			csv_field(&line, buf_bytes(room), i > 0);
			continue;
		}
		const void *text = sqlite3_column_text(stmt, i);

		csv_field(&line, BYTES(text, (size_t)sqlite3_column_bytes(stmt, i)), i > 0);
	}
	buf_printf(&line, "\n");
	cli_print(&line);
}

static void print_titles(sqlite3_stmt *stmt)
{
	struct buf line = {0};

	for (int i = 0; i < sqlite3_column_count(stmt); i++)
		csv_field(&line, bytes_of(sqlite3_column_name(stmt, i)), i > 0);
	buf_printf(&line, "\n");
	cli_print(&line);
}

static int print_rows(const struct cli *cli, sqlite3 *db, sqlite3_stmt *stmt, const char *path,
		      struct error *reterr)
{
	struct buf room = {0};
	int code;

	if (!cli->json && sqlite3_column_count(stmt) > 0)
		print_titles(stmt);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (cli->json)
			print_json_row(stmt, &room);
		else
			print_csv_row(stmt, &room);
	}
	buf_fini(&room);
	return code == SQLITE_DONE ? 0 : sql_fails(db, path, reterr);
}

#define EXTENSION "shardmill_history.so"
#define EXTENSION_PATH_MAX 4096

/* Of the build tree, or beside the program when both were moved, or where it was to be installed. */
static void find_extension(char ret[EXTENSION_PATH_MAX])
{
	static const char *const places[] = {"../dispatcher/store", "../" SHARDMILL_LIBDIR};
	char program[EXTENSION_PATH_MAX / 2];
	ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
	char *slash;

	program[size > 0 ? size : 0] = '\0';
	slash = strrchr(program, '/');
	for (size_t i = 0; slash != NULL && i < ARRAY_LENGTH(places); i++) {
		snprintf(ret, EXTENSION_PATH_MAX, "%.*s/%s/" EXTENSION, (int)(slash - program), program,
			 places[i]);
		if (access(ret, R_OK) == 0)
			return;
	}
	snprintf(ret, EXTENSION_PATH_MAX, "%s", SHARDMILL_PREFIX "/" SHARDMILL_LIBDIR "/" EXTENSION);
}

static int load_extension(sqlite3 *db)
{
	char path[EXTENSION_PATH_MAX];

	find_extension(path);
	if (sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL) != SQLITE_OK)
		return SQLITE_ERROR;
	return sqlite3_load_extension(db, path, NULL, NULL);
}

static int ask(const struct cli *cli, const char *path, const char *question, struct error *reterr)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
	    sqlite3_busy_timeout(db, 10000) != SQLITE_OK || load_extension(db) != SQLITE_OK)
		r = sql_fails(db, path, reterr);
	while (r == 0 && question[strspn(question, " \t\n;")] != '\0') {
		if (sqlite3_prepare_v2(db, question, -1, &stmt, &question) != SQLITE_OK)
			r = sql_fails(db, path, reterr);
		else if (stmt != NULL)
			r = print_rows(cli, db, stmt, path, reterr);
		sqlite3_finalize(stmt);
		stmt = NULL;
	}
	sqlite3_close(db);
	return r;
}

static int history_path(const struct cli *cli, const struct sql_options *o, char **ret, struct error *reterr)
{
	struct statedir sd = {.path = (char *)(uintptr_t)params_text(&cli->params, PARAM_STATE_DIR)};
	char *owned = NULL;
	int r = 0;

	if (o->history != NULL) {
		*ret = strdup(o->history);
		CHECK(*ret != NULL);
		return 0;
	}
	if (sd.path[0] == '\0') {
		r = statedir_default(&owned, reterr);
		sd.path = owned;
	}
	if (r == 0)
		*ret = statedir_path(&sd, "history.db");
	free(owned);
	return r;
}

static int work(struct cli *cli, void *options, struct error *reterr)
{
	char *path = NULL;
	int r = cli_expect_arguments(cli, 1, 1, "expected a question in SQL", reterr);

	if (r == 0)
		r = history_path(cli, options, &path, reterr);
	if (r == 0)
		r = ask(cli, path, cli->argv[0], reterr);
	free(path);
	return r;
}

int verb_sql(int argc, char **argv)
{
	struct sql_options o = {0};
	const struct options_extra extra[] = {
	    {.name = "history",
	     .placeholder = "FILE",
	     .doc = "the database; default: history.db in the state directory",
	     .set = cli_set_text,
	     .arg = &o.history},
	};
	const struct options_spec spec = {
	    .program = "shardmill sql",
	    .synopsis = "[OPTION]... QUESTION",
	    .summary = "ask history in SQL",
	    .details =
		"Reads the database of jobs and events, also while the dispatcher runs or is stopped. The "
		"answer\n"
		"has comma-separated values; with --output=json, a line with an object for each row. Blobs "
		"are "
		"printed\n"
		"in hexadecimal.\n\n"
		"  shardmill sql 'SELECT name, count(*), sum(cpu_seconds) FROM job_list GROUP BY name'\n"
		"  shardmill sql \"SELECT json FROM events WHERE object_key = 'in/1.jpg'\"\n\n"
		"The views are job_list, done_ranges, dead_shards and attempts; they and the tables jobs, "
		"ranges,\n"
		"failures, efforts and events have all jobs. Other programs find these when they load the "
		"extension\n"
		"of SQLite that is installed as shardmill_history.so.",
	    .extras = extra,
	    .extra_count = ARRAY_LENGTH(extra),
	    .has_csv = true,
	};

	return cli_run(&spec, argc, argv, work, &o);
}
