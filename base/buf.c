#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
	b->size = 0;
}

void buf_grow(struct buf *b, size_t size)
{
	size_t want = b->size + size, capacity = b->capacity < 64 ? 64 : b->capacity + b->capacity / 2;

	CHECK(want >= size);
	if (capacity < want)
		capacity = want;
	b->data = check_realloc(b->data, capacity, 1);
	b->capacity = capacity;
}

void buf_append_bytes(struct buf *b, struct bytes bytes)
{
	buf_append(b, bytes.data, bytes.size);
}

void buf_append_zeros(struct buf *b, size_t size)
{
	memset(buf_reserve(b, size), 0, size);
	b->size += size;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int need;

	va_start(ap, fmt);
	va_copy(again, ap);
	need = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	CHECK(need >= 0);
	vsnprintf((char *)buf_reserve(b, (size_t)need + 1), (size_t)need + 1, fmt, again);
	va_end(again);
	b->size += (size_t)need;
}

struct bytes buf_bytes(const struct buf *b)
{
	return BYTES(b->data, b->size);
}

const char *buf_text(struct buf *b)
{
	*buf_reserve(b, 1) = '\0';
	return (const char *)b->data;
}

int buf_msgpack_write(void *buf, const char *data, size_t size)
{
	buf_append(buf, data, size);
	return 0;
}
