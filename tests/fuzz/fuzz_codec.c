/* Any bytes as a message, a record or an input (FUZZ_UNION says which): refused in words, or a struct
 * that comes back the same from what it is encoded to, from its copy, and can be shown.
 *
 * The first byte chooses: 0, the rest is decoded as it is; else a struct of that type is made up, which
 * must come back, and then the rest changes single bytes of its encoding: two for where, one for what. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"
#include "jobs/schema.h"
#include "tests/fuzz/fuzz.h"

#define ARENA_BYTES_MAX ((size_t)(4 * MIB))

static void make_up(const struct codec *c, void *value, int depth, struct arena *a, struct rng *r);

static struct bytes make_up_bytes(struct arena *a, struct rng *r)
{
	size_t size = rng_below(r, 4) == 0 ? rng_below(r, 300) : rng_below(r, 8);
	uint8_t *data = arena_alloc(a, size + 1);

	CHECK(data != NULL);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)rng_u64(r);
	return BYTES(data, size);
}

static uint64_t make_up_number(struct rng *r)
{
	return rng_u64(r) >> rng_below(r, 64);
}

static void make_up_field(const struct codec_field *f, void *at, int depth, struct arena *a, struct rng *r);

/* Of items of which many are like the one before, but for a field. */
static void make_up_list(const struct codec *item, struct codec_list *list, int depth, struct arena *a,
			 struct rng *r)
{
	list->count = depth > 3 ? 0 : (uint32_t)rng_below(r, rng_below(r, 8) == 0 ? 40 : 4);
	list->items = arena_alloc(a, item->size * (list->count + 1));
	CHECK(list->items != NULL);
	for (uint32_t i = 0; i < list->count; i++) {
		uint8_t *at = (uint8_t *)list->items + i * item->size;
		const struct codec_field *f = &item->fields[rng_below(r, item->field_count)];

		if (i == 0 || rng_below(r, 3) == 0) {
			make_up(item, at, depth + 1, a, r);
			continue;
		}
		memcpy(at, at - item->size, item->size);
		if (rng_below(r, 2) == 0)
			make_up_field(f, at + f->offset, depth + 1, a, r);
	}
}

static void make_up_field(const struct codec_field *f, void *at, int depth, struct arena *a, struct rng *r)
{
	switch (f->kind) {
	case CODEC_BOOL:
		*(bool *)at = rng_below(r, 2) != 0;
		return;
	case CODEC_U8:
		*(uint8_t *)at = (uint8_t)make_up_number(r);
		return;
	case CODEC_U32:
	case CODEC_WHOLE:
	case CODEC_MILLI:
		*(uint32_t *)at = (uint32_t)make_up_number(r);
		return;
	case CODEC_U64:
	case CODEC_I64:
		*(uint64_t *)at = make_up_number(r);
		return;
	case CODEC_BYTES:
	case CODEC_TEXT:
		*(struct bytes *)at = make_up_bytes(a, r);
		return;
	case CODEC_SUB:
		make_up(f->sub(), at, depth, a, r);
		return;
	case CODEC_LIST:
		make_up_list(f->sub(), at, depth, a, r);
		return;
	}
	CHECK(false);
}

static void make_up(const struct codec *c, void *value, int depth, struct arena *a, struct rng *r)
{
	for (size_t i = 0; i < c->field_count; i++)
		make_up_field(&c->fields[i], (uint8_t *)value + c->fields[i].offset, depth, a, r);
}

static void check_value(uint32_t type, const void *value, struct arena *a)
{
	const struct codec *c = codec_union_find(&FUZZ_UNION, type)->codec();
	struct buf encoded = {0}, shown = {0};
	void *again, *copy = arena_alloc(a, c->size);
	struct bytes in;
	uint32_t type_again;

	CHECK(copy != NULL && codec_copy(c, value, copy, a));
	CHECK(codec_equal(c, value, copy));
	codec_print(c, value, &shown);
	codec_encode(c, value, &encoded);
	CHECK(encoded.size <= codec_size_max(c, value));
	buf_clear(&encoded);
	codec_union_encode_deltas(&FUZZ_UNION, type, value, &encoded);
	in = buf_bytes(&encoded);
	CHECK(codec_union_decode(&FUZZ_UNION, &in, &type_again, &again, a, NULL) == 0);
	CHECK(in.size == 0 && type_again == type);
	CHECK(codec_equal(c, value, again));
	buf_fini(&encoded);
	buf_fini(&shown);
}

/* All that stands in the bytes, one after the other. */
static void check_bytes(struct bytes in)
{
	struct arena a;

	arena_init(&a, ARENA_BYTES_MAX / 4);
	while (in.size > 0) {
		size_t before = in.size;
		struct error error = {0};
		uint32_t type;
		void *value;
		struct arena for_value;

		if (codec_union_decode(&FUZZ_UNION, &in, &type, &value, &a, &error) < 0) {
			CHECK(error.code < 0 && error.what[0] != '\0' && in.size == before);
			break;
		}
		CHECK(in.size < before);
		arena_init(&for_value, 2 * ARENA_BYTES_MAX);
		check_value(type, value, &for_value);
		arena_fini(&for_value);
	}
	arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct codec_variant *v;
	struct buf encoded = {0};
	struct arena a;
	struct rng r;
	void *value;

	if (size < 2)
		return 0;
	if (data[0] == 0) {
		check_bytes(BYTES(data + 1, size - 1));
		return 0;
	}
	v = &FUZZ_UNION.variants[data[0] % FUZZ_UNION.variant_count];
	arena_init(&a, ARENA_BYTES_MAX);
	rng_seed(&r, data[1]);
	value = arena_alloc(&a, v->codec()->size);
	CHECK(value != NULL);
	make_up(v->codec(), value, 0, &a, &r);
	check_value(v->type, value, &a);
	if (data[1] % 2 == 0)
		codec_union_encode(&FUZZ_UNION, v->type, value, &encoded);
	else
		codec_union_encode_deltas(&FUZZ_UNION, v->type, value, &encoded);
	for (size_t i = 2; i + 3 <= size; i += 3)
		encoded.data[(data[i] | data[i + 1] << 8) % encoded.size] ^= data[i + 2];
	check_bytes(buf_bytes(&encoded));
	buf_fini(&encoded);
	arena_fini(&a);
	return 0;
}
