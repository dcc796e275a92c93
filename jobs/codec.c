#include "jobs/codec.h"

#include "base/limits.h"
#include "jobs/codec_private.h"

/* A length is checked against the rest of the frame before anything is allocated or read. */

static uint64_t big_endian(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return v;
}

/* Header sizes and meanings: https://github.com/msgpack/msgpack/blob/master/spec.md */
int codec_head_read(struct bytes in, struct codec_head *h)
{
	static const uint8_t width[32] = {
	    /* c0 */ 0, 0, 0, 0, 1, 2, 4, 1, /* c8 */ 2,  4, 4, 8, 1, 2, 4, 8,
	    /* d0 */ 1, 2, 4, 8, 1, 2, 4, 8, /* d8 */ 16, 1, 2, 4, 2, 4, 2, 4,
	};
	uint8_t tag = in.data[0];
	uint64_t n;

	*h = (struct codec_head){.header = 1};
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
		struct codec_head h;

		if (left[depth] == 0) {
			depth--;
			continue;
		}
		left[depth]--;
		if (at >= in.size)
			return error_set(reterr, ERR_INVALID,
					 "the frame ends in the middle of a value, at byte %zu", at);
		if (codec_head_read(BYTES(in.data + at, in.size - at), &h) < 0)
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

/* Unions */

const struct codec_variant *codec_union_find(const struct codec_union *u, uint32_t type)
{
	for (size_t i = 0; i < u->variant_count; i++)
		if (u->variants[i].type == type)
			return &u->variants[i];
	return NULL;
}

static int decode_variant(const struct codec_union *u, struct codec_cursor *in, uint32_t *type_ret,
			  void **value_ret, struct arena *arena, struct error *reterr)
{
	const struct codec_variant *v;
	const struct codec *c;
	uint32_t count;
	uint64_t type;
	void *value;
	int rc;

	if (!codec_take_array(in, &count) || count != 2 || !codec_take_uint(in, &type))
		return error_set(reterr, ERR_INVALID, "expected a %s: [type, fields]", u->name);
	v = type <= UINT32_MAX ? codec_union_find(u, (uint32_t)type) : NULL;
	if (v == NULL)
		return error_set(reterr, ERR_VERSION, "%s type %llu is not known to this build", u->name,
				 (unsigned long long)type);
	c = v->codec();
	value = arena_alloc(arena, c->size);
	if (value == NULL)
		return error_set(reterr, ERR_LIMIT, "the %s is too large for its frame's memory", v->name);
	rc = codec_decode_at(c, in, value, arena, reterr);
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
	struct codec_cursor at;
	int rc;

	if (size < 0)
		return (int)size;
	at = codec_cursor(BYTES(in->data, (size_t)size));
	rc = decode_variant(u, &at, type_ret, value_ret, arena, reterr);
	if (rc == 0)
		*in = BYTES(in->data + size, in->size - (size_t)size);
	return rc;
}
