/* A growing byte buffer. Pure. Owner: whoever calls buf_fini. */
#pragma once

#include <string.h>

#include "base/types.h"

struct buf {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

void buf_fini(struct buf *b);
void buf_clear(struct buf *b);
/* Room for size more bytes, by moving all of them. */
void buf_grow(struct buf *b, size_t size);

/* size bytes of room at the end, not yet counted; valid until the next call. */
static inline uint8_t *buf_reserve(struct buf *b, size_t size)
{
	if (size > b->capacity - b->size || b->data == NULL)
		buf_grow(b, size);
	return b->data + b->size;
}

static inline void buf_append(struct buf *b, const void *data, size_t size)
{
	uint8_t *end = buf_reserve(b, size);

	if (size > 0)
		memcpy(end, data, size);
	b->size += size;
}

void buf_append_bytes(struct buf *b, struct bytes bytes);
void buf_append_zeros(struct buf *b, size_t size);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct bytes buf_bytes(const struct buf *b);
/* NUL-terminated view; the NUL is not counted in size. */
const char *buf_text(struct buf *b);
/* msgpack-c's writer: `msgpack_packer_init(&pk, &buf, buf_msgpack_write)`. Returns 0. */
int buf_msgpack_write(void *buf, const char *data, size_t size);
