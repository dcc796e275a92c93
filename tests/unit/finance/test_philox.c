/* Philox4x32-10 against its authors' known answers (Random123, tests/kat_vectors). */
#include <criterion/criterion.h>

#include "jobs/library/finance/philox.h"

static const struct {
	uint32_t counter[4], key[2], expected[4];
} answers[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

Test(philox, known_answers)
{
	for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
		uint32_t words[4];

		philox4x32(answers[i].counter, answers[i].key, words);
		cr_assert_arr_eq(words, answers[i].expected, sizeof words, "answer %zu", i);
	}
}

/* Every bit of counter and key matters: what a scenario draws is not another one's. */
Test(philox, each_bit_of_counter_and_key_changes_about_half_of_the_words)
{
	const uint32_t counter[4] = {7, 0, 3, 0}, key[2] = {1, 0};
	uint32_t plain[4];

	philox4x32(counter, key, plain);
	for (uint32_t bit = 0; bit < 6 * 32; bit++) {
		uint32_t c[4] = {7, 0, 3, 0}, k[2] = {1, 0}, words[4];
		int changed = 0;

		if (bit < 4 * 32)
			c[bit / 32] ^= 1u << bit % 32;
		else
			k[bit / 32 - 4] ^= 1u << bit % 32;
		philox4x32(c, k, words);
		for (int i = 0; i < 4; i++)
			changed += __builtin_popcount(words[i] ^ plain[i]);
		/* 64 of 128 are expected, with a standard deviation of 5.7. */
		cr_assert(changed > 30 && changed < 98, "bit %u changes %d bits", bit, changed);
	}
}
