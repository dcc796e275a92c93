/* Entries of an index survive their writing; what is bent is refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/output_index.h"

Test(output_index, entries_survive_their_encoding_and_no_flipped_bit)
{
	const struct output_entry e = {.token = {7, 1ull << 40},
				       .shard = 12,
				       .out_offset = 1ull << 33,
				       .out_length = 3,
				       .err_offset = 5,
				       .err_length = 9,
				       .out_crc = 77};
	uint8_t raw[OUTPUT_ENTRY_BYTES];
	struct output_entry got;

	output_entry_encode(&e, raw);
	cr_assert_eq(output_entry_decode(raw, &got), 0);
	cr_assert_eq(got.token.epoch, 7);
	cr_assert_eq(got.token.lease, e.token.lease);
	cr_assert_eq(got.shard, 12);
	cr_assert_eq(got.out_offset, e.out_offset);
	cr_assert_eq(got.out_length, 3);
	cr_assert_eq(got.err_offset, 5);
	cr_assert_eq(got.err_length, 9);
	cr_assert_eq(got.out_crc, 77);
	for (int bit = 0; bit < OUTPUT_ENTRY_BYTES * 8; bit++) {
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(output_entry_decode(raw, &got), ERR_CORRUPT);
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

Test(output_index, an_entry_lies_within_its_files_or_is_refused)
{
	static const struct {
		uint64_t out_offset, out_length, err_offset, err_length;
		bool fits;
	} cases[] = {
	    {0, 100, 0, 50, true},
	    {100, 0, 50, 0, true},
	    {99, 1, 49, 1, true},
	    {0, 101, 0, 50, false},
	    {1, 100, 0, 50, false},
	    {0, 100, 1, 50, false},
	    {0, 100, 99, 0, true},
	    {UINT64_MAX, 1, 0, 0, false},
	    {2, UINT64_MAX, 0, 0, false},
	    {UINT64_MAX - 1, 50, 0, 0, false},
	    {0, 0, UINT64_MAX, UINT64_MAX, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct output_entry e = {.out_offset = cases[i].out_offset,
					       .out_length = cases[i].out_length,
					       .err_offset = cases[i].err_offset,
					       .err_length = cases[i].err_length};

		cr_assert_eq(output_entry_fits(&e, 100, 50), cases[i].fits, "case %zu", i);
	}
}
