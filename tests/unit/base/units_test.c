/* How people write quantities: what is read, what is refused and with which words. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "base/limits.h"
#include "base/units.h"

#define SEED 20240607u

TestSuite(units);

Test(units, durations_that_people_write)
{
	static const struct {
		const char *text;
		usec_t us;
	} cases[] = {
	    {"0", 0},
	    {"0s", 0},
	    {"90s", 90 * USEC_PER_SEC},
	    {"1h30m", 5400 * USEC_PER_SEC},
	    {"250ms", 250000},
	    {"10us", 10},
	    {"10m", 600 * USEC_PER_SEC},
	    {"1.5s", 1500000},
	    {"0.000001s", 1},
	    {"1d2h3m4s5ms6us", 93784005006},
	    {"106751991d", 106751991 * (86400 * USEC_PER_SEC)},
	    {"9223372036854775806us", INT64_MAX - 1},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		usec_t us = -1;
		struct error e = {0};

		cr_assert_eq(units_parse_duration(bytes_of(cases[i].text), &us, &e), 0, "%s: %s",
			     cases[i].text, e.what);
		cr_assert_eq(us, cases[i].us, "%s: %lld", cases[i].text, (long long)us);
	}
}

Test(units, durations_that_are_refused_with_the_reason)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
	    {"", "a number must come first"},
	    {"s", "a number must come first"},
	    {" 1s", "a number must come first"},
	    {".5s", "a number must come first"},
	    {"-1s", "must not be negative"},
	    {"+1s", "a number must come first"},
	    {"90", "a unit must follow"},
	    {"1h30", "a unit must follow"},
	    {"1 s", "the units are"},
	    {"1s ", "the units are"},
	    {"1S", "the units are"},
	    {"1min", "the units are"},
	    {"1w", "the units are"},
	    {"30m1h", "larger units come first"},
	    {"1h1h", "each only once"},
	    {"1.s", "digits must follow the point"},
	    {"1.2.3s", "the units are"},
	    {"0.0000001s", "finer than the smallest step"},
	    {"0.5us", "finer than the smallest step"},
	    {"0.1234567891s", "more than 9 digits"},
	    {"106751992d", "too large"},
	    {"9223372036854775807us", "too large"},
	    {"18446744073709551615d", "too large"},
	    {"18446744073709551616us", "the number is too large"},
	    {"99999999999999999999999999999999s", "the number is too large"},
	    {"106751991d5h", "too large"},
	    {"1s\n", "\\n"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		usec_t us = 77;
		struct error e = {0};

		cr_assert_eq(units_parse_duration(bytes_of(cases[i].text), &us, &e), ERR_INVALID,
			     "%s was taken", cases[i].text);
		cr_assert_eq(us, 77, "an output is written only on success");
		cr_assert(strstr(e.what, cases[i].reason), "%s: %s", cases[i].text, e.what);
		cr_assert(strstr(e.what, "90s, 1h30m or 250ms"), "%s", e.what);
		cr_assert(units_parse_duration(bytes_of(cases[i].text), &us, NULL) < 0);
	}
}

Test(units, sizes_that_people_write)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
	    {"0", 0},
	    {"512", 512},
	    {"512B", 512},
	    {"64MiB", 64ull << 20},
	    {"1.5GiB", 3ull << 29},
	    {"1GB", 1000000000},
	    {"1kB", 1000},
	    {"1KB", 1000},
	    {"2KiB", 2048},
	    {"3TiB", 3ull << 40},
	    {"1PiB", 1ull << 50},
	    {"1PB", 1000000000000000},
	    {"0.5KiB", 512},
	    {"18446744073709551615", UINT64_MAX},
	    {"16383PiB", 16383ull << 50},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = 0;
		struct error e = {0};

		cr_assert_eq(units_parse_size(bytes_of(cases[i].text), &bytes, &e), 0, "%s: %s",
			     cases[i].text, e.what);
		cr_assert_eq(bytes, cases[i].bytes, "%s: %llu", cases[i].text, (unsigned long long)bytes);
	}
}

Test(units, sizes_that_are_refused_with_the_reason)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
	    {"", "a number must come first"},
	    {"MiB", "a number must come first"},
	    {"-1", "must not be negative"},
	    {"64M", "the units are"},
	    {"64mib", "the units are"},
	    {"64MiB1", "the units are"},
	    {"1GiB512MiB", "the units are"},
	    {"64 MiB", "the units are"},
	    {"0.5", "finer than the smallest step"},
	    {"0.3KiB", "finer than the smallest step"},
	    {"16384PiB", "too large"},
	    {"18446744073709551616", "the number is too large"},
	    {"0x10", "the units are"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t bytes = 77;
		struct error e = {0};

		cr_assert_eq(units_parse_size(bytes_of(cases[i].text), &bytes, &e), ERR_INVALID,
			     "%s was taken", cases[i].text);
		cr_assert_eq(bytes, 77);
		cr_assert(strstr(e.what, cases[i].reason), "%s: %s", cases[i].text, e.what);
	}
}

Test(units, cpus_and_percentages)
{
	static const struct {
		const char *text;
		int64_t cpus, percent; /* -1: refused */
	} cases[] = {
	    {"2", 2000, -1},	     {"0.5", 500, -1},	   {"0.125", 125, -1},
	    {"0.0005", -1, -1},	     {"0", 0, -1},	   {"4294967.295", UINT32_MAX, -1},
	    {"4294967.296", -1, -1}, {"2c", -1, -1},	   {"", -1, -1},
	    {"-1", -1, -1},	     {"2%", -1, 20000},	   {"0.5%", -1, 5000},
	    {"100%", -1, 1000000},   {"0%", -1, 0},	   {"100.1%", -1, -1},
	    {"0.0001%", -1, 1},	     {"0.00001%", -1, -1}, {"2 %", -1, -1},
	    {"%", -1, -1},	     {"2%%", -1, -1},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct bytes text = bytes_of(cases[i].text);
		uint32_t milli = 7, ppm = 7;
		int r = units_parse_cpus(text, &milli, NULL);

		cr_assert_eq(r == 0 ? (int64_t)milli : -1, cases[i].cpus, "%s", cases[i].text);
		r = units_parse_percent(text, &ppm, NULL);
		cr_assert_eq(r == 0 ? (int64_t)ppm : -1, cases[i].percent, "%s", cases[i].text);
	}
}

Test(units, formats_are_short)
{
	char text[UNITS_TEXT_MAX];

	cr_assert_str_eq(units_format_duration(0, text, sizeof text), "0s");
	cr_assert_str_eq(units_format_duration(90 * USEC_PER_SEC, text, sizeof text), "1m30s");
	cr_assert_str_eq(units_format_duration(250000, text, sizeof text), "250ms");
	cr_assert_str_eq(units_format_duration(86400 * USEC_PER_SEC, text, sizeof text), "1d");
	cr_assert_str_eq(units_format_duration(-1500, text, sizeof text), "-1ms500us");
	cr_assert_str_eq(units_format_duration(INT64_MIN, text, sizeof text), "-106751991d4h54s775ms808us");
	cr_assert_str_eq(units_format_duration(USEC_NEVER, text, sizeof text), "never");
	cr_assert_str_eq(units_format_size(0, text, sizeof text), "0");
	cr_assert_str_eq(units_format_size(64ull << 20, text, sizeof text), "64MiB");
	cr_assert_str_eq(units_format_size(1000000000, text, sizeof text), "1GB");
	cr_assert_str_eq(units_format_size(1001, text, sizeof text), "1001");
	cr_assert_str_eq(units_format_cpus(500, text, sizeof text), "0.5");
	cr_assert_str_eq(units_format_cpus(2000, text, sizeof text), "2");
	cr_assert_str_eq(units_format_percent(20000, text, sizeof text), "2%");
	cr_assert_str_eq(units_format_percent(1, text, sizeof text), "0.0001%");
}

Test(units, a_size_is_shown_as_people_would_type_it)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
	    {0, "0 bytes"},
	    {452, "452 bytes"},
	    {1024, "1KiB"},
	    {1000, "1000 bytes"},
	    {1536, "1.5KiB"},
	    {2500, "2.441KiB"},
	    {64 * MIB, "64MiB"},
	    {1000000000, "1GB"},
	    {100000000000, "100GB"},
	    {1500000000, "1500MB"},
	    {6121248ull * KIB, "5.838GiB"},
	};
	char text[UNITS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_str_eq(units_show_size(cases[i].bytes, text, sizeof text), cases[i].text);
}

/* A number of any magnitude, often round in some unit. */
static uint64_t any(struct rng *r)
{
	static const uint64_t round[] = {1, 1000, 1024, 1000000, 1ull << 20, 60000000, 3600000000};
	uint64_t x = rng_u64(r) >> rng_below(r, 64);
	uint64_t step = round[rng_below(r, ARRAY_LENGTH(round))];

	return x / step * step;
}

Test(units, what_is_formatted_is_read_back)
{
	struct rng r;

	rng_seed(&r, SEED);
	for (int i = 0; i < 20000; i++) {
		uint64_t x = any(&r), size;
		uint32_t small = (uint32_t)x, value;
		usec_t us = (usec_t)(x >> 1), back;
		char text[UNITS_TEXT_MAX];

		if (us == USEC_NEVER)
			us--;
		units_format_duration(us, text, sizeof text);
		cr_assert(units_parse_duration(bytes_of(text), &back, NULL) == 0 && back == us,
			  "seed %u, round %d: %s", SEED, i, text);
		units_format_size(x, text, sizeof text);
		cr_assert(units_parse_size(bytes_of(text), &size, NULL) == 0 && size == x,
			  "seed %u, round %d: %s", SEED, i, text);
		units_format_cpus(small, text, sizeof text);
		cr_assert(units_parse_cpus(bytes_of(text), &value, NULL) == 0 && value == small,
			  "seed %u, round %d: %s", SEED, i, text);
		small %= 1000001;
		units_format_percent(small, text, sizeof text);
		cr_assert(units_parse_percent(bytes_of(text), &value, NULL) == 0 && value == small,
			  "seed %u, round %d: %s", SEED, i, text);
	}
}

Test(units, random_bytes_never_break_the_parsers)
{
	static const char alphabet[] = "0123456789.dhmsuKMGTPiB%- \n\xff";
	struct rng r;

	rng_seed(&r, SEED);
	for (int i = 0; i < 50000; i++) {
		uint8_t data[12];
		struct bytes text = BYTES(data, rng_below(&r, sizeof data + 1));
		struct error e = {0};
		uint64_t size;
		uint32_t value;
		usec_t us;

		for (size_t k = 0; k < text.size; k++)
			data[k] = (uint8_t)alphabet[rng_below(&r, sizeof alphabet)];
		if (units_parse_duration(text, &us, &e) != 0)
			cr_assert(e.what[0] != '\0', "seed %u, round %d", SEED, i);
		else
			cr_assert(us >= 0 && us != USEC_NEVER, "seed %u, round %d", SEED, i);
		(void)!units_parse_size(text, &size, &e);
		(void)!units_parse_cpus(text, &value, &e);
		(void)!units_parse_percent(text, &value, &e);
		cr_assert(strchr(e.what, '\n') == NULL, "a message stays one line");
	}
}

Test(units, numbers)
{
	static const struct {
		const char *text;
		uint64_t min, max, expected;
		const char *refusal;
	} cases[] = {
	    {"0", 0, 9, 0, NULL},
	    {"9", 0, 9, 9, NULL},
	    {"18446744073709551615", 0, UINT64_MAX, UINT64_MAX, NULL},
	    {"007", 5, 9, 7, NULL},
	    {"10", 0, 9, 0, "expected a number from 0 to 9, found \"10\""},
	    {"7", 0, 5, 0, "expected a number from 0 to 5, found \"7\""},
	    {"4", 5, 9, 0, "expected a number from 5 to 9, found \"4\""},
	    {"18446744073709551616", 0, UINT64_MAX, 0,
	     "expected a whole number, found \"18446744073709551616\""},
	    {"", 0, 9, 0, "expected a number from 0 to 9, found \"\""},
	    {"-1", 0, 9, 0, "found \"-1\""},
	    {"+1", 0, 9, 0, "found \"+1\""},
	    {" 1", 0, 9, 0, "found \" 1\""},
	    {"1 ", 0, 9, 0, "found \"1 \""},
	    {"1.5", 0, 9, 0, "found \"1.5\""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t number = 0;
		struct error e = {0};
		int rc = units_parse_number(cases[i].text, cases[i].min, cases[i].max, &number, &e);

		cr_assert_eq(rc, cases[i].refusal != NULL ? ERR_INVALID : 0, "%s", cases[i].text);
		cr_assert_eq(number, cases[i].expected);
		if (cases[i].refusal != NULL)
			cr_assert_not_null(strstr(e.what, cases[i].refusal), "%s", e.what);
	}
}

Test(units, ranges_of_numbers)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t first, last;
	} cases[] = {
	    {"7", true, 7, 7},	    {"3-7", true, 3, 7},    {"7-3", true, 7, 3},     {"0-0", true, 0, 0},
	    {"", false, 0, 0},	    {"-", false, 0, 0},	    {"3-", false, 0, 0},     {"-7", false, 0, 0},
	    {"3-7-9", false, 0, 0}, {"3--7", false, 0, 0},  {"100", true, 100, 100}, {"101", false, 0, 0},
	    {"3-101", false, 0, 0}, {"3 - 7", false, 0, 0}, {"3..7", false, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t first = 0, last = 0;

		cr_assert_eq(units_take_range(cases[i].text, 100, &first, &last), cases[i].good, "%s",
			     cases[i].text);
		cr_assert_eq(first, cases[i].first);
		cr_assert_eq(last, cases[i].last);
	}
}
