/* Plain types that every component shares. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Microseconds. Which clock is said by the name: mono_us (CLOCK_BOOTTIME, never journaled) or
 * wall_us (UTC since 1970, the only time in records). */
typedef int64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_NEVER INT64_MAX

/* Bytes that somebody else owns. data may be NULL only when size is 0. */
struct bytes {
	const uint8_t *data;
	size_t size;
};

#define BYTES(ptr, len) ((struct bytes){(const uint8_t *)(ptr), (len)})
#define BYTES_LIT(text) ((struct bytes){(const uint8_t *)("" text), sizeof(text) - 1})
#define ARRAY_LENGTH(arr) (sizeof(arr) / sizeof((arr)[0]))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))

bool bytes_equal(struct bytes a, struct bytes b);
/* Bytes of a NUL-terminated string, without the NUL. */
struct bytes bytes_of(const char *text);
