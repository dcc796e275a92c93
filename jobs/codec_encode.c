/* Writing. The bytes are put down here and not by msgpack-c, which calls a function for each header and each
 * body: records of events are written by the hundred thousand. */
#include "jobs/codec.h"

#include <string.h>

#include "base/check.h"

#define SPARSE_SINCE 4 /* fields of this version and later may be left out by their writer */
#define HEADER_BYTES_MAX 9

/* ---- msgpack: https://github.com/msgpack/msgpack/blob/master/spec.md ---- */

static void put_number(struct buf *out, uint8_t tag, uint64_t value, size_t size)
{
	uint8_t *at = buf_reserve(out, HEADER_BYTES_MAX);

	at[0] = tag;
	for (size_t i = size; i > 0; i--, value >>= 8)
		at[i] = (uint8_t)value;
	out->size += size + 1;
}

static void put_byte(struct buf *out, uint8_t byte)
{
	put_number(out, byte, 0, 0);
}

static void put_uint(struct buf *out, uint64_t value)
{
	if (value < 0x80)
		put_byte(out, (uint8_t)value);
	else if (value <= UINT8_MAX)
		put_number(out, 0xcc, value, 1);
	else if (value <= UINT16_MAX)
		put_number(out, 0xcd, value, 2);
	else if (value <= UINT32_MAX)
		put_number(out, 0xce, value, 4);
	else
		put_number(out, 0xcf, value, 8);
}

static void put_int(struct buf *out, int64_t value)
{
	if (value >= 0)
		put_uint(out, (uint64_t)value);
	else if (value >= -32)
		put_byte(out, (uint8_t)value);
	else if (value >= INT8_MIN)
		put_number(out, 0xd0, (uint64_t)value, 1);
	else if (value >= INT16_MIN)
		put_number(out, 0xd1, (uint64_t)value, 2);
	else if (value >= INT32_MIN)
		put_number(out, 0xd2, (uint64_t)value, 4);
	else
		put_number(out, 0xd3, (uint64_t)value, 8);
}

static void put_array(struct buf *out, size_t count)
{
	if (count < 16)
		put_byte(out, (uint8_t)(0x90 | count));
	else if (count <= UINT16_MAX)
		put_number(out, 0xdc, count, 2);
	else
		put_number(out, 0xdd, count, 4);
}

static void put_bin(struct buf *out, struct bytes b)
{
	if (b.size <= UINT8_MAX)
		put_number(out, 0xc4, b.size, 1);
	else if (b.size <= UINT16_MAX)
		put_number(out, 0xc5, b.size, 2);
	else
		put_number(out, 0xc6, b.size, 4);
	buf_append_bytes(out, b);
}

static void put_str(struct buf *out, struct bytes b)
{
	if (b.size < 32)
		put_byte(out, (uint8_t)(0xa0 | b.size));
	else if (b.size <= UINT8_MAX)
		put_number(out, 0xd9, b.size, 1);
	else if (b.size <= UINT16_MAX)
		put_number(out, 0xda, b.size, 2);
	else
		put_number(out, 0xdb, b.size, 4);
	buf_append_bytes(out, b);
}

/* ---- structs ---- */

static uint32_t whole_of(uint32_t milli)
{
	return milli / 1000 + (milli % 1000 != 0);
}

static uint32_t milli_of(uint32_t milli)
{
	return milli % 1000 != 0 ? milli : 0;
}

static void encode_fields(const struct codec *c, const void *value, struct buf *out);

static void encode_list(const struct codec *item, const struct codec_list *list, struct buf *out)
{
	put_array(out, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		encode_fields(item, (const uint8_t *)list->items + i * item->size, out);
}

static void encode_field(const struct codec_field *f, const void *at, struct buf *out)
{
	switch (f->kind) {
	case CODEC_BOOL:
		put_byte(out, *(const bool *)at ? 0xc3 : 0xc2);
		return;
	case CODEC_U8:
		put_uint(out, *(const uint8_t *)at);
		return;
	case CODEC_U32:
		put_uint(out, *(const uint32_t *)at);
		return;
	case CODEC_U64:
		put_uint(out, *(const uint64_t *)at);
		return;
	case CODEC_I64:
		put_int(out, *(const int64_t *)at);
		return;
	case CODEC_BYTES:
		put_bin(out, *(const struct bytes *)at);
		return;
	case CODEC_TEXT:
		put_str(out, *(const struct bytes *)at);
		return;
	case CODEC_SUB:
		encode_fields(f->sub(), at, out);
		return;
	case CODEC_LIST:
		encode_list(f->sub(), at, out);
		return;
	case CODEC_WHOLE:
		put_uint(out, whole_of(*(const uint32_t *)at));
		return;
	case CODEC_MILLI:
		put_uint(out, milli_of(*(const uint32_t *)at));
		return;
	}
	CHECK(false);
}

static size_t written_count(const struct codec *c, const void *value);

static bool is_zero(const struct codec_field *f, const void *at)
{
	switch (f->kind) {
	case CODEC_BOOL:
		return !*(const bool *)at;
	case CODEC_U8:
		return *(const uint8_t *)at == 0;
	case CODEC_U32:
		return *(const uint32_t *)at == 0;
	case CODEC_U64:
	case CODEC_I64:
		return *(const uint64_t *)at == 0;
	case CODEC_BYTES:
	case CODEC_TEXT:
		return ((const struct bytes *)at)->size == 0;
	case CODEC_SUB:
		return written_count(f->sub(), at) == 0;
	case CODEC_LIST:
		return ((const struct codec_list *)at)->count == 0;
	case CODEC_WHOLE:
		return *(const uint32_t *)at == 0;
	case CODEC_MILLI:
		return milli_of(*(const uint32_t *)at) == 0;
	}
	CHECK(false);
	return false;
}

/* Those at the end that came with version 4 or later and are zero are left out. */
static size_t written_count(const struct codec *c, const void *value)
{
	size_t n = c->field_count;

	while (n > 0 && c->fields[n - 1].since >= SPARSE_SINCE &&
	       is_zero(&c->fields[n - 1], (const uint8_t *)value + c->fields[n - 1].offset))
		n--;
	return n;
}

static void encode_fields(const struct codec *c, const void *value, struct buf *out)
{
	size_t count = written_count(c, value);

	put_array(out, count);
	for (size_t i = 0; i < count; i++)
		encode_field(&c->fields[i], (const uint8_t *)value + c->fields[i].offset, out);
}

void codec_encode(const struct codec *c, const void *value, struct buf *out)
{
	encode_fields(c, value, out);
}

void codec_union_encode(const struct codec_union *u, uint32_t type, const void *value, struct buf *out)
{
	const struct codec_variant *v = codec_union_find(u, type);

	CHECK(v != NULL);
	put_array(out, 2);
	put_uint(out, type);
	encode_fields(v->codec(), value, out);
}
