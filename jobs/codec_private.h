/* What the codec's own files share. */
#pragma once

#include "base/limits.h"
#include "jobs/codec.h"

/* The front of one msgpack value. */
struct codec_head {
	uint64_t elements; /* values that follow, of an array (or twice a map's pairs) */
	uint64_t body;	   /* bytes that follow the header */
	size_t header;
};

/* ERR_INVALID when `in`, which is not empty, begins with no value that is allowed here. */
int codec_head_read(struct bytes in, struct codec_head *ret) MUST_CHECK;

/* Values that were checked by codec_value_size, one after the other. */
struct codec_cursor {
	const uint8_t *at, *end;
	size_t alike_left; /* of FRAME_ALIKE_BYTES_MAX: a few bytes may stand for many items */
	size_t again_left; /* bytes of differences that are read once more */
	uint32_t replaced; /* texts and lists that differed, so far */
};

/* True when the next value is an array; then the cursor stands at its first element. */
bool codec_take_array(struct codec_cursor *in, uint32_t *ret_count);
/* True when the next value is a whole number that is not negative; then the cursor stands behind it. */
bool codec_take_uint(struct codec_cursor *in, uint64_t *ret);
int codec_decode_at(const struct codec *c, struct codec_cursor *in, void *value, struct arena *arena,
		    struct error *reterr) MUST_CHECK;
int codec_decode_field(const struct codec *c, const struct codec_field *f, struct codec_cursor *in, void *at,
		       struct arena *arena, struct error *reterr) MUST_CHECK;

static inline struct codec_cursor codec_cursor(struct bytes in)
{
	return (struct codec_cursor){.at = in.data,
				     .end = in.data + in.size,
				     .alike_left = FRAME_ALIKE_BYTES_MAX,
				     .again_left = 2 * FRAME_ALIKE_BYTES_MAX};
}

bool codec_field_equal(const struct codec_field *f, const void *a, const void *b);
