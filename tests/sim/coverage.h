/* Which transitions were reached while which faults were fresh: the table that `--table` prints.
 * Rows, columns and the cells that cannot be filled stand in coverage.def. */
#pragma once

#include <stdio.h>

#include "base/types.h"

enum cover_row {
#define ROW(name, text) ROW_##name,
#include "tests/sim/coverage.def"
#undef ROW
	ROW_COUNT,
};

enum cover_fault {
#define FAULT(name, text, doc) FAULT_##name,
#include "tests/sim/coverage.def"
#undef FAULT
	FAULT_COUNT,
};

struct coverage {
	uint64_t cells[ROW_COUNT][FAULT_COUNT];
	uint64_t totals[ROW_COUNT];
	usec_t fresh_until_us[FAULT_COUNT]; /* in the run now going on */
};

/* A new run: no fault is fresh. */
void coverage_begin(struct coverage *c);
/* A fault struck at now_us, or lasts until until_us. */
void coverage_fault(struct coverage *c, enum cover_fault fault, usec_t until_us);
void coverage_hit(struct coverage *c, enum cover_row row, usec_t now_us);
void coverage_add(struct coverage *to, const struct coverage *from);

/* NULL when the cell can be filled. */
const char *coverage_impossible(enum cover_row row, enum cover_fault fault);
/* The table, and below it the impossible cells with their reasons. */
void coverage_print(const struct coverage *c, FILE *out);
/* Cells that are empty and not impossible; says them on out, if that is not NULL. */
uint32_t coverage_holes(const struct coverage *c, FILE *out);
