/* Reading values, straight from their bytes. codec_value_size has looked at all of them before: each length
 * is within the bytes, and each value begins as one may. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/codec_private.h"

static struct codec_head take_head(struct codec_cursor *in)
{
	struct codec_head h;

	CHECK(in->at < in->end && codec_head_read(BYTES(in->at, (size_t)(in->end - in->at)), &h) == 0);
	in->at += h.header;
	return h;
}

static void skip(struct codec_cursor *in)
{
	int64_t size = codec_value_size(BYTES(in->at, (size_t)(in->end - in->at)), NULL);

	CHECK(size > 0);
	in->at += size;
}

static bool is_array(uint8_t tag)
{
	return (tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd;
}

static bool is_map(uint8_t tag)
{
	return (tag & 0xf0) == 0x80 || tag == 0xde || tag == 0xdf;
}

bool codec_take_array(struct codec_cursor *in, uint32_t *ret_count)
{
	if (!is_array(*in->at))
		return false;
	*ret_count = (uint32_t)take_head(in).elements;
	return true;
}

static uint64_t big_endian(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return v;
}

/* A whole number, in any of its forms. False, and the cursor stays, when it is none. */
static bool take_number(struct codec_cursor *in, uint64_t *ret, bool *ret_negative)
{
	uint8_t tag = *in->at;
	size_t size;

	*ret_negative = false;
	if (tag < 0x80 || tag >= 0xe0) {
		*ret = (uint64_t)(int64_t)(int8_t)tag;
		*ret_negative = tag >= 0xe0;
		in->at++;
		return true;
	}
	if (tag < 0xcc || tag > 0xd3)
		return false;
	size = (size_t)1 << ((tag - 0xcc) & 3);
	*ret = big_endian(in->at + 1, size);
	if (tag >= 0xd0 && *ret >> (8 * size - 1) != 0) {
		*ret |= size < 8 ? ~0ull << 8 * size : 0;
		*ret_negative = true;
	}
	in->at += 1 + size;
	return true;
}

bool codec_take_uint(struct codec_cursor *in, uint64_t *ret)
{
	bool negative;

	return take_number(in, ret, &negative) && !negative;
}

static int expected(const struct codec *c, const struct codec_field *f, const char *what,
		    struct error *reterr)
{
	error_set(reterr, ERR_INVALID, "expected %s", what);
	error_where(reterr, "%s.%s", c->name, f->name);
	return ERR_INVALID;
}

static int decode_uint(const struct codec *c, const struct codec_field *f, struct codec_cursor *in,
		       uint64_t max, uint64_t *ret, struct error *reterr)
{
	if (!codec_take_uint(in, ret))
		return expected(c, f, "a whole number that is not negative", reterr);
	return *ret > max ? expected(c, f, "a smaller number", reterr) : 0;
}

static int decode_int(const struct codec *c, const struct codec_field *f, struct codec_cursor *in,
		      int64_t *ret, struct error *reterr)
{
	bool negative;
	uint64_t u;

	if (!take_number(in, &u, &negative))
		return expected(c, f, "a whole number", reterr);
	if (!negative && u > INT64_MAX)
		return expected(c, f, "a smaller number", reterr);
	*ret = (int64_t)u;
	return 0;
}

static int decode_bytes(const struct codec *c, const struct codec_field *f, struct codec_cursor *in,
			struct bytes *ret, struct arena *arena, struct error *reterr)
{
	uint8_t tag = *in->at;
	bool text = (tag & 0xe0) == 0xa0 || (tag >= 0xd9 && tag <= 0xdb);
	size_t size;

	if (f->kind == CODEC_BYTES && (tag < 0xc4 || tag > 0xc6))
		return expected(c, f, "bytes", reterr);
	if (f->kind == CODEC_TEXT && !text)
		return expected(c, f, "text", reterr);
	size = (size_t)take_head(in).body;
	*ret = BYTES(in->at, size);
	in->at += size;
	if (f->kind == CODEC_BYTES)
		return 0;
	*ret = arena_copy(arena, *ret);
	if (ret->data == NULL)
		return error_set(reterr, ERR_LIMIT, "the text %s.%s is too long for its frame's memory",
				 c->name, f->name);
	return 0;
}

/* ---- lists ---- */

struct items {
	const struct codec *codec;
	uint8_t *at; /* where the next goes */
	uint32_t left;
};

static int decode_difference(const struct codec *c, struct codec_cursor *in, void *value, uint64_t *ret_times,
			     struct arena *arena, struct error *reterr);

/* A number that differs: by how much, modulo its width. */
static int add_to_number(const struct codec *c, const struct codec_field *f, struct codec_cursor *in,
			 void *at, struct error *reterr)
{
	int64_t by = 0;
	int rc = decode_int(c, f, in, &by, reterr);

	switch (f->kind) {
	case CODEC_BOOL:
		*(bool *)at = ((unsigned)*(const bool *)at + (unsigned)by) & 1u;
		return rc;
	case CODEC_U8:
		*(uint8_t *)at = (uint8_t)(*(const uint8_t *)at + (uint64_t)by);
		return rc;
	case CODEC_U32:
	case CODEC_WHOLE:
		*(uint32_t *)at = (uint32_t)(*(const uint32_t *)at + (uint64_t)by);
		return rc;
	default:
		*(uint64_t *)at += (uint64_t)by;
		return rc;
	}
}

static int change_field(const struct codec *c, const struct codec_field *f, struct codec_cursor *in, void *at,
			struct arena *arena, struct error *reterr)
{
	uint64_t times;

	switch (f->kind) {
	case CODEC_SUB:
		return decode_difference(f->sub(), in, at, &times, arena, reterr);
	case CODEC_BYTES:
	case CODEC_TEXT:
		in->replaced++;
		return codec_decode_field(c, f, in, at, arena, reterr);
	case CODEC_LIST:
		in->replaced++;
		*(struct codec_list *)at = (struct codec_list){0};
		return codec_decode_field(c, f, in, at, arena, reterr);
	default:
		return add_to_number(c, f, in, at, reterr);
	}
}

/* {number of a field: how it differs, …}; 0: for how many items it is said. */
static int decode_difference(const struct codec *c, struct codec_cursor *in, void *value, uint64_t *ret_times,
			     struct arena *arena, struct error *reterr)
{
	uint64_t pairs, number;
	int rc = 0;

	*ret_times = 1;
	if (!is_map(*in->at)) {
		error_set(reterr, ERR_INVALID, "expected a map of the fields that differ");
		error_where(reterr, "%s", c->name);
		return ERR_INVALID;
	}
	pairs = take_head(in).elements / 2;
	for (uint64_t i = 0; rc == 0 && i < pairs; i++) {
		const struct codec_field *f;

		if (!codec_take_uint(in, &number) ||
		    (number == 0 && (!codec_take_uint(in, ret_times) || *ret_times == 0))) {
			error_set(reterr, ERR_INVALID, "expected the number of a field that differs");
			error_where(reterr, "%s", c->name);
			return ERR_INVALID;
		}
		if (number > c->field_count) {
			skip(in); /* a newer writer's */
		} else if (number > 0) {
			f = &c->fields[number - 1];
			rc = change_field(c, f, in, (uint8_t *)value + f->offset, arena, reterr);
		}
	}
	return rc;
}

static int too_many(const struct codec *c, struct error *reterr)
{
	return error_set(reterr, ERR_INVALID, "a list of %s has not as many items as it says", c->name);
}

/* A difference of so many bytes is read for each of the items again: a frame may not cost more than its bytes
 * and its items do. */
static int check_times(const struct codec *c, struct codec_cursor *in, uint64_t times, size_t bytes,
		       bool replaces, struct error *reterr)
{
	if (replaces)
		return error_set(reterr, ERR_INVALID,
				 "only numbers of a %s differ more than once in the same way", c->name);
	if (times - 1 > in->again_left / bytes)
		return error_set(reterr, ERR_LIMIT, "a list of %s says too much too often", c->name);
	in->again_left -= (size_t)(times - 1) * bytes;
	return 0;
}

/* One or more items, of which each differs in the same way from the one before. */
static int decode_alike(struct items *items, struct codec_cursor *in, struct arena *arena,
			struct error *reterr)
{
	const struct codec *c = items->codec;
	const uint8_t *from = in->at;
	uint32_t replaced = in->replaced;
	uint64_t times = 1, said;

	for (uint64_t i = 0; i < times; i++) {
		int rc;

		if (items->left == 0)
			return too_many(c, reterr);
		in->at = from;
		memcpy(items->at, items->at - c->size, c->size);
		rc = decode_difference(c, in, items->at, &said, arena, reterr);
		if (rc == 0 && i == 0 && said > 1)
			rc = check_times(c, in, said, (size_t)(in->at - from), in->replaced != replaced,
					 reterr);
		if (rc < 0)
			return rc;
		times = said;
		items->at += c->size;
		items->left--;
	}
	return 0;
}

static int decode_items(struct items *items, uint32_t elements, struct codec_cursor *in, struct arena *arena,
			struct error *reterr)
{
	const uint8_t *first = items->at;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < elements; i++) {
		if (items->at != first && is_map(*in->at)) {
			rc = decode_alike(items, in, arena, reterr);
			continue;
		}
		if (items->left == 0)
			return too_many(items->codec, reterr);
		rc = codec_decode_at(items->codec, in, items->at, arena, reterr);
		items->at += items->codec->size;
		items->left--;
	}
	return rc == 0 && items->left > 0 ? too_many(items->codec, reterr) : rc;
}

static int decode_list(const struct codec *c, const struct codec_field *f, struct codec_cursor *in,
		       struct codec_list *list, struct arena *arena, struct error *reterr)
{
	struct items items = {.codec = f->sub()};
	uint32_t elements;
	uint64_t count;
	size_t size;
	bool alike;

	if (!codec_take_array(in, &elements))
		return expected(c, f, "a list", reterr);
	if (elements == 0)
		return 0;
	count = elements;
	alike = codec_take_uint(in, &count); /* how many they are stands before them */
	elements -= alike;
	if (count > UINT32_MAX || elements > count || elements == 0)
		return too_many(items.codec, reterr);
	size = items.codec->size * (size_t)count;
	if (alike && size > in->alike_left)
		return error_set(reterr, ERR_LIMIT, "the list %s.%s stands for more than %llu bytes", c->name,
				 f->name, FRAME_ALIKE_BYTES_MAX);
	in->alike_left -= alike ? size : 0;
	list->items = items.at = arena_alloc(arena, size);
	if (list->items == NULL)
		return error_set(reterr, ERR_LIMIT, "the list %s.%s is too long for its frame's memory",
				 c->name, f->name);
	list->count = items.left = (uint32_t)count;
	return decode_items(&items, elements, in, arena, reterr);
}

/* ---- fields and structs ---- */

int codec_decode_field(const struct codec *c, const struct codec_field *f, struct codec_cursor *in, void *at,
		       struct arena *arena, struct error *reterr)
{
	uint64_t u = 0;
	int rc = 0;

	switch (f->kind) {
	case CODEC_BOOL:
		if (*in->at != 0xc2 && *in->at != 0xc3)
			return expected(c, f, "true or false", reterr);
		*(bool *)at = *in->at++ == 0xc3;
		return 0;
	case CODEC_U8:
		rc = decode_uint(c, f, in, UINT8_MAX, &u, reterr);
		*(uint8_t *)at = (uint8_t)u;
		return rc;
	case CODEC_U32:
		rc = decode_uint(c, f, in, UINT32_MAX, &u, reterr);
		*(uint32_t *)at = (uint32_t)u;
		return rc;
	case CODEC_U64:
		rc = decode_uint(c, f, in, UINT64_MAX, &u, reterr);
		*(uint64_t *)at = u;
		return rc;
	case CODEC_I64:
		return decode_int(c, f, in, at, reterr);
	case CODEC_BYTES:
	case CODEC_TEXT:
		return decode_bytes(c, f, in, at, arena, reterr);
	case CODEC_SUB:
		return codec_decode_at(f->sub(), in, at, arena, reterr);
	case CODEC_LIST:
		return decode_list(c, f, in, at, arena, reterr);
	case CODEC_WHOLE:
		rc = decode_uint(c, f, in, UINT32_MAX, &u, reterr);
		*(uint32_t *)at = u * 1000 < UINT32_MAX ? (uint32_t)u * 1000 : UINT32_MAX;
		return rc;
	case CODEC_MILLI:
		rc = decode_uint(c, f, in, UINT32_MAX, &u, reterr);
		if (u != 0)
			*(uint32_t *)at = (uint32_t)u;
		return rc;
	}
	CHECK(false);
	return ERR_INVALID;
}

int codec_decode_at(const struct codec *c, struct codec_cursor *in, void *value, struct arena *arena,
		    struct error *reterr)
{
	uint32_t elements;

	if (!codec_take_array(in, &elements)) {
		error_set(reterr, ERR_INVALID, "expected an array of fields");
		error_where(reterr, "%s", c->name);
		return ERR_INVALID;
	}
	for (size_t i = 0; i < c->field_count; i++) {
		const struct codec_field *f = &c->fields[i];
		int rc;

		if (i >= elements && f->since > 1)
			continue; /* an older writer: stays zero */
		if (i >= elements)
			return expected(c, f, "this field, but the array ends before it", reterr);
		rc = codec_decode_field(c, f, in, (uint8_t *)value + f->offset, arena, reterr);
		if (rc < 0)
			return rc;
	}
	for (size_t i = c->field_count; i < elements; i++)
		skip(in);
	return 0;
}

int codec_decode(const struct codec *c, struct bytes in, void *value, struct arena *arena,
		 struct error *reterr)
{
	int64_t size = codec_value_size(in, reterr);
	struct codec_cursor at = codec_cursor(in);

	if (size < 0)
		return (int)size;
	if ((size_t)size != in.size) {
		error_set(reterr, ERR_INVALID, "%zu bytes follow the value", in.size - (size_t)size);
		error_where(reterr, "%s", c->name);
		return ERR_INVALID;
	}
	memset(value, 0, c->size);
	return codec_decode_at(c, &at, value, arena, reterr);
}

void codec_decode_part(const struct codec *c, struct bytes in, const char *first, const char *last,
		       void *value, struct arena *arena)
{
	struct codec_cursor at = codec_cursor(in);
	uint32_t elements;
	bool within = false;

	memset(value, 0, c->size);
	CHECK(codec_take_array(&at, &elements));
	for (size_t i = 0; i < c->field_count && i < elements; i++) {
		const struct codec_field *f = &c->fields[i];

		within = within || strcmp(f->name, first) == 0;
		if (!within)
			skip(&at);
		else
			CHECK(codec_decode_field(c, f, &at, (uint8_t *)value + f->offset, arena, NULL) == 0);
		if (strcmp(f->name, last) == 0)
			return;
	}
}
