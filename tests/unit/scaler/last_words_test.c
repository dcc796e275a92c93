#include "scaler/providers/last_words.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "tests/support/scratch.h"

static void begin(void)
{
	scratch_make();
}

TestSuite(last_words, .init = begin, .fini = scratch_remove);

static const char *said(const char *text, off_t from, char *out, size_t size)
{
	const char *path = scratch_path("log");

	cr_assert_eq(fs_write_file(path, bytes_of(text), 0600, NULL), 0);
	return last_words(path, from, out, size);
}

#define INFO "2026-11-23T03:14:37.000000Z info  a worker begins cores=0\n"

Test(last_words, of_each_kind_of_log)
{
	static const struct {
		const char *log, *words;
	} cases[] = {
	    {"", ""},
	    {INFO INFO, ""},
	    {INFO "2026-11-23T03:14:37.000000Z error the worker cannot start error=\"/s: No space left on "
		  "device\"\n" INFO,
	     "the worker cannot start: /s: No space left on device"},
	    {"2026-11-23T03:14:37.000000Z error it stops error=closed\n", "it stops: closed"},
	    {"2026-11-23T03:14:37.000000Z error alone\n", "alone"},
	    {INFO "w: error while loading shared libraries: libx.so.5\n",
	     "w: error while loading shared libraries: libx.so.5"},
	    {"{\"time\":\"t\",\"level\":\"info\",\"message\":\"begins\"}\n", ""},
	    {"{\"time\":\"t\",\"level\":\"error\",\"message\":\"no\",\"error\":\"a \\\"b\\\"\"}\n",
	     "no: a \"b\""},
	    {"{\"time\":\"t\",\"level\":\"error\",\"mess\n", ""},
	    {"2026-11-23T03:14:37.000000Z error not ended", ""},
	};
	char out[200];

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(said(cases[i].log, 0, out, sizeof(out)), cases[i].words, "%s", cases[i].log);
}

Test(last_words, what_others_said_before_does_not_count)
{
	const char *log = "of an older one\n" INFO;
	char out[200];

	cr_expect_str_eq(said(log, 0, out, sizeof(out)), "of an older one");
	cr_expect_str_eq(said(log, (off_t)strlen("of an older one\n"), out, sizeof(out)), "");
	cr_expect_str_eq(said("a new log\n", 1000, out, sizeof(out)), "a new log", "it was put aside");
	cr_expect_str_eq(last_words(scratch_path("none"), 0, out, sizeof(out)), "");
}

Test(last_words, what_is_long_is_cut_between_characters)
{
	char out[16];

	cr_expect_str_eq(said("0123456789abcd\u20ac\n", 0, out, sizeof(out)), "0123456789abcd");
}
