/* What a bound in bytes counts is compared with what the heap has given out for it. */
#pragma once

#include <criterion/criterion.h>
#include <malloc.h>
#include <stddef.h>

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

/* Of the whole process, with what malloc adds to each piece. A sanitizer's malloc tells what was asked for.
 */
static inline size_t heap_now(void)
{
#ifdef __SANITIZE_ADDRESS__
	return __sanitizer_get_current_allocated_bytes();
#else
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
#endif
}

/* Within a factor of 1.5, both ways. */
static inline void expect_bound(const char *what, size_t counted, size_t measured)
{
	fprintf(stderr, "%s: %zu bytes counted, %zu measured\n", what, counted, measured);
	cr_expect_leq(measured, counted / 2 * 3, "%s: it costs %zu bytes, and %zu are counted", what,
		      measured, counted);
#ifndef __SANITIZE_ADDRESS__
	cr_expect_leq(counted, measured / 2 * 3, "%s: it costs %zu bytes, and %zu are counted", what,
		      measured, counted);
#endif
}
