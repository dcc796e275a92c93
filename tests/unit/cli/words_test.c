/* A command as one text. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "cli/words.h"

TestSuite(words);

/* Words joined by '|'. */
static int split(const char *text, struct buf *out, struct error *e)
{
	struct words w;
	int r = words_split(text, &w, e);

	if (r != 0)
		return r;
	for (size_t i = 0; i < w.count; i++)
		buf_printf(out, "%s%s", i > 0 ? "|" : "", w.items[i]);
	cr_assert_null(w.items[w.count]);
	words_fini(&w);
	return 0;
}

Test(words, blanks_part_them_and_quotes_hold_them_together)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
	    {"cat", "cat"},
	    {"  fastq-qc\t--merge \n", "fastq-qc|--merge"},
	    {"sh -c 'sort | uniq -c > $x'", "sh|-c|sort | uniq -c > $x"},
	    {"a\"b c\"d ''", "ab cd|"},
	    {"\"\\\"\\\\\\n\"", "\"\\\\n"},
	    {"a\\ b \\'", "a b|'"},
	    {"--where=a*b?[c] {}", "--where=a*b?[c]|{}"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf out = {0};
		struct error e = {0};

		cr_expect_eq(split(cases[i].text, &out, &e), 0, "%s: %s", cases[i].text, e.what);
		cr_expect_str_eq(buf_text(&out), cases[i].words, "%s", cases[i].text);
		buf_fini(&out);
	}
}

Test(words, what_takes_a_shell_is_refused_and_says_where)
{
	static const struct {
		const char *text, *what;
	} cases[] = {
	    {"", "expected a command"},
	    {"   ", "expected a command"},
	    {"sort | uniq", "byte 6"},
	    {"a > b", "byte 3"},
	    {"a $HOME", "byte 3"},
	    {"\"$HOME\"", "byte 2"},
	    {"a `b`", "byte 3"},
	    {"a 'b", "not closed at byte 3"},
	    {"a \"b", "not closed at byte 3"},
	    {"a\\", "backslash"},
	    {"a;b", "byte 2"},
	    {"a&", "byte 2"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf out = {0};
		struct error e = {0};

		cr_expect_eq(split(cases[i].text, &out, &e), ERR_INVALID, "%s", cases[i].text);
		cr_expect_not_null(strstr(e.what, cases[i].what), "%s: %s", cases[i].text, e.what);
		buf_fini(&out);
	}
}
