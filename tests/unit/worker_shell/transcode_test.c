/* JSON and msgpack say the same; what is no JSON is refused where it is wrong. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "jobs/codec.h"
#include "worker/run/transcode.h"

static const struct {
	const char *json, *back;
} same[] = {
    {"null", "null"},
    {" [ 1 , -2, true,false ] ", "[1,-2,true,false]"},
    {"{\"a\":{\"b\":[]},\"c\":{}}", "{\"a\":{\"b\":[]},\"c\":{}}"},
    {"18446744073709551615", "18446744073709551615"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"0.5", "0.5"},
    {"1e3", "1000"},
    {"\"\\u00e9\\ud83d\\ude00\\n\\\"\"", "\"\xc3\xa9\xf0\x9f\x98\x80\\u000a\\\"\""},
    {"\"\\ud800x\"", "\"\xef\xbf\xbdx\""},
};

static const char *const refused[] = {
    "",	     "{",     "[1,]",	 "{\"a\"}",   "{\"a\":}",
    "{a:1}", "\"abc", "\"\\x\"", "\"\\u12\"", "01",
    "+1",    ".5",    "1.",	 "1e",	      "0x10",
    "nan",   "tru",   "[1] 2",	 "\"\n\"",    "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
    "'a'",
};

Test(transcode, there_and_back)
{
	for (size_t i = 0; i < ARRAY_LENGTH(same); i++) {
		struct buf packed = {0}, json = {0};
		struct error e = {0};

		cr_assert_eq(json_to_msgpack(bytes_of(same[i].json), &packed, &e), 0, "%s: %s", same[i].json,
			     e.what);
		cr_assert_eq(codec_value_size(buf_bytes(&packed), &e), (int64_t)packed.size);
		cr_assert_eq(msgpack_to_json(buf_bytes(&packed), &json, &e), 0);
		cr_assert_str_eq(buf_text(&json), same[i].back);
		buf_fini(&packed);
		buf_fini(&json);
	}
}

Test(transcode, what_is_no_json_is_refused_in_words)
{
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		struct buf packed = {0};
		struct error e = {0};

		cr_assert_lt(json_to_msgpack(bytes_of(refused[i]), &packed, &e), 0, "%s", refused[i]);
		cr_assert_neq(e.what[0], '\0');
		cr_assert_eq(packed.size, 0);
		buf_fini(&packed);
	}
}

Test(transcode, mutated_json_gives_a_whole_value_or_an_error)
{
	static const char seed[] =
	    "{\"type\":\"done\",\"first\":0,\"failed\":[[3,\"exit\",2]],\"x\":\"\\u00e9\"}";
	struct rng rng;

	rng_seed(&rng, 7);
	for (int round = 0; round < 20000; round++) {
		char text[sizeof seed];
		struct buf packed = {0};
		size_t size = sizeof seed - 1 - rng_below(&rng, 8);

		memcpy(text, seed, sizeof seed);
		for (uint64_t n = rng_below(&rng, 4); n > 0; n--)
			text[rng_below(&rng, size)] = (char)rng_below(&rng, 256);
		if (json_to_msgpack(BYTES(text, size), &packed, NULL) == 0)
			cr_assert_eq(codec_value_size(buf_bytes(&packed), NULL), (int64_t)packed.size);
		buf_fini(&packed);
	}
}
