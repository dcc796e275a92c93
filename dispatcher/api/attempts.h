/* What attempts.c asks for, and attempts_rows.c finds in a reader's thread. */
#pragma once

#include "dispatcher/core/view.h"
#include "dispatcher/readers.h"
#include "dispatcher/store/history_reader.h"

struct blobs;
struct running_now;

#define ATTEMPTS_ROWS_MAX 1000u
#define ATTEMPTS_VALUE_BYTES 1000u /* of an item that is shown */

/* A row of the answer. Texts are in the listing's arena. */
struct attempts_row {
	struct range shards;
	uint8_t state; /* enum shard_state */
	uint32_t attempts;
	struct uuid worker; /* 0,0: none */
	struct bytes host;
	bool ended;	      /* took is known */
	usec_t start_wall_us; /* 0: not known, or not begun */
	struct totals took;
	uint8_t failed; /* enum failure_kind, or 0 */
	bool has_code;
	int64_t code;
	struct bytes why;
	bool has_number;
	int64_t number;			/* of the first */
	struct bytes value, last_value; /* data NULL: not known */
};

/* Runs of shards as they stand. */
struct attempts_run {
	struct view_shards v;
	/* Of leased ones: */
	struct bytes host;
	usec_t start_wall_us; /* of one that runs; it is alone then */
};

struct attempts_list {
	/* Asked for. */
	uint64_t job;
	uint32_t phase;	 /* ATTEMPTS_PHASE_OF_JOB: history's row says it */
	uint32_t states; /* bits, 1 << state */
	uint64_t first;
	size_t limit;
	/* Of a live job: from the core. Else history tells. */
	bool live;
	struct attempts_run runs[ATTEMPTS_ROWS_MAX];
	size_t run_count;
	uint64_t shown_end; /* the runs tell of all shards below */
	uint64_t shard_count;
	struct plan plan; /* kind 0: not known */
	/* Found. */
	struct arena arena;
	struct history_job row; /* of a job that has ended */
	struct attempts_row rows[ATTEMPTS_ROWS_MAX];
	size_t row_count;
	uint64_t next;	     /* the first shard that is not told; shard_count: there are no more */
	struct uuid host_of; /* of the last look */
	struct bytes host;
};

#define ATTEMPTS_PHASE_OF_JOB UINT32_MAX

/* In a reader's thread. */
int attempts_read(struct history_reader *history, struct attempts_list *l, struct error *reterr) MUST_CHECK;
/* What the plan says of its rows. Items that stand in a blob are read; blobs NULL: they are left out. */
void attempts_values(struct attempts_list *l, struct blobs *blobs);
