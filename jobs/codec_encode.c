/* Writing. The bytes are put down here and not by msgpack-c, which calls a function for each header and each
 * body: records of events are written by the hundred thousand. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/codec_private.h"

#define SPARSE_SINCE 4	   /* fields of this version and later may be left out by their writer */
#define DELTA_FIELDS_MIN 4 /* what has fewer is as short when it is written as it is */
#define EMPTY_MAP 0x80
#define DELTA_PAIRS_MAX 14 /* so that with the repeats it is still a map whose size is in its first byte */

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

struct writer {
	struct buf *out;
	size_t alike_left; /* of items that may be written as what differs; 0 = none are */
};

static uint32_t whole_of(uint32_t milli)
{
	return milli / 1000 + (milli % 1000 != 0);
}

static uint32_t milli_of(uint32_t milli)
{
	return milli % 1000 != 0 ? milli : 0;
}

static void encode_fields(const struct codec *c, const void *value, struct writer *w);
static void encode_alike(const struct codec *item, const struct codec_list *list, struct writer *w);

static void encode_list(const struct codec *item, const struct codec_list *list, struct writer *w)
{
	if (list->count > 1 && item->field_count >= DELTA_FIELDS_MIN &&
	    list->count * item->size <= w->alike_left) {
		encode_alike(item, list, w);
		return;
	}
	put_array(w->out, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		encode_fields(item, (const uint8_t *)list->items + i * item->size, w);
}

static void encode_field(const struct codec_field *f, const void *at, struct writer *w)
{
	switch (f->kind) {
	case CODEC_BOOL:
		put_byte(w->out, *(const bool *)at ? 0xc3 : 0xc2);
		return;
	case CODEC_U8:
		put_uint(w->out, *(const uint8_t *)at);
		return;
	case CODEC_U32:
		put_uint(w->out, *(const uint32_t *)at);
		return;
	case CODEC_U64:
		put_uint(w->out, *(const uint64_t *)at);
		return;
	case CODEC_I64:
		put_int(w->out, *(const int64_t *)at);
		return;
	case CODEC_BYTES:
		put_bin(w->out, *(const struct bytes *)at);
		return;
	case CODEC_TEXT:
		put_str(w->out, *(const struct bytes *)at);
		return;
	case CODEC_SUB:
		encode_fields(f->sub(), at, w);
		return;
	case CODEC_LIST:
		encode_list(f->sub(), at, w);
		return;
	case CODEC_WHOLE:
		put_uint(w->out, whole_of(*(const uint32_t *)at));
		return;
	case CODEC_MILLI:
		put_uint(w->out, milli_of(*(const uint32_t *)at));
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

static void encode_fields(const struct codec *c, const void *value, struct writer *w)
{
	size_t count = written_count(c, value);

	put_array(w->out, count);
	for (size_t i = 0; i < count; i++)
		encode_field(&c->fields[i], (const uint8_t *)value + c->fields[i].offset, w);
}

/* ---- items that are alike ---- */

/* By how much the bits of a number grew. */
static int64_t growth(const struct codec_field *f, const void *before, const void *now)
{
	switch (f->kind) {
	case CODEC_BOOL:
		return *(const bool *)now - *(const bool *)before;
	case CODEC_U8:
		return *(const uint8_t *)now - *(const uint8_t *)before;
	case CODEC_U32:
	case CODEC_WHOLE:
		return (int64_t) * (const uint32_t *)now - *(const uint32_t *)before;
	case CODEC_U64:
	case CODEC_I64:
		return (int64_t)(*(const uint64_t *)now - *(const uint64_t *)before);
	default: /* no number; of the two forms of one member CODEC_WHOLE stands for both */
		return 0;
	}
}

static bool encode_difference(const struct codec *c, const void *before, const void *now, struct writer *w);

/* True when the field differs and that is written, with its number before it. */
static bool encode_change(const struct codec_field *f, uint32_t number, const void *before, const void *now,
			  struct writer *w, bool *ok)
{
	int64_t by = growth(f, before, now);
	size_t begin = w->out->size, body;

	if (f->kind == CODEC_SUB) {
		put_uint(w->out, number);
		body = w->out->size;
		*ok = encode_difference(f->sub(), before, now, w);
		if (w->out->data[body] == EMPTY_MAP)
			w->out->size = begin;
	} else if (f->kind == CODEC_BYTES || f->kind == CODEC_TEXT || f->kind == CODEC_LIST) {
		if (codec_field_equal(f, before, now))
			return false;
		put_uint(w->out, number);
		encode_field(f, now, w);
	} else if (by != 0) {
		put_uint(w->out, number);
		put_int(w->out, by);
	}
	return w->out->size > begin;
}

/* A map from the numbers of the fields that differ to how they do. False when they are too many. */
static bool encode_difference(const struct codec *c, const void *before, const void *now, struct writer *w)
{
	size_t begin = w->out->size;
	uint8_t head = EMPTY_MAP;
	bool ok = true;

	buf_append(w->out, &head, 1);
	for (uint32_t i = 0; ok && i < c->field_count; i++) {
		size_t offset = c->fields[i].offset;

		if (!encode_change(&c->fields[i], i + 1, (const uint8_t *)before + offset,
				   (const uint8_t *)now + offset, w, &ok))
			continue;
		ok &= (head & 15u) < DELTA_PAIRS_MAX;
		head++;
	}
	w->out->data[begin] = head;
	return ok;
}

struct difference {
	size_t begin, size; /* of the last one, in what was written; size 0 = none */
	uint32_t times;
};

/* Behind its last pair: for how many items it is said. */
static void say_times(struct difference *d, struct writer *w)
{
	uint8_t pair[] = {0,
			  0xce,
			  (uint8_t)(d->times >> 24),
			  (uint8_t)(d->times >> 16),
			  (uint8_t)(d->times >> 8),
			  (uint8_t)d->times};
	size_t end = d->begin + d->size;

	if (d->size == 0 || d->times == 1)
		return;
	buf_append_zeros(w->out, sizeof pair);
	memmove(w->out->data + end + sizeof pair, w->out->data + end, w->out->size - end - sizeof pair);
	memcpy(w->out->data + end, pair, sizeof pair);
	w->out->data[d->begin]++;
}

/* How many values the next item adds: none when it only lengthens the last difference. */
static uint32_t encode_item(const struct codec *item, const void *before, const void *now,
			    struct difference *d, struct writer *w)
{
	size_t begin = w->out->size, size;

	if (!encode_difference(item, before, now, w)) {
		w->out->size = begin;
		say_times(d, w);
		d->size = 0;
		encode_fields(item, now, w);
		return 1;
	}
	size = w->out->size - begin;
	if (d->size == size && memcmp(w->out->data + d->begin, w->out->data + begin, size) == 0) {
		w->out->size = begin;
		d->times++;
		return 0;
	}
	say_times(d, w);
	*d = (struct difference){w->out->size - size, size, 1};
	return 1;
}

/* How many items there are; the first; then of each how it differs from the one before it, or all of it. */
static void encode_alike(const struct codec *item, const struct codec_list *list, struct writer *w)
{
	const uint8_t *at = list->items;
	size_t begin = w->out->size;
	struct difference d = {0};
	uint32_t values = 2;
	bool small = list->count < 15, middle = list->count < UINT16_MAX;

	w->alike_left -= list->count * item->size;
	put_array(w->out, (size_t)list->count + 1);
	put_uint(w->out, list->count);
	encode_fields(item, at, w);
	for (uint32_t i = 1; i < list->count; i++, at += item->size)
		values += encode_item(item, at, at + item->size, &d, w);
	say_times(&d, w);
	if (small)
		w->out->data[begin] = (uint8_t)(0x90u | values);
	for (int i = small ? 0 : middle ? 2 : 4; i > 0; i--, values >>= 8)
		w->out->data[begin + (size_t)i] = (uint8_t)values;
}

static void begin(struct writer *w, struct buf *out, size_t alike)
{
	w->out = out;
	w->alike_left = alike;
}

void codec_encode(const struct codec *c, const void *value, struct buf *out)
{
	struct writer w;

	begin(&w, out, 0);
	encode_fields(c, value, &w);
}

static void encode_union(const struct codec_union *u, uint32_t type, const void *value, size_t alike,
			 struct buf *out)
{
	const struct codec_variant *v = codec_union_find(u, type);
	struct writer w;

	CHECK(v != NULL);
	begin(&w, out, alike);
	put_array(w.out, 2);
	put_uint(w.out, type);
	encode_fields(v->codec(), value, &w);
}

void codec_union_encode(const struct codec_union *u, uint32_t type, const void *value, struct buf *out)
{
	encode_union(u, type, value, 0, out);
}

void codec_union_encode_deltas(const struct codec_union *u, uint32_t type, const void *value, struct buf *out)
{
	encode_union(u, type, value, FRAME_ALIKE_BYTES_MAX, out);
}
