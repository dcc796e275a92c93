#include "jobs/codec.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"

#define HEADER_BYTES_MAX 9

/* All lengths are checked against the rest of the frame before any of it is decoded. */

struct head {
	uint64_t elements; /* values that follow, of an array (or twice a map's pairs) */
	uint64_t body;	   /* bytes that follow the header */
	size_t header;
};

static uint64_t big_endian(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return v;
}

/* Header sizes and meanings: https://github.com/msgpack/msgpack/blob/master/spec.md */
static int read_head(struct bytes in, struct head *h)
{
	static const uint8_t width[32] = {
	    /* c0 */ 0, 0, 0, 0, 1, 2, 4, 1, /* c8 */ 2,  4, 4, 8, 1, 2, 4, 8,
	    /* d0 */ 1, 2, 4, 8, 1, 2, 4, 8, /* d8 */ 16, 1, 2, 4, 2, 4, 2, 4,
	};
	uint8_t tag = in.data[0];
	uint64_t n;

	*h = (struct head){.header = 1};
	if (tag < 0x80 || tag >= 0xe0)
		return 0;
	if (tag < 0x90)
		h->elements = 2u * (tag & 15u);
	else if (tag < 0xa0)
		h->elements = tag & 15u;
	else if (tag < 0xc0)
		h->body = tag & 31u;
	if (tag < 0xc0)
		return 0;
	if (tag == 0xc1 || (tag >= 0xc7 && tag <= 0xc9) || (tag >= 0xd4 && tag <= 0xd8))
		return ERR_INVALID; /* never used, and extension types: nobody sends them */
	if (in.size - 1 < width[tag - 0xc0])
		return ERR_INVALID;
	h->header += width[tag - 0xc0];
	n = big_endian(in.data + 1, h->header - 1);
	if ((tag >= 0xc4 && tag <= 0xc6) || (tag >= 0xd9 && tag <= 0xdb))
		h->body = n;
	else if (tag == 0xdc || tag == 0xdd)
		h->elements = n;
	else if (tag == 0xde || tag == 0xdf)
		h->elements = 2 * n;
	return 0;
}

int64_t codec_value_size(struct bytes in, struct error *reterr)
{
	uint64_t left[FRAME_DEPTH_MAX + 1]; /* values still to come, at each level */
	size_t at = 0;
	int depth = 0;

	left[0] = 1;
	while (depth >= 0) {
		struct head h;

		if (left[depth] == 0) {
			depth--;
			continue;
		}
		left[depth]--;
		if (at >= in.size)
			return error_set(reterr, ERR_INVALID,
					 "the frame ends in the middle of a value, at byte %zu", at);
		if (read_head(BYTES(in.data + at, in.size - at), &h) < 0)
			return error_set(reterr, ERR_INVALID,
					 "byte %zu, 0x%02x, begins no value that is allowed here", at,
					 in.data[at]);
		at += h.header;
		if (h.body > in.size - at || h.elements > in.size - at)
			return error_set(reterr, ERR_INVALID,
					 "a length at byte %zu says %llu, but only %zu bytes are left", at,
					 (unsigned long long)(h.body ? h.body : h.elements), in.size - at);
		at += (size_t)h.body;
		if (h.elements > 0) {
			if (depth == FRAME_DEPTH_MAX)
				return error_set(reterr, ERR_LIMIT, "values are nested deeper than %d",
						 FRAME_DEPTH_MAX);
			left[++depth] = h.elements;
		}
	}
	return (int64_t)at;
}

/* Decoding: in one pass over bytes whose lengths and nesting have been checked. msgpack-c would make a tree
 * of them first. */

enum item_kind { ITEM_OTHER, ITEM_BOOL, ITEM_UINT, ITEM_NEGATIVE, ITEM_STR, ITEM_BIN, ITEM_ARRAY };

struct item {
	enum item_kind kind;
	uint64_t number;   /* BOOL, UINT, and NEGATIVE as its bits */
	uint64_t elements; /* that follow, as in struct head */
	struct bytes body; /* STR, BIN */
};

static void take_number(struct item *item, uint8_t tag, const uint8_t *p)
{
	size_t size = (size_t)1 << (tag & 3);
	uint64_t n = big_endian(p, size);

	if (tag >= 0xd0 && size < 8 && (n >> (8 * size - 1)) != 0)
		n |= UINT64_MAX << 8 * size;
	item->number = n;
	item->kind = tag >= 0xd0 && (int64_t)n < 0 ? ITEM_NEGATIVE : ITEM_UINT;
}

/* The value at *at, or the head of an array or map; *at moves behind it. */
static struct item next_item(const uint8_t **at)
{
	const uint8_t *p = *at;
	struct item item = {.kind = ITEM_OTHER};
	uint8_t tag = *p;
	struct head h;

	if (tag < 0x80) {
		*at = p + 1;
		return (struct item){.kind = ITEM_UINT, .number = tag};
	}
	CHECK(read_head(BYTES(p, HEADER_BYTES_MAX), &h) == 0);
	item.elements = h.elements;
	if (tag >= 0xe0) {
		item.kind = ITEM_NEGATIVE;
		item.number = (uint64_t)(int8_t)tag;
	} else if (tag >= 0x90 && tag < 0xa0) {
		item.kind = ITEM_ARRAY;
	} else if ((tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb)) {
		item.kind = ITEM_STR;
	} else if (tag >= 0xc4 && tag <= 0xc6) {
		item.kind = ITEM_BIN;
	} else if (tag == 0xc2 || tag == 0xc3) {
		item.kind = ITEM_BOOL;
		item.number = tag == 0xc3;
	} else if (tag >= 0xcc && tag <= 0xd3) {
		take_number(&item, tag, p + 1);
	} else if (tag == 0xdc || tag == 0xdd) {
		item.kind = ITEM_ARRAY;
	}
	item.body = BYTES(p + h.header, h.body);
	*at = p + h.header + h.body;
	return item;
}

static void skip_values(const uint8_t **at, uint64_t count)
{
	while (count > 0)
		count += next_item(at).elements - 1;
}

static int decode_struct(const struct codec *c, const uint8_t **in, void *value, struct arena *arena,
			 struct error *reterr);

static int expected(const struct codec *c, const struct codec_field *f, const char *what,
		    struct error *reterr)
{
	error_set(reterr, ERR_INVALID, "expected %s", what);
	error_where(reterr, "%s.%s", c->name, f->name);
	return ERR_INVALID;
}

static int decode_uint(const struct codec *c, const struct codec_field *f, const struct item *item,
		       uint64_t max, uint64_t *ret, struct error *reterr)
{
	if (item->kind != ITEM_UINT)
		return expected(c, f, "a whole number that is not negative", reterr);
	if (item->number > max)
		return expected(c, f, "a smaller number", reterr);
	*ret = item->number;
	return 0;
}

static int decode_list(const struct codec *c, const struct codec_field *f, const uint8_t **in,
		       struct codec_list *list, struct arena *arena, struct error *reterr)
{
	const struct codec *of = f->sub();
	struct item head = next_item(in);

	if (head.kind != ITEM_ARRAY)
		return expected(c, f, "a list", reterr);
	if (head.elements == 0)
		return 0;
	list->items = arena_alloc(arena, of->size * head.elements);
	if (list->items == NULL)
		return error_set(reterr, ERR_LIMIT, "the list %s.%s is too long for its frame's memory",
				 c->name, f->name);
	list->count = (uint32_t)head.elements;
	for (uint32_t i = 0; i < list->count; i++) {
		int rc = decode_struct(of, in, (uint8_t *)list->items + i * of->size, arena, reterr);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int decode_bytes(const struct codec *c, const struct codec_field *f, const struct item *item,
			struct bytes *ret, struct arena *arena, struct error *reterr)
{
	if (f->kind == CODEC_BYTES) {
		if (item->kind != ITEM_BIN)
			return expected(c, f, "bytes", reterr);
		*ret = item->body;
		return 0;
	}
	if (item->kind != ITEM_STR)
		return expected(c, f, "text", reterr);
	*ret = arena_copy(arena, item->body);
	if (ret->data == NULL)
		return error_set(reterr, ERR_LIMIT, "the text %s.%s is too long for its frame's memory",
				 c->name, f->name);
	return 0;
}

/* Of a field that is one value. */
static int decode_single(const struct codec *c, const struct codec_field *f, const struct item *item,
			 void *at, struct arena *arena, struct error *reterr)
{
	uint64_t u = 0, max = f->kind == CODEC_U8    ? UINT8_MAX
			      : f->kind == CODEC_U64 ? UINT64_MAX
			      : f->kind == CODEC_I64 ? INT64_MAX
						     : UINT32_MAX;
	int rc;

	if (f->kind == CODEC_BYTES || f->kind == CODEC_TEXT)
		return decode_bytes(c, f, item, at, arena, reterr);
	if (f->kind == CODEC_BOOL && item->kind != ITEM_BOOL)
		return expected(c, f, "true or false", reterr);
	if (f->kind == CODEC_BOOL) {
		*(bool *)at = item->number != 0;
		return 0;
	}
	if (f->kind == CODEC_I64 && item->kind == ITEM_NEGATIVE) {
		*(int64_t *)at = (int64_t)item->number;
		return 0;
	}
	rc = decode_uint(c, f, item, max, &u, reterr);
	if (f->kind == CODEC_U8)
		*(uint8_t *)at = (uint8_t)u;
	else if (f->kind == CODEC_U64 || f->kind == CODEC_I64)
		*(uint64_t *)at = u;
	else if (f->kind == CODEC_WHOLE)
		*(uint32_t *)at = u * 1000 < UINT32_MAX ? (uint32_t)u * 1000 : UINT32_MAX;
	else if (f->kind != CODEC_MILLI || u != 0)
		*(uint32_t *)at = (uint32_t)u;
	return rc;
}

static int decode_field(const struct codec *c, const struct codec_field *f, const uint8_t **in, void *at,
			struct arena *arena, struct error *reterr)
{
	struct item item;

	if (f->kind == CODEC_SUB)
		return decode_struct(f->sub(), in, at, arena, reterr);
	if (f->kind == CODEC_LIST)
		return decode_list(c, f, in, at, arena, reterr);
	item = next_item(in);
	return decode_single(c, f, &item, at, arena, reterr);
}

static int decode_struct(const struct codec *c, const uint8_t **in, void *value, struct arena *arena,
			 struct error *reterr)
{
	struct item head = next_item(in);

	if (head.kind != ITEM_ARRAY) {
		error_set(reterr, ERR_INVALID, "expected an array of fields");
		error_where(reterr, "%s", c->name);
		return ERR_INVALID;
	}
	for (size_t i = 0; i < c->field_count; i++) {
		const struct codec_field *f = &c->fields[i];
		int rc;

		if (i >= head.elements && f->since > 1)
			continue; /* an older writer: stays zero */
		if (i >= head.elements)
			return expected(c, f, "this field, but the array ends before it", reterr);
		rc = decode_field(c, f, in, (uint8_t *)value + f->offset, arena, reterr);
		if (rc < 0)
			return rc;
	}
	if (head.elements > c->field_count)
		skip_values(in, head.elements - c->field_count); /* a newer writer's */
	return 0;
}

int codec_decode(const struct codec *c, struct bytes in, void *value, struct arena *arena,
		 struct error *reterr)
{
	int64_t size = codec_value_size(in, reterr);

	if (size < 0)
		return (int)size;
	if ((size_t)size != in.size) {
		error_set(reterr, ERR_INVALID, "%zu bytes follow the value", in.size - (size_t)size);
		error_where(reterr, "%s", c->name);
		return ERR_INVALID;
	}
	memset(value, 0, c->size);
	return decode_struct(c, &in.data, value, arena, reterr);
}

void codec_decode_part(const struct codec *c, struct bytes in, const char *first, const char *last,
		       void *value, struct arena *arena)
{
	struct item head = next_item(&in.data);
	bool within = false;

	memset(value, 0, c->size);
	CHECK(head.kind == ITEM_ARRAY);
	for (size_t i = 0; i < c->field_count && i < head.elements; i++) {
		const struct codec_field *f = &c->fields[i];

		within = within || strcmp(f->name, first) == 0;
		if (!within)
			skip_values(&in.data, 1);
		else
			CHECK(decode_field(c, f, &in.data, (uint8_t *)value + f->offset, arena, NULL) == 0);
		if (strcmp(f->name, last) == 0)
			return;
	}
}

/* Unions */

const struct codec_variant *codec_union_find(const struct codec_union *u, uint32_t type)
{
	for (size_t i = 0; i < u->variant_count; i++)
		if (u->variants[i].type == type)
			return &u->variants[i];
	return NULL;
}

static int decode_variant(const struct codec_union *u, const uint8_t *in, uint32_t *type_ret,
			  void **value_ret, struct arena *arena, struct error *reterr)
{
	struct item head = next_item(&in), type = {.kind = ITEM_OTHER};
	const struct codec_variant *v;
	const struct codec *c;
	void *value;
	int rc;

	if (head.kind == ITEM_ARRAY && head.elements == 2)
		type = next_item(&in);
	if (type.kind != ITEM_UINT)
		return error_set(reterr, ERR_INVALID, "expected a %s: [type, fields]", u->name);
	v = type.number <= UINT32_MAX ? codec_union_find(u, (uint32_t)type.number) : NULL;
	if (v == NULL)
		return error_set(reterr, ERR_VERSION, "%s type %llu is not known to this build", u->name,
				 (unsigned long long)type.number);
	c = v->codec();
	value = arena_alloc(arena, c->size);
	if (value == NULL)
		return error_set(reterr, ERR_LIMIT, "the %s is too large for its frame's memory", v->name);
	rc = decode_struct(c, &in, value, arena, reterr);
	if (rc < 0)
		return rc;
	*type_ret = v->type;
	*value_ret = value;
	return 0;
}

int codec_union_decode(const struct codec_union *u, struct bytes *in, uint32_t *type_ret, void **value_ret,
		       struct arena *arena, struct error *reterr)
{
	int64_t size = codec_value_size(*in, reterr);
	int rc;

	if (size < 0)
		return (int)size;
	rc = decode_variant(u, in->data, type_ret, value_ret, arena, reterr);
	if (rc == 0)
		*in = BYTES(in->data + size, in->size - (size_t)size);
	return rc;
}
