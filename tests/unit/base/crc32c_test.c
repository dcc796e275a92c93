/* CRC-32C, by the examples of RFC 3720 appendix B.4, in both forms. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/rng.h"

#define SEED 3720u

TestSuite(crc32c);

static uint8_t data[48];

static void assert_both(size_t size, uint32_t crc, const char *what)
{
	cr_assert_eq(crc32c(0, data, size), crc, "%s: 0x%08x", what, crc32c(0, data, size));
	cr_assert_eq(crc32c_portable(0, data, size), crc, "%s, by table", what);
}

Test(crc32c, the_examples_of_rfc_3720)
{
	static const uint8_t read_pdu[48] = {0x01, 0xc0, 0, 0, 0, 0, 0,	   0, 0,    0, 0, 0,	0, 0, 0, 0,
					     0x14, 0,	 0, 0, 0, 0, 0x04, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
					     0x28, 0,	 0, 0, 0, 0, 0,	   0, 0x02, 0, 0, 0,	0, 0, 0, 0};

	assert_both(0, 0, "nothing");
	assert_both(32, 0x8a9136aa, "32 zeros");
	memset(data, 0xff, 32);
	assert_both(32, 0x62a8ab43, "32 ones");
	for (uint8_t i = 0; i < 32; i++)
		data[i] = i;
	assert_both(32, 0x46dd794e, "ascending");
	for (uint8_t i = 0; i < 32; i++)
		data[i] = (uint8_t)(31 - i);
	assert_both(32, 0x113fdb5c, "descending");
	memcpy(data, read_pdu, sizeof read_pdu);
	assert_both(48, 0xd9963a56, "an iSCSI read command");
	memcpy(data, "123456789", 9);
	assert_both(9, 0xe3069283, "the check value of the catalogues");
}

Test(crc32c, both_forms_agree_at_any_place_and_in_parts)
{
	static uint8_t bytes[5000];
	struct rng r;

	rng_seed(&r, SEED);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)rng_u64(&r);
	for (int i = 0; i < 2000; i++) {
		size_t first = rng_below(&r, sizeof bytes);
		size_t size = rng_below(&r, sizeof bytes - first + 1);
		size_t cut = rng_below(&r, size + 1);
		uint32_t whole = crc32c(7, bytes + first, size);

		cr_assert_eq(crc32c_portable(7, bytes + first, size), whole, "seed %u", SEED);
		cr_assert_eq(crc32c(crc32c(7, bytes + first, cut), bytes + first + cut, size - cut), whole,
			     "seed %u", SEED);
	}
}
