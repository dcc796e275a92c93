/* Structs survive the wire; what a peer invents does not get past the checks. */
#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"
#include "jobs/kinds.h"
#include "jobs/schema.h"

static struct arena arena;
static struct buf buf;

static void setup(void)
{
	arena_init(&arena, 1 * MIB);
}

static void teardown(void)
{
	arena_fini(&arena);
	buf_fini(&buf);
}

TestSuite(codec, .init = setup, .fini = teardown);

static struct report a_report(void)
{
	static struct range done[] = {{0, 10}, {20, 5}};
	static struct failure failed[] = {
	    {.first = 10, .count = 1, .kind = FAILURE_EXIT, .code = -3, .why = BYTES_LIT("no")}};
	static struct outcome outcomes[] = {
	    {.token = {3, 77}, .job = 1ull << 40, .phase = 1, .totals.run_us = 250000}};

	outcomes[0].done = (struct range_list){done, 2};
	outcomes[0].failed = (struct failure_list){failed, 1};
	return (struct report){.session = 9,
			       .seq = 4,
			       .outcomes = {outcomes, 1},
			       .credit = {.cpu_milli = 2000},
			       .slot_idle = true,
			       .run_histogram = BYTES_LIT("\x00\xff\x7f")};
}

Test(codec, a_report_comes_back_as_it_was_sent)
{
	struct report sent = a_report();
	struct bytes in;
	uint32_t type;
	void *got;

	codec_union_encode(&message_union, MESSAGE_REPORT, &sent, &buf);
	in = buf_bytes(&buf);
	cr_assert_eq(codec_union_decode(&message_union, &in, &type, &got, &arena, NULL), 0);
	cr_assert_eq(type, MESSAGE_REPORT);
	cr_assert_eq(in.size, 0);
	cr_assert(codec_equal(codec_report(), &sent, got));
	((struct report *)got)->outcomes.items[0].done.items[1].count++;
	cr_assert_not(codec_equal(codec_report(), &sent, got));
}

Test(codec, every_variant_of_every_union_encodes_and_decodes_when_zero)
{
	static const struct codec_union *const unions[] = {&message_union, &record_union, &input_union};

	for (size_t u = 0; u < ARRAY_LENGTH(unions); u++)
		for (size_t v = 0; v < unions[u]->variant_count; v++) {
			const struct codec *c = unions[u]->variants[v].codec();
			void *zero = arena_alloc(&arena, c->size), *got;
			struct bytes in;
			uint32_t type;

			buf_clear(&buf);
			codec_union_encode(unions[u], unions[u]->variants[v].type, zero, &buf);
			in = buf_bytes(&buf);
			cr_assert_eq(codec_union_decode(unions[u], &in, &type, &got, &arena, NULL), 0, "%s",
				     c->name);
			cr_assert(codec_equal(c, zero, got));
		}
}

static const struct {
	const char *what;
	struct bytes frame;
	enum error_code code;
} refused[] = {
    {"nothing", {NULL, 0}, ERR_INVALID},
    {"an array of four billion in five bytes", BYTES_LIT("\xdd\xff\xff\xff\xff"), ERR_INVALID},
    {"a map of two billion", BYTES_LIT("\xdf\x7f\xff\xff\xff"), ERR_INVALID},
    {"bytes longer than the frame", BYTES_LIT("\x92\x01\xc6\x00\x00\x01\x00zz"), ERR_INVALID},
    {"a header cut off", BYTES_LIT("\x92\x01\xdc\x00"), ERR_INVALID},
    {"an extension", BYTES_LIT("\xd4\x01\x02"), ERR_INVALID},
    {"nested 17 deep", BYTES_LIT("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01"),
     ERR_LIMIT},
    {"a type from the future", BYTES_LIT("\x92\xcd\x7f\xff\x90"), ERR_VERSION},
    {"a type beyond 32 bits", BYTES_LIT("\x92\xcf\x01\x00\x00\x00\x01\x00\x00\x00\x90"), ERR_VERSION},
    {"text where a number belongs", BYTES_LIT("\x92\x03\x91\xa1x"), ERR_INVALID},
    {"a negative session", BYTES_LIT("\x92\x03\x91\xff"), ERR_INVALID},
    {"a field missing", BYTES_LIT("\x92\x03\x90"), ERR_INVALID},
};

Test(codec, what_is_no_frame_is_refused_in_words)
{
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		struct bytes in = refused[i].frame;
		struct error e = {0};
		uint32_t type;
		void *got;

		cr_assert_eq(codec_union_decode(&message_union, &in, &type, &got, &arena, &e),
			     refused[i].code, "%s: %s", refused[i].what, e.what);
		cr_assert(e.what[0] != '\0', "%s", refused[i].what);
		cr_assert_eq(in.size, refused[i].frame.size);
	}
}

Test(codec, a_newer_writers_extra_field_is_skipped)
{
	struct bytes in = BYTES_LIT("\x92\x03\x92\x2a\xa5later");
	uint32_t type;
	void *got;

	cr_assert_eq(codec_union_decode(&message_union, &in, &type, &got, &arena, NULL), 0);
	cr_assert_eq(((struct heartbeat *)got)->session, 42);
}

Test(codec, fields_that_an_older_writer_did_not_know_are_zero)
{
	struct failure f = {.segment = 5};

	cr_assert_eq(codec_decode(codec_failure(), BYTES_LIT("\x95\x01\x02\x01\x03\xa2no"), &f, &arena, NULL),
		     0);
	cr_assert_eq(f.count, 2);
	cr_assert(bytes_equal(f.why, BYTES_LIT("no")));
	cr_assert_eq(f.segment, 0);
	cr_assert_eq(codec_decode(codec_failure(), BYTES_LIT("\x94\x01\x02\x01\x03"), &f, &arena, NULL),
		     ERR_INVALID, "what the first version knew has to be there");
}

Test(codec, flipped_bits_are_refused_or_decode_to_something_whole)
{
	struct report sent = a_report();
	struct rng rng;

	rng_seed(&rng, 1);
	codec_union_encode(&message_union, MESSAGE_REPORT, &sent, &buf);
	for (size_t bit = 0; bit < buf.size * 8; bit++) {
		struct bytes in = buf_bytes(&buf);
		uint32_t type;
		void *got;

		buf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (codec_union_decode(&message_union, &in, &type, &got, &arena, NULL) == 0) {
			struct buf again = {0};

			codec_union_encode(&message_union, type, got, &again);
			buf_fini(&again);
		}
		buf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		arena_reset(&arena);
	}
}

Test(codec, a_frame_cannot_use_more_memory_than_its_arena)
{
	struct range ranges[2000] = {{0}};
	struct retried sent = {.shards = {ranges, 2000}};
	struct arena small;
	struct retried got;
	struct error e;

	arena_init(&small, 4096);
	codec_encode(codec_retried(), &sent, &buf);
	cr_assert_eq(codec_decode(codec_retried(), buf_bytes(&buf), &got, &small, &e), ERR_LIMIT);
	arena_fini(&small);
}

Test(codec, no_value_is_larger_than_its_bound)
{
	struct report sent = a_report();

	sent.session = UINT64_MAX;
	sent.credit.memory_bytes = UINT64_MAX;
	codec_encode(codec_report(), &sent, &buf);
	cr_assert_leq(buf.size, codec_size_max(codec_report(), &sent));
	cr_assert_gt(2 * buf.size, codec_size_max(codec_report(), &sent) / 2);
}

Test(codec, a_copy_shares_nothing)
{
	struct report sent = a_report(), copy;

	cr_assert(codec_copy(codec_report(), &sent, &copy, &arena));
	cr_assert(codec_equal(codec_report(), &sent, &copy));
	cr_assert_neq(copy.outcomes.items, sent.outcomes.items);
	cr_assert_neq(copy.outcomes.items[0].failed.items[0].why.data,
		      sent.outcomes.items[0].failed.items[0].why.data);
}

Test(codec, prints_as_json)
{
	struct token t = {1, 2};

	codec_print(codec_token(), &t, &buf);
	cr_assert_str_eq(buf_text(&buf), "{\"epoch\": 1, \"lease\": 2}");
}

/* A failure, then tail_bytes, as msgpack-c writes them. */
static void write_as_msgpack_c(struct buf *out, const struct failure *f, const struct tail_bytes *t)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, buf_msgpack_write);
	msgpack_pack_array(&pk, 6);
	msgpack_pack_uint32(&pk, f->first);
	msgpack_pack_uint32(&pk, f->count);
	msgpack_pack_uint8(&pk, f->kind);
	msgpack_pack_int64(&pk, f->code);
	msgpack_pack_str(&pk, f->why.size);
	msgpack_pack_str_body(&pk, f->why.data, f->why.size);
	msgpack_pack_uint32(&pk, f->segment);
	msgpack_pack_array(&pk, 4);
	msgpack_pack_uint64(&pk, t->session);
	msgpack_pack_uint64(&pk, t->request);
	if (t->known)
		msgpack_pack_true(&pk);
	else
		msgpack_pack_false(&pk);
	msgpack_pack_bin(&pk, t->bytes.size);
	msgpack_pack_bin_body(&pk, t->bytes.data, t->bytes.size);
}

Test(codec, every_length_and_number_is_written_as_msgpack_c_writes_it)
{
	static const size_t sizes[] = {0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65535, 65536};
	struct buf text = {0}, expected = {0};

	buf_append_zeros(&text, 65536);
	for (int bit = 0; bit < 64; bit++)
		for (int step = -1; step <= 1; step++)
			for (int sign = -1; sign <= 1; sign += 2) {
				uint64_t n = (1ull << bit) + (uint64_t)step;
				size_t size = sizes[(size_t)bit % ARRAY_LENGTH(sizes)];
				struct bytes body = BYTES(text.data, size);
				struct failure f = {(uint32_t)n, (uint32_t)(n >> 7),
						    (uint8_t)n,	 (int64_t)(n * (uint64_t)sign),
						    body,	 (uint32_t)(n >> 20)};
				struct tail_bytes t = {n, n * 3, sign > 0, body};

				buf_clear(&buf);
				buf_clear(&expected);
				codec_encode(codec_failure(), &f, &buf);
				codec_encode(codec_tail_bytes(), &t, &buf);
				write_as_msgpack_c(&expected, &f, &t);
				cr_assert(bytes_equal(buf_bytes(&buf), buf_bytes(&expected)),
					  "bit %d, step %d, sign %d", bit, step, sign);
			}
	for (uint32_t count = 0; count < 70000; count = count < 20 ? count + 1 : count * 3) {
		struct range_list list = {check_calloc(count + 1, sizeof(struct range)), count};
		struct retried r = {.shards = list};
		struct retried back;

		buf_clear(&buf);
		codec_encode(codec_retried(), &r, &buf);
		arena_fini(&arena);
		arena_init(&arena, 64 * MIB);
		cr_assert_eq(codec_decode(codec_retried(), buf_bytes(&buf), &back, &arena, NULL), 0);
		cr_assert_eq(back.shards.count, count);
		free(list.items);
	}
	buf_fini(&text);
	buf_fini(&expected);
}

Test(codec, a_part_is_as_in_the_whole)
{
	static struct text_item values[] = {{BYTES_LIT("a")}, {BYTES_LIT("b")}};
	struct new_job sent = {.job = 7,
			       .definition = BYTES_LIT("sha"),
			       .values = {values, 2},
			       .event_id_hi = UINT64_MAX,
			       .by = {.kind = BY_RULE, .name = BYTES_LIT("small")},
			       .fair_key = BYTES_LIT("tenant"),
			       .max_running = 3};
	struct new_job part;

	codec_encode(codec_new_job(), &sent, &buf);
	codec_decode_part(codec_new_job(), buf_bytes(&buf), "by", "fair_key", &part, &arena);
	cr_expect_eq(part.by.kind, BY_RULE);
	cr_expect(bytes_equal(part.by.name, BYTES_LIT("small")));
	cr_expect(bytes_equal(part.fair_key, BYTES_LIT("tenant")));
	cr_expect_eq(part.job, 0);
	cr_expect_eq(part.values.count, 0);
	cr_expect_eq(part.max_running, 0);
	buf_clear(&buf); /* a writer that left the last fields out */
	sent = (struct new_job){.job = 7, .by = {.kind = BY_UID, .number = 5}};
	codec_encode(codec_new_job(), &sent, &buf);
	codec_decode_part(codec_new_job(), buf_bytes(&buf), "by", "fair_key", &part, &arena);
	cr_expect_eq(part.by.number, 5);
	cr_expect_eq(part.fair_key.size, 0);
}
