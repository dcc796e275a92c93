/* What a formatter writes its parser reads back; anything else is refused in words. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/ids.h"

static void expect_words(const struct error *e, const char *expected, const char *found)
{
	cr_assert_eq(e->code, ERR_INVALID);
	cr_assert_not_null(strstr(e->what, expected), "%s", e->what);
	cr_assert_not_null(strstr(e->what, found), "%s", e->what);
}

Test(ids, uuids_are_read_back)
{
	static const struct {
		struct uuid id;
		const char *text;
	} cases[] = {
	    {{0, 0}, "00000000000000000000000000000000"},
	    {{0x0123456789abcdef, 0xfedcba9876543210}, "0123456789abcdeffedcba9876543210"},
	    {{UINT64_MAX, UINT64_MAX}, "ffffffffffffffffffffffffffffffff"},
	    {{1, 10}, "0000000000000001000000000000000a"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char text[UUID_TEXT_BYTES];
		struct uuid id = {7, 7};

		uuid_text(&cases[i].id, text);
		cr_assert_str_eq(text, cases[i].text);
		cr_assert_eq(uuid_parse(bytes_of(text), &id, NULL), 0);
		cr_assert_eq(id.hi, cases[i].id.hi);
		cr_assert_eq(id.lo, cases[i].id.lo);
		uuid_halves_text(id.hi, id.lo, text);
		cr_assert_str_eq(text, cases[i].text);
	}
}

Test(ids, what_is_no_uuid_is_refused)
{
	static const char *const cases[] = {
	    "",
	    "0123456789abcdeffedcba987654321",	 /* too short */
	    "0123456789abcdeffedcba98765432100", /* too long */
	    "0123456789ABCDEFfedcba9876543210",	 /* of one id there is one name only */
	    "0123456789abcdefgedcba9876543210",
	    "01234567-89ab-cdef-fedc-ba9876543210",
	    " 123456789abcdeffedcba9876543210",
	    "0x23456789abcdeffedcba9876543210",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct uuid id = {7, 7};
		struct error e = {0};

		cr_assert_eq(uuid_parse(bytes_of(cases[i]), &id, &e), ERR_INVALID, "%s", cases[i]);
		expect_words(&e, "expected an id of 32 hex digits (0-9, a-f), found \"", cases[i]);
		cr_assert_eq(id.hi, 7, "written only on success");
	}
}

Test(ids, attempts_have_names)
{
	static const struct {
		const char *text;
		int expected;
		struct token token;
		uint32_t shard;
	} cases[] = {
	    {"1-2-3", 0, {1, 2}, 3},
	    {"4294967295-18446744073709551615-4294967295", 0, {UINT32_MAX, UINT64_MAX}, UINT32_MAX},
	    {"4294967296-1-1", ERR_INVALID, {0, 0}, 0},
	    {"1-18446744073709551616-1", ERR_INVALID, {0, 0}, 0},
	    {"", ERR_INVALID, {0, 0}, 0},
	    {"1-2", ERR_INVALID, {0, 0}, 0},
	    {"1-2-", ERR_INVALID, {0, 0}, 0},
	    {"1--3", ERR_INVALID, {0, 0}, 0},
	    {"1-2-3-4", ERR_INVALID, {0, 0}, 0},
	    {" 1-2-3", ERR_INVALID, {0, 0}, 0},
	    {"+1-2-3", ERR_INVALID, {0, 0}, 0},
	    {"1-2-3/../x", ERR_INVALID, {0, 0}, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct token token = {0, 0};
		uint32_t shard = 0;
		char text[ATTEMPT_ID_BYTES], lease[TOKEN_TEXT_BYTES];
		struct error e = {0};

		cr_assert_eq(attempt_id_parse(cases[i].text, &token, &shard, &e), cases[i].expected, "%s",
			     cases[i].text);
		if (cases[i].expected != 0) {
			expect_words(&e,
				     "expected an attempt as SHARDMILL_ATTEMPT_ID says it, epoch-lease-shard",
				     cases[i].text);
			continue;
		}
		cr_assert_eq(token.epoch, cases[i].token.epoch);
		cr_assert_eq(token.lease, cases[i].token.lease);
		cr_assert_eq(shard, cases[i].shard);
		attempt_id_text(token, shard, text);
		cr_assert_str_eq(text, cases[i].text);
		token_text(token, lease);
		cr_assert_eq(strncmp(text, lease, strlen(lease)), 0,
			     "an attempt's name begins with its lease's");
		cr_assert_eq(text[strlen(lease)], '-');
	}
}

Test(ids, jobs_have_numbers)
{
	static const struct {
		const char *text;
		uint64_t expected; /* 0: refused */
	} cases[] = {
	    {"1", 1},	 {"7", 7},   {"0007", 7}, {"9223372036854775807", JOB_ID_MAX},
	    {"", 0},	 {"0", 0},   {"-1", 0},	  {"9223372036854775808", 0},
	    {"+1", 0},	 {" 1", 0},  {"1 ", 0},	  {"18446744073709551617", 0},
	    {"0x10", 0}, {"1e3", 0}, {"3-7", 0},  {"last", 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t job = 0;
		struct error e = {0};

		cr_assert_eq(job_id_parse(cases[i].text, &job, &e), cases[i].expected == 0 ? ERR_INVALID : 0,
			     "%s", cases[i].text);
		cr_assert_eq(job, cases[i].expected);
		if (cases[i].expected == 0)
			expect_words(&e, "expected a number from 1 to 9223372036854775807, found",
				     cases[i].text);
	}
}
