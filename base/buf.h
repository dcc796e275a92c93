/* A growing byte buffer. Pure. Owner: whoever calls buf_fini. */
#pragma once

#include "base/types.h"

struct buf {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

void buf_fini(struct buf *b);
void buf_clear(struct buf *b);
void buf_append(struct buf *b, const void *data, size_t size);
void buf_append_bytes(struct buf *b, struct bytes bytes);
void buf_append_zeros(struct buf *b, size_t size);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* size bytes of room at the end, not yet counted; valid until the next call. */
uint8_t *buf_reserve(struct buf *b, size_t size);
struct bytes buf_bytes(const struct buf *b);
/* NUL-terminated view; the NUL is not counted in size. */
const char *buf_text(struct buf *b);
/* msgpack-c's writer: `msgpack_packer_init(&pk, &buf, buf_msgpack_write)`. Returns 0. */
int buf_msgpack_write(void *buf, const char *data, size_t size);
