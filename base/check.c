#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/types.h"
#include <string.h>

static check_hook_fn *check_hook;

void check_set_hook(check_hook_fn *hook)
{
	check_hook = hook;
}

_Noreturn void check_failed(const char *file, int line, const char *func, const char *cond)
{
	if (check_hook != NULL)
		check_hook(file, line, func, cond);
	fprintf(stderr, "%s:%d: %s: this must hold: %s\n", file, line, func, cond);
	abort();
}

void *check_calloc(size_t count, size_t size)
{
	void *ptr = calloc(count ? count : 1, size ? size : 1);

	CHECK(ptr != NULL);
	return ptr;
}

void *check_realloc(void *ptr, size_t count, size_t size)
{
	CHECK(size == 0 || count <= SIZE_MAX / size);
	ptr = realloc(ptr, count * size > 0 ? count * size : 1);
	CHECK(ptr != NULL);
	return ptr;
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct bytes bytes_of(const char *text)
{
	return BYTES(text, strlen(text));
}

size_t heap_cost(size_t size)
{
	size_t bytes = (size + sizeof(size_t) + 15) / 16 * 16; /* glibc: a word in front, multiples of 16 */

	return bytes > 32 ? bytes : 32;
}
