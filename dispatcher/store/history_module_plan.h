/* What the files of the module share: how its tables look, and which constraints of a query they use. */
#pragma once

#include "dispatcher/store/history_module.h"
#include "dispatcher/store/history_walk.h"

#define COLUMNS_MAX 64

/* How a table looks. */
struct layout {
	const char *name;
	const char *job_column; /* of rows */
	const struct sql_column *columns[COLUMNS_MAX];
	int ended[COLUMNS_MAX], made[COLUMNS_MAX]; /* fields of blocks; -1: none */
	uint32_t count;
	int is_there; /* a field of ended blocks that is 0 when there is no such row; -1: there always is */
	struct buf declare, rows;
};

struct table {
	struct history_walk_table walk;
	const struct layout *layout;
	enum history_part part;
};

/* Bits of idxNum; their values come in this order. */
enum {
	USE_EQ,
	USE_GE,
	USE_GT,
	USE_LE,
	USE_LT,
	USE_STATE,
	USE_STATES,
	USE_NAME,
	USE_WORKER,
	USE_SEGMENT,
	USE_FROM,
	USE_UNTIL,
	USE_COUNT
};

/* By their parts. */
const struct layout *history_layouts(void);
int history_best_index(sqlite3_vtab *table, sqlite3_index_info *info);
