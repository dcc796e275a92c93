#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "cli/human.h"

#define GAP 2u
#define FLEXIBLE_LEAST 8u

struct table_cell {
	struct buf text;
	size_t width;
	enum style style;
};

void table_init(struct table *t, const struct table_column *columns, size_t count)
{
	CHECK(count > 0 && count <= TABLE_COLUMNS_MAX);
	*t = (struct table){.columns = columns, .column_count = count};
}

void table_fini(struct table *t)
{
	for (size_t i = 0; i < t->cell_count; i++)
		buf_fini(&t->cells[i].text);
	free(t->cells);
	t->cells = NULL;
	t->cell_count = 0;
}

static void add_cell(struct table *t, enum style style, const char *text, bool line)
{
	struct table_cell *cell;

	ARRAY_GROW(t->cells, t->cell_capacity, t->cell_count);
	cell = &t->cells[t->cell_count++];
	*cell = (struct table_cell){.style = style};
	if (line)
		human_line(&cell->text, bytes_of(text));
	else
		human_text(&cell->text, bytes_of(text), false);
	cell->width = human_width(buf_bytes(&cell->text));
}

void table_add_text(struct table *t, enum style style, const char *text)
{
	add_cell(t, style, text, false);
}

void table_add_line(struct table *t, enum style style, const char *text)
{
	add_cell(t, style, text, true);
}

void table_add(struct table *t, enum style style, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	table_add_text(t, style, text);
}

size_t table_row_count(const struct table *t)
{
	return t->cell_count / t->column_count;
}

/* Flexible columns give way, the last one first, until the row is at most bound wide. */
static void narrow(const struct table *t, size_t total, unsigned bound, size_t widths[TABLE_COLUMNS_MAX])
{
	for (size_t c = t->column_count; c-- > 0 && total > bound;) {
		size_t spare = widths[c] > FLEXIBLE_LEAST ? widths[c] - FLEXIBLE_LEAST : 0;

		if (!t->columns[c].flexible)
			continue;
		if (spare > total - bound)
			spare = total - bound;
		widths[c] -= spare;
		total -= spare;
	}
}

/* What each column takes with its title; 0 = left out. */
static void measure_full(const struct table *t, size_t widths[TABLE_COLUMNS_MAX])
{
	for (size_t c = 0; c < t->column_count; c++) {
		size_t title = human_width(bytes_of(t->columns[c].title));

		widths[c] = 0;
		for (size_t i = c; i < t->cell_count; i += t->column_count)
			if (t->cells[i].width > widths[c])
				widths[c] = t->cells[i].width;
		if (widths[c] > 0 && widths[c] < title)
			widths[c] = title;
	}
}

static size_t row_width(const struct table *t, const size_t widths[TABLE_COLUMNS_MAX])
{
	size_t total = 0;

	for (size_t c = 0; c < t->column_count; c++)
		total += widths[c] > 0 ? (total > 0 ? GAP : 0) + widths[c] : 0;
	return total;
}

static void measure(const struct table *t, unsigned bound, size_t widths[TABLE_COLUMNS_MAX])
{
	size_t full[TABLE_COLUMNS_MAX] = {0};

	measure_full(t, full);
	memcpy(widths, full, sizeof(full));
	if (bound == 0)
		return;
	narrow(t, row_width(t, widths), bound, widths);
	if (t->spare == 0 || row_width(t, widths) <= bound)
		return;
	full[t->spare] = 0;
	memcpy(widths, full, sizeof(full));
	narrow(t, row_width(t, widths), bound, widths);
}

static void add_blanks(struct buf *out, size_t count)
{
	while (count-- > 0)
		buf_append(out, " ", 1);
}

/* *pending: blanks owed before the next text, so that no line ends in blanks. */
static void write_cell(const struct terminal *terminal, struct buf *out, struct bytes text, enum style style,
		       enum table_align align, size_t width, size_t *pending)
{
	size_t taken = human_width(text), left;
	bool cut = taken > width;

	if (cut) {
		text.size = human_fit(text, width - 1);
		taken = human_width(text) + 1;
	}
	left = width - taken;
	if (align == TABLE_RIGHT)
		*pending += left;
	if (text.size > 0) {
		add_blanks(out, *pending);
		*pending = 0;
		terminal_style(terminal, out, style, text);
		if (cut)
			buf_printf(out, "%s", terminal->utf8 ? "…" : "~");
	} else {
		*pending += taken;
	}
	if (align == TABLE_LEFT)
		*pending += left;
	*pending += GAP;
}

void table_write(const struct table *t, const struct terminal *terminal, struct buf *out)
{
	size_t widths[TABLE_COLUMNS_MAX], pending = 0;

	CHECK(t->cell_count % t->column_count == 0);
	measure(t, terminal->width, widths);
	for (size_t c = 0; c < t->column_count; c++)
		if (widths[c] > 0)
			write_cell(terminal, out, bytes_of(t->columns[c].title), STYLE_DIM,
				   t->columns[c].align, widths[c], &pending);
	buf_append(out, "\n", 1);
	for (size_t i = 0; i < t->cell_count; i++) {
		size_t c = i % t->column_count;

		if (c == 0)
			pending = 0;
		if (widths[c] > 0)
			write_cell(terminal, out, buf_bytes(&t->cells[i].text), t->cells[i].style,
				   t->columns[c].align, widths[c], &pending);
		if (c + 1 == t->column_count)
			buf_append(out, "\n", 1);
	}
}
