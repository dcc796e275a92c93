#include "jobs/codec.h"

#include <msgpack.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"

/* What msgpack-c would believe: a length is checked against the rest of the frame first, because
 * msgpack-c allocates what an array header claims before it looks for its elements. */

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

/* Decoding */

static int decode_struct(const struct codec *c, const msgpack_object *o, void *value, struct arena *arena,
			 struct error *reterr);

static int expected(const struct codec *c, const struct codec_field *f, const char *what,
		    struct error *reterr)
{
	error_set(reterr, ERR_INVALID, "expected %s", what);
	error_where(reterr, "%s.%s", c->name, f->name);
	return ERR_INVALID;
}

static int decode_uint(const struct codec *c, const struct codec_field *f, const msgpack_object *o,
		       uint64_t max, uint64_t *ret, struct error *reterr)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return expected(c, f, "a whole number that is not negative", reterr);
	if (o->via.u64 > max)
		return expected(c, f, "a smaller number", reterr);
	*ret = o->via.u64;
	return 0;
}

static int decode_list(const struct codec *c, const struct codec_field *f, const msgpack_object *o,
		       struct codec_list *list, struct arena *arena, struct error *reterr)
{
	const struct codec *item = f->sub();

	if (o->type != MSGPACK_OBJECT_ARRAY)
		return expected(c, f, "a list", reterr);
	if (o->via.array.size == 0)
		return 0;
	list->items = arena_alloc(arena, item->size * o->via.array.size);
	if (list->items == NULL)
		return error_set(reterr, ERR_LIMIT, "the list %s.%s is too long for its frame's memory",
				 c->name, f->name);
	list->count = o->via.array.size;
	for (uint32_t i = 0; i < list->count; i++) {
		int rc = decode_struct(item, &o->via.array.ptr[i], (uint8_t *)list->items + i * item->size,
				       arena, reterr);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int decode_bytes(const struct codec *c, const struct codec_field *f, const msgpack_object *o,
			struct bytes *ret, struct arena *arena, struct error *reterr)
{
	if (f->kind == CODEC_BYTES) {
		if (o->type != MSGPACK_OBJECT_BIN)
			return expected(c, f, "bytes", reterr);
		*ret = BYTES(o->via.bin.ptr, o->via.bin.size);
		return 0;
	}
	if (o->type != MSGPACK_OBJECT_STR)
		return expected(c, f, "text", reterr);
	*ret = arena_copy(arena, BYTES(o->via.str.ptr, o->via.str.size));
	if (ret->data == NULL)
		return error_set(reterr, ERR_LIMIT, "the text %s.%s is too long for its frame's memory",
				 c->name, f->name);
	return 0;
}

static int decode_field(const struct codec *c, const struct codec_field *f, const msgpack_object *o, void *at,
			struct arena *arena, struct error *reterr)
{
	uint64_t u = 0;
	int rc = 0;

	switch (f->kind) {
	case CODEC_BOOL:
		if (o->type != MSGPACK_OBJECT_BOOLEAN)
			return expected(c, f, "true or false", reterr);
		*(bool *)at = o->via.boolean;
		return 0;
	case CODEC_U8:
		rc = decode_uint(c, f, o, UINT8_MAX, &u, reterr);
		*(uint8_t *)at = (uint8_t)u;
		return rc;
	case CODEC_U32:
		rc = decode_uint(c, f, o, UINT32_MAX, &u, reterr);
		*(uint32_t *)at = (uint32_t)u;
		return rc;
	case CODEC_U64:
		rc = decode_uint(c, f, o, UINT64_MAX, &u, reterr);
		*(uint64_t *)at = u;
		return rc;
	case CODEC_I64:
		if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
			*(int64_t *)at = o->via.i64;
			return 0;
		}
		rc = decode_uint(c, f, o, INT64_MAX, &u, reterr);
		*(int64_t *)at = (int64_t)u;
		return rc;
	case CODEC_BYTES:
	case CODEC_TEXT:
		return decode_bytes(c, f, o, at, arena, reterr);
	case CODEC_SUB:
		return decode_struct(f->sub(), o, at, arena, reterr);
	case CODEC_LIST:
		return decode_list(c, f, o, at, arena, reterr);
	case CODEC_WHOLE:
		rc = decode_uint(c, f, o, UINT32_MAX, &u, reterr);
		*(uint32_t *)at = u * 1000 < UINT32_MAX ? (uint32_t)u * 1000 : UINT32_MAX;
		return rc;
	case CODEC_MILLI:
		rc = decode_uint(c, f, o, UINT32_MAX, &u, reterr);
		if (u != 0)
			*(uint32_t *)at = (uint32_t)u;
		return rc;
	}
	CHECK(false);
	return ERR_INVALID;
}

static int decode_struct(const struct codec *c, const msgpack_object *o, void *value, struct arena *arena,
			 struct error *reterr)
{
	if (o->type != MSGPACK_OBJECT_ARRAY) {
		error_set(reterr, ERR_INVALID, "expected an array of fields");
		error_where(reterr, "%s", c->name);
		return ERR_INVALID;
	}
	for (size_t i = 0; i < c->field_count; i++) {
		const struct codec_field *f = &c->fields[i];
		int rc;

		if (i >= o->via.array.size && f->since > 1)
			continue; /* an older writer: stays zero */
		if (i >= o->via.array.size)
			return expected(c, f, "this field, but the array ends before it", reterr);
		rc = decode_field(c, f, &o->via.array.ptr[i], (uint8_t *)value + f->offset, arena, reterr);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int unpack(struct bytes in, size_t size, msgpack_unpacked *u, struct error *reterr)
{
	size_t offset = 0;

	msgpack_unpacked_init(u);
	if (msgpack_unpack_next(u, (const char *)in.data, size, &offset) != MSGPACK_UNPACK_SUCCESS) {
		msgpack_unpacked_destroy(u);
		return error_set(reterr, ERR_INVALID, "not a msgpack value");
	}
	return 0;
}

int codec_decode(const struct codec *c, struct bytes in, void *value, struct arena *arena,
		 struct error *reterr)
{
	int64_t size = codec_value_size(in, reterr);
	msgpack_unpacked u;
	int rc;

	if (size < 0)
		return (int)size;
	if ((size_t)size != in.size) {
		error_set(reterr, ERR_INVALID, "%zu bytes follow the value", in.size - (size_t)size);
		error_where(reterr, "%s", c->name);
		return ERR_INVALID;
	}
	rc = unpack(in, in.size, &u, reterr);
	if (rc < 0)
		return rc;
	memset(value, 0, c->size);
	rc = decode_struct(c, &u.data, value, arena, reterr);
	msgpack_unpacked_destroy(&u);
	return rc;
}

/* Unions */

const struct codec_variant *codec_union_find(const struct codec_union *u, uint32_t type)
{
	for (size_t i = 0; i < u->variant_count; i++)
		if (u->variants[i].type == type)
			return &u->variants[i];
	return NULL;
}

static int decode_variant(const struct codec_union *u, const msgpack_object *o, uint32_t *type_ret,
			  void **value_ret, struct arena *arena, struct error *reterr)
{
	const struct codec_variant *v;
	const struct codec *c;
	void *value;
	int rc;

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != 2 ||
	    o->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return error_set(reterr, ERR_INVALID, "expected a %s: [type, fields]", u->name);
	v = o->via.array.ptr[0].via.u64 <= UINT32_MAX
		? codec_union_find(u, (uint32_t)o->via.array.ptr[0].via.u64)
		: NULL;
	if (v == NULL)
		return error_set(reterr, ERR_VERSION, "%s type %llu is not known to this build", u->name,
				 (unsigned long long)o->via.array.ptr[0].via.u64);
	c = v->codec();
	value = arena_alloc(arena, c->size);
	if (value == NULL)
		return error_set(reterr, ERR_LIMIT, "the %s is too large for its frame's memory", v->name);
	rc = decode_struct(c, &o->via.array.ptr[1], value, arena, reterr);
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
	msgpack_unpacked m;
	int rc;

	if (size < 0)
		return (int)size;
	rc = unpack(*in, (size_t)size, &m, reterr);
	if (rc < 0)
		return rc;
	rc = decode_variant(u, &m.data, type_ret, value_ret, arena, reterr);
	msgpack_unpacked_destroy(&m);
	if (rc == 0)
		*in = BYTES(in->data + size, in->size - (size_t)size);
	return rc;
}
