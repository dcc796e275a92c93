/* Bytes that come in pieces are shown as lines, each once. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lines.h"

static const struct terminal pipe_end, screen = {.is_terminal = true, .colour = true, .utf8 = true};

Test(lines, come_when_they_are_complete)
{
	static const struct {
		const char *prefix;
		const struct terminal *terminal;
		const char *pieces[4];
		const char *before, *after; /* lines_end */
	} cases[] = {
	    {"", &pipe_end, {"one\ntwo\n"}, "one\ntwo\n", "one\ntwo\n"},
	    {"3 | ", &pipe_end, {"on", "e\nt", "wo"}, "3 | one\n", "3 | one\n3 | two\n"},
	    {"3 | ", &pipe_end, {"\n", "\n"}, "3 | \n3 | \n", "3 | \n3 | \n"},
	    {"", &pipe_end, {"a\033b\r\n"}, "a\033b\r\n", "a\033b\r\n"},
	    {"", &screen, {"a\033", "b\n"}, "a\\x1bb\n", "a\\x1bb\n"},
	    {"3 | ", &screen, {"x\n"}, "\033[2m3 | \033[0mx\n", "\033[2m3 | \033[0mx\n"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *text = NULL;
		size_t size = 0;
		struct lines l = {.stream = open_memstream(&text, &size), .terminal = cases[i].terminal};

		snprintf(l.prefix, sizeof(l.prefix), "%s", cases[i].prefix);
		for (size_t k = 0; k < 4 && cases[i].pieces[k] != NULL; k++)
			cr_assert_eq(lines_take(&l, bytes_of(cases[i].pieces[k])), 0);
		fflush(l.stream);
		cr_assert_str_eq(text, cases[i].before, "case %zu", i);
		lines_end(&l);
		lines_end(&l);
		fclose(l.stream);
		cr_assert_str_eq(text, cases[i].after, "case %zu", i);
		lines_fini(&l);
		free(text);
	}
}

Test(lines, as_long_as_a_part_are_one_whatever_the_pieces)
{
	static uint8_t line[LINE_BYTES_MAX + 1];

	memset(line, 'x', sizeof(line) - 1);
	line[LINE_BYTES_MAX] = '\n';
	for (size_t at = LINE_BYTES_MAX - 1; at <= LINE_BYTES_MAX + 1; at++) {
		char *text = NULL;
		size_t size = 0;
		struct lines l = {.stream = open_memstream(&text, &size), .terminal = &pipe_end};

		cr_assert_eq(lines_take(&l, BYTES(line, at)), 0);
		cr_assert_eq(lines_take(&l, BYTES(line + at, sizeof(line) - at)), 0);
		cr_assert_eq(lines_take(&l, BYTES_LIT("\n")), 0);
		fclose(l.stream);
		cr_assert_eq(size, sizeof(line) + 1, "cut at %zu: the line, and an empty one", at);
		lines_fini(&l);
		free(text);
	}
}

Test(lines, that_are_too_long_come_in_parts)
{
	static char piece[1000];
	char *text = NULL;
	size_t size = 0;
	struct lines l = {.stream = open_memstream(&text, &size), .terminal = &pipe_end};

	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < 200; i++) {
		cr_assert_eq(lines_take(&l, BYTES(piece, sizeof(piece))), 0);
		cr_assert_leq(l.line.size, LINE_BYTES_MAX);
	}
	lines_end(&l);
	fclose(l.stream);
	cr_assert_eq(size, 200 * 1000 + 4, "three whole parts and a rest");
	lines_fini(&l);
	free(text);
}
