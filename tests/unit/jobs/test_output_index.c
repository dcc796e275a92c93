/* Notes of what runs, and the names of attempts, survive their writing; what is bent is refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/output_index.h"

Test(output_index, notes_survive_their_encoding_and_no_flipped_bit)
{
	const struct output_note n = {
	    .token = {7, 1ull << 40}, .shard = 12, .segment = 3, .out_offset = 1ull << 33, .err_offset = 5};
	uint8_t raw[OUTPUT_NOTE_BYTES];
	struct output_note got;

	output_note_encode(&n, raw);
	cr_assert_eq(output_note_decode(raw, &got), 0);
	cr_assert_eq(got.token.epoch, 7);
	cr_assert_eq(got.token.lease, n.token.lease);
	cr_assert_eq(got.shard, 12);
	cr_assert_eq(got.segment, 3);
	cr_assert_eq(got.out_offset, n.out_offset);
	cr_assert_eq(got.err_offset, 5);
	for (int bit = 0; bit < OUTPUT_NOTE_BYTES * 8; bit++) {
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(output_note_decode(raw, &got), ERR_CORRUPT);
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	memset(raw, 0, sizeof(raw));
	cr_assert_eq(output_note_decode(raw, &got), ERR_NOT_FOUND, "a place where nothing runs");
}

Test(output_index, attempts_have_names)
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
		char text[ATTEMPT_ID_BYTES];

		cr_assert_eq(attempt_id_parse(cases[i].text, &token, &shard), cases[i].expected, "%s",
			     cases[i].text);
		if (cases[i].expected != 0)
			continue;
		cr_assert_eq(token.epoch, cases[i].token.epoch);
		cr_assert_eq(token.lease, cases[i].token.lease);
		cr_assert_eq(shard, cases[i].shard);
		attempt_id_text(token, shard, text);
		cr_assert_str_eq(text, cases[i].text);
	}
}
