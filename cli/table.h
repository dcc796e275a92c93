/* Rows of text in aligned columns. Owner: whoever calls table_fini. */
#pragma once

#include "cli/terminal.h"

#define TABLE_COLUMNS_MAX 15u

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table_column {
	const char *title;
	enum table_align align;
	bool flexible; /* is cut with an ellipsis when the row is wider than the terminal */
};

struct table {
	const struct table_column *columns; /* borrowed */
	size_t column_count;
	size_t spare;		  /* this column is left out when flexible ones are not enough; 0 = none */
	struct table_cell *cells; /* row by row */
	size_t cell_count, cell_capacity;
};

/* columns: at most TABLE_COLUMNS_MAX. */
void table_init(struct table *t, const struct table_column *columns, size_t count);
void table_fini(struct table *t);
/* The next cell, row by row; text is escaped here, so it may be anybody's. */
void table_add(struct table *t, enum style style, const char *fmt, ...) PRINTF_LIKE(3, 4);
void table_add_text(struct table *t, enum style style, const char *text);
/* The same with one line of what may be several (human_line). */
void table_add_line(struct table *t, enum style style, const char *text);
size_t table_row_count(const struct table *t);
/* A line of titles and one for each row, appended to out. A column without text in any row is left
 * out. The last row is complete. */
void table_write(const struct table *t, const struct terminal *terminal, struct buf *out);
