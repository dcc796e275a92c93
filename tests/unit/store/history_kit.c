#include "tests/unit/store/history_kit.h"

#include "dispatcher/store/history_module.h"
#include "jobs/kinds.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS 20000

/* The journal's tap: history, when there is one. */
static void tap(void *arg, uint64_t first_lsn, uint32_t record_count, uint32_t epoch, struct bytes payload)
{
	struct history_kit *k = arg;

	if (k->h != NULL)
		history_tap(k->h, first_lsn, record_count, epoch, payload);
}

void history_kit_begin(struct history_kit *k)
{
	*k = (struct history_kit){0};
	kit_begin(&k->kit);
	k->kit.options.tap = tap;
	k->kit.options.tap_arg = k;
	arena_init(&k->arena, 0);
	snprintf(k->path, sizeof k->path, "%s/history.db", k->kit.dir);
	cr_assert_eq(journal_open(&k->kit.j, k->kit.journal, &k->kit.options, NULL), 0);
	cr_assert_eq(journal_start(k->kit.j, NULL), 0);
}

void history_kit_end(struct history_kit *k)
{
	history_kit_close(k);
	buf_fini(&k->records);
	arena_fini(&k->arena);
	kit_end(&k->kit);
}

int history_kit_try(struct history_kit *k)
{
	int rc =
	    history_open(&k->h, k->path, k->kit.options.cluster_hi, k->kit.options.cluster_lo, &k->error);

	if (rc < 0) {
		k->h = NULL;
		return rc;
	}
	rc = history_start(k->h, k->kit.j, &k->missing, &k->error);
	if (rc < 0)
		history_kit_close(k);
	return rc;
}

void history_kit_open(struct history_kit *k)
{
	char text[1024];

	cr_assert_eq(history_kit_try(k), 0, "%s", error_text(&k->error, text, sizeof text));
	cr_assert_eq(history_reader_open(&k->reader, k->path, NULL), 0);
}

void history_kit_close(struct history_kit *k)
{
	history_reader_close(k->reader);
	k->reader = NULL;
	history_close(k->h);
	k->h = NULL;
}

void history_kit_add(struct history_kit *k, enum record_type type, const void *record)
{
	codec_union_encode(&record_union, type, record, &k->records);
	k->record_count++;
	if (k->records.size > 20000)
		history_kit_commit(k);
}

void history_kit_commit(struct history_kit *k)
{
	if (k->record_count == 0)
		return;
	journal_submit(k->kit.j, 1, buf_bytes(&k->records), k->record_count, true);
	buf_clear(&k->records);
	k->record_count = 0;
}

static void await_news(struct history_kit *k, const char *otherwise)
{
	struct pollfd p = {.fd = history_fd(k->h), .events = POLLIN};
	uint64_t n;

	cr_assert_eq(poll(&p, 1, DEADLINE_MS), 1, "%s", otherwise);
	cr_assert_eq(read(p.fd, &n, sizeof n), (ssize_t)sizeof n);
}

void history_kit_wait(struct history_kit *k)
{
	while (history_lsn(k->h) < journal_durable_lsn(k->kit.j))
		await_news(k, "history does not come on");
}

void history_kit_await_failure(struct history_kit *k, struct error *reterr)
{
	while (!history_is_failing(k->h, reterr))
		await_news(k, "it never fails");
}

void history_kit_write(struct history_kit *k)
{
	history_kit_commit(k);
	history_kit_wait(k);
	arena_reset(&k->arena);
}

static sqlite3 *connect_to(const struct history_kit *k)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open_v2(k->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	cr_assert_eq(history_module_register(db, NULL), SQLITE_OK);
	return db;
}

int64_t history_kit_number(const struct history_kit *k, const char *sql)
{
	sqlite3 *db = connect_to(k);
	sqlite3_stmt *stmt;
	int64_t n;

	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	return n;
}

static int dump_row(void *out, int columns, char **values, char **names)
{
	(void)names;
	for (int i = 0; i < columns; i++)
		buf_printf(out, "%s|", values[i] != NULL ? values[i] : "NULL");
	buf_printf(out, "\n");
	return 0;
}

void history_kit_dump(const struct history_kit *k, struct buf *out)
{
	static const char *const tables[] = {
	    "SELECT * FROM starts ORDER BY 1",
	    "SELECT id, hex(sha256), name, text FROM definitions ORDER BY 1",
	    "SELECT id, hex(worker) FROM workers ORDER BY 1",
	    "SELECT hex(event), wall_us, json FROM events ORDER BY 1",
	    "SELECT * FROM job_list ORDER BY 1",
	    "SELECT * FROM phases ORDER BY 1, 2",
	    "SELECT * FROM ranges ORDER BY 1, 2, 3",
	    "SELECT * FROM failures ORDER BY 1, 2, 3",
	    "SELECT * FROM meta WHERE name <> 'block_span' ORDER BY 1",
	};
	sqlite3 *db = connect_to(k);

	for (size_t i = 0; i < ARRAY_LENGTH(tables); i++)
		cr_assert_eq(sqlite3_exec(db, tables[i], dump_row, out, NULL), SQLITE_OK, "%s",
			     sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

const uint8_t history_kit_sha[32] = {0xab, 0xcd};

void history_kit_add_definition(struct history_kit *k)
{
	struct definition_added d = {.definition = {.sha256 = BYTES(history_kit_sha, 32),
						    .name = BYTES_LIT("fastq-qc"),
						    .text = BYTES_LIT("version: 1\n")}};

	history_kit_add(k, RECORD_DEFINITION, &d);
}

void history_kit_add_job(struct history_kit *k, uint64_t job, uint32_t shards)
{
	struct new_job j = {.job = job,
			    .planner = PLANNER_PURE,
			    .definition = BYTES(history_kit_sha, 32),
			    .name = BYTES_LIT("fastq-qc"),
			    .priority = -7,
			    .plan = {.kind = PLAN_COUNT, .shard_count = shards},
			    .event_id_hi = 0xe0,
			    .event_id_lo = job};
	struct accepted a = {.wall_us = 1000000, .jobs = {&j, 1}, .event = BYTES_LIT("{\"id\":\"x\"}")};

	history_kit_add(k, RECORD_ACCEPTED, &a);
}
