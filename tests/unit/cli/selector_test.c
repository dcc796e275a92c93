/* What a person may write where a verb takes JOB. */
#include <criterion/criterion.h>
#include <string.h>

#include "cli/selector.h"

Test(selector, numbers_words_and_names_are_told_apart)
{
	static const struct {
		const char *typed;
		enum selector_kind kind;
		uint64_t first, last;
		const char *text;
	} cases[] = {
	    {"7", SELECT_NUMBER, 7, 7, NULL},
	    {"007", SELECT_NUMBER, 7, 7, NULL},
	    {"9223372036854775807", SELECT_NUMBER, INT64_MAX, INT64_MAX, NULL},
	    {"3-7", SELECT_RANGE, 3, 7, NULL},
	    {"3-3", SELECT_RANGE, 3, 3, NULL},
	    {"last", SELECT_LAST, 0, 0, NULL},
	    {"all", SELECT_STATE, 0, 0, ""},
	    {"live", SELECT_STATE, 0, 0, "held,active"},
	    {"ended", SELECT_STATE, 0, 0, "succeeded,failed,cancelled"},
	    {"running", SELECT_STATE, 0, 0, "running"},
	    {"fastq-qc", SELECT_NAME, 0, 0, "fastq-qc"},
	    {"3-a", SELECT_NAME, 0, 0, "3-a"},
	    {"2nd", SELECT_NAME, 0, 0, "2nd"},
	    {"Running", SELECT_NAME, 0, 0, "Running"},
	    {"name:failed", SELECT_NAME, 0, 0, "failed"},
	    {"name:7", SELECT_NAME, 0, 0, "7"},
	    {"event:in/a b.fastq", SELECT_EVENT, 0, 0, "in/a b.fastq"},
	    {"event:", SELECT_NAME, 0, 0, "event:"},
	    {"name:event:x", SELECT_NAME, 0, 0, "event:x"},
	    {"name:last", SELECT_NAME, 0, 0, "last"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct selector s = {0};
		struct error e = {0};

		cr_assert_eq(selector_parse(cases[i].typed, &s, &e), 0, "%s: %s", cases[i].typed, e.what);
		cr_expect_eq(s.kind, cases[i].kind, "%s", cases[i].typed);
		if (cases[i].text != NULL) {
			cr_expect_str_eq(s.text, cases[i].text);
			continue;
		}
		cr_expect_eq(s.first, cases[i].first, "%s", cases[i].typed);
		cr_expect_eq(s.last, cases[i].last, "%s", cases[i].typed);
	}
}

Test(selector, each_word_of_help_is_a_set)
{
	const char *at = SELECTOR_WORDS;
	size_t count = 0;

	while (*at != '\0') {
		size_t length = strcspn(at, ",");
		struct selector s = {0};
		char word[32] = "";

		memcpy(word, at, length);
		cr_assert_eq(selector_parse(word, &s, NULL), 0);
		cr_expect_eq(s.kind, SELECT_STATE, "%s", word);
		at += length + strspn(at + length, ", \n");
		count++;
	}
	cr_expect_eq(count, 12);
}

Test(selector, what_selects_nothing_is_refused)
{
	static const struct {
		const char *typed, *what, *help;
	} cases[] = {
	    {"", "expected a job, found \"\"", "a number, a range as 3-7, last"},
	    {"0", "expected a job's number", "the first job is 1"},
	    {"9223372036854775808", "expected a job's number", ""},
	    {"99999999999999999999999", "expected a job's number", ""},
	    {"7-3", "the first is behind the last in \"7-3\"", "write 3-7"},
	    {"3-", "or a range as 3-7", ""},
	    {"3--7", "or a range as 3-7", ""},
	    {"3-7-9", "or a range as 3-7", ""},
	    {"0-7", "or a range as 3-7", ""},
	    {"name:", "expected a job", ""},
	    {"\xff", "expected a job, found \"\\xff\"", ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct selector s = {.kind = SELECT_LAST};
		struct error e = {0};

		cr_expect_eq(selector_parse(cases[i].typed, &s, &e), ERR_INVALID, "%s", cases[i].typed);
		cr_expect_not_null(strstr(e.what, cases[i].what), "%s: %s", cases[i].typed, e.what);
		cr_expect_not_null(strstr(e.help, cases[i].help), "%s: %s", cases[i].typed, e.help);
		cr_expect_eq(s.kind, SELECT_LAST, "untouched");
	}
}
