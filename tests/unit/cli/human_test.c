/* Quantities as people read them. */
#include <criterion/criterion.h>
#include <locale.h>

#include "cli/human.h"

static char text[HUMAN_TEXT_MAX];

static void setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8"); /* wcwidth asks it */
}

TestSuite(human, .init = setup);

Test(human, counts_have_commas)
{
	static const struct {
		uint64_t n;
		const char *text;
	} cases[] = {
	    {0, "0"},
	    {999, "999"},
	    {1000, "1,000"},
	    {123456, "123,456"},
	    {UINT64_MAX, "18,446,744,073,709,551,615"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(human_count(cases[i].n, text, sizeof(text)), cases[i].text);
}

Test(human, sizes_have_three_digits)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
	    {0, "0 B"},
	    {1023, "1023 B"},
	    {1024, "1.0 KiB"},
	    {1536, "1.5 KiB"},
	    {100 << 10, "100 KiB"},
	    {64ull << 20, "64.0 MiB"},
	    {UINT64_MAX, "16.0 EiB"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(human_size(cases[i].bytes, text, sizeof(text)), cases[i].text);
}

Test(human, spans_have_two_units_at_most)
{
	static const struct {
		usec_t us;
		const char *text;
	} cases[] = {
	    {-5, "0 ms"},
	    {0, "0 ms"},
	    {35000, "35 ms"},
	    {99999, "99 ms"},
	    {100000, "0.1 s"},
	    {9999999, "9.9 s"},
	    {12 * USEC_PER_SEC, "12 s"},
	    {200 * USEC_PER_SEC, "3 min 20 s"},
	    {3780 * USEC_PER_SEC, "1 h 3 min"},
	    {(2 * 86400 + 4 * 3600) * USEC_PER_SEC, "2 d 4 h"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(human_span(cases[i].us, text, sizeof(text)), cases[i].text);
}

Test(human, times_are_told_from_now)
{
	const usec_t now = 1000000 * USEC_PER_SEC;
	static const struct {
		int64_t seconds_before;
		const char *text;
	} cases[] = {
	    {0, "just now"},   {12, "12 s ago"},    {59, "59 s ago"},	 {60, "1 min ago"},
	    {7199, "1 h ago"}, {86400, "24 h ago"}, {172800, "2 d ago"}, {-180, "in 3 min"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(
		    human_ago(now - cases[i].seconds_before * USEC_PER_SEC, now, text, sizeof(text)),
		    cases[i].text);
}

Test(human, only_all_of_it_is_a_hundred_percent)
{
	static const struct {
		uint64_t part, total;
		const char *text;
	} cases[] = {
	    {0, 0, ""},
	    {0, 7, "0 %"},
	    {999, 1000, "99 %"},
	    {1000, 1000, "100 %"},
	    {4294967294, 4294967295, "99 %"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(human_percent(cases[i].part, cases[i].total, text, sizeof(text)),
				 cases[i].text);
}

Test(human, rates_show_what_is_slow)
{
	cr_assert_str_eq(human_rate(0.25, text, sizeof(text)), "0.25/s");
	cr_assert_str_eq(human_rate(2.5, text, sizeof(text)), "2.5/s");
	cr_assert_str_eq(human_rate(1300.9, text, sizeof(text)), "1,300/s");
}

Test(human, times_of_rfc_3339_are_read)
{
	static const struct {
		const char *text;
		usec_t wall_us; /* -1: refused */
	} cases[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"2024-05-01T12:00:03.25Z", 1714564803250000},
	    {"2024-05-01T12:00:03.123456Z", 1714564803123456},
	    {"2024-05-01T14:00:03+02:00", 1714564803000000},
	    {"2024-05-01T06:30:03-05:30", 1714564803000000},
	    {"", -1},
	    {"2024-05-01", -1},
	    {"2024-05-01T12:00:03", -1},
	    {"2024-05-01T12:00:03Zjunk", -1},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		usec_t wall_us = -1;

		cr_expect_eq(human_parse_time(cases[i].text, &wall_us),
			     cases[i].wall_us < 0 ? ERR_INVALID : 0, "%s", cases[i].text);
		cr_expect_eq(wall_us, cases[i].wall_us, "%s", cases[i].text);
	}
}

Test(human, text_cannot_drive_the_terminal)
{
	struct buf out = {0};

	human_text(&out, bytes_of("a \"b\" \\ \033[31m\r\n\xff é"), false);
	cr_assert_str_eq(buf_text(&out), "a \"b\" \\ \\x1b[31m\\r\\n\\xff é");
	buf_clear(&out);
	human_text(&out, bytes_of("1\n2\a"), true);
	cr_assert_str_eq(buf_text(&out), "1\n2\\x07");
	buf_fini(&out);
}

Test(human, of_several_lines_one_is_the_last_with_the_sentence_before_them)
{
	static const struct {
		const char *text, *line, *lines;
	} cases[] = {
	    {"", "", ""},
	    {"a: b", "a: b", "a: b"},
	    {"exit 1:\nx\n\033y", "exit 1: \\x1by", "exit 1:\n  x\n  \\x1by"},
	    {"x\ny\nz", "z", "x\n  y\n  z"},
	};
	struct buf out = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		buf_clear(&out);
		human_line(&out, bytes_of(cases[i].text));
		cr_expect_str_eq(buf_text(&out), cases[i].line);
		buf_clear(&out);
		human_lines(&out, bytes_of(cases[i].text), 2);
		cr_expect_str_eq(buf_text(&out), cases[i].lines);
	}
	buf_fini(&out);
}

Test(human, width_is_columns_not_bytes)
{
	cr_assert_eq(human_width(bytes_of("héé")), 3);
	cr_assert_eq(human_width(bytes_of("日本")), 4);
	cr_assert_eq(human_fit(bytes_of("日本"), 3), 3);
	cr_assert_eq(human_fit(bytes_of("é1"), 1), 2);
}
