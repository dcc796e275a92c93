/* CHECK is for our own bugs and stays on in release; errors are for peers and users. Pure. */
#pragma once

#include "base/types.h"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (__builtin_expect(!(cond), 0))                                                            \
			check_failed(__FILE__, __LINE__, __func__, #cond);                                   \
	} while (0)

/* A place that no run comes to; what = what would have to be there. */
#define CHECK_NEVER(what) check_failed(__FILE__, __LINE__, __func__, what)

/* Says where and ends the process. A hook may be set by a shell (log) or a test (longjmp). */
_Noreturn void check_failed(const char *file, int line, const char *func, const char *cond);

typedef void check_hook_fn(const char *file, int line, const char *func, const char *cond);
/* Called before the end; may be NULL. The hook may leave by longjmp. */
void check_set_hook(check_hook_fn *hook);

/* malloc that cannot fail: out of memory is the end of the process, in words. Zeroed. */
void *check_calloc(size_t count, size_t size) MUST_CHECK;
void *check_realloc(void *ptr, size_t count, size_t size) MUST_CHECK;

/* What one allocation of this size costs on the heap: more than was asked for, most of all when it is small.
 * By the C library's rules, not by asking it: the same for the same history of a core, in every run. */
size_t heap_cost(size_t size);

/* How much of a core's state its check walks: what the last step touched, or everything. */
enum check_depth {
	CHECK_TOUCHED,
	CHECK_FULL,
};
