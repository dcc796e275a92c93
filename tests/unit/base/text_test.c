/* Hostile bytes must not get into a log line, a terminal or JSON as they are. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "base/text.h"

#define SEED 7u

TestSuite(text);

Test(text, utf8_is_told_from_what_only_looks_like_it)
{
	static const struct {
		const char *bytes;
		uint32_t code; /* of the first character; 0 = none */
	} cases[] = {
	    {"a", 'a'},
	    {"\xc3\xa9", 0xe9},
	    {"\xe2\x82\xac", 0x20ac},
	    {"\xf0\x9f\xa7\xac", 0x1f9ec},
	    {"\xf4\x8f\xbf\xbf", 0x10ffff},
	    {"\x80", 0},	     /* a tail alone */
	    {"\xc0\xaf", 0},	     /* overlong '/' */
	    {"\xe0\x80\xaf", 0},     /* overlong '/' */
	    {"\xf0\x80\x80\xaf", 0}, /* overlong '/' */
	    {"\xed\xa0\x80", 0},     /* a surrogate */
	    {"\xf4\x90\x80\x80", 0}, /* beyond Unicode */
	    {"\xf8\x88\x80\x80\x80", 0},
	    {"\xe2\x82", 0}, /* cut */
	    {"\xc3(", 0},    /* no tail */
	    {"\xff", 0},
	    {"", 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct bytes b = bytes_of(cases[i].bytes);
		uint32_t code = 0;
		size_t length = text_utf8_next(b, &code);

		cr_assert_eq(length, cases[i].code != 0 ? b.size : 0, "case %zu", i);
		cr_assert_eq(code, cases[i].code, "case %zu", i);
		cr_assert_eq(text_is_utf8(b), length == b.size, "case %zu", i);
	}
}

Test(text, what_a_terminal_would_obey_is_escaped)
{
	static const struct {
		const char *bytes, *text, *json;
	} cases[] = {
	    {"plain", "plain", "plain"},
	    {"a\nb\tc\rd", "a\\nb\\tc\\rd", "a\\nb\\tc\\rd"},
	    {"say \"x\\y\"", "say \\\"x\\\\y\\\"", "say \\\"x\\\\y\\\""},
	    {"\x1b[31mred", "\\x1b[31mred", "\\u001b[31mred"},
	    {"\x7f", "\\x7f", "\\u007f"},
	    {"\xc2\x9b", "\\xc2\\x9b", "\\u009b"},	    /* CSI as one character */
	    {"\xe2\x80\xae", "\\xe2\\x80\\xae", "\\u202e"}, /* right to left from here on */
	    {"\xe2\x80\xa8", "\\xe2\\x80\\xa8", "\\u2028"},
	    {"\xff\xfe", "\\xff\\xfe", "\\\\xff\\\\xfe"},
	    {"caf\xc3\xa9 \xf0\x9f\xa7\xac", "caf\xc3\xa9 \xf0\x9f\xa7\xac", "caf\xc3\xa9 \xf0\x9f\xa7\xac"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf text = {0}, json = {0};

		text_escape(&text, bytes_of(cases[i].bytes));
		text_escape_json(&json, bytes_of(cases[i].bytes));
		cr_expect_str_eq(buf_text(&text), cases[i].text);
		cr_expect_str_eq(buf_text(&json), cases[i].json);
		buf_fini(&text);
		buf_fini(&json);
	}
}

Test(text, a_nul_is_one_more_byte)
{
	struct buf out = {0};

	text_escape(&out, BYTES("a\0b", 3));
	cr_assert_str_eq(buf_text(&out), "a\\x00b");
	buf_fini(&out);
}

Test(text, a_quote_fits_its_place_and_is_cut_between_characters)
{
	char buf[16];

	cr_assert_str_eq(text_quote(buf, sizeof buf, bytes_of("")), "\"\"");
	cr_assert_str_eq(text_quote(buf, sizeof buf, bytes_of("0123456789abc")), "\"0123456789abc\"");
	cr_assert_str_eq(text_quote(buf, sizeof buf, bytes_of("0123456789abcd")), "\"0123456789…\"");
	cr_assert_str_eq(text_quote(buf, 8, bytes_of("\n\n\n\n")), "\"\\n…\"");
}

Test(text, any_bytes_become_one_clean_line)
{
	struct rng r;

	rng_seed(&r, SEED);
	for (int i = 0; i < 20000; i++) {
		uint8_t data[40];
		struct bytes b = BYTES(data, rng_below(&r, sizeof data + 1));
		char quoted[64];
		size_t size = 8 + rng_below(&r, sizeof quoted - 8);
		struct buf out = {0};

		for (size_t k = 0; k < b.size; k++)
			data[k] = (uint8_t)(rng_chance(&r, 300000) ? 0xe2 : rng_u64(&r));
		memset(quoted, 'Z', sizeof quoted);
		text_quote(quoted, size, b);
		cr_assert_lt(strlen(quoted), size, "seed %u, round %d", SEED, i);
		cr_assert(text_is_utf8(bytes_of(quoted)), "seed %u, round %d", SEED, i);
		text_escape(&out, b);
		cr_assert(text_is_utf8(buf_bytes(&out)), "seed %u, round %d", SEED, i);
		for (size_t k = 0; k < out.size; k++)
			cr_assert(out.data[k] >= 0x20, "seed %u, round %d", SEED, i);
		buf_fini(&out);
	}
}

Test(text, the_distance_is_the_fewest_edits)
{
	static const struct {
		const char *a, *b;
		size_t edits;
	} cases[] = {
	    {"", "", 0},	  {"wait", "wait", 0}, {"wait", "wiat", 1},	 {"sumbit", "submit", 1},
	    {"shows", "show", 1}, {"", "up", 2},       {"kitten", "sitting", 3},
	};
	char long_text[TEXT_DISTANCE_BYTES_MAX + 2];

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct bytes a = bytes_of(cases[i].a), b = bytes_of(cases[i].b);

		cr_expect_eq(text_distance(a, b), cases[i].edits, "%s %s", cases[i].a, cases[i].b);
		cr_expect_eq(text_distance(b, a), cases[i].edits, "%s %s", cases[i].b, cases[i].a);
	}
	memset(long_text, 'x', sizeof(long_text));
	cr_assert_eq(text_distance(BYTES(long_text, TEXT_DISTANCE_BYTES_MAX), bytes_of("")),
		     TEXT_DISTANCE_BYTES_MAX);
	cr_assert_eq(text_distance(BYTES(long_text, TEXT_DISTANCE_BYTES_MAX + 1), bytes_of("")), SIZE_MAX);
}

Test(text, the_nearest_name_is_found_and_no_far_one)
{
	static const char *const known[] = {"timeout", "input", "resources", "env", "env_from"};
	static const struct {
		const char *name, *want;
	} cases[] = {
	    {"tiemout", "timeout"}, {"time_out", "timeout"},
	    {"imput", "input"},	    {"resource", "resources"},
	    {"en", "env"},	    {"env-from", "env_from"},
	    {"directory", NULL},    {"", NULL},
	    {"resou", "resources"}, {"x", NULL},
	    {"in", "input"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *got = text_nearest(bytes_of(cases[i].name), known, ARRAY_LENGTH(known));

		if (cases[i].want == NULL)
			cr_expect_null(got, "%s: %s", cases[i].name, got);
		else
			cr_expect_str_eq(got, cases[i].want);
	}
}

Test(text, the_last_lines_are_those_that_fit)
{
	static const struct {
		const char *written;
		size_t size;
		const char *want;
	} cases[] = {
	    {"", 8, ""},
	    {"\n\r\n", 8, ""},
	    {"one", 8, "one"},
	    {"1\n2\n3\n4\n", 40, "2\n3\n4"},
	    {"1\r\n\n\n2\r\n", 40, "1\n2"},
	    {"first\nlast\n", 11, "first\nlast"},
	    {"first\nlast\n", 10, "last"},
	    {"first\nlast\n", 4, "las"},
	    {"a\na long line that takes no other\nb", 20, "b"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char buf[64];

		memset(buf, '#', sizeof(buf));
		text_last_lines(buf, cases[i].size, bytes_of(cases[i].written), 3);
		cr_expect_str_eq(buf, cases[i].want);
		cr_expect_eq(buf[cases[i].size], '#');
	}
	cr_expect_str_eq(text_joint(bytes_of(""), ", "), "");
	cr_expect_str_eq(text_joint(bytes_of("a"), ", "), ", ");
	cr_expect_str_eq(text_joint(bytes_of("a\nb"), ", "), ":\n");
	cr_expect_str_eq(text_joint(bytes_of("exit code 3:\na\nb"), ": "), ": ");
}

Test(text, hex_digits)
{
	char text[5];

	cr_assert_str_eq(text_hex(text, sizeof(text), BYTES_LIT("\x00\xaf")), "00af");
	cr_assert_str_eq(text_hex(text, sizeof(text), BYTES_LIT("\x01\x23\x45")), "0123", "as many as fit");
	cr_assert_str_eq(text_hex(text, sizeof(text), (struct bytes){0}), "");
	for (int c = 0; c < 256; c++) {
		const char *digits = "0123456789abcdef", *at = c != 0 ? strchr(digits, c) : NULL;

		if (c >= 'A' && c <= 'F')
			at = strchr(digits, c + 'a' - 'A');
		cr_assert_eq(text_hex_digit((uint8_t)c), at != NULL ? (int)(at - digits) : -1, "%d", c);
	}
}
