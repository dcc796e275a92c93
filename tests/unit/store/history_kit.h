/* A history beside a journal that it is fed from, in a temporary directory. */
#pragma once

#include "dispatcher/store/history.h"
#include "jobs/schema.h"
#include "tests/unit/store/journal_kit.h"

struct history_kit {
	struct kit kit; /* the journal, without threads; its tap is history's */
	char path[96];	/* of the database */
	struct history *h;
	struct history_reader *reader;
	struct arena arena;
	struct buf records; /* added, not yet written */
	uint32_t record_count;
	uint64_t missing; /* as history_start told */
	struct error error;
};

/* A fresh directory with a started journal. */
void history_kit_begin(struct history_kit *k);
void history_kit_end(struct history_kit *k);
/* Opens and starts history, and a reader. */
void history_kit_open(struct history_kit *k);
/* The same as far as it goes: negative as history_open and history_start are; then it is closed. */
int history_kit_try(struct history_kit *k) MUST_CHECK;
void history_kit_close(struct history_kit *k);

void history_kit_add(struct history_kit *k, enum record_type type, const void *record);
/* The definition that the jobs below name, and a job of it by count. */
extern const uint8_t history_kit_sha[32];
void history_kit_add_definition(struct history_kit *k);
void history_kit_add_job(struct history_kit *k, uint64_t job, uint32_t shards);
/* What was added becomes one commit. */
void history_kit_commit(struct history_kit *k);
/* Until history is past the journal's last record. */
void history_kit_wait(struct history_kit *k);
/* Until it cannot write. */
void history_kit_await_failure(struct history_kit *k, struct error *reterr);
/* Commit and wait. */
void history_kit_write(struct history_kit *k);

/* The first column of the first row, asked over a connection of its own. */
int64_t history_kit_number(const struct history_kit *k, const char *sql);
/* All tables, in order, as text. */
void history_kit_dump(const struct history_kit *k, struct buf *out);

/* The call, which succeeds, appends this text to `out`. */
#define EXPECT_TEXT(call, expected)                                                                          \
	do {                                                                                                 \
		struct buf out = {0};                                                                        \
		cr_assert_eq(call, 0);                                                                       \
		cr_expect_str_eq(buf_text(&out), expected);                                                  \
		buf_fini(&out);                                                                              \
	} while (0)
