/* Columns stand under one another, whatever is in them. */
#include <criterion/criterion.h>
#include <locale.h>

#include "cli/table.h"

static const struct table_column columns[] = {
    {"JOB", TABLE_RIGHT, false},
    {"NAME", TABLE_LEFT, false},
    {"DEAD", TABLE_RIGHT, false},
    {"WHY", TABLE_LEFT, true},
};

static struct table table;
static struct buf out;

static void setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	table_init(&table, columns, ARRAY_LENGTH(columns));
}

static void teardown(void)
{
	table_fini(&table);
	buf_fini(&out);
}

TestSuite(table, .init = setup, .fini = teardown);

static void add_row(const char *job, const char *name, const char *dead, const char *why)
{
	table_add_text(&table, STYLE_NONE, job);
	table_add_text(&table, STYLE_GOOD, name);
	table_add_text(&table, STYLE_NONE, dead);
	table_add_text(&table, STYLE_NONE, why);
}

static const char *written(unsigned width, bool colour)
{
	const struct terminal t = {.is_terminal = width > 0, .width = width, .colour = colour, .utf8 = true};

	buf_clear(&out);
	table_write(&table, &t, &out);
	return buf_text(&out);
}

Test(table, columns_are_aligned_and_no_line_ends_in_blanks)
{
	add_row("9", "a", "", "because");
	add_row("10", "naïve", "3", "");
	cr_assert_str_eq(written(0, false), "JOB  NAME   DEAD  WHY\n"
					    "  9  a            because\n"
					    " 10  naïve     3\n");
	cr_assert_eq(table_row_count(&table), 2);
}

Test(table, a_column_that_says_nothing_is_left_out)
{
	add_row("9", "a", "", "");
	cr_assert_str_eq(written(0, false), "JOB  NAME\n  9  a\n");
}

Test(table, on_a_terminal_the_flexible_column_gives_way)
{
	add_row("9", "a", "", "a long story that does not fit");
	cr_assert_str_eq(written(29, false), "JOB  NAME  WHY\n"
					     "  9  a     a long story that…\n");
	cr_assert_str_eq(written(0, false), "JOB  NAME  WHY\n"
					    "  9  a     a long story that does not fit\n");
	cr_assert_str_eq(written(5, false),
			 "JOB  NAME  WHY\n"
			 "  9  a     a long …\n",
			 "it is never cut to nothing");
}

Test(table, flexible_columns_give_way_from_the_last_one)
{
	static const struct table_column both[] = {{"A", TABLE_LEFT, true}, {"B", TABLE_LEFT, true}};

	table_init(&table, both, ARRAY_LENGTH(both));
	table_add_text(&table, STYLE_NONE, "twelve bytes");
	table_add_text(&table, STYLE_NONE, "also twelve.");
	cr_assert_str_eq(written(24, false), "A             B\ntwelve bytes  also twel…\n");
	cr_assert_str_eq(written(20, false), "A           B\ntwelve by…  also tw…\n");
	cr_assert_str_eq(written(3, false), "A         B\ntwelve …  also tw…\n", "eight are left of each");
}

Test(table, a_spare_column_is_left_out_where_there_is_no_room)
{
	static const struct table_column both[] = {
	    {"A", TABLE_LEFT, false}, {"B", TABLE_LEFT, true}, {"C", TABLE_LEFT, true}};

	table_init(&table, both, ARRAY_LENGTH(both));
	table.spare = 1;
	table_add_text(&table, STYLE_NONE, "fixed");
	table_add_text(&table, STYLE_NONE, "twelve bytes");
	table_add_text(&table, STYLE_NONE, "also twelve.");
	cr_assert_str_eq(written(0, false), "A      B             C\nfixed  twelve bytes  also twelve.\n");
	cr_assert_str_eq(written(25, false), "A      B         C\nfixed  twelve …  also tw…\n");
	cr_assert_str_eq(written(24, false), "A      C\nfixed  also twelve.\n", "the others have its room");
	cr_assert_str_eq(written(3, false), "A      C\nfixed  also tw…\n");
}

Test(table, a_short_flexible_column_is_not_made_wider)
{
	add_row("1", "a", "", "x");
	cr_assert_str_eq(written(5, false), "JOB  NAME  WHY\n  1  a     x\n");
}

Test(table, hostile_names_stay_in_their_cell)
{
	add_row("1", "\033[2J\nx", "", "");
	cr_assert_str_eq(written(0, false), "JOB  NAME\n  1  \\x1b[2J\\nx\n");
}

Test(table, colours_take_no_room)
{
	add_row("1", "a", "", "x");
	cr_assert_str_eq(written(80, true), "\033[2mJOB\033[0m  \033[2mNAME\033[0m  \033[2mWHY\033[0m\n"
					    "  1  \033[32ma\033[0m     x\n");
}
